"""Every loss of the registry keeps the laws of ``taurec.testing``; a new registry line is checked without more."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taurec.losses import LOSSES, EmbeddingLoss, Loss, ScoreLoss
from taurec.losses.partial_auc import START
from taurec.testing.embedding_losses import EMBEDDING_LOSS_LAWS, VectorCase
from taurec.testing.laws import Exceptions, Law, NotApplicable
from taurec.testing.losses import LOSS_LAWS, LossCase, SideInputs, gradients, random_gradients, require_signs

SIGNS = "positive gradients are never positive, negative gradients never negative, at random scores"
DIRECTION = "a step raises the score of a positive and lowers those of its negatives"
DERIVATIVES = "first and second derivatives agree with finite differences"
DERIVATIVES_ABSENT = "derivatives agree with finite differences where negatives are absent"

MSE = "squared error pulls negative scores up to 0 and positives above 1 down"
SL_AT_K = "the gradient goes through the weight of the pair, which may be large where the loss is"
PERMUTED = "permuting the negatives permutes their gradients"
MSCL = "with alpha below 0.5 a positive that is almost certain is pushed down, as the formula says"
VARBPR = "no gradient goes through the posteriors"
R_CE = "no gradient goes through its weights, so differences of its values are not its gradient"
HCL = "its weights have a gradient, and an easy negative that falls raises those of the hard ones"
HARDNESS = "no gradient goes through its weights, so differences of its values are not its gradient"
SOGCLR = "no gradient goes through the normalisers, so differences of its values are not its gradient"
EXCEPTIONS: dict[str, Exceptions] = {
    "mse": [(SIGNS, MSE), (DIRECTION, MSE)],
    "sl-at-k": [
        (SIGNS, SL_AT_K),
        (
            "values and gradients are finite at extreme scores in float16",
            "its gradient grows with the loss: 250,000 at scores of 1e4 and tau 0.01",
        ),
    ],
    "mscl": [(SIGNS, MSCL)],
    "varbpr": [(DERIVATIVES, VARBPR), (DERIVATIVES_ABSENT, VARBPR)],
    "warp": [(PERMUTED, "it looks at the first negative within the margin, in the order in which they were drawn")],
    "r-ce": [(DERIVATIVES, R_CE), (DERIVATIVES_ABSENT, R_CE)],
    "hcl": [(SIGNS, HCL), (DIRECTION, HCL)],
    "hardness-ssm": [(DERIVATIVES, HARDNESS), (DERIVATIVES_ABSENT, HARDNESS)],
    "sogclr": [(DERIVATIVES, SOGCLR), (DERIVATIVES_ABSENT, SOGCLR)],
}
SIDE: dict[str, SideInputs] = {
    "varbpr": lambda user: {"log_rarity": -torch.stack([user.double(), user.double() / 3], 1) / 10},
    "llpauc": lambda user: {"scalars": torch.tensor(START, device=user.device).expand(len(user), -1)},
}
"""Side inputs that only one loss has."""
names = pytest.mark.parametrize("name", list(LOSSES))
scored = pytest.mark.parametrize("name", [name for name in LOSSES if issubclass(LOSSES[name], ScoreLoss)])
of_vectors = pytest.mark.parametrize("name", [name for name in LOSSES if issubclass(LOSSES[name], EmbeddingLoss)])


@scored
@pytest.mark.parametrize("law", list(LOSS_LAWS), ids=str)
def test_law(name: str, law: Law[LossCase]) -> None:
    loss = LOSSES.build(name)
    assert isinstance(loss, ScoreLoss)
    try:
        LOSS_LAWS.check_one(law, LossCase(loss, SIDE.get(name)), EXCEPTIONS.get(name, ()))
    except NotApplicable as error:
        pytest.skip(str(error))


@of_vectors
@pytest.mark.parametrize("law", list(EMBEDDING_LOSS_LAWS), ids=str)
def test_law_of_vectors(name: str, law: Law[EmbeddingLoss]) -> None:
    loss = LOSSES.build(name)
    assert isinstance(loss, EmbeddingLoss)
    EMBEDDING_LOSS_LAWS.check_one(law, VectorCase(loss), EXCEPTIONS.get(name, ()))


@names
def test_the_docstring_has_shapes_source_and_example(name: str) -> None:
    loss = LOSSES.build(name)
    doc = LOSSES[name].__doc__ or ""
    shapes = "pos [B]" if isinstance(loss, ScoreLoss) else "user [B, D]"
    returns = "Returns: [B]" if isinstance(loss, ScoreLoss) and loss.rows else "Returns: []"
    assert all(part in doc for part in (returns, "Source:", shapes, ">>>"))
    runs_on = next(line.strip() for line in doc.splitlines() if "Runs on:" in line)
    assert runs_on.startswith(_paths(loss)), f"{name} says {runs_on!r}"


def _paths(loss: Loss) -> str:
    """How the line of its docstring on what it runs on begins."""
    if not isinstance(loss, ScoreLoss):
        return "Runs on: the vectors of the pairs. No catalogue path: "
    return "Runs on: gather-dot. No catalogue path: " if loss.reduce is None else "Runs on: gather-dot, catalogue."


@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name].temperature is not None])
def test_negatives_weigh_by_the_softmax_of_the_temperature_where_it_is_declared(name: str) -> None:
    """What the audit of temperatures reports is the share of each negative in the gradient of its row."""
    loss = LOSSES.build(name)
    pos, neg, _ = LossCase(loss, SIDE.get(name)).sample(b=4, n=6)
    call = LossCase(loss, SIDE.get(name)).bind(torch.arange(1, 5))
    dneg = gradients(call, pos, neg)[2]
    tau = vars(loss)[loss.temperature]
    same = torch.allclose(dneg / dneg.sum(1, keepdim=True), torch.softmax(neg / tau, 1), rtol=1e-6, atol=1e-9)
    assert same == loss.softmax_weights


@scored
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    scale=st.floats(1e-6, 1e4),
    b=st.integers(0, 40),
    n=st.integers(1, 30),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_finite_anywhere(name: str, seed: int, scale: float, b: int, n: int, dtype: torch.dtype) -> None:
    value, dpos, dneg = random_gradients(LossCase(LOSSES.build(name), SIDE.get(name)), seed, scale, b, n, dtype)
    assert value.isfinite().all()
    assert dpos.isfinite().all()
    assert dneg.isfinite().all()
    if SIGNS not in dict(EXCEPTIONS.get(name, ())):
        require_signs(dpos, dneg)
