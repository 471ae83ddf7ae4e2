"""A run: everything that determines a result, checked before data is read, and written to ``run.json``."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)

from taurec.errors import ArtefactError, UsageError, did_you_mean

Score = Literal["cosine", "dot", "neg_sq_dist"]
L2Mode = Literal["gathered", "sum", "tables", "adam", "unsquared"]
L2On = Literal["ego", "final", "hops"]
DropoutOn = Literal["raw", "unit"]
LrSchedule = Literal["constant", "linear", "cosine", "plateau"]
_DIVIDES = frozenset({"reading", "split", "valid", "test", "seed"})
"""Fields that determine the part of each interaction."""
SplitHow = Literal["ratio", "leave-last-one", "time", "users", "files", "none"]

OF_TRAINED_MODELS = frozenset(
    {
        "backbone", "loss", "negatives", "order", "logq", "train_score", "rank_score", "epochs", "batch_size", "lr",
        "lr_schedule", "l2", "l2_mode", "l2_on", "user_dropout", "user_dropout_on", "clip_norm", "max_norm",
        "user_weight",
        "patience", "eval_every", "kernel",
    }
)  # fmt: skip
"""Fields of a run that have no effect on a baseline."""

SHARED_BY_PARTS = frozenset({"source", "reading", "data_hash", "split", "valid", "test", "device", "threads"})
"""Fields that the parts of a model have from its run: on what, and by what, all of them are fitted."""

RENAMED: Mapping[str, str] = {}
"""Earlier spellings of fields, with the present one; a file with them is read with a warning for two minor versions."""


class Choice(BaseModel):
    """One entry of a registry with its settings.

    Attributes:
        name: of a built-in entry, or ``module:Class`` of one from outside the package.
        settings: plain values by name.
        version: of the distribution of an entry from outside, where it has one; of an entry in a file, the hash of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    settings: dict[str, Any] = {}
    version: str | None = None

    @field_validator("settings")
    @classmethod
    def _tuples(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Sequences as tuples, so that a choice read from JSON equals the one that was written."""
        return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The fields; a built-in entry has no version."""
        fields: dict[str, Any] = write(self)
        if ":" not in self.name:
            del fields["version"]
        return fields

    @property
    def label(self) -> str:
        """Short name for tables: ``bsl``, or ``MyLoss`` of ``my_module:MyLoss``."""
        return self.name.rpartition(":")[2]

    @property
    def text(self) -> str:
        """The entry as text: ``bsl(tau_pos=0.1, tau_neg=0.1)``."""
        inner = ", ".join(f"{k}={v}" for k, v in self.settings.items())
        return f"{self.name}({inner})" if inner else self.name


class Run(BaseModel):
    """Everything that determines a result.

    Attributes:
        source: a named set, a path, or ``(in memory)`` for data handed over in Python.
        reading: how a file is read: column names and format, as in :func:`taurec.data.readers.read_log`; empty for
            a named set.
        data_hash: SHA-256 over the vocabularies and the pairs of each part, filled in when the data is known.
        split, valid, test: how the log is split, and the shares for validation and test: of the interactions, or with
            ``users`` of the users.
        model: a baseline, or a model made of two others (``blend``), whose setting ``parts`` holds a complete run of
            each; then the fields from ``backbone`` to ``kernel`` have no effect.
        backbone, loss, negatives, order: names with settings; ``order`` None takes user blocks for a
            loss that groups rows by user and shuffled pairs for all others.
        logq: correct scores for the probability with which each negative was proposed, where the loss
            takes it and the negative sampler knows it.
        train_score, rank_score: the score in training and in ranking: ``cosine``, ``dot``, or ``neg_sq_dist``, which is
            -|u - v|^2; the papers differ in them.
        epochs: maximum number of passes over the training pairs.
        batch_size: interactions in a batch.
        lr: learning rate of Adam (betas .9 and .999, epsilon 1e-8).
        lr_schedule: how the learning rate falls over ``epochs``, see :mod:`taurec.training.schedule`.
        l2, l2_mode, l2_on: strength of the L2 term and its form, see :mod:`taurec.training.penalty`.
        user_dropout, user_dropout_on: share of the entries of a user's vector dropped in training; of the ``raw``
            vector, before any normalisation (BSL), or of the ``unit`` one that cosine scores are taken of (SimpleX).
        clip_norm: upper bound of the length of the gradient of a step, see
            :mod:`taurec.training.clipping`; 0 for none.
        max_norm: upper bound of the length of every row of the tables, which are shortened to it after each step; 0
            for none.
        user_weight: w of the weight n^-w of a training pair whose user has n of them, times the pair's own weight: 0
            weighs pairs alike, 1 users.
        metric, patience, eval_every: validation metric that chooses the epoch; stop after ``patience``
            evaluations without a better one; evaluate every ``eval_every`` epochs.
        seed: seed of every random draw (split, initial values, order, negatives, dropout).
        device, threads, kernel: device, CPU threads (0 for all cores), and kernel of the computation.
        found: how the value of each setting given as ``auto`` (``loss.tau=auto``) was found; it has no effect.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = "debian"
    reading: dict[str, Any] = {}
    data_hash: str = ""
    split: SplitHow = "ratio"
    valid: Annotated[float, Field(ge=0, lt=1)] = 0.1
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    model: Choice | None = None
    backbone: Choice = Choice(name="mf")
    loss: Choice = Choice(name="sl")
    negatives: Choice = Choice(name="uniform")
    order: Choice | None = None
    logq: bool = False
    train_score: Score = "cosine"
    rank_score: Score = "cosine"
    epochs: Annotated[int, Field(ge=1)] = 100
    batch_size: Annotated[int, Field(ge=1)] = 1024
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    lr_schedule: LrSchedule = "constant"
    l2: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    l2_mode: L2Mode = "gathered"
    l2_on: L2On = "ego"
    user_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    user_dropout_on: DropoutOn = "raw"
    clip_norm: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    max_norm: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    user_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    metric: str = "ndcg@20"
    patience: Annotated[int, Field(ge=1)] = 10
    eval_every: Annotated[int, Field(ge=1)] = 1
    seed: Annotated[int, Field(ge=0)] = 0
    device: str = "cpu"
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    kernel: str = "auto"
    found: dict[str, str] = {}

    @classmethod
    def of(cls, **fields: Any) -> Run:
        """A checked run; a wrong key or value raises :class:`UsageError` with what is accepted.

        >>> Run.of(lr=0)
        Traceback (most recent call last):
            ...
        taurec.errors.UsageError: lr: input should be greater than 0; got 0
        """
        for name in fields:
            if name not in cls.model_fields:
                raise UsageError(f"a run has no field {name!r}{did_you_mean(name, cls.model_fields)}")
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UsageError(f"{where}: {first['msg'].lower()}; got {first['input']!r}") from None

    def but(self, **fields: Any) -> Run:
        """This run with other values in some fields, checked again; another split clears ``data_hash``.

        The parts of its model get the same data, device and threads, and their seeds move with the seed.

        >>> Run.of(data_hash="0a1b").but(seed=0).data_hash, Run.of(data_hash="0a1b").but(seed=1).data_hash
        ('0a1b', '')
        """
        kept = {name: getattr(self, name) for name in Run.model_fields}
        if any(name in _DIVIDES and value != kept[name] for name, value in fields.items()):
            kept["data_hash"] = ""
        if fields.get("loss", self.loss) != self.loss:
            kept["found"] = {}
        if "model" not in fields and self.parts:
            kept["model"] = self._made_of([part._as_part(fields, self.seed) for part in self.parts])
        return Run.of(**{**kept, **fields})

    def _as_part(self, fields: Mapping[str, Any], seed: int) -> Run:
        """This run as a part of one that gets other values; a seed moves by as much as that of the whole, ``seed``."""
        shared = {name: value for name, value in fields.items() if name in SHARED_BY_PARTS}
        return self.but(**shared, seed=max(self.seed + int(fields.get("seed", seed)) - seed, 0))

    def with_parts(self, parts: Sequence[Run]) -> Run:
        """The run of a model made of others, with other parts."""
        return self.but(model=self._made_of(parts))

    def _made_of(self, parts: Sequence[Run]) -> Choice:
        assert self.model is not None
        documents = [part.model_dump(mode="json") for part in parts]
        return self.model.model_copy(update={"settings": {**self.model.settings, "parts": tuple(documents)}})

    @property
    def parts(self) -> tuple[Run, ...]:
        """The runs of the models that ``model`` is made of, its setting ``parts``; empty for all others."""
        documents = self.model.settings.get("parts", ()) if self.model else ()
        return tuple(Run.from_document(document) for document in documents)

    @property
    def trained(self) -> bool:
        """Whether it is trained with a loss, or a part of it is."""
        return self.model is None or any(part.trained for part in self.parts)

    @property
    def label(self) -> str:
        """Short name for tables: ``ease``, ``mf:bsl`` or ``blend:ease+mf:bsl``."""
        if self.model is None:
            return f"{self.backbone.label}:{self.loss.label}"
        parts = "+".join(part.label for part in self.parts)
        return f"{self.model.label}:{parts}" if parts else self.model.label

    @property
    def text(self) -> str:
        """The model with its settings: ``ease(l2=50.0)``, ``mf(dim=64):sl(tau=0.1)``, and of a blend also its parts."""
        if self.model is None:
            return f"{self.backbone.text}:{self.loss.text}"
        own = Choice(name=self.model.name, settings={k: v for k, v in self.model.settings.items() if k != "parts"})
        parts = " + ".join(part.text for part in self.parts)
        return f"{own.text} of {parts}" if parts else own.text

    @classmethod
    def from_document(cls, content: Mapping[str, Any]) -> Run:
        """The run of the fields of a ``run.json``; earlier spellings (:data:`RENAMED`) are read with a warning.

        No code is imported.
        """
        fields = {k: v for k, v in content.items() if k not in ("taurec", "kernels")}
        for old in RENAMED.keys() & fields.keys():
            warnings.warn(f"the field {old!r} of a run is now {RENAMED[old]!r}", FutureWarning, stacklevel=2)
            fields[RENAMED[old]] = fields.pop(old)
        return cls.of(**fields)

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"

    @classmethod
    def from_json(cls, path: Path) -> Run:
        """The run written by :meth:`to_json`; a file that is not one is an :class:`ArtefactError`."""
        try:
            return cls.from_document(json.loads(path.read_text()))
        except OSError as error:
            raise ArtefactError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise ArtefactError(f"{path}: not a run of this version: {error}") from None
