from __future__ import annotations

import pytest
import torch

from taurec.errors import UsageError
from taurec.losses import BSL, LOSSES, SL, side_inputs


def test_a_loss_gets_what_it_needs_or_takes_and_no_more():
    user, logq = torch.tensor([1, 1]), torch.zeros(3)
    offered = {"group": user, "logq": logq, "threshold": None}
    assert side_inputs(BSL(), offered) == {"group": user, "logq": logq}
    assert side_inputs(SL(), offered) == {"logq": logq}
    assert side_inputs(SL(), {"logq": None}) == {}


def test_what_is_missing_or_unknown_is_named():
    with pytest.raises(UsageError, match="BSL needs the side input 'group'"):
        side_inputs(BSL(), {"group": None})
    with pytest.raises(UsageError, match="no loss has a side input 'groups'; did you mean 'group'"):
        side_inputs(BSL(), {"groups": torch.tensor([1])})


def test_names_that_saved_runs_have_stay_and_settings_are_read():
    names = {
        "bce", "mse", "bpr", "hinge", "sl", "ssm", "infonce", "bsl", "bsl-per-user", "bsl-authors-multi",
        "bsl-authors-reweight", "bsl-authors-single", "bsl-two-temperature", "adap-tau",
        "sl-at-k", "psl-tanh", "psl-atan", "psl-relu", "ccl", "mml", "t-ce", "r-ce",
    }  # fmt: skip
    assert names <= set(LOSSES)
    assert LOSSES.build("sl:0.2") == SL(tau=0.2)
    assert LOSSES.build("bsl", given={"tau_pos": "0.3", "tau_neg": 0.2}) == BSL(0.3, 0.2)
    with pytest.raises(UsageError, match="did you mean 'bsl'"):
        LOSSES.build("bsll")
    with pytest.raises(UsageError, match="tau must be a finite number above 0"):
        LOSSES.build("sl:0")


def test_losses_are_immutable():
    with pytest.raises(AttributeError):
        SL().tau = 0.5


@pytest.mark.parametrize(
    ("loss", "remedy"), [("bsl", "use SL"), ("cel-per-user", "use CEL$"), ("mcl", r"torch\.arange\(B\)")]
)
def test_a_missing_group_is_refused_with_a_remedy_for_that_loss(loss, remedy):
    with pytest.raises(UsageError, match=remedy):
        LOSSES.build(loss)(torch.zeros(2), torch.zeros(2, 3))
