"""Every loss of the registry keeps the laws of ``taurec.testing``; a new registry line is checked without more."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taurec.losses import LOSSES, ScoreLoss
from taurec.losses.partial_auc import START
from taurec.testing.laws import Exceptions, Law, NotApplicable
from taurec.testing.losses import LOSS_LAWS, LossCase, SideInputs, random_gradients, require_signs

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
}
SIDE: dict[str, SideInputs] = {
    "varbpr": lambda user: {"log_rarity": -torch.stack([user.double(), user.double() / 3], 1) / 10},
    "llpauc": lambda user: {"scalars": torch.tensor(START, device=user.device).expand(len(user), -1)},
}
"""Side inputs that only one loss has."""
names = pytest.mark.parametrize("name", list(LOSSES))


@names
@pytest.mark.parametrize("law", list(LOSS_LAWS), ids=str)
def test_law(name: str, law: Law[LossCase]) -> None:
    try:
        LOSS_LAWS.check_one(law, LossCase(LOSSES.build(name), SIDE.get(name)), EXCEPTIONS.get(name, ()))
    except NotApplicable as error:
        pytest.skip(str(error))


@names
def test_the_docstring_has_shapes_source_and_example(name: str) -> None:
    loss = LOSSES.build(name)
    assert isinstance(loss, ScoreLoss)
    doc = LOSSES[name].__doc__ or ""
    assert all(part in doc for part in ("Returns: [B]", "Source:", "pos [B]", ">>>"))
    runs_on = next(line.strip() for line in doc.splitlines() if "Runs on:" in line)
    expected = "Runs on: gather-dot. No catalogue path: " if loss.reduce is None else "Runs on: gather-dot, catalogue."
    assert runs_on.startswith(expected), f"{name} says {runs_on!r}"


@names
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
