from __future__ import annotations

import pytest

from taurec.errors import UsageError
from taurec.losses import LOSSES, SL, loss_class
from taurec.run import Choice, Run
from taurec.training.presets import resolve


def test_a_resolved_run_names_every_setting_and_resolves_to_itself() -> None:
    run = resolve(loss="bsl", negatives="uniform:100", settings={"loss": {"tau_neg": 0.3}, "backbone": {"dim": 8}})
    assert run.loss.settings == {"tau_neg": 0.3, "tau_pos": LOSSES["bsl"]().tau_pos}
    assert run.negatives.settings["n"] == 100
    assert run.backbone.settings["dim"] == 8
    again = resolve(**{name: getattr(run, name) for name in Run.model_fields})
    assert again == run


def test_the_order_follows_what_the_loss_needs() -> None:
    assert resolve(loss="bsl").order.name == "user-blocks"
    assert resolve(loss="sl").order.name == "shuffled"
    assert resolve(loss="sl", order="user-blocks:2").order.settings == {"per_user": 2}


def test_a_user_value_beats_the_preset() -> None:
    assert resolve(loss="bpr").train_score == "dot"
    assert resolve(loss="bpr", train_score="cosine", lr=0.5).lr == 0.5
    assert resolve(loss="bpr", train_score="cosine").train_score == "cosine"


def test_a_setting_of_the_preset_gives_way_to_any_that_is_given() -> None:
    assert resolve(loss="mml").loss.settings["neg_weight"] == 50.0
    assert resolve(loss="mml", settings={"loss": {"neg_weight": 400}}).loss.settings["neg_weight"] == 400.0
    given = resolve(loss=Choice(name="mml", settings={"neg_weight": 7.0}))
    assert Run.of(**given.model_dump()).loss.settings["neg_weight"] == 7.0


def test_a_setting_given_twice_must_have_one_value() -> None:
    assert resolve(negatives="uniform:8", settings={"negatives": {"n": 8}}).negatives.settings["n"] == 8
    assert resolve(loss=SL(), settings={"loss": {"tau": 0.2}}).loss.settings["tau"] == 0.2
    with pytest.raises(UsageError, match=r"negatives\.n has two values: 8 in negatives='uniform:8' and 9"):
        resolve(negatives="uniform:8", settings={"negatives": {"n": 9}})
    with pytest.raises(UsageError, match=r"loss\.tau has two values: 0\.3 .* and 0\.2 in the settings; give one"):
        resolve(loss=SL(tau=0.3), settings={"loss": {"tau": 0.2}})


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_has_a_run(loss: str) -> None:
    run = resolve(loss=loss)
    assert LOSSES.build(loss, given=run.loss.settings).scores != "cosine" or run.train_score == "cosine"


@pytest.mark.parametrize("loss", LOSSES)
def test_grids_and_presets_name_what_exists(loss: str) -> None:
    declared = loss_class(loss)
    assert declared.grid(), "every loss of the library has something to vary"
    for key in [*declared.grid(), *declared.preset()]:
        name = key.removeprefix("loss.")
        assert name in (LOSSES.settings(loss) if "." in key else Run.model_fields)
    for temperature in (declared.temperature, declared.positive_temperature):
        assert temperature is None or temperature in LOSSES.settings(loss)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": "bls"}, "did you mean 'bsl'"),
        ({"settings": {"los": {"tau": 1}}}, "did you mean 'loss'"),
        ({"loss": "sl", "settings": {"loss": {"tau_neg": 1}}}, "did you mean|accepted: "),
        ({"metric": "ngcd@20"}, "ndcg"),
        ({"model": "eese"}, "did you mean 'ease'"),
        ({"epohcs": 2}, "did you mean 'epochs'"),
        ({"loss": "ssm", "tau": 0.2}, r"setting of loss 'ssm'; give it as settings=\{'loss': \{'tau': 0.2\}\}"),
        ({"backbone": "lightgcn", "combine": "concat"}, "setting of backbone 'lightgcn'"),
        ({"model": "ease", "l2_": 2}, "no field 'l2_'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(fields: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(**fields)
