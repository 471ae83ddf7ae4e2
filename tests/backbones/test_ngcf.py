from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch

from taurec.backbones import NGCF
from taurec.backbones.graph import normalised
from taurec.backbones.init import init_table
from taurec.data.interactions import Interactions
from taurec.errors import UsageError


def random_log(users: int = 8, items: int = 6) -> Interactions:
    known = np.argwhere(np.random.default_rng(1).random((users, items)) < 0.5)
    return Interactions.from_pairs(known[:, 0], known[:, 1])


def leaky(x):
    return x if x > 0 else 0.2 * x


def test_one_user_one_item_width_two_by_hand() -> None:
    """L = [[.5, .5], [.5, .5]]: both nodes receive the mean of both vectors."""
    model = NGCF(Interactions.from_pairs([0], [0]), dim=2, layers=(2,), message_dropout=0.0).double()
    layer = model.layers[0]
    with torch.no_grad():
        model.user.copy_(torch.tensor([[1.0, 2.0]]))
        model.item.copy_(torch.tensor([[3.0, -4.0]]))
        layer.w1.copy_(torch.tensor([[1.0, -1.0], [2.0, 3.0]]))
        layer.w2.copy_(torch.tensor([[0.5, 1.0], [-1.0, 2.0]]))
        layer.b1.copy_(torch.tensor([0.1, -0.2], dtype=torch.float64))
        layer.b2.copy_(torch.tensor([-0.3, 0.4], dtype=torch.float64))
    e = model.embed()
    s = (2.0, -1.0)
    linear = [leaky(s[0] * 1 + s[1] * 2 + 0.1), leaky(s[0] * -1 + s[1] * 3 - 0.2)]
    for found, x in ((e.user[0], (1.0, 2.0)), (e.item[0], (3.0, -4.0))):
        m = (x[0] * s[0], x[1] * s[1])
        product = [leaky(m[0] * 0.5 + m[1] * -1 - 0.3), leaky(m[0] * 1 + m[1] * 2 + 0.4)]
        out = [linear[0] + product[0], linear[1] + product[1]]
        length = sqrt(out[0] ** 2 + out[1] ** 2)
        expected = torch.tensor([*x, out[0] / length, out[1] / length], dtype=torch.float64)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("adjacency", "kind"), [("norm", "row_self"), ("mean", "row")])
def test_dense_algebra(adjacency, kind) -> None:
    log = random_log()
    model = NGCF(log, dim=3, layers=(4, 2), adjacency=adjacency, init="normal:1").double().eval()
    laplacian = torch.from_numpy(normalised(log, kind).toarray())
    x = torch.cat([model.user, model.item])
    parts = [x]
    for layer in model.layers:
        side = laplacian @ x
        a, b = side @ layer.w1 + layer.b1, (x * side) @ layer.w2 + layer.b2
        x = torch.where(a > 0, a, 0.2 * a) + torch.where(b > 0, b, 0.2 * b)
        parts.append(x / x.norm(dim=1, keepdim=True))
    e = model.embed()
    # The stored adjacency is float32.
    torch.testing.assert_close(torch.cat([e.user, e.item]), torch.cat(parts, dim=1), rtol=1e-5, atol=1e-6)
    assert [h.shape[1] for h in e.hops] == [3, 4, 2]


def test_weights_and_biases_are_xavier_uniform() -> None:
    model = NGCF(random_log(), dim=3, layers=(4,), seed=9)
    assert torch.equal(model.layers[0].w1, init_table("xavier_uniform", 9, "w1:0", 3, 4))
    assert model.layers[0].b2.shape == (4,)
    assert 0 < model.layers[0].b2.abs().max().item() <= sqrt(6 / (1 + 4))


def test_renaming_ids_renames_the_vectors() -> None:
    log = random_log()
    rng = np.random.default_rng(2)
    pu, pi = rng.permutation(log.n_users), rng.permutation(log.n_items)
    one = NGCF(log, dim=4, layers=(4, 4)).double().eval()
    two = NGCF(Interactions.from_pairs(pu[log.user_of], pi[log.indices]), dim=4, layers=(4, 4)).double().eval()
    with torch.no_grad():
        two.user[pu] = one.user
        two.item[pi] = one.item
    torch.testing.assert_close(two.embed().user[pu], one.embed().user, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(two.embed().item[pi], one.embed().item, rtol=1e-10, atol=1e-10)


def test_gradients_with_dropout() -> None:
    model = NGCF(random_log(4, 3), dim=2, layers=(2, 3), message_dropout=0.3, init="normal:1").double()
    model.begin_step(1, 2)
    model.forward = model.embed
    names, values = zip(*((n, p.detach().clone().requires_grad_()) for n, p in model.named_parameters()), strict=True)

    def final(*tables):
        e = torch.func.functional_call(model, dict(zip(names, tables, strict=True)), ())
        return e.user, e.item

    assert torch.autograd.gradcheck(final, values)


def test_message_dropout_depends_on_epoch_and_step_and_stops_in_evaluation() -> None:
    model = NGCF(random_log(), dim=4, layers=(4, 4), message_dropout=0.5)

    def at(epoch: int, step: int) -> torch.Tensor:
        model.begin_step(epoch, step)
        return model.embed().user

    first = at(2, 3)
    assert not torch.equal(first, at(2, 4))
    assert not torch.equal(first, at(3, 3))
    assert torch.equal(first, at(2, 3))
    model.eval()
    assert torch.equal(at(2, 3), at(5, 5))
    assert torch.equal(at(2, 3), NGCF(random_log(), dim=4, layers=(4, 4), message_dropout=0.0).embed().user)


def test_same_bits_for_one_and_two_threads() -> None:
    rng = np.random.default_rng(0)
    log = Interactions.from_pairs(rng.integers(0, 3000, 20_000), rng.integers(0, 2000, 20_000))
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            model = NGCF(log, dim=16, layers=(16, 16))
            e = model.embed()
            (e.user.square().sum() + (e.item**3).sum()).backward()
            seen.append([e.user.detach(), e.item.detach(), *(p.grad for p in model.parameters())])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_wrong_settings_are_refused() -> None:
    for wrong, word in (
        ({"layers": ()}, "layers"),
        ({"adjacency": "nrm"}, "norm"),
        ({"message_dropout": 1}, "dropout"),
    ):
        with pytest.raises(UsageError, match=word):
            NGCF(random_log(), **wrong)
