"""The time that a run will take, estimated from a few steps of a smaller run on this machine.

The smaller run has the same loss, layout, batch size, width and kernels, on a generated log. Up to the size of
:data:`NODES` it has the run's number of users and items. For larger runs, the cost that grows with the tables is added:
for graphs and whole tables from a second, smaller run; for unit tables from the pass over the table and from gather-dot
on a table of the run's size; for sparse tables from the number of pending steps of a row.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from taurec import draw
from taurec.backbones import backbone_class
from taurec.backbones.init import init_table
from taurec.data.generated import generated
from taurec.data.interactions import Interactions
from taurec.evaluation.ranking import evaluate_ranker
from taurec.kernels.gather_dot import gather_dot
from taurec.run import Choice, Run
from taurec.sampling import NEGATIVES, Sampler
from taurec.training.forecast import Shape, Sizes
from taurec.training.plain import DENSE_RATIO
from taurec.training.tables import SparseAdamTable, UnitAdamTable, large_zeros
from taurec.training.trainer import Trainer

NODES, PAIRS = 1 << 15, 1 << 18
"""Maximum number of users or items, and of pairs, in a calibrating run."""
OWED_ROWS = 256


@dataclass(frozen=True)
class Cost:
    """Seconds: of a step, of an epoch's training, of one validation."""

    step: float
    epoch: float
    validation: float


def cost(run: Run, sizes: Sizes) -> Cost:
    """The time of a run on a log of these sizes; measures for about a second, or twelve steps twice."""
    run = _timed(run)
    shape, threads = Shape.of(run, sizes), torch.get_num_threads()
    try:
        small = _smaller(run, sizes, shape)
        step, score = _measure(run, small)
        if shape.updates is None or shape.updates.item == "whole":
            grown = _work(run, sizes) / _work(run, small)
            if grown > 1.05:
                half = Sizes(small.users // 2, small.items // 2, small.pairs // 2)
                shrunk = 1 - _work(run, half) / _work(run, small)
                # Bounded by no growth and by proportional growth, in case another program disturbed a measurement.
                slope = min(step, max(0.0, (step - _measure(run, half)[0]) / max(shrunk, 0.1)))
                step += slope * (grown - 1)
        elif sizes.items > 1.05 * small.items and shape.updates.item == "unit":
            step += _unit_pass(shape.dim) * (sizes.items - small.items)
            step += max(0.0, _gather(run, shape, sizes.items) - _gather(run, shape, small.items))
        if shape.updates is not None:
            rows = run.batch_size
            if sizes.users > 1.05 * small.users and shape.updates.user == "sparse":
                step += rows * max(
                    0.0, _pending_steps(shape.dim, sizes.users // rows) - _pending_steps(shape.dim, small.users // rows)
                )
    finally:
        torch.set_num_threads(threads)
    steps = -(-sizes.pairs // run.batch_size)
    return Cost(step, steps * step + 1.5e-7 * sizes.pairs, score * sizes.valid_users * sizes.items)


def _timed(run: Run) -> Run:
    """The run with the negative sampler that is timed in place of the one that it names."""
    own = NEGATIVES.build(run.negatives.name, given=run.negatives.settings)
    other = own.timed_as() if isinstance(own, Sampler) else own
    if other is own:
        return run
    name, settings = NEGATIVES.parse(other)
    return run.but(negatives=Choice(name=name, settings=settings))


def _work(run: Run, sizes: Sizes) -> float:
    """The work of a step as the backbone declares it; the number of items where a plain item table is updated whole."""
    shape, backbone = Shape.of(run, sizes), backbone_class(run.backbone.name)
    return float(sizes.items) if backbone.plain else backbone.step_cost(shape.size(run, sizes), run.backbone.settings)


def _smaller(run: Run, sizes: Sizes, shape: Shape) -> Sizes:
    """The sizes of the calibrating run; a graph and histories keep their degrees, a sparse table stays sparse."""
    if shape.updates is None:
        share = min(1.0, PAIRS / sizes.pairs, 2 * NODES / (sizes.users + sizes.items))
        return Sizes(*(max(int(share * n), 2) for n in (sizes.users, sizes.items, sizes.pairs)))
    items = NODES
    if shape.updates.item == "sparse":
        assert shape.negatives.rows is not None
        items = max(NODES, 1 + DENSE_RATIO * shape.negatives.rows)
    return Sizes(min(sizes.users, NODES), min(sizes.items, items), min(sizes.pairs, 16 * run.batch_size))


def _measure(run: Run, sizes: Sizes) -> tuple[float, float]:
    """Seconds of a step, and of scoring one user against one item."""
    log = generated(sizes.users, sizes.items, sizes.pairs)
    trainer = Trainer(run, log)
    trainer.backbone.train()
    batches = itertools.chain.from_iterable(trainer.batches(epoch) for epoch in itertools.count(1))
    number = itertools.count(1)
    step = _time(lambda: trainer.step(next(batches), 1, next(number)), 12, 0.3)
    some = np.flatnonzero(log.user_counts)[:SCORED]
    part = log.take(np.isin(log.user_of, some))
    seen = Interactions(np.zeros_like(log.indptr), log.indices[:0], log.users, log.items)
    ranker = trainer.ranker()
    score = _time(lambda: evaluate_ranker(ranker, part, seen, [run.metric]), 1, 0.0)
    return step, score / (len(some) * sizes.items)


SCORED = 256
"""Number of users ranked to measure the time of validation."""


def _time(work: Callable[[], object], most: int, budget: float) -> float:
    """Median seconds of a call, after one warm-up call; ends after ``most`` calls or about ``budget`` seconds.

    Three calls are made even if the first exceeds the budget: a single one is too easily disturbed by other programs.
    """
    work()
    times: list[float] = []
    while len(times) < min(3, most) or (len(times) < most and sum(times) < budget):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def _unit_pass(dim: int) -> float:
    """Seconds per row of :meth:`UnitAdamTable.move`, on a table larger than the caches."""
    rows = (1 << 22) // dim
    weight, m, v = (large_zeros(rows, dim).fill_(1e-3) for _ in range(3))
    table = UnitAdamTable(weight, m, v, lr=0.0)
    return _time(table.move, 4, 0.1) / rows


def _gather(run: Run, shape: Shape, n_items: int) -> float:
    """Seconds of gather-dot and its gradient on a table of this size."""
    table, into = large_zeros(n_items, shape.dim), large_zeros(n_items, shape.dim)
    user = torch.ones(run.batch_size, shape.dim, requires_grad=True)
    rows = np.arange(run.batch_size)
    gathered = 1 + shape.negatives.held // run.batch_size  # a layout may score more items than it has columns
    ids = torch.from_numpy(draw.integers(draw.key(0, "calibrate"), rows, n_items, gathered))
    up = torch.ones(ids.shape)

    def work() -> None:
        torch.autograd.backward(gather_dot(user, table, ids, kernel="numba", d_item=into), up)

    return _time(work, 3, 0.2)


def _pending_steps(dim: int, gap: int) -> float:
    """Seconds for a row with this number of pending steps."""
    if gap < 1:
        return 0.0
    w = init_table("normal:0.1", 0, "calibrate", OWED_ROWS, dim)
    table = SparseAdamTable(w, torch.full_like(w, 1e-3), torch.full_like(w, 1e-6), lr=1e-3)
    for _ in range(gap):
        table.move()
    started = time.perf_counter()
    table.settle()
    return (time.perf_counter() - started) / OWED_ROWS
