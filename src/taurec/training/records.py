"""Reports of training: a record per epoch, progress, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from taurec.ranker import EmbeddingRanker


@dataclass(frozen=True)
class EpochRecord:
    """One line of ``metrics.jsonl``: mean loss over the epoch's rows, seconds of training alone, validation."""

    epoch: int
    loss: float
    train_seconds: float
    eval_seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    rows_without_negatives: int = 0


@dataclass(frozen=True)
class Progress:
    """The progress of a run; passed to the hook after each step, and once more with ``record`` after each epoch."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    rows_per_second: float
    record: EpochRecord | None = None
    best: EpochRecord | None = None


@dataclass(frozen=True)
class Trained:
    """The result of training.

    Attributes:
        ranker: of the best epoch (the last one where nothing was validated).
        backbone: with the weights of that epoch.
        records: one per epoch.
        best: the record of that epoch, or None if no epoch was finished.
        notes: remarks for the user, such as groups of hardly more than one row.
        stopped_by: the signal that ended the run early, or 0.
        kernels: the kernel that ran (``numba``, ``triton`` or ``torch``), by part of the step (``scores``, ``hop``,
            ``tables``).
        finished: whether the run reached its end: all epochs, or no improvement within its patience.
    """

    ranker: EmbeddingRanker
    backbone: torch.nn.Module
    records: list[EpochRecord]
    best: EpochRecord | None
    notes: list[str]
    stopped_by: int = 0
    kernels: dict[str, str] = field(default_factory=dict)
    finished: bool = True
