"""The named data sets: sizes, public homes and pins, as one table.

A file is pinned by the SHA-256 of its content or by its git blob id in the public repository.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from taurec.data.download import Pin


@dataclass(frozen=True)
class Part:
    """One file of a data set.

    Attributes:
        part: ``train``, ``valid``, ``test``, or ``log`` where no split is given.
        file: its name in the folder of the set.
        pin: its content.
        url: its public home, or None for a member of the set's archive.
    """

    part: str
    file: str
    pin: Pin
    url: str | None = None


@dataclass(frozen=True)
class Archive:
    """The archive that holds the files of a set; without a pin its members' pins decide."""

    file: str
    url: str
    pin: Pin | None = None


@dataclass(frozen=True)
class Dataset:
    """A named set: what it is and how its files are recognised.

    Attributes:
        name: also the name of its folder under ``TAUREC_DATA`` and in the cache.
        about: one line for a list.
        users, items: sizes over all parts.
        train, valid, test: pairs of each part; ``train`` counts the whole log where no split is given.
        home: where it comes from, for people and records.
        parts: its files; empty for a set that comes with the package.
        archive: the archive they are members of, if any.
        format: how the files are read (a name of ``taurec.data.formats``).
    """

    name: str
    about: str
    users: int
    items: int
    train: int
    home: str
    valid: int = 0
    test: int = 0
    parts: tuple[Part, ...] = ()
    archive: Archive | None = None
    format: str | None = None

    @property
    def given_split(self) -> bool:
        """Whether the set comes cut into training and test."""
        return self.test > 0


def _raw(repository: str, commit: str, path: str) -> str:
    return f"https://raw.githubusercontent.com/{repository}/{commit}/{path}"


def _from_github(repository: str, commit: str, folder: str, **pins: Pin) -> tuple[str, tuple[Part, ...]]:
    """The home and the parts of a set whose files ``PART.txt`` lie in one folder of a repository."""
    parts = (Part(p, f"{p}.txt", pin, _raw(repository, commit, f"{folder}/{p}.txt")) for p, pin in pins.items())
    return f"github.com/{repository} @ {commit[:12]}, {folder}", tuple(parts)


def _sha(digest: str) -> Pin:
    return Pin("sha256", digest)


def _git(digest: str) -> Pin:
    return Pin("git", digest)


_LIGHTGCN = ("gusye1234/LightGCN-PyTorch", "947ca2b3b1d2d3545b114145710cb06c4e57b3d2")
_MIXGCF = ("huangtinglin/MixGCF", "e659f4a3c0b20a9fb1b45fcc62cf7984db9961ba")
_ADAP_TAU = ("junkangwu/Adap_tau", "9328cf6681351a5bafa5be47b1d812092855a778", "data/ml_dataset.tar.gz")
_TALOS = ("cynthia-shengjia/WWW-2026-Talos", "a6b3f89a7ed505c34a16159690d9f36b70737851")
_BEAUTY = "normal_data/IID_Data_Used/Beauty"
_IR_BENCHMARK = (
    "Tiny-Snow/IR-Benchmark-Dataset",
    "18bbbe892301c6013579ae70f3cab9d666878e23",
    "data_iid/amazon2014-electronic/proc.zip",
)


def _table() -> tuple[Dataset, ...]:
    yelp, yelp_parts = _from_github(
        *_LIGHTGCN,
        "data/yelp2018",
        train=_sha("1e9568725a9e833d0ac3bae01c94cd95367f73b3bb6104fd26b5f65ea5054093"),
        test=_sha("9cd9b37926cd1447a06625ffa7914527573fb097c10cb0bbdb1d1b8ded3742fe"),
    )
    gowalla, gowalla_parts = _from_github(
        *_LIGHTGCN,
        "data/gowalla",
        train=_sha("7244696fdeb23911319cf7b689f2e15a3c4c92549c873a5677b44e3f13cc3e62"),
        test=_sha("099a2a73924e4b754dc6efd730d764f492321b53c38eb93298850c83acf57be3"),
    )
    book, book_parts = _from_github(
        *_LIGHTGCN,
        "data/amazon-book",
        train=_git("6ef55159c5f1fd7f6d86eb9ff290d0cc2854ac99"),
        test=_git("09e5da4e0bf46c751c4ba0f4375e414fd13512cd"),
    )
    amazon, amazon_parts = _from_github(
        *_MIXGCF,
        "data/amazon",
        train=_git("b928a73a6ca34b744da27ae8bde3ee1b477bc54f"),
        valid=_git("3a53768ee9a561a7f3cbc7f1851cf086ad5c3ca0"),
        test=_git("fc1ccc9de86037705b56d7b9601257540c07377a"),
    )
    return (
        Dataset(
            "debian",
            "which packages software needs: Debian source packages x binary packages (comes with TauRec)",
            users=10_842,
            items=3_739,
            train=115_846,
            home="package index of Debian 12, made by scripts/make_debian.py",
        ),
        Dataset(
            "planted",
            "a generated world with known tastes, for tests only (comes with TauRec)",
            users=200,
            items=100,
            train=4_800,
            home="taurec.data.planted.planted()",
            test=200,
        ),
        Dataset(
            "yelp2018",
            "businesses people visited; the split of NGCF, LightGCN, SimpleX and BSL",
            users=31_668,
            items=38_048,
            train=1_237_259,
            home=yelp,
            test=324_147,
            parts=yelp_parts,
            format="lightgcn",
        ),
        Dataset(
            "gowalla",
            "places people checked in at; the split of NGCF, LightGCN and SimpleX",
            users=29_858,
            items=40_981,
            train=810_128,
            home=gowalla,
            test=217_242,
            parts=gowalla_parts,
            format="lightgcn",
        ),
        Dataset(
            "movielens-1m",
            "films people rated, all ratings as positives; the split of the BSL authors",
            users=6_022,
            items=3_043,
            train=796_244,
            home=f"github.com/{_ADAP_TAU[0]} @ {_ADAP_TAU[1][:12]}, {_ADAP_TAU[2]}",
            test=99_455,
            parts=(
                Part("train", "train.txt", _sha("31fe589506162c76c90e87ddd017642f73655a3f959bd70deec8dda142608f4e")),
                Part("test", "test.txt", _sha("c8b4f275ea29fdb5560f0d9014d85a3865743f3089dca0259c79fee30dcdbdcd")),
            ),
            archive=Archive("ml_dataset.tar.gz", _raw(*_ADAP_TAU), _git("50879903542e229dbf95328fd97a94705d280165")),
            format="lightgcn",
        ),
        Dataset(
            "amazon-electronics",
            "electronics people rated 3 or more (2014), 10-core; the split of PSL and SL@K",
            users=13_455,
            items=8_360,
            train=182_398,
            home=f"github.com/{_IR_BENCHMARK[0]} @ {_IR_BENCHMARK[1][:12]}, {_IR_BENCHMARK[2]}",
            test=52_123,
            parts=(
                Part("train", "train.tsv", _sha("2f3f8287d90ec81896d8eb5a1fe4faed6d0feb516cc6560c6c5f99cc960770c3")),
                Part("test", "test.tsv", _sha("7a8a5936c1ceec34c531ca2bed925250a3ff0d8596fc3bb95e99bf5a90715d85")),
            ),
            archive=Archive("proc.zip", _raw(*_IR_BENCHMARK), _git("7a78a6ca09e2be63bf08bf8ba0be045dbecd2154")),
            format="tsv",
        ),
        Dataset(
            "amazon-beauty",
            "beauty products people rated, 5-core; the split of Talos, with its validation part",
            users=15_603,
            items=8_692,
            train=87_688,
            home=f"github.com/{_TALOS[0]} @ {_TALOS[1][:12]}, {_BEAUTY}",
            valid=18_394,
            test=33_472,
            parts=tuple(
                Part(part, file, _sha(digest), _raw(*_TALOS, f"{_BEAUTY}/{file}"))
                for part, file, digest in (
                    ("train", "train_data.txt", "2b85bfa1d00e711d4d2e7102f96e46cf900032d8b5022a97f63eb8b58d6e1823"),
                    ("valid", "valid_data.txt", "8a449b9e9f5eb18070d7b52399b107e9a456eeb1e978815dccef1b18bc25cfe0"),
                    ("test", "test.txt", "61704ebf6c3ada0af7e9429ba5f96b801e1bb0daf5d70daf4fd3442802d3cda6"),
                )
            ),
            format="lightgcn",
        ),
        Dataset(
            "ml-100k",
            "films people rated, with times and ratings: a raw log, no split",
            users=943,
            items=1_682,
            train=100_000,
            home="GroupLens, ml-100k.zip",
            parts=(Part("log", "u.data", _sha("06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490")),),
            archive=Archive("ml-100k.zip", "https://files.grouplens.org/datasets/movielens/ml-100k.zip"),
            format="u.data",
        ),
        Dataset(
            "amazon-book",
            "books people rated; the split of NGCF, LightGCN and SimpleX",
            users=52_643,
            items=91_599,
            train=2_380_730,
            home=book,
            test=603_378,
            parts=book_parts,
            format="lightgcn",
        ),
        Dataset(
            "amazon",
            "the fourth set of BSL, with a validation part; item ids start behind the users'",
            users=192_403,
            items=63_001,
            train=1_368_000,
            home=amazon,
            valid=152_255,
            test=168_933,
            parts=amazon_parts,
            format="lightgcn",
        ),
    )


DATASETS: Mapping[str, Dataset] = MappingProxyType({dataset.name: dataset for dataset in _table()})
"""The named data sets: where each one comes from, its sizes and the digests of its files."""
