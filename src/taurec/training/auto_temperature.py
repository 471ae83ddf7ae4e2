"""Search for the temperature of a log: a short hill climb on validation, over trials with taus a factor 2 apart.

    --set loss.tau=auto            for sl, ssm, infonce and every other loss with a tau
    --set loss.tau_neg=auto        for bsl

A trial trains the run, with its backbone, negatives and scores, for a few epochs (some hundred steps); its value is the
best of the run's metric on validation. The climb starts at the default of the loss, or at that of the backbone's preset
for it, and at twice that. It continues in the better direction until a tau is better than both neighbours, and returns
the top of the parabola through these three over log tau. The final training is a separate run with that number. Test
data is never read; the result is a function of the run and its data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from taurec.data.interactions import Interactions
from taurec.data.split import split
from taurec.errors import NonFiniteError, UsageError
from taurec.run import Run
from taurec.training.calibrate import cost
from taurec.training.forecast import Sizes
from taurec.training.presets import auto_settings, settled
from taurec.training.records import Progress
from taurec.training.trainer import Trainer

EPOCHS, BATCH_SIZE = 6, 1024
"""Maximum epochs of a trial with batches of this size; with larger ones, in proportion, more."""
STEPS = 1500
"""Steps of a trial on larger logs, where these are fewer than ``EPOCHS`` epochs."""
LEAST = 3
"""Minimum epochs of a trial."""

SMALLEST, LARGEST = 1 / 160, 12.8
"""Range of the taus to try; with cosine scores the upper bound is 1.6."""
LARGEST_COSINE = 1.6

CUT = 0.1
"""Share of each user's training pairs on which trials are evaluated if a run has no validation part."""


@dataclass(frozen=True)
class FoundTemperature:
    """A temperature, and how it was found.

    Attributes:
        run: with the number in place of ``auto``; its field ``found`` says how it was found.
        key: the setting, such as ``loss.tau``.
        tau: the number, in score units.
        probes: the taus of the trials, ascending, with the metric on validation of each.
        epochs: of a trial.
        stopped_by: the signal that ended the climb early, or 0; ``tau`` is then the best so far.
    """

    run: Run
    key: str
    tau: float
    probes: tuple[tuple[float, float], ...]
    epochs: int
    stopped_by: int = 0

    @property
    def note(self) -> str:
        """How it was found, in a sentence."""
        tried = ", ".join(f"{tau:g}: {value:.4f}" for tau, value in self.probes)
        length = f"{self.epochs} epoch{'s' * (self.epochs != 1)}"
        return f"{self.key} {self.tau:g} found on validation by trials of {length} ({self.run.metric} at {tried})"


def find_temperature(
    run: Run,
    train: Interactions,
    valid: Interactions | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    given: Interactions | None = None,
) -> FoundTemperature:
    """The temperature for a run in which one is ``auto``.

    Args:
        run: a resolved run whose loss has its temperature at ``auto``.
        train: the training pairs.
        valid: pairs on which trials are evaluated; if there are none, a tenth of each user's training pairs is held out
            for the trials only.
        on_progress: called as in :class:`taurec.training.trainer.Trainer`, by each trial in turn.
        on_note: called with a line before each trial and with the result.
        given: as in :class:`taurec.training.trainer.Trainer`.
    Raises: UsageError if nothing is ``auto``, or if no pair is left to evaluate trials on.
    """
    names = auto_settings(run.loss)
    if not names:
        raise UsageError(f"no setting of {run.loss.name} is auto: {run.loss.text}")
    say = on_note or (lambda note: None)
    name = names[0]
    if valid is None or not len(valid):
        cut = split(train, "ratio", valid=CUT, test=0.0, seed=run.seed)
        train, valid = cut.train, cut.valid
        if not len(valid):
            raise UsageError(
                f"loss.{name}=auto is evaluated on held-out pairs, and no user has enough training pairs to hold one "
                f"out; give a number, or a log in which a user has at least 5 pairs"
            )
        held_out = f"{len(valid):,} pairs held out from training"
        say(f"loss.{name}=auto: no validation part, so trials are evaluated on {held_out}")
    epochs = probe_epochs(run, len(train))
    stopped = 0

    def probe(tau: float) -> float:
        nonlocal stopped
        tried = settled(run, {name: tau}).but(epochs=epochs, patience=epochs, eval_every=1)
        say(f"loss.{name}=auto: trying {tau:g} for {epochs} epoch{'s' * (epochs != 1)}")
        try:
            trained = Trainer(tried, train, valid, on_progress, given=given).fit()
        except NonFiniteError as error:
            say(f"loss.{name}=auto: {tau:g} failed: {error}")
            return -math.inf
        stopped = stopped or trained.stopped_by
        return trained.best.metrics[run.metric] if trained.best is not None else -math.inf

    default = float(settled(run).loss.settings[name])
    largest = LARGEST_COSINE if run.train_score == "cosine" else LARGEST
    tau, probes = climb(probe, default, SMALLEST, largest, lambda: bool(stopped))
    found = FoundTemperature(settled(run, {name: tau}), f"loss.{name}", tau, probes, epochs, stopped)
    say(found.note)
    made = found.run.but(found={**run.found, found.key: found.note})
    return FoundTemperature(made, found.key, tau, probes, epochs, stopped)


TRIALS = 4
"""Number of trials of a climb, for its forecast."""


def within(run: Run, train: Interactions, valid: Interactions | None, limit: float) -> tuple[Run, str]:
    """The run as it is if its temperature is forecast to be found in time, else with the default in place of ``auto``.

    Without a validation part the default is taken.

    Args:
        run: a resolved run whose loss has its temperature at ``auto``.
        limit: seconds.
    Returns: the run, and a note if the default was taken.
    """
    plain = settled(run)
    (name,) = auto_settings(run.loss)
    why = "there is no validation part"
    if valid is not None and len(valid):
        expected = cost(plain, Sizes.of(train, valid))
        needed = TRIALS * probe_epochs(run, len(train)) * (expected.epoch + expected.validation)
        if needed <= limit:
            return run, ""
        why = f"trials would take about {needed:.0f} s; loss.{name}=auto makes them"
    note = f"loss.{name} {plain.loss.settings[name]:g} by default: {why}"
    return plain.but(found={**run.found, f"loss.{name}": note}), note


def probe_epochs(run: Run, n_pairs: int) -> int:
    """Number of epochs of a trial, at most that of the run.

    >>> from taurec.training.presets import resolve
    >>> [probe_epochs(resolve(loss="sl"), n) for n in (80_000, 250_000, 10_000_000)]
    [6, 6, 3]
    >>> probe_epochs(resolve(loss="sl", batch_size=4096), 80_000)
    24
    """
    steps = -(-n_pairs // run.batch_size)
    most = EPOCHS * max(1, run.batch_size // BATCH_SIZE)
    return min(run.epochs, max(LEAST, min(most, -(-STEPS // steps))))


def climb(
    value: Callable[[float], float],
    start: float,
    smallest: float,
    largest: float,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[float, tuple[tuple[float, float], ...]]:
    """The maximum of a function of log tau with one peak, from few values.

    Args:
        value: the function, called once for each tau ``start * 2**k``.
        start: where to begin.
        smallest, largest: range of tau; the bound is the result if the climb reaches it.
        stop: called after each value; True ends the climb with the best so far.
    Returns: the top of the parabola through the best tau and its neighbours, to three digits, and all values
        computed, as (tau, value) by ascending tau.

    >>> climb(lambda tau: -(math.log(tau / 0.25) ** 2), start=0.1, smallest=0.01, largest=3.0)[0]
    0.25
    """
    known: dict[int, float] = {}

    def ask(step: int) -> float:
        if not smallest <= start * 2.0**step <= largest:
            return -math.inf
        if step not in known and not stop():
            known[step] = value(start * 2.0**step)
        return known.get(step, -math.inf)

    ask(0)
    ask(1)
    while True:
        best = max(known, key=lambda step: (known[step], -abs(step)))
        low, top, high = ask(best - 1), known[best], ask(best + 1)
        if stop() or max(low, high) <= top:
            break
    shift = 0.0
    if math.isfinite(low) and math.isfinite(high) and low + high < 2 * top:
        shift = (high - low) / (2 * (2 * top - low - high))
    tau = float(f"{start * 2.0 ** (best + shift):.3g}")
    return tau, tuple((float(f"{start * 2.0**step:.6g}"), known[step]) for step in sorted(known))
