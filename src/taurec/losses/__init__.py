"""Losses of scores, by name: ``loss(pos[B], neg[B, N]) -> [B]``."""

from __future__ import annotations

from taurec.losses.adaptive import AdapTau
from taurec.losses.bilateral import (
    BSL,
    BSLAuthorsMulti,
    BSLAuthorsReweight,
    BSLAuthorsSingle,
    BSLPerUser,
    BSLTwoTemperature,
)
from taurec.losses.denoising import RCE, TCE
from taurec.losses.margin import CCL, MML
from taurec.losses.pairwise import BPR, Hinge
from taurec.losses.pointwise import BCE, MSE
from taurec.losses.protocol import SIDE_INPUTS, ScoreLoss, side_inputs
from taurec.losses.reduction import RowReduce, StreamedLoss
from taurec.losses.softmax import SL, SSM, InfoNCE
from taurec.losses.surrogate import PSLAtan, PSLRelu, PSLTanh
from taurec.losses.topk import SLAtK
from taurec.registry import Registry

LOSSES: Registry[ScoreLoss] = Registry(
    "loss",
    {
        "bce": BCE,
        "mse": MSE,
        "bpr": BPR,
        "hinge": Hinge,
        "sl": SL,
        "ssm": SSM,
        "infonce": InfoNCE,
        "bsl": BSL,
        "bsl-per-user": BSLPerUser,
        "bsl-authors-multi": BSLAuthorsMulti,
        "bsl-authors-reweight": BSLAuthorsReweight,
        "bsl-authors-single": BSLAuthorsSingle,
        "bsl-two-temperature": BSLTwoTemperature,
        "adap-tau": AdapTau,
        "sl-at-k": SLAtK,
        "psl-tanh": PSLTanh,
        "psl-atan": PSLAtan,
        "psl-relu": PSLRelu,
        "ccl": CCL,
        "mml": MML,
        "t-ce": TCE,
        "r-ce": RCE,
    },
    group="taurec.losses",
    members=frozenset({"__call__", "needs", "takes", "scores"}),
)

__all__ = [
    "AdapTau",
    "BCE",
    "BPR",
    "BSL",
    "BSLAuthorsMulti",
    "BSLAuthorsReweight",
    "BSLAuthorsSingle",
    "BSLPerUser",
    "BSLTwoTemperature",
    "CCL",
    "Hinge",
    "InfoNCE",
    "LOSSES",
    "MML",
    "MSE",
    "PSLAtan",
    "PSLRelu",
    "PSLTanh",
    "RCE",
    "RowReduce",
    "SIDE_INPUTS",
    "SL",
    "SLAtK",
    "SSM",
    "ScoreLoss",
    "StreamedLoss",
    "TCE",
    "side_inputs",
]
