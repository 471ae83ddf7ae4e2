# The two commands a newcomer needs are `make demo` and `make test`; each installs what it needs.
#
#   PYTHON=python3.12 make demo          another interpreter (3.11 or newer)
#   TORCH_INDEX=<url> make demo          take torch from this package index first (see README, "torch without a GPU")

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH_INDEX ?=
TAUREC_DATA ?= $(wildcard ../shared/data)
export TAUREC_DATA
PYTEST := $(BIN)/python -m pytest

.PHONY: demo test test-all check docs bench format clean

demo: $(VENV)/.installed
	$(BIN)/taurec demo

test: $(VENV)/.installed-dev
	$(PYTEST) -n 2 -m "not slow" --durations 5

test-all: $(VENV)/.installed-dev
	$(PYTEST) -n 2 --durations 20

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) -n 2 -m "not slow"

docs: $(VENV)/.installed-dev
	$(BIN)/python scripts/make_reference.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks --list

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "TauRec needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing TauRec into $(VENV) (once; some hundred megabytes, most of them torch)"
	$(if $(TORCH_INDEX),$(PIP) install -q -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(PIP) install -q -c constraints.txt -e '.[report]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -q -c constraints.txt -e '.[report,dev]'
	touch $@
