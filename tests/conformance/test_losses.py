"""Laws that every loss of the registry keeps; a new registry line is under them by itself."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taurec.errors import UsageError
from taurec.losses import LOSSES, SIDE_INPUTS, ScoreLoss, side_inputs

NO_FIXED_SIGN = {
    "mse": "squared error pulls negative scores up to 0 and positives above 1 down",
    "sl-at-k": "the gradient goes through the weight of the pair, which may be large where the loss is",
}
CONSTANT_WEIGHTS = {"r-ce": "no gradient goes through its weights, so differences of its values are not its gradient"}
BEYOND_FLOAT16 = {"sl-at-k": "its gradient grows with the loss: 250,000 at scores of 1e4 and tau 0.01"}
LOOKS_AT_THE_BATCH = {"group", "drop_rate"}
"""Side inputs that say that the value of a row hangs on others: rows of its group, the worst rows of the batch."""

INF = math.inf
names = pytest.mark.parametrize("name", list(LOSSES))


def sharp(name: str) -> ScoreLoss:
    """The loss with every temperature at 0.01."""
    taus = [key for key in LOSSES.settings(name) if key in ("tau", "tau_pos", "tau_neg")]
    return LOSSES.build(name, given=dict.fromkeys(taus, 0.01))


def sample(loss: ScoreLoss, b: int = 6, n: int = 5, seed: int = 0, dtype: torch.dtype = torch.float64):
    """Cosine-like scores, away from the default margins and 1, and groups of up to three rows."""
    generator = torch.Generator().manual_seed(seed)
    pos = torch.rand(b, generator=generator, dtype=dtype) * 1.9 - 0.95
    neg = torch.rand(b, n, generator=generator, dtype=dtype) * 1.9 - 0.95
    # no score within 1e-3 of a margin: all default margins are multiples of 0.1
    neg = torch.where((neg * 10 - (neg * 10).round()).abs() < 0.01, neg + 0.003, neg)
    group = torch.tensor([4, 2, 4, 9, 2, 4] * b)[:b]
    return pos, neg, bind(loss, group)


def side(loss: ScoreLoss, group: torch.Tensor, tau: float = 0.1):
    """Side inputs that are a function of a row's user, as they are in training."""
    user = group.double()
    offered = {"group": group, "tau": tau * (1 + user / 50), "tau_pos": torch.full_like(user, tau)}
    offered |= {"threshold": user / 20, "drop_rate": torch.full_like(user, 0.4)}
    return side_inputs(loss, offered)


def bind(loss: ScoreLoss, group: torch.Tensor, tau: float = 0.1):
    return partial(loss, **side(loss, group, tau))


def gradients(call, pos, neg, upstream=None):
    pos, neg = pos.detach().requires_grad_(), neg.detach().requires_grad_()
    value = call(pos, neg)
    value.backward(torch.ones_like(value) if upstream is None else upstream)
    return value.detach(), pos.grad, neg.grad


@names
def test_declarations(name):
    loss = LOSSES.build(name)
    assert loss.needs | loss.takes <= set(SIDE_INPUTS)
    assert not loss.needs & loss.takes
    assert loss.scores in ("any", "cosine")
    assert hash(loss) == hash(LOSSES.build(name))
    doc = LOSSES[name].__doc__
    assert all(part in doc for part in ("Returns: [B]", "Source:", "pos [B]", ">>>"))
    runs_on = next(line.strip() for line in doc.splitlines() if "Runs on:" in line)
    expected = "Runs on: gather-dot. No catalogue path: " if loss.reduce is None else "Runs on: gather-dot, catalogue."
    assert runs_on.startswith(expected), f"{name} says {runs_on!r}"


@names
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_one_value_a_row_in_at_least_float32(name, dtype):
    pos, neg, call = sample(LOSSES.build(name))
    value, dpos, dneg = gradients(call, pos.to(dtype), neg.to(dtype))
    assert value.shape == pos.shape
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert dpos.dtype == dneg.dtype == dtype


@names
def test_device_is_kept_and_no_value_is_looked_at(name):
    """On the meta device there are no values: anything that waits for one fails."""
    loss = LOSSES.build(name)
    value = bind(loss, torch.empty(4, dtype=torch.int64, device="meta"))(
        torch.empty(4, device="meta"), torch.empty(4, 3, device="meta")
    )
    assert value.device.type == "meta"
    assert value.shape == (4,)


@names
def test_no_rows(name):
    value = bind(LOSSES.build(name), torch.empty(0, dtype=torch.int64))(torch.empty(0), torch.empty(0, 3))
    assert value.shape == (0,)


@names
def test_inputs_are_left_alone(name):
    pos, neg, call = sample(LOSSES.build(name))
    before = pos.clone(), neg.clone()
    call(pos, neg)
    assert torch.equal(pos, before[0])
    assert torch.equal(neg, before[1])


@names
def test_absent_negatives_are_inert(name):
    pos, neg, call = sample(LOSSES.build(name))
    value, dpos, dneg = gradients(call, pos, neg)
    holes = torch.full((6, 2), -INF, dtype=neg.dtype)
    wide = torch.cat([neg[:, :2], holes, neg[:, 2:]], dim=1)
    value_w, dpos_w, dneg_w = gradients(call, pos, wide)
    torch.testing.assert_close(value_w, value, rtol=0, atol=1e-12)
    torch.testing.assert_close(dpos_w, dpos, rtol=0, atol=1e-12)
    torch.testing.assert_close(dneg_w[:, [0, 1, 4, 5, 6]], dneg, rtol=0, atol=1e-12)
    assert (dneg_w[:, 2:4] == 0).all()


@names
@pytest.mark.parametrize("lost", [[2], [3], [0, 2, 5], [1, 2, 3, 4, 5]], ids=str)
def test_a_row_without_negatives_is_zero_and_moves_nothing(name, lost):
    """One of its group, the only one of its group, all of a group, all rows but one."""
    pos, neg, call = sample(LOSSES.build(name))
    neg[lost] = -INF
    value, dpos, dneg = gradients(call, pos, neg)
    assert not value[lost].any()
    assert not dpos[lost].any()
    assert not dneg[lost].any()
    assert dpos.isfinite().all()
    assert dneg.isfinite().all()


@names
def test_nothing_but_absent_negatives(name):
    pos, neg, call = sample(LOSSES.build(name))
    value, dpos, dneg = gradients(call, pos, torch.full_like(neg, -INF))
    assert not value.any()
    assert not dpos.any()
    assert not dneg.any()


@names
def test_permuting_rows_permutes_values_and_gradients(name):
    loss = LOSSES.build(name)
    pos, neg, _ = sample(loss)
    group = torch.tensor([4, 2, 4, 9, 2, 4])
    order = torch.tensor([5, 3, 0, 4, 1, 2])
    before = gradients(bind(loss, group), pos, neg)
    after = gradients(bind(loss, group[order]), pos[order], neg[order])
    for a, b in zip(after, before, strict=True):
        torch.testing.assert_close(a, b[order], rtol=1e-12, atol=1e-12)


@names
def test_permuting_negatives_permutes_their_gradients(name):
    pos, neg, call = sample(LOSSES.build(name))
    order = torch.tensor([3, 0, 4, 2, 1])
    value, dpos, dneg = gradients(call, pos, neg)
    value_p, dpos_p, dneg_p = gradients(call, pos, neg[:, order])
    torch.testing.assert_close(value_p, value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(dpos_p, dpos, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(dneg_p, dneg[:, order], rtol=1e-12, atol=1e-12)


@names
def test_gradcheck(name):
    if name in CONSTANT_WEIGHTS:
        pytest.skip(CONSTANT_WEIGHTS[name])
    loss = LOSSES.build(name)
    pos, neg, call = sample(loss, n=4)
    pos, neg = pos.requires_grad_(), neg.requires_grad_()
    # log-sum-exp at tau 0.1 curves by up to 1 / tau^2 = 100: the finite difference of step 1e-6 is good to 1e-5
    assert torch.autograd.gradcheck(call, (pos, neg), nondet_tol=0.0)
    assert torch.autograd.gradgradcheck(call, (pos, neg), nondet_tol=0.0)


@names
def test_gradcheck_with_absent_negatives(name):
    if name in CONSTANT_WEIGHTS:
        pytest.skip(CONSTANT_WEIGHTS[name])
    loss = LOSSES.build(name)
    pos, neg, call = sample(loss, n=4)
    hole = torch.zeros(6, 4, dtype=torch.bool)
    hole[0, 1] = hole[4, 2] = True
    hole[2] = True

    def masked(pos: torch.Tensor, neg: torch.Tensor) -> torch.Tensor:
        return call(pos, neg.masked_fill(hole, -INF))

    assert torch.autograd.gradcheck(masked, (pos.requires_grad_(), neg.requires_grad_()), nondet_tol=0.0)


@names
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["float32", "bfloat16", "float16"]
)
def test_finite_at_extremes(name, dtype):
    if dtype == torch.float16 and name in BEYOND_FLOAT16:
        pytest.skip(BEYOND_FLOAT16[name])
    loss = sharp(name)
    extremes = torch.tensor([-1e4, -1.0, -1e-6, 0.0, 1e-6, 1.0, 1e4])
    pos = extremes.repeat_interleave(7).to(dtype)
    neg = torch.stack([extremes.repeat(7), extremes.roll(3).repeat(7), torch.full((49,), -INF)], dim=1).to(dtype)
    neg[5] = -INF
    for group in (torch.zeros(49, dtype=torch.int64), torch.arange(49), torch.arange(49) // 7):
        value, dpos, dneg = gradients(bind(loss, group, tau=0.01), pos, neg)
        assert value.isfinite().all()
        assert dpos.isfinite().all()
        assert dneg.isfinite().all()


@names
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    scale=st.floats(1e-6, 1e4),
    b=st.integers(0, 40),
    n=st.integers(1, 30),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_finite_anywhere(name, seed, scale, b, n, dtype):
    generator = torch.Generator().manual_seed(seed)
    pos = ((torch.rand(b, generator=generator) * 2 - 1) * scale).to(dtype)
    neg = ((torch.rand(b, n, generator=generator) * 2 - 1) * scale).to(dtype)
    neg = neg.masked_fill(torch.rand(b, n, generator=generator) < 0.3, -INF)
    group = torch.randint(0, max(1, b // 2), (b,), generator=generator)
    value, dpos, dneg = gradients(bind(sharp(name), group, tau=0.01), pos, neg)
    assert value.isfinite().all()
    assert dpos.isfinite().all()
    assert dneg.isfinite().all()
    if name not in NO_FIXED_SIGN:
        assert (dpos <= 0).all()
        assert (dneg >= 0).all()


@names
def test_float32_agrees_with_float64(name):
    pos, neg, call = sample(LOSSES.build(name), n=50)
    exact = gradients(call, pos, neg)
    short = gradients(call, pos.float(), neg.float())
    for a, b in zip(short, exact, strict=True):
        # the inputs themselves are rounded to 6e-8, and margins and temperatures magnify that by up to 400
        torch.testing.assert_close(a.double(), b, rtol=3e-5, atol=3e-5)


@names
def test_a_pair_gains_and_its_negatives_lose(name):
    if name in NO_FIXED_SIGN:
        pytest.skip(NO_FIXED_SIGN[name])
    pos, neg, call = sample(LOSSES.build(name), n=30)
    _, dpos, dneg = gradients(call, pos, neg)
    assert (dpos <= 0).all()
    assert (dneg >= 0).all()
    assert (dpos < 0).any()
    assert (dneg > 0).any()


@names
def test_rows_are_independent_without_a_group(name):
    loss = LOSSES.build(name)
    if loss.needs & LOOKS_AT_THE_BATCH:
        pytest.skip("declares that rows depend on each other")
    pos, neg, call = sample(loss)
    group = torch.tensor([4, 2, 4, 9, 2, 4])
    value = call(pos, neg)
    for b in range(6):
        only = torch.zeros_like(pos)
        only[b] = 1
        others = only == 0
        assert torch.equal(call(pos + 0.3 * others, neg - 0.2 * others[:, None])[b], value[b])
        # vector and scalar instructions may round the last bit apart
        alone = bind(loss, group[b : b + 1])(pos[b : b + 1], neg[b : b + 1])
        torch.testing.assert_close(alone, value[b : b + 1], rtol=1e-14, atol=1e-15)
        _, dpos, dneg = gradients(call, pos, neg, upstream=only)
        assert dpos.nonzero().flatten().tolist() in ([], [b])
        assert dneg.any(dim=1).nonzero().flatten().tolist() in ([], [b])


@names
def test_nan_is_not_hidden(name):
    pos, neg, call = sample(LOSSES.build(name))
    for where in ("pos", "neg"):
        p, n = pos.clone(), neg.clone()
        (p if where == "pos" else n[:, 1])[3] = math.nan
        assert call(p, n)[3].isnan()


@names
def test_two_calls_give_the_same_bits(name):
    pos, neg, call = sample(LOSSES.build(name), b=60, n=300, dtype=torch.float32)
    for a, b in zip(gradients(call, pos, neg), gradients(call, pos, neg), strict=True):
        assert torch.equal(a, b)


@names
def test_combining_a_streamed_reduction_gives_the_loss(name):
    """Two blocks of columns, merged by hand, are as good as all at once; a kernel may leave -inf for no negatives."""
    loss = LOSSES.build(name)
    if loss.reduce is None:
        pytest.skip("declares no reduction: it is computed from the scores of all negatives")
    pos, neg, call = sample(loss, n=8)
    neg[1, 0] = -INF
    neg[2] = -INF
    neg[4, :3] = -INF
    (a, n_a), (b, n_b) = loss.reduce(pos, neg[:, :3]), loss.reduce(pos, neg[:, 3:])
    n = n_a + n_b
    assert torch.equal(n, (neg != -INF).sum(dim=1).to(n.dtype))
    if loss.reduce.kind == "logsumexp":
        reduced = torch.logaddexp(a.masked_fill(n_a == 0, -INF), b.masked_fill(n_b == 0, -INF))
    else:
        reduced = (a * n_a + b * n_b) / n
    given = side(loss, torch.tensor([4, 2, 4, 9, 2, 4]))
    torch.testing.assert_close(loss.combine(pos, reduced, n, **given), call(pos, neg), rtol=0, atol=1e-12)


@names
@pytest.mark.parametrize(
    ("pos", "neg", "message"),
    [
        (torch.zeros(3, 1), torch.zeros(3, 2), r"pos must be \[B\]"),
        (torch.zeros(3), torch.zeros(3), r"neg must be \[B, N\]"),
        (torch.zeros(3), torch.zeros(2, 3), r"neg must be \[B, N\] with B = 3"),
        (torch.zeros(3), torch.zeros(3, 0), "neg has no columns"),
        (torch.zeros(3, dtype=torch.int64), torch.zeros(3, 2), "pos must hold floating-point"),
        (torch.zeros(3), torch.zeros(3, 2, dtype=torch.int64), "neg must hold floating-point"),
    ],
)
def test_misfitting_scores_are_refused(name, pos, neg, message):
    with pytest.raises(UsageError, match=message):
        bind(LOSSES.build(name), torch.zeros(3, dtype=torch.int64))(pos, neg)
