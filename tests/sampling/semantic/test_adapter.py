"""HNLMRec's negatives: a text, adapted to the width of the items, mixed into a random negative."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.sampling import HNLMRec, Semantic, Uniform
from taurec.sampling.semantic.adapter import Adapter
from taurec.sampling.semantic.vectors import TextVectors
from taurec.scoring import ItemsOf

NAMES = Vocabulary([f"u{u}" for u in range(3)]), Vocabulary([f"i{i}" for i in range(12)])
TRAIN = Interactions.from_pairs([0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 3, 11], *NAMES)
USER, ITEM, ROW = torch.from_numpy(TRAIN.user_of), torch.from_numpy(TRAIN.indices.copy()), torch.arange(6)
GENERATOR = torch.Generator().manual_seed(0)
USERS, ITEMS = (torch.randn(n, 5, generator=GENERATOR, dtype=torch.float64) for n in (6, 12))


def test_the_adapter_is_the_perceptron_of_its_weights():
    """Against torch's own layers with the same weights; the weights have the range of torch's first ones."""
    unit = np.random.default_rng(0).normal(size=(9, 7)).astype(np.float32)
    adapter = Adapter(TextVectors("", unit), (6, 4), seed=3)
    layers: list[torch.nn.Module] = []
    for weight, bias in adapter.weights(5):
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data, layer.bias.data = weight, bias
        layers += [layer, torch.nn.ReLU()]
    wanted = torch.nn.Sequential(*layers)(torch.from_numpy(unit)).detach()
    torch.testing.assert_close(adapter.table(5, torch.device("cpu")), wanted)
    weight, _ = Adapter(TextVectors("", unit), (2000,), seed=3).weights(5)[0]
    assert weight.abs().max() <= 1 / math.sqrt(7)
    assert weight.abs().max() > 0.99 / math.sqrt(7)
    assert weight.std() == pytest.approx(1 / math.sqrt(3 * 7), rel=0.02)


def scores(how: HNLMRec, score: str = "dot"):
    drawn = how.bind(TRAIN, 4).draw(USER, ITEM, ROW, 1)
    side = ItemsOf(score, "torch")
    user = F.normalize(USERS, dim=1) if score == "cosine" else USERS
    return drawn, drawn.with_vectors(side).scores(user, side(ITEMS), ITEM, "torch", None)


def test_dot_scores_by_the_formula():
    drawn, (pos, neg) = scores(HNLMRec(4, 0.3, (8,)))
    torch.testing.assert_close(pos, (USERS * ITEMS[ITEM]).sum(1))
    text = drawn.adapter.table(5, torch.device("cpu")).double()
    for b in range(6):
        for c in range(4):
            e = 0.7 * ITEMS[drawn.ids[b, c, 0]] + 0.3 * text[drawn.near[b, c]]
            assert float(neg[b, c]) == pytest.approx(float(e @ USERS[b]), rel=1e-6)


def test_cosine_scores_by_the_formula():
    drawn, (_, neg) = scores(HNLMRec(4, 0.3, (8,)), "cosine")
    text = F.normalize(drawn.adapter.table(5, torch.device("cpu")).double(), dim=1)
    item = F.normalize(ITEMS, dim=1)
    e = F.normalize(0.7 * item[drawn.ids[:, :, 0]] + 0.3 * text[drawn.near], dim=-1)
    torch.testing.assert_close(neg, (e * F.normalize(USERS, dim=1)[:, None]).sum(-1), rtol=1e-6, atol=1e-6)


def test_without_a_share_they_are_uniform_negatives():
    drawn, (_, neg) = scores(HNLMRec(4, 0.0, (8,)))
    uniform = Uniform(4, exclude=True).bind(TRAIN, 4).draw(USER, ITEM, ROW, 1)
    assert torch.equal(drawn.ids[:, :, 0], uniform.ids)
    torch.testing.assert_close(neg, (USERS[:, None] * ITEMS[uniform.ids]).sum(-1))


def test_texts_are_those_of_semantic_and_none_leaves_the_random_item(tmp_path):
    drawn = HNLMRec(4).bind(TRAIN, 4).draw(USER, ITEM, ROW, 1)
    assert torch.equal(drawn.near, Semantic(4, share=1.0).bind(TRAIN, 4).draw(USER, ITEM, ROW, 1).ids)
    path = tmp_path / "t.csv"
    path.write_text("item,title\n" + "".join(f"i{n},item number {n}\n" for n in range(11)))
    drawn, (_, neg) = scores(HNLMRec(4, 0.3, (8,), texts=str(path)))
    assert (drawn.near[5] == -1).all()  # the positive, item 11, has no text
    torch.testing.assert_close(neg[5], (USERS[5] * ITEMS[drawn.ids[5, :, 0]]).sum(-1))


def test_the_gradient_reaches_the_random_item():
    table = ITEMS.clone().requires_grad_()
    drawn = HNLMRec(1, 0.25, (8,)).bind(TRAIN, 4).draw(USER[:1], ITEM[:1], ROW[:1], 1)
    drawn.scores(USERS[:1], table, ITEM[:1], "torch", None)[1].sum().backward()
    torch.testing.assert_close(table.grad[drawn.ids[0, 0, 0]], 0.75 * USERS[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 2.0}, "alpha is a share"),
        ({"hidden": (0,)}, "hidden layers need"),
        ({"pool": 0}, "pool must be"),
        ({"n": 0}, "n must be"),
        ({"quantile": 2.0}, "quantile must be"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str):
    with pytest.raises(UsageError, match=f"hnlmrec: .*{message}" if "pool" not in settings else message):
        HNLMRec(**settings)
