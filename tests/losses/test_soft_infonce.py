from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.losses import SSM, SoftInfoNCE
from taurec.losses.soft_infonce import nearest
from taurec.sampling.layouts import CatalogueNegatives, InBatchNegatives, PerRowNegatives, SharedNegatives
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer
from taurec.types import Batch

S = torch.tensor([[0.2, 0.5, 0.1], [0.9, 0.1, 0.3], [0.4, 0.4, 0.4], [0.0, 0.1, 0.8]], dtype=torch.float64)
LOG = planted(n_users=40, n_items=23, seed=2).log
PLAIN = {"tau": 0.5, "tau_similarity": 1.0}


def batch(item, negatives):
    return Batch(torch.zeros_like(item), item, torch.arange(len(item)), negatives)


def cosines(log: Interactions) -> np.ndarray:
    x = log.csr().toarray().astype(np.float64)
    x /= np.sqrt(np.maximum(x.sum(0), 1))
    return x.T @ x


def test_golden(rows):
    value = SoftInfoNCE(**PLAIN)(rows.pos, rows.neg, similarity=S.to(rows.pos.dtype))
    assert value.mean().item() == pytest.approx(1.329252636498049, **rows.tol)


def test_by_hand(exact):
    share = [math.exp(s) for s in (0.9, 0.1, 0.3)]
    weights = [max((1.2 - 0.8 * s / sum(share)) / (1.2 - 0.8 / 3), 0.1) for s in share]
    total = sum(w * math.exp(x / 0.5) for w, x in zip(weights, (0.6, 0.2, 0.0), strict=True))
    pair = math.exp(0.2 / 0.5)
    value = SoftInfoNCE(**PLAIN, alpha=0.8, beta=1.2)(exact.pos, exact.neg, similarity=S)[1].item()
    assert value == pytest.approx(math.log((pair + total) / pair), abs=1e-14)


def test_weights_have_mean_one_and_fall_with_similarity(exact):
    n = torch.full_like(exact.pos, 3)
    weights = SoftInfoNCE(**PLAIN).weights(S, exact.neg, n)
    torch.testing.assert_close(weights.mean(1), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-14)
    assert weights[2].tolist() == pytest.approx([1, 1, 1])
    assert (weights.argsort(1)[:2] == (-S).argsort(1)[:2]).all()
    assert SoftInfoNCE(tau_similarity=1e-3).weights(S, exact.neg, n)[0].tolist() == pytest.approx([1.5, 0.1, 1.5])


def test_without_alpha_and_with_equal_similarities_it_is_infonce(exact):
    expected = SSM(tau=0.5)(exact.pos, exact.neg)
    off = SoftInfoNCE(**PLAIN, alpha=0.0)(exact.pos, exact.neg, similarity=S)
    equal = SoftInfoNCE(**PLAIN)(exact.pos, exact.neg, similarity=torch.full_like(S, 0.3))
    one = SoftInfoNCE(**PLAIN)(exact.pos, exact.neg[:, :1], similarity=S[:, :1])
    torch.testing.assert_close(off, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(equal, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(one, SSM(tau=0.5)(exact.pos, exact.neg[:, :1]), rtol=0, atol=1e-14)


def test_items_are_compared_by_their_users():
    full = cosines(LOG)
    ids, values = nearest(LOG, 23)
    for i in range(23):
        there = ids[i] < 23
        found = np.zeros(23)
        found[ids[i, there]] = values[i, there]
        assert found == pytest.approx(full[i], abs=1e-6)
        assert (np.diff(ids[i]) >= 0).all()
    ids, values = nearest(LOG, 5)
    for i in range(23):
        assert i in ids[i]
        assert np.sort(values[i]) == pytest.approx(np.sort(full[i])[-5:], abs=1e-6)


def test_every_layout_of_items_has_its_similarities():
    state, full = SoftInfoNCE(neighbours=30).state(LOG, 0), cosines(LOG)
    item, ids = torch.tensor([3, 8, 3]), torch.tensor([[1, 3, 22, 0], [5, 5, 8, 9], [4, 3, 2, 1]])
    got = state.side(batch(item, PerRowNegatives(ids=ids)))["similarity"]
    assert got.numpy() == pytest.approx(full[item[:, None], ids], abs=1e-6)
    shared = state.side(batch(item, SharedNegatives(ids=ids[0])))["similarity"]
    assert shared.numpy() == pytest.approx(full[item[:, None], ids[:1]], abs=1e-6)
    within = state.side(batch(item, InBatchNegatives()))["similarity"]
    assert within.numpy() == pytest.approx(full[item[:, None], item[None]], abs=1e-6)


def test_negatives_that_are_no_items_are_refused():
    assert SoftInfoNCE().state(LOG, 0).asks_items
    with pytest.raises(UsageError, match="items of CatalogueNegatives are not known"):
        SoftInfoNCE().state(LOG, 0).side(batch(torch.tensor([1]), CatalogueNegatives()))


@pytest.mark.parametrize("negatives", ["uniform:8", "shared:8", "in-batch", "full"])
def test_training_supplies_the_similarities(negatives):
    fields = {"epochs": 2, "batch_size": 64, "lr": 0.05, "settings": {"backbone": {"dim": 8}}}
    learned = []
    for loss in ("soft-infonce", "ssm"):
        run = resolve(loss=loss, negatives=negatives, **fields)
        if loss == "soft-infonce" and negatives == "full":
            with pytest.raises(UsageError, match="'soft-infonce' weighs negatives by their similarity"):
                Trainer(run, LOG)
            return
        found = Trainer(run, LOG).fit()
        assert all(math.isfinite(r.loss) for r in found.records)
        learned.append(found.ranker.item)
    assert not np.array_equal(*learned)


def test_vectors_from_a_file(tmp_path):
    path = tmp_path / "vectors.npy"
    vectors = np.random.default_rng(0).normal(size=(23, 4))
    np.save(path, vectors)
    state = SoftInfoNCE(vectors=str(path)).state(LOG, 0)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    item, ids = torch.tensor([3, 8]), torch.tensor([[1, 3, 22], [5, 5, 8]])
    full = unit @ unit.T
    got = state.side(batch(item, PerRowNegatives(ids=ids)))["similarity"]
    assert got.numpy() == pytest.approx(full[item[:, None], ids], abs=1e-6)
    within = state.side(batch(item, InBatchNegatives()))["similarity"]
    assert within.numpy() == pytest.approx(full[item[:, None], item[None]], abs=1e-6)


def test_unfit_vectors_are_refused(tmp_path):
    path = tmp_path / "vectors.npy"
    with pytest.raises(UsageError, match=r"cannot be read as an array of a \.npy file: No such file or directory$"):
        SoftInfoNCE(vectors=str(path)).state(LOG, 0)
    for unfit in (np.zeros((22, 4)), np.full((23, 4), np.nan), np.zeros(23)):
        np.save(path, unfit)
        with pytest.raises(UsageError, match="with a row for each of the 23 items"):
            SoftInfoNCE(vectors=str(path)).state(LOG, 0)


def test_refusals(exact):
    for settings in ({"tau": 0.0}, {"alpha": 2.0}, {"least": 0.0}, {"tau_similarity": 0.0}, {"neighbours": 0}):
        with pytest.raises(UsageError, match=f"SoftInfoNCE: {next(iter(settings))} must be"):
            SoftInfoNCE(**settings)
    with pytest.raises(UsageError, match=r"SoftInfoNCE needs similarity=\[B, N\]"):
        SoftInfoNCE()(exact.pos, exact.neg)
