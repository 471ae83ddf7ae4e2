"""Work of many fits ends where a signal ended one of them: what it found so far is not gone on with."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Iterator

import pytest
from benchmarks.fits import fitted

from taurec.data.planted import planted
from taurec.data.split import split
from taurec.studies.audit.fix import fix
from taurec.studies.audit.log.recovery import trained_weights
from taurec.studies.compare import compare
from taurec.studies.search import search
from taurec.training.interrupt import pass_on, stop_on_signal
from taurec.training.presets import resolve
from taurec.training.records import Trained
from taurec.training.trainer import Trainer

PARTS = split(planted(n_users=60, n_items=40, noise=0.3, seed=3).log, "ratio", seed=0)
QUICK = {"epochs": 1, "threads": 1, "settings": {"backbone": {"dim": 4}}}


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The labels of the models that were trained; every training is ended by Ctrl-C."""
    found, fit = list[str](), Trainer.fit

    def stopped(self: Trainer, *given: object, **named: object) -> Trained:
        found.append(self.run.label)
        return dataclasses.replace(fit(self, *given, **named), stopped_by=signal.SIGINT)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "fit", stopped)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    yield found
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "work",
    [
        lambda: compare(PARTS, ["mf:sl"], seeds=2, tune="none", fields=QUICK),
        lambda: search(PARTS, 4.0, ["mf:sl"], fields={"threads": 1}),
        lambda: fix(PARTS, ("mf:sl",), seeds=2, judge="itemknn", fields=QUICK),
        lambda: trained_weights(PARTS.train, PARTS, resolve(loss="bsl", **QUICK)),
        lambda: fitted(PARTS, {"loss": "sl", "epochs": 1}, 0),
    ],
    ids=["compare", "a search within a time", "audit fix", "the weights of BSL", "a study of the benchmarks"],
)
def test_a_signal_during_one_fit_ends_the_work(work: Callable[[], object], fits: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        work()
    assert len(fits) == 1


def test_a_second_signal_does_not_wait() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stop_on_signal() as stop:
            assert not stop
            pass_on(0)
            pass_on(signal.SIGINT)
            assert stop.signum == signal.SIGINT
            with pytest.raises(KeyboardInterrupt):
                pass_on(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
