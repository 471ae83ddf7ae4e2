"""Named data sets: finding each, and proving that it is that one and no other.

``debian`` and ``planted`` come with the package. The others are looked for in the folder ``TAUREC_DATA``,
then in the cache of the user, and else fetched from their public home; wherever a file is found, its
content is checked against its pin, so the same name never means other data. Their licences forbid
passing them on or are unclear, so none is shipped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from taurec.data import debian
from taurec.data.archive import extract_members
from taurec.data.datasets import DATASETS, Dataset
from taurec.data.download import Pin, Progress, fetch
from taurec.data.interactions import Interactions
from taurec.data.planted import planted
from taurec.errors import ArtefactError, ResourceError, UsageError, did_you_mean

__all__ = ["DATASETS", "Dataset", "NamedSet", "cache_folder", "load", "locate", "named", "read"]


@dataclass(frozen=True)
class NamedSet:
    """A named set, loaded.

    Attributes:
        name: its name in ``DATASETS``.
        train: the training part; the whole log where no split is given.
        valid, test: the other given parts, with the vocabularies of ``train``; None where not given.
        origin: where it comes from.
    """

    name: str
    train: Interactions
    valid: Interactions | None
    test: Interactions | None
    origin: str

    @property
    def given_split(self) -> bool:
        """Whether the set comes cut into training and test."""
        return self.test is not None


def locate(
    which: str | Dataset,
    allow_download: bool = True,
    progress: Progress | None = None,
    allow_loopback_http: bool = False,
) -> dict[str, Path]:
    """The checked files of a named set: part -> path. Empty for a set that comes with the package.

    Args:
        which: a name of ``DATASETS``, or a description of another set.
        allow_download: fetch what is in neither ``TAUREC_DATA`` nor the cache.
        progress, allow_loopback_http: as in :func:`taurec.data.download.fetch`.
    Raises:
        UsageError: an unknown name, or a ``TAUREC_DATA`` that is no folder.
        ArtefactError: a file that is not the pinned one; it is named, with both digests.
        ResourceError: not here, and it cannot or may not be fetched; says where to put the files.
    """
    dataset = which if isinstance(which, Dataset) else named(which)
    given = _given_folder()
    if given is not None and (paths := _present(dataset, given / dataset.name)):
        return _checked(dataset, paths, "put the public file there, or unset TAUREC_DATA")
    cache = cache_folder() / dataset.name
    if paths := _present(dataset, cache):
        return _checked(dataset, paths, "delete it, and it is fetched again")
    if not dataset.parts:
        return {}
    looked = f"looked in {cache}" if given is None else f"looked in {given / dataset.name}, then in {cache}"
    if not allow_download:
        files = ", ".join(part.file for part in dataset.parts)
        raise ResourceError(f"data set {dataset.name} is not here ({looked}); put {files} there, or allow the download")
    try:
        _download(dataset, cache, progress, allow_loopback_http)
    except ResourceError as error:
        raise ResourceError(f"data set {dataset.name} is not here ({looked}): {error}") from error
    return _checked(dataset, _present(dataset, cache), "delete it, and it is fetched again")


def load(name: str, allow_download: bool = True, progress: Progress | None = None) -> NamedSet:
    """A named set as interactions; raw ids stay as they stand in the files.

    Raises: as :func:`locate`.

    >>> load("debian").given_split, load("planted").given_split
    (False, True)
    """
    dataset = named(name)
    if name == "debian":
        return NamedSet(name, debian.load(), None, None, dataset.home)
    if name == "planted":
        world = planted()
        return NamedSet(name, world.log, None, world.withheld, dataset.home)
    return read(dataset, locate(dataset, allow_download, progress))


def read(dataset: Dataset, paths: Mapping[str, Path]) -> NamedSet:
    """The located files of a set as interactions; items that only occur in a later part are kept."""
    from taurec.data.parts import align, disjoint
    from taurec.data.readers import read_interactions, read_split

    if "log" in paths:
        return NamedSet(dataset.name, read_interactions(paths["log"], format=dataset.format), None, None, dataset.home)
    train, test = read_split(paths["train"], paths["test"], unknown="keep", format=dataset.format)
    valid = None
    if "valid" in paths:
        valid = read_interactions(paths["valid"], format=dataset.format)
        train, valid = align(train, valid, str(paths["valid"]), "keep", [])
        test = Interactions.from_pairs(test.user_of, test.indices, train.users, train.items)
        disjoint(train, valid, str(paths["train"]), str(paths["valid"]))
        disjoint(valid, test, str(paths["valid"]), str(paths["test"]))
    return NamedSet(dataset.name, train, valid, test, dataset.home)


def named(name: str) -> Dataset:
    """The description of a named set.

    >>> named("yelp2018").items
    38048
    """
    if name not in DATASETS:
        raise UsageError(f"unknown data set {name!r}{did_you_mean(name, DATASETS)}")
    return DATASETS[name]


def cache_folder() -> Path:
    """Where fetched sets are kept: ``TAUREC_CACHE``, else the usual cache folder of the platform."""
    if chosen := os.environ.get("TAUREC_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "taurec" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "taurec"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "taurec"


def _given_folder() -> Path | None:
    text = os.environ.get("TAUREC_DATA")
    if not text:
        return None
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise UsageError(f"TAUREC_DATA is {text!r}, which is no folder; name an existing one or unset it")
    return folder


def _present(dataset: Dataset, folder: Path) -> dict[str, Path]:
    """The paths of all parts, or nothing where one is missing."""
    paths = {part.part: folder / part.file for part in dataset.parts}
    return paths if all(path.is_file() for path in paths.values()) else {}


def _checked(dataset: Dataset, paths: dict[str, Path], remedy: str) -> dict[str, Path]:
    for part in dataset.parts:
        _check(paths[part.part], part.pin, dataset.name, remedy)
    return paths


def _check(path: Path, pin: Pin, name: str, remedy: str) -> None:
    try:
        got = pin.of(path)
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}") from error
    if got != pin.digest:
        raise ArtefactError(f"{path} is not a file of {name}: expected {pin}, got {got}; {remedy}")


def _download(dataset: Dataset, cache: Path, progress: Progress | None, loopback: bool) -> None:
    """Bring the files that are missing into the cache; one that is there is checked by the caller."""
    archive = dataset.archive
    if archive is None:
        for part in dataset.parts:
            if part.url is not None and not (cache / part.file).is_file():
                fetch(part.url, cache / part.file, part.pin, progress=progress, allow_loopback_http=loopback)
        return
    packed = cache / archive.file
    by_hand = packed.is_file()
    if not by_hand:
        fetch(archive.url, packed, archive.pin, progress=progress, allow_loopback_http=loopback)
    elif archive.pin is not None:
        _check(packed, archive.pin, dataset.name, "delete it, and it is fetched again")
    try:
        extract_members(packed, {part.file: part.pin for part in dataset.parts}, cache)
    finally:
        if not by_hand:
            packed.unlink(missing_ok=True)
