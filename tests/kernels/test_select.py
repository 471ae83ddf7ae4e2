"""The law of the door: for every operation a named kernel runs or is refused, and what is reported is what ran."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from taurec import kernels
from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.evaluation.lists import top_k
from taurec.kernels import OPERATIONS, adam, catalogue, draws, gather_dot, hop, hop_half, select, solve, unit_rows
from taurec.kernels.hop.matrix import Csr
from taurec.ranker import EmbeddingRanker
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

MODULES = {"torch": "reference", "numba": "numba", "triton": "triton"}
BIG = 300


class Case(NamedTuple):
    """A call of an operation, and what its selection depends on."""

    operation: str
    functions: tuple[str, ...]
    call: Callable[[str], object]
    given: tuple[Any, ...]


def graph(n: int, dtype: torch.dtype, index: torch.dtype) -> Csr:
    """Each of n nodes with all others of the other half."""
    half = n // 2
    other = torch.cat([torch.arange(half, n).repeat(half), torch.arange(half).repeat(n - half)])
    starts = torch.cat([torch.arange(half) * (n - half), half * (n - half) + torch.arange(n - half + 1) * half])
    return Csr(starts.to(index), other.to(index), torch.full((len(other),), 1 / half, dtype=dtype))


def cases(n: int, dtype: torch.dtype = torch.float32, index: torch.dtype = torch.int32) -> list[Case]:
    """All operations on tables of n rows of this type."""
    t = torch.Generator().manual_seed(n)
    item = torch.randn(n, 16, generator=t).to(dtype)
    user, ids = item[: n // 2].clone(), torch.randint(0, n, (n // 2, n), generator=t)
    pairs, dot, reduce = (user, item, ids), gather_dot.gather_dot, catalogue.catalogue_reduce
    csr, into = graph(n, dtype, index), torch.empty_like(item)
    room, rows = hop_half.Workspace(hop_half.growth_of(csr)), torch.arange(0, n, 3)
    four = [item.clone() for _ in range(4)]
    indptr, indices = np.array([0, 1, 3]), np.array([0, 0, 1])
    many, owner = np.arange(n), np.arange(n) % 2
    float32 = item.float().numpy()
    ranker = EmbeddingRanker(float32, float32)
    factors, eye = np.random.default_rng(0).random((4, 2)).astype("f8" if dtype == torch.float32 else "f4"), np.eye(2)
    system = np.array([0, 2, 4]), np.array([0, 1, 2, 3]), factors, np.ones(2), eye, np.ones(2)
    two = (np.array([0, 1, 3]), np.array([0, 0, 1])), (np.array([0, 2, 3]), np.array([0, 1, 1]))  # users {0} and {0, 1}
    weight, diagonal = np.ones(2, dtype=factors.dtype), np.array([2.0, 1.0])
    near = np.arange(2), *two, weight, diagonal, 1, 1.0

    def halves(kernel: str) -> object:
        return hop_half.mean_at_rows_half(csr, user, item[n // 2 :], 2, rows, room, kernel=kernel)

    return [
        Case("gather_dot", ("gather_dot",), lambda k: dot(*pairs, kernel=k), pairs),
        Case("gather_dot", ("gather_dot",), lambda k: dot(*pairs, kernel=k, d_item=into), (*pairs, into)),
        Case("catalogue", ("reduce",), lambda k: reduce(user, item, kind="mean", kernel=k), (user, item)),
        Case("catalogue", ("reduce",), lambda k: reduce(user, item, kind="logsumexp", kernel=k), (user, item)),
        Case("hop", ("product",), lambda k: hop.hop(*csr, item, kernel=k), (*csr, item)),
        Case("hop", ("product",), lambda k: hop.mean_of_hops(*csr, item, 2, kernel=k), (*csr, item)),
        Case("hop", ("product",), lambda k: hop.mean_at_rows(*csr, item, 2, rows, kernel=k), (*csr, item)),
        Case("hop_half", ("narrow", "product"), halves, (*csr, user)),
        Case("unit_rows", ("unit_rows",), lambda k: unit_rows.unit_rows(item, kernel=k), (item,)),
        Case("adam", ("step",), lambda k: adam.adam_step(*four, step=1, kernel=k), tuple(four)),
        Case(
            "topk",
            ("best_of_scores", "best_of_tables"),
            lambda k: top_k(ranker, many, 3, kernel=k),
            (torch.empty(0), n, n, True),
        ),
        Case("draws", ("uniform_ids",), lambda k: draws.uniform_ids(3, many, n, n, kernel=k), (n * n, n)),
        Case(
            "draws",
            ("uniform_ids_without",),
            lambda k: draws.uniform_ids_without(3, many, n, n, owner, indptr, indices, 4, kernel=k),
            (n * n, n),
        ),
        Case(
            "draws",
            ("member",),
            lambda k: draws.member(indptr, indices, n, owner, np.tile(many, (n, 1)), kernel=k),
            (n * n, n),
        ),
        Case("solve", ("solve",), lambda k: solve.solve_rows(*system, kernel=k), (factors,)),
        Case("solve", ("solve_near",), lambda k: solve.solve_neighbours(*near, kernel=k), (weight,)),
    ]


def spied(case: Case, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernels whose implementation of the operation is called, filled as it runs."""
    ran: list[str] = []
    for kernel, file in MODULES.items():
        if kernels.available()[kernel] != "ok":
            continue
        try:
            module = importlib.import_module(f"taurec.kernels.{case.operation}.{file}")
        except ModuleNotFoundError:
            continue
        for name in case.functions:
            if (plain := getattr(module, name, None)) is not None:
                monkeypatch.setattr(
                    module, name, lambda *a, _plain=plain, _kernel=kernel, **k: ran.append(_kernel) or _plain(*a, **k)
                )
    return ran


FITTING = cases(BIG)
SMALL = cases(6)
MISFITS = cases(BIG, torch.float64, torch.int64)


def named(case: Case) -> str:
    return f"{case.operation}-{case.functions[0]}"


def test_every_operation_is_here():
    assert {case.operation for case in FITTING} == set(OPERATIONS)


@pytest.mark.parametrize("kernel", kernels.NAMES)
@pytest.mark.parametrize("case", [*FITTING, *SMALL, *MISFITS], ids=named)
def test_a_named_kernel_runs_or_is_refused_and_auto_never_raises(case, kernel, monkeypatch):
    ran = spied(case, monkeypatch)
    try:
        selected = select(case.operation, *case.given, kernel=kernel).name
    except UsageError:
        selected = "none"
    if selected == "none":
        assert kernel in ("numba", "triton")
        with pytest.raises(
            UsageError, match=f"kernel '{kernel}' cannot serve this call: .*use kernel='torch' or 'auto'"
        ):
            case.call(kernel)
        assert not ran
        return
    assert selected == kernel or kernel == "auto"
    case.call(kernel)
    assert set(ran) == {selected}


@pytest.mark.skipif(kernels.available()["numba"] != "ok", reason="numba does not work here")
@pytest.mark.parametrize("case", FITTING, ids=named)
def test_auto_takes_the_compiled_loops_for_large_tables(case):
    worth = case.operation != "topk"  # 300 x 300 scores are few
    assert (select(case.operation, *case.given).name == "numba") == worth


@pytest.mark.parametrize("case", FITTING, ids=named)
def test_without_a_compiler_auto_is_torch(case, monkeypatch):
    monkeypatch.setattr(kernels, "available", lambda: {"torch": "ok", "numba": "broken", "triton": "none"})
    ran = spied(case, monkeypatch)
    case.call("auto")
    assert set(ran) <= {"torch"}
    with pytest.raises(UsageError, match="broken"):
        case.call("numba")


def test_a_graph_with_layers_as_halves_is_refused_where_triton_is_named():
    with pytest.raises(UsageError, match=r"float16|GPU|triton is not"):
        select("hop_half", *graph(8, torch.float32, torch.int32), torch.ones(8, 2), kernel="triton")


LOG = planted(n_users=60, n_items=40, seed=3).log
RUNS = [
    {"negatives": "uniform:16"},
    {"negatives": "uniform:16", "train_score": "dot", "rank_score": "dot"},
    {"negatives": "in-batch", "backbone": "lightgcn:8:2"},
    {"negatives": "in-batch", "backbone": "lightgcn:8:2:xavier_uniform:0:float16"},
    {"negatives": "in-batch", "backbone": "lightgcn:8:2:xavier_uniform:0:float32:0:concat_unit"},
    {"negatives": "in-batch", "backbone": "simgcl:8:2"},
    {"negatives": "uniform:4", "backbone": "xsimgcl:8:2"},
    {"negatives": "uniform:4", "backbone": "ngcf:8:8,8"},
    {"negatives": "uniform:4", "backbone": "simplex:8", "loss": "ccl"},
    {"negatives": "full"},
    {"negatives": "shared:16"},
]


@pytest.mark.parametrize("fields", RUNS, ids=lambda f: f"{f.get('backbone', 'mf')}-{f['negatives']}")
def test_a_run_on_torch_runs_nothing_else_and_says_so(fields, monkeypatch):
    """Steps, ranker and validation; draws give the same ids in any kernel and choose for themselves."""
    called: list[str] = []
    for operation in set(OPERATIONS) - {"draws"}:
        monkeypatch.setattr(
            f"taurec.kernels.{operation}.OPERATION",
            kernels.Operation(lambda kernel, *given: called.append(kernel) or "", lambda *given: False),
        )
    run = resolve(**{"loss": "sl", "epochs": 1, "batch_size": 32, "kernel": "torch", **fields})
    trained = Trainer(run, LOG, LOG).fit()
    assert set(trained.kernels.values()) == {"torch"}
    assert not called
