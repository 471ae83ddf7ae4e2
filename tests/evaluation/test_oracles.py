"""Metrics and lists together against pytrec_eval, torchmetrics and a scalar loop, on random tie-free cases.

Each case is one user of a single call: scores are permuted integers, so no two are equal and the oracles'
own tie rules do not matter.
"""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
import pytrec_eval
import torch
from torchmetrics.functional import retrieval

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.evaluation.metrics import METRICS
from taurec.evaluation.ranking import evaluate_ranker
from taurec.ranker import EmbeddingRanker

CUTOFFS = (1, 3, 10, 20)
N_ITEMS = 40
FLOAT32 = torch.float32


class World:
    """Random tie-free cases, one a user: scores, relevant items, and what TauRec says about them."""

    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.scores = rng.permuted(np.tile(np.arange(N_ITEMS, dtype=np.float32), (n, 1)), axis=1)
        self.relevant = rng.random((n, N_ITEMS)) < rng.random((n, 1)) * 0.7
        self.relevant[np.arange(n), rng.integers(0, N_ITEMS, n)] = True
        users, items = (Vocabulary([str(i) for i in range(size)]) for size in (n, N_ITEMS))
        log = Interactions.from_pairs(*np.nonzero(self.relevant), users, items)
        self.n = n
        names = [f"{name}@{k}" for name in METRICS for k in CUTOFFS]
        self.result = evaluate_ranker(OfScores(self.scores), log, metrics=names)

    def ours(self, name, k):
        return self.result.per_user(f"{name}@{k}")


class OfScores(EmbeddingRanker):
    """Ranks by a given score matrix."""

    def __init__(self, scores):
        self.scores = scores
        super().__init__(np.zeros((len(scores), 1)), np.zeros((scores.shape[1], 1)))

    def block(self, users):
        return self.scores[users]


def slow_values(ranked_relevance, n_relevant, k):
    """Every metric of one list by plain loops over ranks."""
    top = ranked_relevance[:k]
    ranks = [r for r, hit in enumerate(top, start=1) if hit]
    ideal = min(k, n_relevant)

    def gain(of, clip=False):
        return sum(1 / log2(max(r, 2) if clip else r + 1) for r in of)

    return {
        "recall": len(ranks) / n_relevant,
        "precision": len(ranks) / k,
        "hit_rate": float(len(ranks) > 0),
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "mrr_mean_hits": sum(1 / r for r in ranks) / len(ranks) if ranks else 0.0,
        "map": sum((n / r) for n, r in enumerate(ranks, start=1)) / ideal,
        "ndcg": gain(ranks) / gain(range(1, ideal + 1)),
        "ndcg_full_k": gain(ranks) / gain(range(1, k + 1)),
        "ndcg_clipped_log": gain(ranks, clip=True) / gain(range(1, ideal + 1), clip=True),
        "ndcg_retrieved": gain(ranks) / gain(range(1, len(ranks) + 1)) if ranks else 0.0,
        "precision_min_rel": len(ranks) / ideal,
        "recall_min_rel": len(ranks) / ideal,
        "hit_rate_interactions": len(ranks) / n_relevant,
    }


def check_loop(world):
    order = np.argsort(-world.scores, axis=1)
    ranked = np.take_along_axis(world.relevant, order, 1).tolist()
    counts = world.relevant.sum(1).tolist()
    for k in CUTOFFS:
        slow = [slow_values(row, n, k) for row, n in zip(ranked, counts, strict=True)]
        for name in METRICS:
            np.testing.assert_allclose(world.ours(name, k), [s[name] for s in slow], rtol=0, atol=1e-9, err_msg=name)
    # The ratios of sums, summed here by the loop.
    pooled = sum(sum(row[:20]) for row in ranked) / sum(min(20, n) for n in counts)
    assert world.result.means()["precision_min_rel@20"] == pytest.approx(pooled, abs=1e-9)
    pooled = sum(sum(row[:20]) for row in ranked) / sum(counts)
    assert world.result.means()["hit_rate_interactions@20"] == pytest.approx(pooled, abs=1e-9)


def check_pytrec_eval(world):
    names = [str(i) for i in range(N_ITEMS)]
    relevant = {str(u): dict(zip(names, row, strict=True)) for u, row in enumerate(world.relevant.astype(int).tolist())}
    run = {str(u): dict(zip(names, row, strict=True)) for u, row in enumerate(world.scores.tolist())}
    cuts = ",".join(map(str, CUTOFFS))
    measures = {f"{m}.{cuts}" for m in ("ndcg_cut", "recall", "P", "map_cut", "success")} | {"recip_rank"}
    found = pytrec_eval.RelevanceEvaluator(relevant, measures).evaluate(run)
    theirs = {key: np.array([found[str(u)][key] for u in range(world.n)]) for key in found["0"]}
    n_relevant = world.relevant.sum(1)
    for k in CUTOFFS:
        # trec_eval divides average precision by all relevant items, ours by min(K, relevant).
        same = {
            "ndcg": theirs[f"ndcg_cut_{k}"],
            "recall": theirs[f"recall_{k}"],
            "precision": theirs[f"P_{k}"],
            "hit_rate": theirs[f"success_{k}"],
            "map": theirs[f"map_cut_{k}"] * n_relevant / np.minimum(n_relevant, k),
            "mrr": np.where(theirs["recip_rank"] >= 1 / k - 1e-12, theirs["recip_rank"], 0.0),
        }
        for name, values in same.items():
            np.testing.assert_allclose(world.ours(name, k), values, rtol=0, atol=1e-9, err_msg=f"{name}@{k}")


def check_torchmetrics(world, n, cutoffs):
    functions = {
        "ndcg": retrieval.retrieval_normalized_dcg,
        "recall": retrieval.retrieval_recall,
        "precision": retrieval.retrieval_precision,
        "hit_rate": retrieval.retrieval_hit_rate,
        "mrr": retrieval.retrieval_reciprocal_rank,
    }
    scores, relevant = torch.tensor(world.scores[:n], dtype=torch.float64), torch.tensor(world.relevant[:n])
    for k in cutoffs:
        for name, function in functions.items():
            theirs = [float(function(s, r, top_k=k)) for s, r in zip(scores, relevant, strict=True)]
            np.testing.assert_allclose(world.ours(name, k)[:n], theirs, rtol=0, atol=1e-9, err_msg=f"{name}@{k}")


@pytest.fixture
def torch_in_float64(monkeypatch):
    """torchmetrics casts to float32 by name; with that name standing for float64 its formulas are exact."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def world():
    return World(2000, seed=0)


def test_scalar_loop(world):
    check_loop(world)


def test_pytrec_eval(world):
    check_pytrec_eval(world)


def test_torchmetrics(world, torch_in_float64):
    check_torchmetrics(world, 300, (3, 20))


@pytest.mark.slow
def test_ten_thousand_cases():
    world = World(10_000, seed=1)
    check_loop(world)
    check_pytrec_eval(world)


@pytest.mark.slow
def test_ten_thousand_cases_of_torchmetrics(torch_in_float64):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "float32", FLOAT32)
        world = World(10_000, seed=2)
    check_torchmetrics(world, 10_000, (20,))
