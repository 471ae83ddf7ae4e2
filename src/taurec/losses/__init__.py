"""Losses by name, and the contract of a loss; most are ``loss(pos[B], neg[B, N]) -> [B]``."""

from __future__ import annotations

import inspect

from taurec.errors import UsageError
from taurec.losses.adaptive import AdapTau
from taurec.losses.bilateral import BSL, BSLPerUser
from taurec.losses.bsl_variants import BSLAuthorsMulti, BSLAuthorsReweight, BSLAuthorsSingle, BSLTwoTemperature
from taurec.losses.checks import checked, checked_row_input, require_number
from taurec.losses.denoising import RCE, TCE
from taurec.losses.listwise import CEL, CELPerUser
from taurec.losses.logspace import present
from taurec.losses.margin import CCL, MML
from taurec.losses.metric_learning import CML, MCL
from taurec.losses.pairwise import BPR, Hinge
from taurec.losses.partial_auc import LLPAUC
from taurec.losses.pointwise import BCE, MSE
from taurec.losses.protocol import SIDE_INPUTS, EmbeddingLoss, Loss, ScoreLoss, StreamedLoss, side_inputs
from taurec.losses.ranking import WARP, LambdaLossAtK, LambdaRank
from taurec.losses.reduction import RowReduce
from taurec.losses.several_positives import MSCL, VarBPR
from taurec.losses.softmax import SL, SSM, InfoNCE
from taurec.losses.state import LossState, TrainingLog
from taurec.losses.surrogate import PSLAtan, PSLRelu, PSLTanh
from taurec.losses.topk import SLAtK
from taurec.registry import Registry

LOSSES: Registry[Loss] = Registry(
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
        "mscl": MSCL,
        "varbpr": VarBPR,
        "warp": WARP,
        "lambdarank": LambdaRank,
        "lambdaloss-at-k": LambdaLossAtK,
        "cel": CEL,
        "cel-per-user": CELPerUser,
        "cml": CML,
        "llpauc": LLPAUC,
        "mcl": MCL,
    },
    group="taurec.losses",
    members=frozenset({"__call__", "needs", "takes", "scores"}),
)


def loss_class(name: str) -> type[Loss]:
    """The class of a registered loss, which declares its preset, its grid and its temperature.

    Raises: UsageError for an unknown name, or an entry that is no subclass of :class:`Loss`.

    >>> loss_class("bsl").temperature
    'tau_neg'
    """
    entry = LOSSES[name]
    if not (inspect.isclass(entry) and issubclass(entry, Loss)):
        raise UsageError(
            f"loss {name!r} is not a subclass of taurec.losses.Loss; derive it from ScoreLoss, StreamedLoss or "
            f"EmbeddingLoss, which have defaults for all that a loss declares"
        )
    return entry


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
    "CEL",
    "CELPerUser",
    "CML",
    "EmbeddingLoss",
    "Hinge",
    "InfoNCE",
    "LLPAUC",
    "LOSSES",
    "LambdaLossAtK",
    "LambdaRank",
    "Loss",
    "LossState",
    "MCL",
    "MML",
    "MSCL",
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
    "TrainingLog",
    "VarBPR",
    "WARP",
    "checked",
    "checked_row_input",
    "loss_class",
    "present",
    "require_number",
    "side_inputs",
]
