"""What training tells: a line an epoch, where it is, and what it yields."""

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
    """Where a run is; handed to the hook after each step, and once more with ``record`` after each epoch."""

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
    """What training yields.

    Attributes:
        ranker: of the best epoch (the last one where nothing was validated).
        backbone: with the weights of that epoch.
        records: one an epoch.
        best: the record of that epoch, or None if no epoch was finished.
        notes: what the user should know, such as groups that hardly exist.
        stopped_by: the signal that ended the run early, or 0.
        kernels: what ran, by part of the step (``scores``, ``hop``, ``tables``): ``numba``, ``triton`` or
            ``torch``.
        finished: whether the run came to its end: all epochs, or no better one within its patience.
    """

    ranker: EmbeddingRanker
    backbone: torch.nn.Module
    records: list[EpochRecord]
    best: EpochRecord | None
    notes: list[str]
    stopped_by: int = 0
    kernels: dict[str, str] = field(default_factory=dict)
    finished: bool = True
