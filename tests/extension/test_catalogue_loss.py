"""A loss with a catalogue path, added from outside: its formula, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from taurec import Recommender
from taurec.losses import RowReduce, StreamedLoss, present, require_number
from taurec.studies.compare.candidates import candidates, untuned

FAST = {"epochs": 3, "batch_size": 64, "threads": 1, "settings": {"backbone": {"dim": 8}}}


@dataclass(frozen=True)
class MeanGap(StreamedLoss):
    """A pair should beat the mean of its negatives by a margin."""

    margin: float = 0.5

    def __post_init__(self) -> None:
        require_number(self, "margin", least=0)

    @property
    def reduce(self) -> RowReduce:
        return RowReduce("mean")

    def combine(self, pos, reduced, n):
        return present(torch.relu(self.margin + reduced - pos), n)


@dataclass(frozen=True)
class TunedMeanGap(MeanGap):
    """The same with something to tune."""

    @classmethod
    def preset(cls, log=None):
        return {**super().preset(log), "negatives": "full", "loss.margin": 0.25}

    @classmethod
    def grid(cls):
        return {"loss.margin": [0.1, 0.5]}


def test_the_call_follows_from_the_reduction() -> None:
    pos, neg = torch.tensor([0.5, 2.0]), torch.tensor([[0.25, -0.25, -torch.inf], [0.5, 0.5, 0.5]])
    assert MeanGap(margin=1.0)(pos, neg).tolist() == [0.5, 0.0]


@pytest.mark.parametrize("negatives", ["uniform:8", "shared:8", "in-batch"])
def test_it_trains(negatives: str, add_loss, log) -> None:
    add_loss("mean-gap", MeanGap)
    model = Recommender("mf", "mean-gap", negatives=negatives, **FAST).fit(log)
    assert model.records[-1].loss < model.records[0].loss


def test_the_catalogue_is_streamed_with_the_same_result(add_loss, log) -> None:
    add_loss("mean-gap", MeanGap)
    streamed, held = (
        Recommender("mf", "mean-gap", negatives="full", kernel=kernel, **FAST).fit(log) for kernel in ("auto", "torch")
    )
    assert streamed.kernels["scores"] == "numba"
    for a, b in zip(streamed.embeddings(), held.embeddings(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_it_is_saved_and_loaded(add_loss, log, tmp_path) -> None:
    add_loss("mean-gap", MeanGap)
    model = Recommender("mf", "mean-gap", **FAST).fit(log)
    again = Recommender.load(model.save(tmp_path / "model"))
    assert again.run.loss.settings == {"margin": 0.5}
    assert again.recommend("0", k=5).item == model.recommend("0", k=5).item


def test_what_it_declares_is_used(add_loss) -> None:
    add_loss("tuned-gap", TunedMeanGap)
    assert [run.loss.settings["margin"] for run in candidates("mf:tuned-gap", "all", {})] == [0.1, 0.5]
    (preset,) = candidates("mf:tuned-gap", "none", {})
    assert (preset.negatives.name, preset.loss.settings) == ("full", {"margin": 0.25})


def test_a_loss_without_a_grid_is_said_to_have_none(add_loss) -> None:
    add_loss("mean-gap", MeanGap)
    assert len(candidates("mf:mean-gap", "all", {})) == 1
    assert untuned(["mf:mean-gap"], "all") == [
        "mf:mean-gap: loss mean-gap declares no grid, so its preset alone is fitted"
    ]
    assert untuned(["mf:mean-gap"], "none") == []
