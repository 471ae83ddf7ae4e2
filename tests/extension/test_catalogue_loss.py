"""A loss with a catalogue path, added from outside: its formula, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from taurec import Recommender
from taurec.losses import RowReduce, StreamedLoss, present, require_number
from taurec.studies.compare.candidates import candidates, note_if_untuned

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
    def preset(cls):
        return {**super().preset(), "negatives": "full", "loss.margin": 0.25}

    @classmethod
    def grid(cls):
        return {"loss.margin": [0.1, 0.5]}


def test_the_call_follows_from_the_reduction() -> None:
    pos, neg = torch.tensor([0.5, 2.0]), torch.tensor([[0.25, -0.25, -torch.inf], [0.5, 0.5, 0.5]])
    assert MeanGap(margin=1.0)(pos, neg).tolist() == [0.5, 0.0]


@pytest.mark.parametrize("negatives", ["uniform:8", "shared:8", "in-batch"])
def test_it_trains(negatives: str, log) -> None:
    model = Recommender("mf", MeanGap, negatives=negatives, **FAST).fit(log)
    assert model.records[-1].loss < model.records[0].loss


def test_the_catalogue_is_streamed_with_the_same_result(log) -> None:
    streamed, held = (
        Recommender("mf", MeanGap, negatives="full", kernel=kernel, **FAST).fit(log) for kernel in ("auto", "torch")
    )
    assert streamed.kernels["scores"] == "numba"
    for a, b in zip(streamed.embeddings(), held.embeddings(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_it_is_saved_and_loaded(log, tmp_path) -> None:
    model = Recommender("mf", MeanGap, **FAST).fit(log)
    again = Recommender.load(model.save(tmp_path / "model"))
    assert again.run.loss.settings == {"margin": 0.5}
    assert again.recommend("0", k=5).item == model.recommend("0", k=5).item


def test_what_it_declares_is_used() -> None:
    assert [run.loss.settings["margin"] for run in candidates(TunedMeanGap, "all", {})] == [0.1, 0.5]
    (preset,) = candidates(TunedMeanGap, "none", {})
    assert (preset.negatives.name, preset.loss.settings) == ("full", {"margin": 0.25})


def test_a_loss_without_a_grid_is_said_to_have_none() -> None:
    runs = candidates(MeanGap, "all", {})
    assert len(runs) == 1
    assert note_if_untuned("mf:MeanGap", runs, "all", None).startswith("mf:MeanGap was compared with one setting")
    assert note_if_untuned("mf:MeanGap", runs, "none", None) == ""
