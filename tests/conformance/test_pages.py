"""Every baseline and every backbone gets a page of a comparison."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taurec import compare, planted
from taurec.backbones import BACKBONES
from taurec.baselines import BASELINES
from taurec.report.page import render
from taurec.report.result_page import result_page

LOG = planted(n_users=60, n_items=40, seed=1, noise=0.2).log
FIELDS = {"epochs": 1, "batch_size": 256, "negatives": "uniform:8", "kernel": "torch"}


@pytest.fixture(scope="module")
def found():
    return compare(LOG, [*BASELINES, *(f"{name}:sl" for name in BACKBONES)], tune="none", fields=FIELDS)


@pytest.mark.parametrize("label", [*BASELINES, *(f"{name}:sl" for name in BACKBONES)])
def test_a_page_shows_it(found, label: str) -> None:
    """With the panel in which it is tried out, or, without a formula for it, with its row alone."""
    html = render(result_page(replace(found, chosen=found.models[label])))
    has_form = found.models[label].ranker.fold_in() is not None
    assert (f'"label": "{label}"' in html) == has_form
    assert label in html
