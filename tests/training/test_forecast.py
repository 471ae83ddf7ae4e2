"""Memory forecast against what a child process then takes, and refusal before anything is allocated."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from taurec.baselines import memory as free
from taurec.data.generated import generated
from taurec.errors import ResourceError
from taurec.kernels import available
from taurec.training import calibrate, forecast
from taurec.training.calibrate import cost
from taurec.training.forecast import Sizes, check_memory, memory
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

CHILD = """
import json, sys
users, items, pairs, fields = json.loads(sys.argv[1])
from taurec.data.generated import generated
from taurec.data.interactions import Interactions
from taurec.training.forecast import Sizes, memory
from taurec.training.presets import resolve
from taurec.training.records import EpochRecord
from taurec.training.trainer import Trainer

def megabytes(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

train, few = generated(users, items, pairs), generated(users, items, 2000)
valid = Interactions(few.indptr, few.indices, train.users, train.items)
before = megabytes("VmRSS")
run = resolve(**fields)
trainer = Trainer(run, train, valid)
kept = {name: 1 * value for name, value in trainer.backbone.state_dict().items()}
for number, batch in zip(range(4), trainer.batches(1)):
    trainer.step(batch, 1, number + 1)
for epoch in (1, 2):
    trainer._validate(EpochRecord(epoch, 0.0, 0.0))
told = sum(memory(run, Sizes.of(train, valid)).values()) / 2**20
print(json.dumps([told, megabytes("VmHWM") - before]))
"""

SL = {"loss": "sl", "negatives": "uniform:800", "threads": 1}
JOINED, LEARNED = (f"lightgcn:64:3:xavier_uniform:0:float32:0:{how}" for how in ("concat", "learned"))
SHAPES = {
    "ml-100k": (943, 1_682, 80_000, SL),
    "debian": (10_842, 3_739, 87_800, SL),
    "yelp2018": (31_668, 38_048, 1_200_000, SL),
    "lightgcn": (31_668, 38_048, 600_000, {**SL, "backbone": "lightgcn:64:3", "negatives": "in-batch"}),
    "simplex": (31_668, 38_048, 600_000, {**SL, "backbone": "simplex", "loss": "ccl", "negatives": "uniform:200"}),
    "attention": (31_668, 38_048, 600_000, {**SL, "backbone": "simplex:64:0.5:user_attention", "loss": "ccl"}),
    "ngcf": (20_000, 20_000, 400_000, {**SL, "backbone": "ngcf:64:32,32", "negatives": "in-batch"}),
    "joined layers": (31_668, 38_048, 600_000, {**SL, "backbone": JOINED, "negatives": "in-batch"}),
    "joined neighbours, all rows": (31_668, 38_048, 600_000, {**SL, "backbone": f"{JOINED}_neighbours"}),
    "learned weights": (31_668, 38_048, 600_000, {**SL, "backbone": LEARNED, "negatives": "in-batch"}),
    "simgcl": (31_668, 38_048, 600_000, {**SL, "backbone": "simgcl", "negatives": "in-batch"}),
    "xsimgcl": (31_668, 38_048, 600_000, {**SL, "backbone": "xsimgcl"}),
    "fism": (31_668, 38_048, 600_000, {"backbone": "fism:64", "loss": "ssm", "threads": 1}),
    "fism, sampled": (31_668, 38_048, 600_000, {**SL, "backbone": "fism:64", "batch_size": 1024}),
    "300k items": (500_000, 300_000, 3_000_000, SL),
    "1 M items": (2_000_000, 1_000_000, 5_000_000, SL),
}
QUICK = ("yelp2018", "lightgcn", "joined layers", "simplex", "ngcf")
slow = pytest.mark.slow
NAMES = [pytest.param(name, marks=() if name in QUICK else slow) for name in SHAPES]


@pytest.fixture(scope="module")
def compiled() -> None:
    """The kernels lie compiled on disk: compiling takes memory of its own, once on a machine."""
    for name in ("ml-100k", "lightgcn"):
        users, items, pairs = (1500, 1000, 50_000) if name == "lightgcn" else SHAPES[name][:3]
        given = json.dumps([users, items, pairs, SHAPES[name][3]])
        subprocess.run([sys.executable, "-c", CHILD, given], capture_output=True, check=True)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory of a process is read from /proc")
@pytest.mark.skipif(available()["numba"] != "ok", reason="numba does not work here")
@pytest.mark.parametrize("name", NAMES)
def test_memory_is_told_within_a_quarter(name: str, compiled: None) -> None:
    command = [sys.executable, "-c", CHILD, json.dumps(SHAPES[name])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told, taken = json.loads(done.stdout)
    assert told == pytest.approx(taken, rel=0.25)


def test_what_does_not_fit_is_refused_with_the_figures(monkeypatch) -> None:
    log, run = generated(300, 200, 2000), resolve(**{**SL, "backbone": "mf:1024"})
    needed = check_memory(run, Sizes.of(log))
    monkeypatch.setattr(free, "available_bytes", lambda: 50 * 10**6)
    monkeypatch.setattr("taurec.backbones.mf.MF.__init__", lambda *a, **k: pytest.fail("a table was made"))
    with pytest.raises(ResourceError, match=rf"dim 1024 .* needs {needed / 1e9:.1f} GB of memory and 0.1 GB are free"):
        Trainer(run, log)


def test_memory_grows_with_what_it_is_made_of() -> None:
    sizes = Sizes(500_000, 300_000, 10_000_000, 1000)

    def total(users: int = 500_000, items: int = 300_000, pairs: int = 10_000_000, **fields: object) -> int:
        return sum(memory(resolve(**{**SL, **fields}), Sizes(users, items, pairs, 1000)).values())

    assert memory(resolve(**SL), sizes)["tables"] == 3 * 4 * 64 * 800_000
    assert total() < min(total(users=600_000), total(items=400_000), total(pairs=20_000_000))
    assert total(backbone="mf:32") < total() < total(batch_size=4096)
    assert total(negatives="uniform:100") < total() < total(backbone="lightgcn:64:3") < total(backbone="lightgcn:64:4")


@pytest.mark.parametrize(
    "fields",
    [SL, {"loss": "bpr"}, {"loss": "bsl", "order": "user-blocks:4"}, {"backbone": "lightgcn", "negatives": "in-batch"}],
)
def test_cost_is_measured_on_something_smaller(fields, monkeypatch) -> None:
    threads, seen = torch.get_num_threads(), []
    monkeypatch.setattr(calibrate, "NODES", 256)
    monkeypatch.setattr(calibrate, "PAIRS", 4096)
    made = calibrate.generated
    monkeypatch.setattr(calibrate, "generated", lambda *sizes: seen.append(sizes) or made(*sizes))
    found = cost(resolve(**{**fields, "batch_size": 32, "threads": 1}), Sizes(2000, 1000, 20_000, 100))
    assert torch.get_num_threads() == threads
    assert max(users for users, _, _ in seen) <= 512
    assert found.epoch >= 625 * found.step > 0
    assert found.validation > 0


@slow
@pytest.mark.skipif(available()["numba"] != "ok", reason="numba does not work here")
@pytest.mark.parametrize(
    "backbone", ["lightgcn:64:2", "ngcf:64:32,32", "simplex", "simplex:64:0.5:user_attention", "simgcl", "xsimgcl"]
)
def test_time_is_told_as_a_ratio_to_mf(backbone: str) -> None:
    """Forecast and measured steps of two models, in turns, on a log that is larger than what the forecast runs."""
    log = generated(60_000, 70_000, 1_000_000)
    runs = [resolve(**{**SL, "negatives": "uniform:64", "backbone": name}) for name in ("mf", backbone)]
    trainers = [Trainer(run, log) for run in runs]
    streams = [trainer.batches(1) for trainer in trainers]
    times: list[list[float]] = [[], []]
    for number in range(1, 10):
        for trainer, stream, spent in zip(trainers, streams, times, strict=True):
            started = time.perf_counter()
            trainer.step(next(stream), 1, number)
            spent.append(time.perf_counter() - started)
    measured = np.median(times[1][3:]) / np.median(times[0][3:])
    told = [[cost(run, Sizes.of(log)).step for run in runs] for _ in range(3)]
    ratio = float(np.median([other / mf for mf, other in told]))
    assert ratio == pytest.approx(measured, rel=0.35)


@pytest.mark.parametrize(("half", "grown"), [(0.1, 1.0), (0.75, 0.5), (1.9, 0.0)])
def test_what_another_program_took_is_not_multiplied(half, grown, monkeypatch) -> None:
    """A step of half the size that took far less or more than half the time says no more than the step itself."""
    monkeypatch.setattr(calibrate, "PAIRS", 4096)
    monkeypatch.setattr(calibrate, "_measure", lambda run, sizes: (1.0 if sizes.pairs == 4096 else half, 0.0))
    found = cost(resolve(loss="sl", backbone="lightgcn", threads=1), Sizes(2000, 1000, 3 * 4096))
    assert found.step == pytest.approx(1 + 2 * grown)


def test_no_time_is_told_from_one_call() -> None:
    calls = itertools.count()
    calibrate._time(lambda: next(calls), 6, 0.0)
    assert next(calls) == 4


def test_layouts_are_those_of_the_sources() -> None:
    log = generated(50, 40, 300)
    for name in ("uniform:3", "popularity:3", "shared:5", "in-batch", "full"):
        trainer = Trainer(resolve(loss="sl", negatives=name, batch_size=16), log)
        shape = forecast.Shape.of(trainer.run, forecast.Sizes.of(log))
        drawn = next(trainer.batches(1)).negatives
        user, item = torch.ones(16, 3), torch.ones(40, 3)
        scores = drawn.scores(user, *drawn.narrow(item, torch.zeros(16, dtype=torch.int64)), "torch", None)[1]
        assert shape.negatives.columns == scores.shape[1]
        read = drawn.rows_needed(torch.zeros(16, dtype=torch.int64), 1 << 30)
        assert shape.negatives.rows == (None if read is None else len(read))


@pytest.mark.parametrize(("sampler", "file"), [("provided", "path"), ("semantic", "texts"), ("hnlmrec", "texts")])
def test_a_sampler_with_a_file_is_forecast_without_it(sampler: str, file: str) -> None:
    """Its ids are not those of the generated log, on which steps are timed."""
    run = resolve(
        negatives=sampler, settings={"negatives": {file: "not-there.csv"}, "backbone": {"dim": 8}}, batch_size=64
    )
    assert cost(run, Sizes(50, 40, 500)).step > 0
