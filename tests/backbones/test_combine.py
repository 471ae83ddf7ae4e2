"""Combinations of layers against hand-worked values, and what the algebra says of them."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from taurec.backbones import NGCF, LightGCN
from taurec.backbones.combine import Combination, Combine, neighbour_sums, weighted_sum, width
from taurec.backbones.graph import normalised
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.errors import UsageError
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

NAMES: tuple[Combine, ...] = get_args(Combine)
GIVEN = {"weighted": (0.5, 0.3, 0.2), "concat_weighted": (0.5, 0.3, 0.2)}


def layers_of(*rows: list[float]) -> list[Tensor]:
    return [torch.tensor([row], dtype=torch.float64) for row in rows]


USER = layers_of([1, 0], [0.5, 0.5], [0.2, 0.6])
ITEM = layers_of([0, 1], [1, 0.5], [0.4, 0.8])


def scores(how: Combine, weights: tuple[float, ...] | None = None) -> tuple[float, float]:
    """The dot product and the cosine of the two nodes."""
    combination = Combination(how, 2, GIVEN.get(how, ()) if weights is None else weights).double()
    user, item = combination(USER), combination(ITEM)
    assert user.shape[1] == width(how, 2, 2)
    return float((user * item).sum().detach()), float(F.cosine_similarity(user, item).detach())


@pytest.mark.parametrize(
    ("how", "dot", "cosine"),
    [
        ("sum", 4.91, 0.900576397054),
        ("mean", 0.545555555556, 0.900576397054),
        ("learned", 0.545555555556, 0.900576397054),
        ("concat", 1.31, 0.54418250504),
        ("concat_unit", 1.93863279171, 0.646210930571),
        ("product", 0.0, 0.0),
        ("last", 0.56, 0.989949493661),
        ("weighted", 0.4809, 0.72541734702),
        ("concat_weighted", 0.337, None),
        ("concat_neighbours", None, 0.90624348456),
    ],
)
def test_values(how: Combine, dot: float | None, cosine: float | None) -> None:
    found = scores(how)
    assert dot is None or found[0] == pytest.approx(dot, abs=1e-11)
    assert cosine is None or found[1] == pytest.approx(cosine, abs=1e-11)


def test_neighbours_added_are_weights_and_neighbours_joined_are_not() -> None:
    user, item = neighbour_sums(USER), neighbour_sums(ITEM)
    assert float((sum(user) * sum(item)).sum()) == pytest.approx(28.59, abs=1e-11)
    assert scores("weighted", (2, 3, 2))[0] == pytest.approx(28.59, abs=1e-11)
    joined = Combination("concat", 2)
    assert float((joined(user) * joined(item)).sum()) == pytest.approx(9.57, abs=1e-11)
    assert float(F.cosine_similarity(joined(user), joined(item))) == pytest.approx(0.883069066014, abs=1e-11)
    total = sum(neighbour_sums([*USER, *USER[:1]]))
    torch.testing.assert_close(total, 2 * USER[0] + 3 * USER[1] + 3 * USER[2] + 2 * USER[0])


def test_equivalences() -> None:
    assert scores("sum")[0] == pytest.approx(9 * scores("mean")[0])
    assert scores("concat_weighted", (1, 1, 1)) == pytest.approx(scores("concat"))
    assert scores("weighted", (1, 1, 1)) == pytest.approx(scores("sum"))
    assert scores("weighted", (0, 0, 1)) == pytest.approx(scores("last"))
    assert scores("concat_unit")[1] == pytest.approx(scores("concat_unit")[0] / 3)
    of_layers = [float((u * i).sum()) for u, i in zip(USER, ITEM, strict=True)]
    assert scores("concat")[0] == pytest.approx(sum(of_layers))
    assert scores("concat_weighted")[0] == pytest.approx(np.dot((0.5, 0.3, 0.2), of_layers))


def test_a_product_has_the_same_cosine_at_any_scale_of_a_layer() -> None:
    torch.manual_seed(0)
    user, item = ([torch.randn(1, 4, dtype=torch.float64) for _ in range(3)] for _ in range(2))
    combination = Combination("product", 2)
    before = F.cosine_similarity(combination(user), combination(item))
    user[1], item[2] = 7 * user[1], 0.2 * item[2]
    torch.testing.assert_close(F.cosine_similarity(combination(user), combination(item)), before)


@pytest.mark.parametrize("how", NAMES)
def test_without_layers_each_ranks_as_mf(how: Combine) -> None:
    torch.manual_seed(0)
    user, item = torch.randn(5, 4), torch.randn(6, 4)
    combination = Combination(how, 0, (2.0,) if how in GIVEN else ())
    found = F.normalize(combination([user])) @ F.normalize(combination([item])).T
    torch.testing.assert_close(found, F.normalize(user) @ F.normalize(item).T)


@pytest.mark.parametrize("how", NAMES)
def test_a_row_without_edges_and_its_gradient_are_finite(how: Combine) -> None:
    layers = [torch.randn(4, 3).requires_grad_(), torch.randn(4, 3)]
    layers[1][2] = 0
    layers[1].requires_grad_()
    Combination(how, 1, (0.5, 0.5) if how in GIVEN else ())(layers).square().sum().backward()
    assert all(layer.grad is None or torch.isfinite(layer.grad).all() for layer in layers)


def test_gradients_of_the_weighted_sum() -> None:
    torch.manual_seed(0)
    given = [torch.randn(3, dtype=torch.float64).requires_grad_()]
    given += [torch.randn(1500, 2, dtype=torch.float64).requires_grad_() for _ in range(3)]
    found = torch.autograd.grad(weighted_sum(given[0], given[1:]).pow(3).sum(), given)
    plain = torch.autograd.grad((given[0][:, None, None] * torch.stack(given[1:])).sum(0).pow(3).sum(), given)
    for a, b in zip(found, plain, strict=True):
        torch.testing.assert_close(a, b)


def test_ngcf_joins_its_layers() -> None:
    model = NGCF(random_log(), dim=3, layers=(4, 2)).eval()
    e = model.embed()
    assert torch.equal(Combination("concat", 2)(e.hops), torch.cat([e.user, e.item]))
    unit = Combination("concat_unit", 1)(e.hops[1:])
    torch.testing.assert_close(unit, torch.cat([e.user, e.item])[:, 3:])


def random_log(users: int = 8, items: int = 6) -> Interactions:
    known = np.argwhere(np.random.default_rng(1).random((users, items)) < 0.4)
    return Interactions.from_pairs(known[:, 0], known[:, 1])


def built(how: Combine, log: Interactions | None = None, **settings) -> LightGCN:
    weights = GIVEN.get(how, ())
    settings = {"dim": 4, "layers": 2, "init": "normal:0.5", "combine": how, "weights": weights, **settings}
    model = LightGCN(random_log() if log is None else log, **settings)
    if how == "learned":
        with torch.no_grad():
            model.combination.logits.copy_(torch.tensor([0.3, -0.7, 0.1]))
    return model


def expected(how: Combine, layers: list[Tensor], logits: Tensor | None = None) -> Tensor:
    """The combinations again, written with stacked arrays."""
    stack = torch.stack(layers, 1)  # [n, L + 1, d]
    weights = torch.tensor(GIVEN.get(how, (1.0,) * len(layers)), dtype=stack.dtype)[:, None]
    if how == "learned":
        weights = torch.softmax(logits, 0)[:, None]
    if how in ("concat_unit", "concat_neighbours"):
        stack = F.normalize(stack, dim=2)
    if how == "concat_neighbours":
        band = (torch.arange(len(layers))[:, None] - torch.arange(len(layers))).abs() <= 1
        stack = F.normalize(torch.einsum("kl,nld->nkd", band.to(stack), stack), dim=2)
    if how == "concat_weighted":
        stack = stack * weights.sqrt()
    if how.startswith("concat"):
        return stack.flatten(1)
    if how == "product":
        return stack.prod(1)
    if how == "last":
        return stack[:, -1]
    return (weights * stack).sum(1) / (len(layers) if how == "mean" else 1)


@pytest.mark.parametrize("how", NAMES)
def test_lightgcn_by_dense_products(how: Combine) -> None:
    log = random_log()
    model = built(how).double()
    model.adjacency.value.copy_(torch.from_numpy(normalised(log, "symmetric").data))
    a = torch.from_numpy(normalised(log, "symmetric").toarray())
    x = torch.cat([model.user, model.item])
    whole = expected(how, [x, a @ x, a @ a @ x], model.combination.logits if how == "learned" else None)
    e = model.embed()
    torch.testing.assert_close(torch.cat([e.user, e.item]), whole, rtol=1e-9, atol=1e-10)
    assert [hop.shape for hop in e.hops] == [(len(x), 4)] * 3
    assert e.user.shape[1] == LightGCN.width({"dim": 4, "layers": 2, "combine": how})

    def final(*given: Tensor) -> Tensor:
        e = torch.func.functional_call(model, dict(zip(names, given, strict=True)), ())
        return torch.cat([e.user, e.item])

    model.forward = model.embed
    names, values = zip(*((n, p.detach().clone().requires_grad_()) for n, p in model.named_parameters()), strict=True)
    assert torch.autograd.gradcheck(final, values)


@pytest.mark.parametrize("how", NAMES)
@pytest.mark.parametrize("dropout", [{}, {"edge_dropout": 0.3}, {"message_dropout": 0.3}], ids=str)
def test_a_step_at_some_rows_has_the_vectors_and_gradients_of_the_whole(how: Combine, dropout: dict) -> None:
    log = random_log(60, 50)
    model = built(how, log, dim=8, **dropout)
    model.begin_step(1, 1)
    users, items = torch.tensor([5, 9, 5, 0]), torch.tensor([49, 2, 7, 7])
    found = []
    for rows in (None, (users, items)):
        e = model.embed(rows)
        assert (e.at is None) == (rows is None or "message_dropout" in dropout)
        user_at, item_at = e.at or (users, items)
        u, v = F.embedding(user_at, e.user), F.embedding(item_at, e.item)
        value = (F.normalize(u) * F.normalize(v)).sum(1).square().sum()
        found.append([u, v, *torch.autograd.grad(value, list(model.parameters()))])
    for whole, part in zip(*found, strict=True):
        torch.testing.assert_close(part, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("how", ["learned", "concat_neighbours", "product"])
def test_the_same_bits_for_one_and_two_threads(how: Combine) -> None:
    rng = np.random.default_rng(0)
    log = Interactions.from_pairs(rng.integers(0, 3000, 20_000), rng.integers(0, 2000, 20_000))
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            model = built(how, log, dim=16)
            e = model.embed()
            (e.user.square().sum() + (e.item**3).sum()).backward()
            seen.append([e.user.detach(), e.item.detach(), *(p.grad for p in model.parameters())])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_learned_weights_are_trained_kept_and_resumed(tmp_path) -> None:
    log = planted(n_users=60, n_items=40, seed=1).log
    fields = {"loss": "sl", "backbone": "lightgcn:8:2", "negatives": "in-batch", "batch_size": 64, "lr": 0.05}
    run = resolve(**fields, epochs=4, settings={"backbone": {"combine": "learned"}})
    whole = Trainer(run, log).fit()
    weights = torch.softmax(whole.backbone.combination.logits, 0).detach()
    assert float((weights - 1 / 3).abs().max()) > 0.01
    for _ in range(4):
        found = Trainer(run, log).fit(tmp_path / "run.safetensors", every=0.0, seconds=0.0)
    assert np.array_equal(found.ranker.user, whole.ranker.user)
    assert torch.equal(found.backbone.combination.logits, whole.backbone.combination.logits)


def test_halves_serve_the_sum_and_no_concatenation() -> None:
    log = random_log(60, 50)
    rows = torch.tensor([5, 9]), torch.tensor([49, 2])
    exact, half = (built("sum", log, storage=storage).embed(rows).user for storage in ("float32", "float16"))
    torch.testing.assert_close(half, exact, rtol=1e-2, atol=1e-2)
    assert not torch.equal(half, exact)
    with pytest.raises(UsageError, match="storage='float32'"):
        built("concat", storage="float16")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"combine": "meen"}, "did you mean 'mean'"),
        ({"combine": "weighted", "weights": (1.0, 2.0)}, r"each of the 3 layers.*got 2 weights"),
        ({"combine": "weighted", "weights": (0.0, 0.0, 0.0)}, "not all 0"),
        ({"combine": "weighted", "weights": (1.0, float("nan"), 0.0)}, "finite"),
        ({"combine": "concat_weighted", "weights": (1.0, -1.0, 0.0)}, "square root"),
        ({"combine": "mean", "weights": (1.0, 1.0, 1.0)}, "takes none"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        LightGCN(random_log(), layers=2, **settings)
