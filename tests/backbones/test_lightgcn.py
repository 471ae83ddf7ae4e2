from __future__ import annotations

import numpy as np
import pytest
import torch

from taurec import draw
from taurec.backbones import LightGCN
from taurec.backbones.dropout import keep_scale_wide
from taurec.backbones.graph import normalised
from taurec.data.interactions import Interactions
from taurec.errors import UsageError


def random_log(users: int = 8, items: int = 6) -> Interactions:
    known = np.argwhere(np.random.default_rng(1).random((users, items)) < 0.5)
    return Interactions.from_pairs(known[:, 0], known[:, 1])


def test_two_users_and_one_item_by_hand() -> None:
    """With degrees 1, 1 | 2 every edge weighs 1/sqrt(2); layers of (u0, u1 | i):

    0: 1, 3 | 5    1: 5s, 5s | 4s    2: 4ss, 4ss | 10ss = 2, 2 | 5,  s = 1/sqrt(2).
    """
    model = LightGCN(Interactions.from_pairs([0, 1], [0, 0]), dim=1, layers=2).double()
    with torch.no_grad():
        model.user.copy_(torch.tensor([[1.0], [3.0]]))
        model.item.copy_(torch.tensor([[5.0]]))
    e, s = model.embed(), 2**-0.5
    expected = [[(1 + 5 * s + 2) / 3], [(3 + 5 * s + 2) / 3]]
    torch.testing.assert_close(e.user, torch.tensor(expected, dtype=torch.float64), rtol=1e-7, atol=0)
    torch.testing.assert_close(e.item, torch.tensor([[(5 + 4 * s + 5) / 3]], dtype=torch.float64), rtol=1e-7, atol=0)
    assert [h.shape for h in e.hops] == [(3, 1)] * 3


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_mean_of_dense_matrix_powers(layers) -> None:
    log = random_log()
    model = LightGCN(log, dim=4, layers=layers, init="normal:1").double()
    model.adjacency.value.copy_(torch.from_numpy(normalised(log, "symmetric").data))
    a = torch.from_numpy(normalised(log, "symmetric").toarray())
    x = torch.cat([model.user, model.item])
    expected = sum(torch.linalg.matrix_power(a, k) @ x for k in range(layers + 1)) / (layers + 1)
    e = model.embed()
    torch.testing.assert_close(torch.cat([e.user, e.item]), expected, rtol=1e-13, atol=1e-14)


def test_renaming_ids_renames_the_vectors() -> None:
    log = random_log()
    rng = np.random.default_rng(2)
    pu, pi = rng.permutation(log.n_users), rng.permutation(log.n_items)
    one = LightGCN(log, dim=4, layers=2).double()
    two = LightGCN(Interactions.from_pairs(pu[log.user_of], pi[log.indices]), dim=4, layers=2).double()
    with torch.no_grad():
        two.user[pu] = one.user
        two.item[pi] = one.item
    torch.testing.assert_close(two.embed().user[pu], one.embed().user, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(two.embed().item[pi], one.embed().item, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("edge_dropout", [0.0, 0.3])
def test_gradients(edge_dropout) -> None:
    model = LightGCN(random_log(4, 3), dim=2, layers=2, edge_dropout=edge_dropout).double()
    model.begin_step(1, 2)

    def final(user, item):
        e = torch.func.functional_call(model, {"user": user, "item": item}, ())
        return e.user, e.item

    model.forward = model.embed
    tables = [model.user.detach().clone().requires_grad_(), model.item.detach().clone().requires_grad_()]
    assert torch.autograd.gradcheck(final, tables)


def test_edge_dropout_removes_pairs_in_both_directions_and_only_in_training() -> None:
    log = random_log()
    model = LightGCN(log, dim=2, layers=1, edge_dropout=0.4, seed=5)
    whole = model.eval().embed()
    assert torch.equal(whole.user, LightGCN(log, dim=2, layers=1, seed=5).embed().user)
    model.train()
    model.begin_step(0, 7)
    dense = model.adjacency.matrix(edge_weight=model._edge_weight()).torch(model.adjacency.n).to_dense()
    assert torch.equal(dense, dense.T)
    ratio = dense[dense != 0] / model.adjacency.matrix().torch(model.adjacency.n).to_dense()[dense != 0]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 1 / 0.6))
    assert 0 < len(ratio) < 2 * len(log)


def test_a_dropped_graph_depends_on_epoch_and_step_alone() -> None:
    model = LightGCN(random_log(), dim=2, edge_dropout=0.5)

    def at(epoch: int, step: int) -> torch.Tensor:
        model.begin_step(epoch, step)
        return model.embed().user

    first = at(2, 3)
    assert not torch.equal(first, at(2, 4))
    assert not torch.equal(first, at(3, 3))
    assert torch.equal(first, at(2, 3))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="layers"):
        LightGCN(random_log(), layers=-1)
    with pytest.raises(UsageError, match="edge_dropout"):
        LightGCN(random_log(), edge_dropout=1.0)


@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("edge_dropout", [0.0, 0.3])
def test_only_the_rows_needed(layers, edge_dropout) -> None:
    """A step that looks at some users and items: the same vectors and the same gradients of the tables."""
    log = random_log(200, 150)
    model = LightGCN(log, dim=20, layers=layers, edge_dropout=edge_dropout, init="normal:0.1")
    model.begin_step(1, 1)
    row = torch.from_numpy(np.random.default_rng(0).integers(0, len(log), 12))
    users, items = torch.from_numpy(log.user_of)[row], torch.from_numpy(log.indices.copy())[row]
    users[1], items[2] = users[0], items[0]
    found = []
    for rows in (None, (users, items)):
        e = model.embed(rows)
        user_at, item_at = e.at or (users, items)
        u, v = torch.nn.functional.embedding(user_at, e.user), torch.nn.functional.embedding(item_at, e.item)
        loss = (u @ v.T).logsumexp(1).sum() + e.ego_user.square().sum()
        found.append((u.detach(), v.detach(), *torch.autograd.grad(loss, (model.user, model.item))))
    for whole, part in zip(*found, strict=True):
        torch.testing.assert_close(part, whole, rtol=1e-5, atol=1e-6)
    assert len(e.user) == len(users.unique())
    assert e.hops == ()


def test_message_dropout_by_a_dense_product() -> None:
    log = random_log()
    model = LightGCN(log, dim=5, layers=2, message_dropout=0.4, seed=3).double()
    model.adjacency.value.copy_(torch.from_numpy(normalised(log, "symmetric").data))
    a = torch.from_numpy(normalised(log, "symmetric").toarray())
    model.begin_step(2, 7)
    layers = [torch.cat([model.user, model.item])]
    for k in range(2):
        keep = keep_scale_wide(0.4, draw.key(3, f"message_dropout:{k}", 2), 7, 14, 5)
        assert 0 < int((keep == 0).sum()) < 70
        layers.append((a @ layers[-1]) * keep.double())
    e = model.embed((torch.tensor([0]), torch.tensor([1])))
    assert e.at is None
    torch.testing.assert_close(torch.cat([e.user, e.item]), sum(layers) / 3, rtol=1e-12, atol=1e-13)
    assert torch.equal(torch.cat(e.hops), torch.cat(layers))
    model.eval()
    whole = LightGCN(log, dim=5, layers=2, seed=3).double()
    torch.testing.assert_close(model.embed().user, whole.embed().user)


def test_a_step_has_its_own_message_dropout_with_exact_gradients() -> None:
    model = LightGCN(random_log(), dim=3, layers=2, message_dropout=0.3).double()
    seen = []
    for at in ((1, 1), (1, 2), (2, 1), (1, 1)):
        model.begin_step(*at)
        seen.append(model.embed().user.detach())
    assert torch.equal(seen[0], seen[3])
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])

    def final(user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        e = torch.func.functional_call(model, {"user": user, "item": item})
        return torch.cat([e.user, e.item])

    model.forward = model.embed  # what functional_call calls
    assert torch.autograd.gradcheck(final, (model.user, model.item))


def test_message_dropout_has_a_range() -> None:
    with pytest.raises(UsageError, match="message_dropout is the share"):
        LightGCN(random_log(), message_dropout=1.0)
