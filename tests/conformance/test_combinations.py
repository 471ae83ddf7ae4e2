"""Loss, backbone and negatives that are named together train, or are refused before the first step with a reason."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from taurec import BACKBONES, LOSSES, NEGATIVES
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.data.vocabulary import Vocabulary
from taurec.errors import UsageError
from taurec.losses import EmbeddingLoss
from taurec.training.presets import resolve
from taurec.training.trainer import Trainer

NAMES = Vocabulary([f"item {i}" for i in range(16)])
LOG = dataclasses.replace(planted(n_users=12, n_items=16, n_groups=2, seed=5).log, items=NAMES)
SMALL = {"n": 4, "pool": 3, "size": 8, "warmup": 0, "coarse": 2, "fine": 2}
NO_ITEMS = {"full", "dns", "pool-softmax", "genni", "loop", "interpolated", "mixgcf", "hnlmrec"}
"""Negatives whose items are not known, or only in the step; their probabilities are not known either."""
ASK_ITEMS = {"soft-infonce", "adv-infonce"}
NO_MEAN = {"simgcl", "xsimgcl"}
"""Backbones whose final vectors are neither the mean of all their layers nor a concatenation of them."""
KINDS = ["sl", "bsl", "bpr", "warp", "simce", "mscl", "varbpr", "talos", "directau", "mawu", "adv-infonce", "cml"]
"""One loss of each kind: streamed, grouped, pairwise, in the order drawn, of the hardest, with further positives, with
priors, with thresholds, of vectors, of vectors with parameters, with an adversary, of distances."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of negatives for some of the users."""
    path = tmp_path_factory.mktemp("negatives") / "given.csv"
    pairs = [(u, i) for u in (0, 2, 5) for i in (1, 5, 9)]
    path.write_text("user,item\n" + "".join(f"{LOG.users.ids[u]},{LOG.items.ids[i]}\n" for u, i in pairs))
    return str(path)


def trainer(loss: str, negatives: str, given: str, **fields: Any) -> Trainer:
    backbone = fields.get("backbone", "mf")
    of_negatives = {name: value for name, value in SMALL.items() if name in NEGATIVES.settings(negatives)}
    if negatives == "provided":
        of_negatives |= {"path": given, "share": 0.5}
    settings = {"backbone": {"dim": 8} if backbone != "ngcf" else {"dim": 8, "layers": "8,8"}}
    chosen = {"name": negatives, "settings": of_negatives}
    log = fields.pop("log", LOG)
    settings |= fields.pop("settings", {})
    run = resolve(loss=loss, negatives=chosen, batch_size=16, kernel="torch", threads=1, settings=settings, **fields)
    return Trainer(run, log)


def one_step(made: Trainer) -> float:
    """The loss of the first step."""
    batch = next(made.batches(1))
    if made.step.loss_state is not None:
        made.step.loss_state.begin_epoch(1, made.vectors)
    made.backbone.train()
    return made.step(batch, 1, 1)[0]


def refused(loss: str, negatives: str, train_score: str, backbone: str) -> str | None:
    """What the message must say where a combination makes no sense; None where it must train."""
    if issubclass(LOSSES[loss], EmbeddingLoss):
        return None if negatives == "none" else r"uses no negatives, got .*; leave negatives out"
    if negatives == "none":
        return r"compares each pair with negatives, and this run draws none .*; choose some"
    if negatives == "loop" and train_score == "neg_sq_dist":
        return r"defined on cosine and dot scores.*; got train_score='neg_sq_dist'.*--set train_score=cosine"
    if loss in ASK_ITEMS and negatives in NO_ITEMS:
        return r"weighs .*, and negatives .* do not say which items they are.*; use drawn items"
    if negatives == "mixgcf" and backbone in NO_MEAN:
        return r"mixgcf is defined where final vectors are the mean of the layers .*; use other negatives"
    return None


def check(loss: str, negatives: str, given: str, step: bool = True, **fields: Any) -> None:
    why = refused(loss, negatives, resolve(loss=loss).train_score, fields.get("backbone", "mf"))
    if why is None:
        made = trainer(loss, negatives, given, **fields)
        assert not step or math.isfinite(one_step(made)), f"{loss} with {negatives}"
        return
    with pytest.raises(UsageError, match=why):
        trainer(loss, negatives, given, **fields)


@cache
def representatives() -> list[str]:
    """The first sampler of each class of negatives, as they are drawn."""
    found: dict[type, str] = {}
    rows = torch.arange(4)
    user, item = torch.from_numpy(LOG.user_of[:4]), torch.from_numpy(LOG.indices[:4].astype(np.int64))
    for name in NEGATIVES:
        if name not in {"provided", "esans"}:  # per row, as others before them
            found.setdefault(type(NEGATIVES.build(name).bind(LOG, 0).draw(user, item, rows, 1)), name)
    return list(found.values())


@pytest.mark.parametrize("loss", list(LOSSES))
def test_every_loss_with_all_negatives(loss: str, given: str) -> None:
    """A step is made with one sampler of each layout."""
    assert set(NO_ITEMS) < set(NEGATIVES)
    assert len(representatives()) >= 10
    for negatives in NEGATIVES:
        check(loss, negatives, given, step=negatives in representatives())


@pytest.mark.parametrize("backbone", list(BACKBONES))
@pytest.mark.parametrize("negatives", list(NEGATIVES))
def test_every_kind_of_loss_with_all_negatives_on_every_backbone(backbone: str, negatives: str, given: str) -> None:
    for loss in KINDS:
        check(loss, negatives, given, backbone=backbone)


@pytest.mark.parametrize("negatives", list(NEGATIVES))
def test_logq_is_refused_where_nobody_knows_it(negatives: str, given: str) -> None:
    with pytest.raises(UsageError, match="loss 'bpr' has no form corrected by logq; leave logq off"):
        trainer("bpr", negatives if negatives != "none" else "uniform", given, logq=True)
    if negatives == "none":
        return
    if negatives in NO_ITEMS:
        with pytest.raises(UsageError, match=r"logq corrects .*, which negatives .* do not know; leave logq off"):
            trainer("sl", negatives, given, logq=True)
    else:
        assert math.isfinite(one_step(trainer("sl", negatives, given, logq=True)))


def test_a_setting_decides_whether_items_are_asked_for(given: str) -> None:
    assert math.isfinite(one_step(trainer("varbpr", "full", given)))
    with pytest.raises(UsageError, match=r"'varbpr' with neg_popularity weighs negatives .*; use drawn items"):
        trainer("varbpr", "full", given, settings={"loss": {"neg_popularity": 1.0}, "backbone": {"dim": 8}})


def test_weights_of_rows_are_refused_where_a_loss_has_one_value(given: str) -> None:
    user, item = LOG.user_of, LOG.indices
    weighted = Interactions.from_pairs(user, item, weight=np.ones(len(user), np.float32))
    for loss in LOSSES:
        declared = LOSSES[loss]
        if issubclass(declared, EmbeddingLoss) or not declared.rows:
            with pytest.raises(
                UsageError, match=r"has one value per batch, .*; leave the weight column out and user_weight"
            ):
                trainer(loss, str(resolve(loss=loss).negatives.name), given, log=weighted)
        else:
            trainer(loss, "uniform", given, log=weighted)


def test_scores_that_a_loss_is_not_defined_on_are_refused(given: str) -> None:
    """Whatever the scores, a run is refused when it is made, or it trains."""
    for loss in LOSSES:
        if LOSSES[loss].scores == "cosine":
            negatives = resolve(loss=loss).negatives.name
            with pytest.raises(UsageError, match=r"defined on cosine scores; got .*, use train_score='cosine'"):
                trainer(loss, negatives, given, train_score="dot")


def test_negatives_of_layers_need_a_backbone_that_pools_them(given: str) -> None:
    """More layers than shares are drawn for: refused by one pass of the backbone, before the first step."""
    settings = {"backbone": {"dim": 8, "layers": 16}}
    with pytest.raises(UsageError, match="mixgcf mixes up to 15 layers, this backbone has 16"):
        trainer("sl", "mixgcf", given, backbone="lightgcn", settings=settings)
    assert math.isfinite(one_step(trainer("sl", "uniform", given, backbone="lightgcn", settings=settings)))
