"""Losses by name, and the contract of a loss; most are ``loss(pos[B], neg[B, N]) -> [B]``."""

from __future__ import annotations

import inspect

from taurec.errors import UsageError
from taurec.losses.adaptive import AdapTau
from taurec.losses.adversarial import AdvInfoNCE
from taurec.losses.alignment import MAWU, DirectAU
from taurec.losses.bc import BC
from taurec.losses.bcl import BCL
from taurec.losses.bilateral import BSL, BSLPerUser
from taurec.losses.bsl_variants import BSLAuthorsMulti, BSLAuthorsReweight, BSLAuthorsSingle, BSLTwoTemperature
from taurec.losses.checks import checked, checked_row_input, require_number
from taurec.losses.contrastive import DCL, HCL, HardnessSSM
from taurec.losses.decoupled import InfoNCEPlus, MINEPlus
from taurec.losses.denoising import RCE, TCE
from taurec.losses.gbce import GBCE
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
from taurec.losses.renyi import DrRL
from taurec.losses.several_positives import MSCL, VarBPR
from taurec.losses.simce import SimCE
from taurec.losses.soft_infonce import SoftInfoNCE
from taurec.losses.softmax import SL, SSM, InfoNCE
from taurec.losses.sogclr import SogCLR
from taurec.losses.state import LossState, TrainingLog
from taurec.losses.surrogate import PSLAtan, PSLRelu, PSLTanh
from taurec.losses.talos import Talos
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
        "talos": Talos,
        "drrl": DrRL,
        "bc": BC,
        "adv-infonce": AdvInfoNCE,
        "directau": DirectAU,
        "mawu": MAWU,
        "simce": SimCE,
        "infonce-plus": InfoNCEPlus,
        "mine-plus": MINEPlus,
        "hcl": HCL,
        "dcl": DCL,
        "hardness-ssm": HardnessSSM,
        "gbce": GBCE,
        "sogclr": SogCLR,
        "soft-infonce": SoftInfoNCE,
        "bcl": BCL,
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
    "AdvInfoNCE",
    "BC",
    "BCE",
    "BCL",
    "BPR",
    "BSL",
    "BSLAuthorsMulti",
    "BSLAuthorsReweight",
    "BSLAuthorsSingle",
    "BSLPerUser",
    "BSLTwoTemperature",
    "CCL",
    "DirectAU",
    "DrRL",
    "DCL",
    "CEL",
    "CELPerUser",
    "CML",
    "EmbeddingLoss",
    "GBCE",
    "HCL",
    "HardnessSSM",
    "Hinge",
    "InfoNCE",
    "InfoNCEPlus",
    "LLPAUC",
    "LOSSES",
    "LambdaLossAtK",
    "LambdaRank",
    "Loss",
    "LossState",
    "MAWU",
    "MINEPlus",
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
    "SimCE",
    "SoftInfoNCE",
    "SogCLR",
    "StreamedLoss",
    "TCE",
    "Talos",
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
