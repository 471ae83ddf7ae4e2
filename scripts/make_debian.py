"""Make the built-in log `debian` from the package index that `apt-cache dumpavail` prints.

    apt-get update && python scripts/make_debian.py            # run apt-cache itself
    python scripts/make_debian.py dumpavail.txt --date 2026-01-31
    apt-cache dumpavail | python scripts/make_debian.py - --counts

A user is a source package (`Source:` without its version, else `Package:`) that the archive offers
(its paragraph has a `Filename:`). An item is a binary package that one of its binary packages names in
`Depends:`, `Pre-Depends:` or `Recommends:`: the first of alternatives `a | b`, without version and
architecture. The source's own binary packages are left out, and so are names that stand for no package
of the index (virtual packages and ABI names such as `perlapi-5.36.0`). Then the 5-core is taken.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from taurec.data.interactions import Interactions
from taurec.data.vocabulary import Vocabulary

FIELDS = ("Depends", "Pre-Depends", "Recommends")
CORE = 5
OUT = Path(__file__).parents[1] / "src" / "taurec" / "data"

Stanza = dict[str, str]


def stanzas(lines: Iterable[str]) -> Iterator[Stanza]:
    """The paragraphs of a Debian control file: field name -> value, continuation lines joined."""
    fields: Stanza = {}
    name = ""
    for line in lines:
        line = line.rstrip("\n")
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif line[0] in " \t":
            fields[name] += " " + line.strip()
        else:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    if fields:
        yield fields


def source(stanza: Stanza) -> str:
    """The source package of a binary one, without the version that may follow in brackets."""
    return stanza.get("Source", stanza["Package"]).split()[0]


def needed(relation: str) -> Iterator[str]:
    """The first alternative of each entry of a dependency field.

    >>> list(needed("libc6 (>= 2.34), python3:any | python3.11, foo [amd64] <!nocheck>"))
    ['libc6', 'python3', 'foo']
    """
    for entry in relation.split(","):
        name = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9+.\-]*)", entry)
        if name:
            yield name[1]


def pairs(index: list[Stanza], fields: tuple[str, ...] = FIELDS, virtual: bool = False) -> set[tuple[str, str]]:
    """(source package, needed binary package), before the core is taken."""
    known = {s["Package"] for s in index}
    own = {(source(s), s["Package"]) for s in index}
    found = {
        (source(s), name)
        for s in index
        if "Filename" in s
        for field in fields
        for name in needed(s.get(field, ""))
        if virtual or name in known
    }
    return found - own


def core(found: set[tuple[str, str]], k: int = CORE) -> Interactions:
    """The k-core as a log with both vocabularies in alphabetical order."""
    frame = pl.DataFrame(sorted(found), schema=["user", "item"], orient="row")
    ids = {column: frame[column].unique().sort() for column in ("user", "item")}
    user, item = (frame[c].cast(pl.Enum(ids[c])).to_physical().cast(pl.Int64).to_numpy() for c in ("user", "item"))
    log = Interactions.from_pairs(user, item, Vocabulary(ids["user"]), Vocabulary(ids["item"]))
    return log.k_core(k)


def release(index: list[Stanza]) -> str:
    """The Debian release, from the version of base-files: ``12.4+deb12u15`` is Debian 12, update 15."""
    version = next((s["Version"] for s in index if s["Package"] == "base-files"), "")
    match = re.match(r"(\d+)[^+]*(?:\+deb\d+u(\d+))?", version)
    return f"{match[1]}.{match[2] or 0}" if match else "unknown"


def architecture(index: list[Stanza]) -> str:
    """The architecture of the index."""
    return next((s["Architecture"] for s in index if s.get("Architecture", "all") != "all"), "all")


def write(log: Interactions, index: list[Stanza], date: str, out: Path) -> dict[str, object]:
    """Write ``debian.parquet`` (columns user, item, sorted) and ``debian.json`` (its origin)."""
    origin: dict[str, object] = {
        "name": "debian",
        "title": "Which packages does software like yours need?",
        "date": date,
        "release": f"Debian {release(index)}",
        "architecture": architecture(index),
        "origin": "package index of the Debian archive (main, with updates), as `apt-cache dumpavail` prints it",
        "made_by": "scripts/make_debian.py",
        "user": "Debian source package",
        "item": f"binary package named in its {', '.join(FIELDS)} (first alternative, own packages left out)",
        "core": CORE,
        "users": log.n_users,
        "items": log.n_items,
        "pairs": len(log),
        "licence": "names of packages and which names which: facts from the freely redistributable Debian archive; "
        "no package, description or other text of it is included",
    }
    frame = pl.DataFrame(
        {"user": log.users.ids.gather(log.user_of), "item": log.items.ids.gather(np.asarray(log.indices))}
    )
    buffer = io.BytesIO()
    frame.write_parquet(
        buffer, compression="zstd", compression_level=19, statistics=False, metadata={"origin": json.dumps(origin)}
    )
    content = buffer.getvalue()
    origin["sha256"] = hashlib.sha256(content).hexdigest()
    (out / "debian.parquet").write_bytes(content)
    (out / "debian.json").write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
    return origin | {"bytes": len(content)}


def counts(index: list[Stanza]) -> Iterator[str]:
    """The sizes of the log under other definitions, one line each."""
    for fields in (("Depends",), ("Depends", "Recommends"), FIELDS):
        for virtual in (False, True):
            log = core(pairs(index, fields, virtual))
            yield (
                f"{'+'.join(fields):36} {'with' if virtual else 'without'} virtual names: "
                f"{log.n_users} users, {log.n_items} items, {len(log)} pairs"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", nargs="?", help="output of apt-cache dumpavail, '-' for standard input")
    parser.add_argument("--date", help="day the index was fetched, YYYY-MM-DD (default: today, or the file's day)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to (default: the package)")
    parser.add_argument("--counts", action="store_true", help="only print the sizes under several definitions")
    args = parser.parse_args()
    now = datetime.now(UTC)
    if args.index is None:
        text = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True).stdout.decode("utf-8")
    elif args.index == "-":
        text = sys.stdin.buffer.read().decode("utf-8")
    else:
        text = Path(args.index).read_text(encoding="utf-8")
        now = datetime.fromtimestamp(Path(args.index).stat().st_mtime, UTC)
    index = list(stanzas(text.split("\n")))
    if not index or any("Package" not in stanza for stanza in index):
        parser.error("this is no package index; give what `apt-cache dumpavail` prints after `apt-get update`")
    if args.counts:
        print(*counts(index), sep="\n")
        return
    print(json.dumps(write(core(pairs(index)), index, args.date or f"{now:%Y-%m-%d}", args.out), indent=2))


if __name__ == "__main__":
    main()
