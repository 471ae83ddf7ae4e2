"""Encoders: texts to vectors, with a language model or without one."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from taurec import draw, notices
from taurec.errors import ArtefactError, UsageError
from taurec.registry import Registry

Vectors = NDArray[np.float32]


class Encoder(Protocol):
    """Turns n texts into an array [n, d]: any callable does. Equal texts get equal vectors.

    Only the directions of the vectors are used. A vector of zeros, or a text that is empty, means that nothing is
    known of the item.
    """

    def __call__(self, texts: Sequence[str], /) -> Vectors: ...


@dataclass(frozen=True)
class TfIdf:
    """TF-IDF of character n-grams, reduced by a truncated SVD; no language model.

        x_tg = (1 + log tf_tg) (1 + log((1 + n) / (1 + df_g))), of length 1;    X ~ U S V',    vectors U S

    N-grams are taken within words, lower case, with a blank on both ends of a word. Since words are separated by blanks
    alone, names such as ``libfoo-dev`` are one word whose parts still count.

    Args:
        dim: numbers of a vector, at most.
        shortest, longest: characters of an n-gram.
    Returns: [n, d] float32 with d = dim, or less where there are fewer texts or n-grams. Same texts in the same order
        give the same bits.
    Raises: UsageError for settings out of range, or if scikit-learn is not installed.
    Source: latent semantic analysis, Deerwester et al., JASIS 1990; weights as in scikit-learn's TfidfVectorizer.

    >>> vectors = TfIdf(dim=2)(["libssl-dev", "libssl-doc", "gimp-data", "gimp-help"])
    >>> unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    >>> (unit @ unit.T > 0.9)[0].tolist()
    [True, True, False, False]
    """

    dim: int = 64
    shortest: int = 2
    longest: int = 4

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise UsageError(f"tfidf: dim must be at least 1, got {self.dim}; 64 is usual")
        if not 1 <= self.shortest <= self.longest:
            raise UsageError(
                f"tfidf: n-grams of {self.shortest} to {self.longest} characters; shortest must be at least 1 and at "
                f"most longest"
            )

    def __call__(self, texts: Sequence[str], /) -> Vectors:
        _require("sklearn", "scikit-learn", "tfidf")
        from scipy.sparse.linalg import svds
        from sklearn.feature_extraction.text import TfidfVectorizer

        lengths = self.shortest, self.longest
        how = TfidfVectorizer(analyzer="char_wb", ngram_range=lengths, sublinear_tf=True, dtype=np.float64)
        try:
            weights = how.fit_transform(texts)
        except ValueError:  # no n-gram in any text
            return np.zeros((len(texts), 1), dtype=np.float32)
        d = min(self.dim, min(weights.shape) - 1)
        if d < 1:
            return np.asarray(weights.toarray(), dtype=np.float32)
        start = draw.normal(draw.key(0, "svd"), [0], min(weights.shape))[0]
        u, s, _ = svds(weights, k=d, v0=start)
        found: Vectors = (u[:, ::-1] * s[::-1]).astype(np.float32)
        found[np.diff(weights.indptr) == 0] = 0.0
        return found


@dataclass(frozen=True)
class SentenceEncoder:
    """A model of the sentence-transformers library, by the name or the folder of the model.

    Args:
        model: a folder, or a name that the library finds in its cache or downloads, such as ``all-MiniLM-L6-v2``.
        batch_size: texts encoded at a time; it changes the time and may change the last bits.
        prompt: text put before each text, for models that ask for one.
    Returns: [n, d] float32 with d of the model. The same machine and versions give the same bits.
    Raises: UsageError for no model, or if sentence-transformers is not installed; ArtefactError for a model that cannot
        be loaded.
    Source: Reimers and Gurevych, EMNLP 2019, arXiv 1908.10084.
    """

    model: str = ""
    batch_size: int = 64
    prompt: str = ""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UsageError(f"sentence: batch_size must be at least 1 text, got {self.batch_size}")

    def __call__(self, texts: Sequence[str], /) -> Vectors:
        if not self.model:
            raise UsageError(
                "the encoder 'sentence' needs a model and none is given; write sentence:FOLDER or sentence:NAME, for "
                "example sentence:all-MiniLM-L6-v2"
            )
        _require("sentence_transformers", "sentence-transformers", "sentence")
        from sentence_transformers import SentenceTransformer

        try:
            with _no_progress_bars():
                model = SentenceTransformer(self.model, device="cpu")
        except (OSError, ValueError) as error:
            raise ArtefactError(
                f"the sentence-transformers model {self.model!r} cannot be loaded ({str(error).splitlines()[0]}); give "
                f"the folder of a model, or a name that can be downloaded"
            ) from error
        given = [self.prompt + text for text in texts]
        with _told(model, self.batch_size, len(given)):
            found = model.encode(given, batch_size=self.batch_size, show_progress_bar=False, convert_to_numpy=True)
        vectors: Vectors = np.asarray(found, dtype=np.float32)
        return vectors


ENCODERS: Registry[Encoder] = Registry(
    "encoder",
    {"tfidf": TfIdf, "sentence": SentenceEncoder},
    group="taurec.encoders",
    members=frozenset({"__call__"}),
)
"""Encoders by the name that the setting ``encoder`` of a sampler takes: ``tfidf:128``, ``sentence:FOLDER``, or the
``module:Class`` of one from outside."""


@contextlib.contextmanager
def _told(model: nn.Module, batch_size: int, texts: int) -> Iterator[None]:
    """Within the block the progress of the model is logged, by its batches: in smaller parts the bits might differ."""
    tell, batches = notices.Steps("texts encoded", texts), itertools.count(1)
    first = next(model.children(), model)
    handle = first.register_forward_hook(lambda *_: tell(next(batches) * batch_size))
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Within the block transformers shows none, as when it reads the weights of a model."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _require(module: str, package: str, encoder: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UsageError(
            f"{package} is not installed, which the encoder {encoder!r} needs; pip install 'taurec[semantic]'"
        )
