import pytest

from taurec.cli.settings import run_fields, split_names
from taurec.errors import UsageError


def test_settings_of_parts_and_fields_of_the_run():
    fields = run_fields(["loss.tau_neg=0.2", "backbone.dim=8", "user_dropout=0.1"], loss="bsl", epochs=3, lr=None)
    assert fields == {
        "loss": "bsl",
        "epochs": 3,
        "user_dropout": "0.1",
        "settings": {"loss": {"tau_neg": "0.2"}, "backbone": {"dim": "8"}},
    }


def test_a_value_may_hold_an_equals_sign_and_blanks_are_cut():
    assert run_fields([" loss.margins = 0.1,0.2 "])["settings"] == {"loss": {"margins": "0.1,0.2"}}
    assert run_fields(["kernel=a=b"])["kernel"] == "a=b"


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("lr", "--set 'lr' has no value; write KEY=VALUE"),
        ("=3", "--set '=3' has no value"),
        ("los.tau=1", "unknown part 'los'; did you mean 'loss'?"),
        ("epohcs=1", "a run has no field 'epohcs'; did you mean 'epochs'?"),
        ("tau=0.2", "write --set backbone.tau=VALUE or --set loss.tau=VALUE"),
        ("loss=bsl", "choose it with --loss"),
        ("data_hash=0", "a run has no field 'data_hash'"),
        ("model.l2=1", "no baseline is chosen; add --model"),
    ],
)
def test_wrong_assignments_say_what_is_accepted(assignment, said):
    with pytest.raises(UsageError) as caught:
        run_fields([assignment])
    assert said in str(caught.value)


def test_a_key_given_twice_is_refused():
    with pytest.raises(UsageError, match="lr is given twice"):
        run_fields(["lr=1"], lr=0.1)
    with pytest.raises(UsageError, match=r"loss\.tau is given twice"):
        run_fields(["loss.tau=1", "loss.tau=2"])


def test_a_baseline_refuses_what_would_have_no_effect():
    with pytest.raises(UsageError, match=r"--lr, --batch-size, --set loss\.tau would have no effect; drop them"):
        run_fields(["loss.tau=1"], model="ease", lr=0.1, batch_size=8)
    assert run_fields(["model.l2=5"], model="ease", seed=3)["settings"] == {"model": {"l2": "5"}}


def test_names_are_split_at_commas_unless_the_whole_is_known():
    assert split_names([" a, b,", "c"]) == ["a", "b", "c"]
    assert split_names(["a,b", "c,d"], known={"a,b"}) == ["a,b", "c", "d"]


def test_a_baseline_refuses_fields_that_only_training_reads():
    with pytest.raises(UsageError, match=r"--set user_dropout, --set kernel would have no effect"):
        run_fields(["user_dropout=0.5", "kernel=torch"], model="ease")
