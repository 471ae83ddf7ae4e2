"""MSCL and variational BPR: published values, identities, and the priors that training supplies."""

from __future__ import annotations

import math

import pytest
import torch

from taurec import Interactions, planted
from taurec.errors import UsageError
from taurec.losses import BPR, MSCL, SSM, BSLAuthorsReweight, VarBPR
from taurec.sampling import Full, Uniform
from taurec.sampling.positives import AddPositives
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer
from taurec.types import Batch

UNIFORM = {"pos_rarity": 0.0, "pos_hardness": 0.0, "neg_hardness": 0.0, "c_pos": 4.0, "c_neg": 4.0}


def in_batch(dtype=torch.float64):
    """Three rows whose negatives are the positives of the others."""
    z = torch.tensor([[0.9, 0.1, -0.2], [0.3, 0.5, 0.0], [0.1, 0.2, 0.7]], dtype=dtype)
    off = ~torch.eye(3, dtype=torch.bool)
    return z.diagonal().clone(), z[off].view(3, 2)


def two_positives(dtype=torch.float64):
    x = torch.tensor([[0.9, 0.4], [0.2, 0.3]], dtype=dtype)
    neg = torch.tensor([[0.1, -0.3, 0.85], [0.6, 0.2, 0.0]], dtype=dtype)
    return x[:, 0], neg, x[:, 1:]


def test_mscl_golden(rows):
    """The published value belongs to one positive; two equal ones give twice that."""
    pos, neg = in_batch(rows.pos.dtype)
    value = MSCL(tau=0.2, alpha=0.45, positives=2)(pos, neg, more=pos[:, None]).mean()
    assert value.item() / 2 == pytest.approx(0.444887311269517, **rows.tol)


def test_mscl_by_hand(exact):
    value = MSCL(tau=0.5, alpha=0.4, positives=3)(exact.pos, exact.neg, more=torch.tensor([[0.3, -0.7]] * 4).double())
    expected = 0.0
    for x in (0.2, 0.3, -0.7):
        total = sum(math.exp(s / 0.5) for s in (x, 0.6, 0.2, 0.0))
        expected += -0.4 * x / 0.5 + 0.6 * math.log(total)
    assert value[1].item() == pytest.approx(expected, abs=1e-6)  # 0.3 and -0.7 were rounded to float32


def test_mscl_with_even_weights_is_half_of_ssm_summed_over_the_positives(exact):
    more = exact.pos[:, None] - torch.tensor([[0.1, 0.4]]).double()
    value = MSCL(tau=0.2, alpha=0.5, positives=3)(exact.pos, exact.neg, more=more)
    ssm = SSM(tau=0.2)
    expected = ssm(exact.pos, exact.neg) + sum(ssm(more[:, k], exact.neg) for k in range(2))
    torch.testing.assert_close(value, expected / 2, rtol=0, atol=1e-12)


def test_mscl_is_a_multiple_of_the_reweighted_softmax_over_pair_and_negatives(exact):
    value = MSCL(tau=0.2, alpha=0.45, positives=2)(exact.pos, exact.neg, more=exact.pos[:, None]) / 2
    candidates = torch.cat([exact.pos[:, None], exact.neg], 1)
    reweighted = BSLAuthorsReweight(tau=0.2, k=0.55 / 0.45)(exact.pos, candidates)
    torch.testing.assert_close(value, 0.45 * reweighted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("form", "golden"), [("plug-in", 0.582961641886747), ("exact", 0.603111042561675)])
def test_varbpr_golden(rows, form, golden):
    pos, neg, more = two_positives(rows.pos.dtype)
    value = VarBPR(form=form, **UNIFORM)(pos, neg, more=more).mean()
    assert value.item() == pytest.approx(golden, **rows.tol)


def test_varbpr_by_hand_with_its_priors():
    pos, neg, more = two_positives()
    loss = VarBPR(form="exact", c_pos=2.0, c_neg=3.0, pos_hardness=0.7, neg_hardness=0.4)
    rarity = torch.tensor([[0.5, 0.25], [0.125, 1.0]], dtype=torch.float64).log()
    popularity = torch.tensor([[0.5, 0.25, 1.0], [0.125, 1.0, 0.5]], dtype=torch.float64).log()
    value = loss(pos, neg, more=more, log_rarity=rarity, log_weight=popularity)
    x, y, r, p = [0.9, 0.4], [0.1, -0.3, 0.85], [0.5, 0.25], [0.5, 0.25, 1.0]
    easy = [math.exp((sum(x) / 2 - s) / 0.5) for s in x]
    hard = [math.exp((s - sum(y) / 3) / 0.5) for s in y]
    alpha = [math.exp(s / 2) * q * (e / sum(easy)) ** 0.7 for s, q, e in zip(x, r, easy, strict=True)]
    beta = [math.exp(-s / 3) * q * (h / sum(hard)) ** 0.4 for s, q, h in zip(y, p, hard, strict=True)]
    total = sum(
        a * b * math.log1p(math.exp(t - s)) for a, s in zip(alpha, x, strict=True) for b, t in zip(beta, y, strict=True)
    )
    assert value[0].item() == pytest.approx(total / sum(alpha) / sum(beta), abs=1e-14)


def test_the_plug_in_value_is_at_most_the_exact_one():
    generator = torch.Generator().manual_seed(0)
    pos, neg, more = (torch.randn(*shape, generator=generator) for shape in ((500,), (500, 6), (500, 3)))
    plug_in, exact = (VarBPR(form=form, positives=4)(pos, neg, more=more) for form in ("plug-in", "exact"))
    assert (plug_in <= exact + 1e-6).all()


def test_varbpr_of_equal_positives_and_one_negative_is_bpr(exact):
    one = exact.neg[:, :1]
    for form in ("plug-in", "exact"):
        value = VarBPR(form=form)(exact.pos, one, more=exact.pos[:, None])
        torch.testing.assert_close(value, BPR()(exact.pos, one), rtol=0, atol=1e-14)


def test_with_large_scales_and_no_priors_it_is_the_mean_over_all_pairs():
    pos, neg, more = two_positives()
    value = VarBPR(form="exact", **{**UNIFORM, "c_pos": 1e12, "c_neg": 1e12})(pos, neg, more=more)
    torch.testing.assert_close(value, (BPR()(pos, neg) + BPR()(more[:, 0], neg)) / 2)


def test_the_weights_are_constants():
    pos, neg, more = two_positives()
    pos, more, neg = pos.clone().requires_grad_(), more.clone().requires_grad_(), neg.clone().requires_grad_()
    VarBPR(**UNIFORM)(pos, neg, more=more).sum().backward()
    x = torch.cat([pos[:, None], more], 1).detach()
    alpha, beta = (x / 4).softmax(1), (-neg.detach() / 4).softmax(1)
    slope = torch.sigmoid((beta * neg).sum(1) - (alpha * x).sum(1)).detach()[:, None]
    torch.testing.assert_close(torch.cat([pos.grad[:, None], more.grad], 1), -slope * alpha)
    torch.testing.assert_close(neg.grad, slope * beta)


@pytest.mark.parametrize("name", ["mscl", "varbpr"])
def test_further_positives_have_a_gradient_and_rows_without_negatives_none(name):
    loss = {"mscl": MSCL(positives=3), "varbpr": VarBPR(positives=3)}[name]
    pos, neg = torch.rand(4), torch.rand(4, 5)
    neg[1] = -math.inf
    more = torch.rand(4, 2, requires_grad=True)
    value = loss(pos, neg, more=more)
    value.sum().backward()
    assert value[1] == 0
    assert not more.grad[1].any()
    assert more.grad[[0, 2, 3]].any(1).all()
    nan = more.detach().clone()
    nan[2, 1] = math.nan
    assert loss(pos, neg, more=nan)[2].isnan()


def test_training_supplies_rarity_and_popularity():
    log = planted(n_users=40, n_items=30, seed=2).log
    run = resolve(
        loss="varbpr", negatives="uniform:4", epochs=2, batch_size=32, settings={"loss": {"neg_popularity": 0.5}}
    )
    trainer = Trainer(run, log)
    assert all(math.isfinite(r.loss) for r in trainer.fit().records)
    state = trainer.step.loss_state
    counts = torch.log(2 + torch.from_numpy(log.item_counts).double())
    popularity = counts / counts.max()
    torch.testing.assert_close(state.popularity.double(), popularity.log(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(state.rarity.double(), (1 - popularity).clamp(min=1e-12).log(), rtol=1e-4, atol=1e-4)


def test_the_priors_belong_to_the_items_of_the_row():
    log = Interactions.from_pairs([0, 0, 0, 1, 1, 2], [0, 1, 2, 0, 1, 0])
    loss = VarBPR(positives=3, pos_rarity=0.5, neg_popularity=2.0)
    state, at = loss.state(log, seed=0), torch.tensor([0, 4, 5])
    user, item = torch.tensor([0, 1, 2]), torch.tensor([0, 1, 0])
    negatives = AddPositives(Uniform(4), m=2).bind(log, seed=0).draw(user, item, at, epoch=1)
    side = state.side(Batch(user, item, at, negatives))
    items = torch.cat([item[:, None], negatives.more], 1)
    popularity = torch.log(torch.tensor([5.0, 4.0, 3.0])) / math.log(5)
    torch.testing.assert_close(side["log_rarity"], 0.5 * (1 - popularity).clamp(min=1e-12).log()[items])
    torch.testing.assert_close(side["log_weight"], 2 * popularity.log()[negatives.items(item)])
    with pytest.raises(UsageError, match="items of PositivesAndNegatives are not known"):
        state.side(Batch(user, item, at, AddPositives(Full(), m=2).bind(log, seed=0).draw(user, item, at, epoch=1)))


@pytest.mark.parametrize("loss", ["mscl", "varbpr"])
def test_stopped_after_every_epoch_it_ends_with_the_same_bits(loss, tmp_path):
    log = planted(n_users=40, n_items=30, seed=2).log

    def trainer():
        return Trainer(resolve(loss=loss, negatives="uniform:4", epochs=3, batch_size=32, patience=99), log)

    whole = trainer().fit()
    for _ in range(3):
        found = trainer().fit(tmp_path / "run.safetensors", every=0.0, seconds=0.0)
    assert found.finished
    assert (found.ranker.user == whole.ranker.user).all()


def test_refusals(exact):
    for loss in (MSCL(positives=3), VarBPR(positives=3)):
        with pytest.raises(UsageError, match=r"positives=3 needs more=\[4, 2\].*got nothing"):
            loss(exact.pos, exact.neg)
        with pytest.raises(UsageError, match=r"got \(4, 1\) of"):
            loss(exact.pos, exact.neg, more=exact.pos[:, None])
    for build in (MSCL, VarBPR):
        for value in (1, 2.5, True):
            with pytest.raises(UsageError, match="positives must be an integer of at least 2"):
                build(positives=value)
    with pytest.raises(UsageError, match="MSCL: alpha must be a finite number of at least 0 and at most 1"):
        MSCL(alpha=1.5)
    with pytest.raises(UsageError, match="VarBPR: c_neg must be a finite number above 0"):
        VarBPR(c_neg=0.0)
    with pytest.raises(UsageError, match="form must be 'plug-in' or 'exact', got 'mean'"):
        VarBPR(form="mean")
