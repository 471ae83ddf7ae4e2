from __future__ import annotations

import math

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import CCL, LOSSES, MML

MARGINS, WEIGHTS = (0.6, 0.7, 0.8, 0.9), (0.05, 0.15, 0.2, 0.6)


def test_golden(rows):
    ccl = CCL(margin=0.9, neg_weight=150.0)(rows.pos, rows.neg)
    assert ccl.tolist() == pytest.approx([0.1, 0.8, 1.1, 3.0], **rows.tol)
    assert ccl.mean().item() == pytest.approx(1.25, **rows.tol)
    assert CCL(margin=0.4, neg_weight=None)(rows.pos, rows.neg).mean().item() == pytest.approx(0.925, **rows.tol)
    mml = MML(MARGINS, WEIGHTS, neg_weight=400.0)(rows.pos, rows.neg)
    assert mml.tolist() == pytest.approx([6.1, 0.8, 1.1, 15.8333333333333], **rows.tol)
    assert mml.mean().item() == pytest.approx(5.95833333333333, **rows.tol)


def test_by_hand(exact):
    ccl = (1 - 0.5) + 20 * (0.95 - 0.3 + 0.4 - 0.3) / 3
    assert CCL(margin=0.3, neg_weight=20.0)(exact.pos, exact.neg)[3].item() == pytest.approx(ccl, abs=1e-13)
    mml = 2 * (1 - 0.5) + 30 * (0.25 * (0.95 - 0.3) + 0.75 * (0.95 - 0.8) + 0.25 * (0.4 - 0.3)) / 3
    loss = MML(margins=(0.3, 0.8), weights=(0.25, 0.75), neg_weight=30.0, pos_weight=2.0)
    assert loss(exact.pos, exact.neg)[3].item() == pytest.approx(mml, abs=1e-13)


def direct(loss: MML, pos: torch.Tensor, neg: torch.Tensor) -> torch.Tensor:
    """The formula as it stands, with a tensor [B, K, N]."""
    m, w = (torch.tensor(v, dtype=neg.dtype)[None, :, None] for v in (loss.margins, loss.weights))
    terms = (torch.relu(neg[:, None] - m) * w).sum(dim=1)
    return loss.pos_weight * torch.relu(1 - pos) + loss.neg_weight * terms.mean(dim=1)


@pytest.mark.parametrize("margins", [(0.9, 0.2, 0.5), (0.5, 0.5), (-0.3, 0.0, 0.7), (2.0, 3.0)])
def test_mml_is_its_formula_in_value_and_gradient(margins):
    generator = torch.Generator().manual_seed(0)
    loss = MML(margins, weights=[0.3, 0.6, 0.2][: len(margins)], neg_weight=70.0, pos_weight=0.5)
    pos, neg = (torch.rand(*s, generator=generator, dtype=torch.float64) * 2 - 1 for s in ((6,), (6, 40)))
    pos.requires_grad_()
    neg.requires_grad_()
    value, expected = loss(pos, neg), direct(loss, pos, neg)
    torch.testing.assert_close(value, expected, rtol=1e-13, atol=1e-13)
    upstream = torch.rand(6, generator=generator, dtype=torch.float64)
    ours = torch.autograd.grad(value, (pos, neg), upstream)
    theirs = torch.autograd.grad(expected, (pos, neg), upstream)
    torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-13)


def test_mml_with_one_margin_is_ccl(exact):
    for margin in (0.1, 0.4, 0.9):
        mml = MML(margins=(margin,), weights=(1.0,), neg_weight=150.0)(exact.pos, exact.neg)
        torch.testing.assert_close(mml, CCL(margin, 150.0)(exact.pos, exact.neg), rtol=0, atol=1e-12)


def test_equal_margins_are_one(exact):
    mml = MML(margins=(0.2, 0.2, 0.2), weights=(0.5, 0.3, 0.2), neg_weight=9.0)(exact.pos, exact.neg)
    torch.testing.assert_close(mml, CCL(0.2, 9.0)(exact.pos, exact.neg), rtol=0, atol=1e-12)


def test_a_margin_without_weight_or_above_every_cosine_adds_nothing(exact):
    base = CCL(0.2, 9.0)(exact.pos, exact.neg)
    for extra, weight in ((0.5, 0.0), (1.1, 5.0)):
        mml = MML(margins=(0.2, extra), weights=(1.0, weight), neg_weight=9.0)(exact.pos, exact.neg)
        torch.testing.assert_close(mml, base, rtol=0, atol=1e-12)


def test_linear_in_weights_and_neg_weight(exact):
    base = MML(MARGINS, WEIGHTS, neg_weight=400.0)(exact.pos, exact.neg)
    doubled = MML(MARGINS, tuple(2 * w for w in WEIGHTS), neg_weight=200.0)(exact.pos, exact.neg)
    torch.testing.assert_close(doubled, base, rtol=0, atol=1e-12)


def test_without_negative_weight_the_alignment_remains(exact):
    for loss in (MML(neg_weight=0.0), CCL(neg_weight=0.0)):
        torch.testing.assert_close(loss(exact.pos, exact.neg), 1 - exact.pos, rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", [CCL(), MML()])
def test_a_cosine_rounded_above_one_gains_nothing(loss):
    pos = torch.tensor([1.0 + 1e-6], requires_grad=True)
    value = loss(pos, torch.zeros(1, 1))
    value.sum().backward()
    assert value.item() == 0
    assert pos.grad.item() == 0


def test_order_of_margins_does_not_matter(exact):
    back = MML(MARGINS[::-1], WEIGHTS[::-1])(exact.pos, exact.neg)
    torch.testing.assert_close(back, MML(MARGINS, WEIGHTS)(exact.pos, exact.neg), rtol=0, atol=1e-12)


def test_mml_keeps_no_tensor_a_margin():
    saved: list[int] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.numel())
        return tensor

    neg = torch.rand(50, 400, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        MML(margins=tuple(k / 20 for k in range(20)), weights=(0.05,) * 20)(torch.zeros(50), neg)
    assert sum(saved) < 2 * neg.numel()


def test_settings_from_text():
    loss = LOSSES.build("mml", given={"margins": "0.7,0.9", "weights": "0.4,0.6", "neg_weight": "700"})
    assert loss == MML((0.7, 0.9), (0.4, 0.6), neg_weight=700.0)
    assert MML(margins=[0.7, 0.9], weights=[0.4, 0.6], neg_weight=700.0) == loss
    assert LOSSES.build("ccl:0.4", given={"neg_weight": None}) == CCL(0.4, None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"margins": (), "weights": ()}, "margins is empty"),
        ({"margins": (0.5, 0.9), "weights": (1.0,)}, "2 margins need as many weights, got 1"),
        ({"margins": (math.nan,), "weights": (1.0,)}, "margins must be finite"),
        ({"margins": (0.5,), "weights": (math.inf,)}, "weights must be finite"),
        ({"margins": (0.5,), "weights": (-1.0,)}, "weights must be at least 0"),
        ({"margins": 0.5, "weights": (1.0,)}, "margins must be a sequence of numbers"),
        ({"margins": ("a",), "weights": (1.0,)}, "margins must be a sequence of numbers"),
        ({"neg_weight": -1.0}, "neg_weight must be a finite number of at least 0"),
        ({"pos_weight": math.nan}, "pos_weight must be a finite number of at least 0"),
    ],
)
def test_mml_refuses(settings, message):
    with pytest.raises(UsageError, match=message):
        MML(**settings)


@pytest.mark.parametrize(("name", "value"), [("margin", math.nan), ("margin", None), ("neg_weight", -1.0)])
def test_ccl_refuses(name, value):
    with pytest.raises(UsageError, match=f"CCL: {name} must be a finite number"):
        CCL(**{name: value})
