"""Parts from outside the package keep the laws that TauRec's own parts keep."""

from __future__ import annotations

from typing import Any

import pytest
from tests.extension.test_backbone import ScaledMF
from tests.extension.test_baseline import Recent
from tests.extension.test_batch_loss import WorstRows
from tests.extension.test_catalogue_loss import MeanGap
from tests.extension.test_embedding_loss import AlignUniform
from tests.extension.test_hard_negatives import HardestOfPool
from tests.extension.test_layout import Pooled
from tests.extension.test_learned_loss import UserMargin
from tests.extension.test_order import UserByUser

from taurec.testing import check_backbone, check_baseline, check_loss, check_order, check_sampler

EXCLUSION = "with exclusion on and noise off, a known positive is never a negative"
LOSSES: dict[str, tuple[Any, dict[str, Any]]] = {
    "one value per row, streamed": (MeanGap(0.25), {}),
    "one value per batch": (WorstRows(), {}),
    "of vectors": (AlignUniform(), {}),
    "learned number per user": (UserMargin(), {}),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_losses(kind: str) -> None:
    loss, given = LOSSES[kind]
    check_loss(loss, **given)


@pytest.mark.parametrize("sampler", [HardestOfPool(), Pooled()], ids=lambda s: type(s).__name__)
def test_samplers(sampler: Any) -> None:
    check_sampler(sampler, exceptions=[(EXCLUSION, "it draws from all items")])


def test_an_order() -> None:
    check_order(UserByUser())


def test_a_backbone() -> None:
    check_backbone(ScaledMF)


def test_a_baseline() -> None:
    last = "the last users are the recent ones, so their numbers mean something"
    exceptions = [
        ("renumbering the users renumbers the rows", last),
        ("fitted to three blocks of users and items, it puts a user's one withheld item first", "one list for all"),
    ]
    check_baseline(Recent, exceptions=exceptions)
