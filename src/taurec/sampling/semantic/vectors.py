"""The texts of a catalogue and their vectors, computed once and kept by the hash of texts and encoder."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taurec import notices
from taurec.data.interactions import Interactions
from taurec.data.item_texts import read_item_texts
from taurec.errors import ArtefactError, DataError, ResourceError, UsageError
from taurec.sampling.semantic.encoders import ENCODERS, Encoder, Vectors

KEPT = 4
"""Sets of vectors that a process remembers, so that several fits encode the texts once."""


@dataclass(frozen=True)
class TextVectors:
    """The unit vectors of a catalogue's texts.

    Attributes:
        digest: SHA-256 of the encoder and of the texts in the order of the items.
        unit: [I, d] float32 of length 1; zeros for an item whose text says nothing.
        known: [I] whether the item has a vector.
    """

    digest: str
    unit: Vectors = field(compare=False, repr=False)

    @property
    def known(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.any(self.unit, axis=1)
        return found


def catalogue_texts(train: Interactions, path: str, item: str = "", columns: Sequence[str] = ()) -> tuple[str, ...]:
    """The texts of the items of a log: those of a file, or the item ids if no file is given.

    An item that the file does not have gets an empty text; how many have one is logged (:mod:`taurec.notices`).

    Raises: DataError if the file cannot be read, or has no text for any item of the log; UsageError if no file is given
        and no id has a letter, since numbers tell nothing of the items.

    >>> from taurec.data.vocabulary import Vocabulary
    >>> names = Vocabulary(["ann"]), Vocabulary(["libc6", "gimp"])
    >>> catalogue_texts(Interactions.from_pairs([0], [1], *names), "")
    ('libc6', 'gimp')
    """
    ids = train.items.ids.to_list()
    if not path:
        if not any(map(str.isalpha, "".join(ids))):
            raise UsageError(
                f"no texts of the items are given, and their ids cannot serve as texts: none of the {len(ids):,} has a "
                f"letter (the first is {ids[0]!r}); name a file with the id and the text of each item, as --set "
                f"negatives.texts=FILE, or --texts FILE of taurec negatives"
            )
        return tuple(ids)
    found = read_item_texts(path, item, columns)
    if not any(raw in found for raw in ids):
        raise DataError(
            f"{path}: none of its {len(found):,} items is in the training log; ids must be written as in the log, "
            f"which has for example {ids[0]!r}; the file has {next(iter(found))!r}"
        )
    texts = tuple(found.get(raw, "") for raw in ids)
    known = sum(1 for text in texts if text.strip())
    if not known:
        raise DataError(f"{path}: the text of each item of the training log is empty; name the columns of the texts")
    told = f"{path}: a text for {known:,} of {len(ids):,} items"
    if 2 * known < len(ids):
        notices.once(f"{told}; the others are not near to any item", logging.WARNING)
    else:
        notices.once(told)
    return texts


def encode(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """[n, d] the vectors of texts, brought to length 1; zeros where the text is empty.

    Raises: UsageError if the encoder returns another shape, or values that are not finite.

    >>> encode(lambda texts: np.array([[3.0, 4.0]] * len(texts)), ["a", ""]).round(4).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    given = np.asarray(encoder(texts))
    if given.ndim != 2 or len(given) != len(texts) or not given.shape[1] or given.dtype.kind not in "fiu":
        raise UsageError(
            f"an encoder must return an array [{len(texts)}, d] of numbers for {len(texts)} texts, got "
            f"{given.dtype} of shape {given.shape}"
        )
    vectors = given.astype(np.float64)
    if not np.isfinite(vectors).all():
        raise UsageError(f"the encoder returned {int((~np.isfinite(vectors)).sum())} values that are not finite")
    vectors[[not text.strip() for text in texts]] = 0.0
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.where(length > 0, length, 1.0)).astype(np.float32)
    return unit


@lru_cache(maxsize=KEPT)
def text_vectors(texts: tuple[str, ...], encoder: str, cache: str = "") -> TextVectors:
    """The vectors of a catalogue's texts by an encoder's name.

    Args:
        texts: one of each item.
        encoder: as in :data:`taurec.sampling.semantic.ENCODERS`, such as ``tfidf`` or ``sentence:FOLDER``.
        cache: a folder in which vectors are kept for later processes, in ``DIGEST.safetensors``; none if empty.
    Raises: UsageError for an unknown encoder, or one that gives zeros alone; ArtefactError for a broken file in the
        cache.
    """
    how = ENCODERS.build(encoder)
    hashed = hashlib.sha256(f"{encoder}\x1f{how!r}".encode())
    for text in texts:
        part = text.encode("utf-8", "surrogatepass")
        hashed.update(f"{len(part)}:".encode() + part)
    digest = hashed.hexdigest()
    path = Path(cache) / f"{digest[:32]}.safetensors"
    if cache and path.is_file():
        return TextVectors(digest, _read(path, len(texts)))
    notices.log.info("encoding %s texts by %s", f"{len(texts):,}", encoder)
    unit = encode(how, texts)
    if not unit.any():
        raise UsageError(f"the encoder {encoder!r} found nothing in any of the {len(texts):,} texts: all vectors are 0")
    if not cache:
        return TextVectors(digest, unit)
    _write(path, unit)
    return TextVectors(digest, _read(path, len(texts)))


def _write(path: Path, unit: Vectors) -> None:
    """Write the file completely or not at all; another process may write the same one."""
    from safetensors.numpy import save_file

    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"unit": np.ascontiguousarray(unit)}, part)
        os.replace(part, path)
    except OSError as error:
        raise ResourceError(
            f"{path.parent}: vectors cannot be kept there ({error.strerror}); choose another cache"
        ) from None


def _read(path: Path, n: int) -> Vectors:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        unit: Vectors = load_file(path)["unit"]
    except (SafetensorError, KeyError, OSError) as error:
        raise ArtefactError(
            f"{path}: not a file of vectors ({error}); delete it, and the next run writes a new one"
        ) from None
    if unit.ndim != 2 or len(unit) != n or unit.dtype != np.float32 or not np.isfinite(unit).all():
        raise ArtefactError(f"{path}: not the vectors of {n:,} texts; delete it, and the next run writes a new one")
    return unit
