"""Every negative sampler and batch order of the registries keeps the laws of ``taurec.testing``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from taurec.errors import UsageError
from taurec.sampling import NEGATIVES, ORDERS, NegativeSampler, Order, Sampler
from taurec.testing.laws import Exceptions, Law, NotApplicable
from taurec.testing.samplers import ORDER_LAWS, SAMPLER_LAWS, sampling_log

NONE = "it draws no negatives, for losses of the pairs alone"
EXCEPTIONS: dict[str, Exceptions] = {
    "none": [("with exclusion on and noise off, a known positive is never a negative", NONE)]
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Settings of samplers that have no usable default: a file of negatives for some users of the log of the laws."""
    path = tmp_path_factory.mktemp("negatives") / "given.csv"
    path.write_text("user,item\n" + "".join(f"u{u},i{i}\n" for u in (0, 2, 8) for i in (1, 5, 9, 12)))
    return {"provided": {"path": str(path), "share": 0.5}}


@pytest.mark.parametrize("name", list(NEGATIVES))
@pytest.mark.parametrize("law", list(SAMPLER_LAWS), ids=str)
def test_law_of_samplers(name: str, law: Law[NegativeSampler], given: dict[str, dict[str, Any]]) -> None:
    try:
        SAMPLER_LAWS.check_one(law, NEGATIVES.build(name, given=given.get(name)), EXCEPTIONS.get(name, ()))
    except NotApplicable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", list(NEGATIVES))
def test_a_forecast_times_a_sampler_of_the_same_shape_without_files(name: str) -> None:
    own = NEGATIVES.build(name)
    assert isinstance(own, Sampler)
    timed = own.timed_as()
    assert timed.shape(64, 1000) == own.shape(64, 1000)
    timed.bind(sampling_log(), 0)


@pytest.mark.parametrize("name", list(ORDERS))
@pytest.mark.parametrize("law", list(ORDER_LAWS), ids=str)
def test_law_of_orders(name: str, law: Law[Order]) -> None:
    ORDER_LAWS.check_one(law, ORDERS.build(name))


@pytest.mark.parametrize("name", list(NEGATIVES))
def test_an_unknown_setting_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no setting"):
        NEGATIVES.build(name, given={"nn": 1})


@pytest.mark.parametrize("registry", [NEGATIVES, ORDERS], ids=["negatives", "order"])
def test_settings_have_defaults_documents_and_json_values(registry: Any) -> None:
    for name in registry:
        assert registry[name].__doc__
        for parameter in registry.settings(name).values():
            json.dumps(parameter.default)
        assert registry.build(name) == registry.build(name)
