"""The audit of a log: duplicates, bursts, bot-like users, and rows that look like chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import polars as pl

from taurec.data.interactions import Index, Interactions
from taurec.data.lookalikes import alike_groups
from taurec.errors import UsageError
from taurec.studies.audit.log import tables
from taurec.studies.audit.log.crossfit import CrossFit, Floats, cross_fit
from taurec.studies.audit.log.flags import Bots, Bursts, Flags, bots, bursts
from taurec.studies.audit.log.recovery import Recovery
from taurec.studies.audit.log.shares import Shares, chance, shares
from taurec.studies.names import Names
from taurec.studies.opening import silent
from taurec.studies.result import Figure, Part, Result, Table
from taurec.studies.words import count

CLEAN = 0.05
"""A log with a smaller share of rows that look like chance is clean enough: there, robust losses differ little."""
REPEATED, FROM_BOTS, FROM_BURSTS = 0.01, 0.01, 0.05
"""Shares of the rows above which these are a problem."""
SHOWN = 20
"""Suspects and ids in the document."""
WEIGHT: Mapping[str, float] = MappingProxyType({"bot-like": 0.5, "burst": 0.2, "activity": 0.1})
"""What a flag adds to the suspicion of a row: the probability that the row is meaningless if nothing else is known. Set
by hand, not estimated."""
MIN_SUSPICION = 0.1
"""A row below this suspicion is not a suspect: nine of ten like it are meaningful."""
UNEXPECTED = 0.5
"""Beyond this position the row's item counts as unexpected."""

Alike = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, eq=False)
class Suspects:
    """The suspicion of each row, with its reasons.

        suspicion = 1 - (1 - chance) prod_{flags f of the row} (1 - weight_f)

    ``chance`` is the estimated share of meaningless rows at the row's percentile
    (:func:`taurec.studies.audit.log.shares.chance`; 0 where unknown), the weights are :data:`WEIGHT`. Each flag raises
    the suspicion; none lowers it.

    Attributes:
        suspicion: [P] in [0, 1].
        percentile: [P] as in :class:`taurec.studies.audit.log.crossfit.CrossFit`; nan where not scored.
        flags: reason -> [P] bool.
        order: [P] rows, the most suspicious first; equal suspicion is ordered by percentile, then by position.
    """

    suspicion: Floats
    percentile: Floats
    flags: dict[str, Flags]
    order: Index

    @property
    def count(self) -> int:
        """The number of suspects: rows with a suspicion of at least :data:`MIN_SUSPICION`."""
        return int((self.suspicion >= MIN_SUSPICION).sum())

    def reasons(self, row: int) -> list[str]:
        """The flags of one row."""
        return [name for name, rows in self.flags.items() if rows[row]]


@dataclass(frozen=True, eq=False)
class LogAudit(Result):
    """The result of the audit of a log.

    Attributes:
        name: of the log.
        fit: how plausible each row is.
        shares: the estimates; None where there are none, and ``no_shares`` says why.
        alike_users, alike_items: groups of ids that differ only in spelling: (kind of difference, raw ids).
        suspects: the rows, ranked.
        weights: [P] BSL's weight of each row, if requested.
        recovery: how well injected rows are found, if it was measured.
        names: what to write for ids.
        next: command lines to continue with.
    """

    schema: ClassVar[str] = "taurec.audit.log/1"
    name: str
    log: Interactions
    fit: CrossFit
    shares: Shares | None
    no_shares: str
    bursts: Bursts
    bots: Bots
    alike_users: Alike
    alike_items: Alike
    suspects: Suspects
    weights: Floats | None = None
    recovery: Recovery | None = None
    names: Names = field(default_factory=Names)
    config: Mapping[str, Any] = field(default_factory=dict)
    next: tuple[str, ...] = ()

    def title(self) -> str:
        return f"Audit of {self.name}"

    def tables(self) -> list[Table]:
        return tables.tables(self)

    def figures(self) -> list[Figure]:
        return tables.figures(self)

    def parts(self) -> list[Part]:
        return tables.parts(self)

    def settings(self) -> Mapping[str, Any]:
        return self.config

    def commands(self) -> tuple[str, ...]:
        return self.next

    @property
    def rows(self) -> int:
        """The rows as they were read, repeats included."""
        return len(self.log) + self.log.merged

    @property
    def chance_rows(self) -> bool:
        """Whether more than :data:`CLEAN` of the rows look like chance, with 95 % confidence."""
        return self.shares is not None and (self.shares.false_positives.low or 0.0) > CLEAN

    @property
    def bot_rows(self) -> int:
        """The rows of bot-like users."""
        return int(self.log.user_counts[self.bots.users].sum())

    @property
    def alike(self) -> tuple[tuple[str, Alike, Callable[[str], str]], ...]:
        """(user or item, groups of ids that differ only in spelling, what to write for an id)."""
        return ("user", self.alike_users, self.names.user), ("item", self.alike_items, self.names.item)

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems of the log, each as a clause; empty if the log is clean enough."""
        log, said = self.log, []
        if self.shares is not None and self.chance_rows:
            said.append(f"at most {self.shares.false_positives.mean:.0%} of the rows look like chance")
        if log.merged > REPEATED * self.rows:
            said.append(f"{log.merged:,} of {self.rows:,} rows ({log.merged / self.rows:.0%}) repeat a pair")
        if self.bot_rows > FROM_BOTS * len(log):
            users = count(int(self.bots.users.sum()), "bot-like user")
            said.append(f"{users} with {self.bot_rows:,} rows ({self.bot_rows / len(log):.0%})")
        if (fast := int(self.bursts.rows.sum())) > FROM_BURSTS * len(log):
            said.append(f"{fast:,} rows ({fast / len(log):.0%}) came in bursts")
        for what, groups, _ in self.alike:
            if groups:
                n = sum(len(ids) for _, ids in groups)
                said.append(f"{n:,} {what} ids differ from another only in spelling")
        return tuple(said)

    def verdict(self) -> list[str]:
        if self.problems:
            return ["Problems found: " + "; ".join(self.problems) + "."]
        if self.shares is None:
            return [f"No problem was found, but the share of false positives is unknown: {self.no_shares}."]
        upper = self.shares.false_positives.mean
        return [f"Clean enough: at most {upper:.1%} of the rows look like chance, and no other problem was found."]

    def suspect_rows(self, n: int | None = None) -> pl.DataFrame:
        """The first n suspects, all by default, with BSL's weights if requested."""
        found = self.suspects
        rows = found.order[: found.count][:n]
        columns = {
            "user": pl.Series(self.names.users(self.log.users.decode(self.log.user_of[rows])), dtype=pl.String),
            "item": pl.Series(self.names.items(self.log.items.decode(self.log.indices[rows])), dtype=pl.String),
            "suspicion": pl.Series(found.suspicion[rows].round(4)),
            "percentile": pl.Series(found.percentile[rows].round(4)).fill_nan(None),
        }
        if self.weights is not None:
            columns["bsl_weight"] = pl.Series(self.weights[rows].round(4))
        columns["reasons"] = pl.Series(["; ".join(found.reasons(int(row))) for row in rows], dtype=pl.String)
        return pl.DataFrame(columns)

    def document(self) -> dict[str, Any]:
        bursts, bot_ids = self.bursts, self.log.users.decode(np.flatnonzero(self.bots.users)[:SHOWN])
        return {
            "source": self.name,
            "users": self.log.n_users,
            "items": self.log.n_items,
            "pairs": len(self.log),
            "verdict": " ".join(self.verdict()),
            "problems": list(self.problems),
            "clean": not self.problems and self.shares is not None,
            "duplicates": {"rows": self.rows, "repeated": self.log.merged, "exact": self.log.exact},
            "bursts": {
                "users": bursts.users,
                "rows": int(bursts.rows.sum()),
                "usual": bursts.usual,
                "skipped": bursts.skipped,
            },
            "bots": {
                "users": int(self.bots.users.sum()),
                "signs": {name: int(who.sum()) for name, who in self.bots.signs.items()},
                "skipped": self.bots.skipped,
                "ids": self.names.users(bot_ids),
            },
            **{
                f"alike_{what}s": [{"by": by, "ids": list(map(name, ids))} for by, ids in groups[:SHOWN]]
                for what, groups, name in self.alike
            },
            "shares": None if self.shares is None else asdict(self.shares),
            "no_shares": self.no_shares,
            "suspects": self.suspect_rows(SHOWN).to_dicts(),
            "recovery": None if self.recovery is None else asdict(self.recovery),
        }


def audit_log(
    log: Interactions,
    name: str = "(in memory)",
    *,
    judge: str | None = None,
    folds: int = 5,
    seed: int = 0,
    weights: Floats | None = None,
    names: Names | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> LogAudit:
    """Find duplicates, bursts, bot-like users and ids that look alike, and estimate the share of random rows.

    Args:
        name: of the log.
        judge, folds, seed: as for :func:`taurec.studies.audit.log.crossfit.cross_fit`.
        weights: [P] BSL's weights (:func:`taurec.studies.audit.log.recovery.bsl_weights`), to be shown.
        names: what to write for ids; the ids themselves by default.
        on_progress: called with a line of text before each fit.
    Raises: UsageError for what ``cross_fit`` refuses.

    >>> from taurec.data.planted import planted
    >>> found = audit_log(planted(n_users=300, n_items=100, per_user=12, noise=0.2, seed=1).log, judge="itemknn")
    >>> found.verdict()
    ['Problems found: at most 20% of the rows look like chance.']
    """
    fit = cross_fit(log, judge, folds=folds, seed=seed, on_progress=on_progress or silent)
    estimated, likely, why = None, np.zeros(len(log)), ""
    try:
        estimated = shares(log, fit, seed=seed)
        likely = chance(fit, estimated)
    except UsageError as error:
        why = str(error)
    fast, programs = bursts(log), bots(log, fit)
    users, items = (
        tuple((by, tuple(ids.gather(at).to_list())) for by, at in alike_groups(ids))
        for ids in (log.users.ids, log.items.ids)
    )
    ranked = _suspects(log, fit, likely, fast, programs)
    return LogAudit(
        name, log, fit, estimated, why, fast, programs, users, items, ranked, weights, names=names or Names()
    )


def _suspects(log: Interactions, fit: CrossFit, likely: Floats, fast: Bursts, programs: Bots) -> Suspects:
    bot = programs.users[log.user_of]
    flags = {
        "unexpected item": np.nan_to_num(fit.middle) > UNEXPECTED,
        "bot-like": bot,
        "burst": fast.rows,
        "activity": programs.signs["activity"][log.user_of] & ~bot,
    }
    left = 1 - np.nan_to_num(likely)
    for name, weight in WEIGHT.items():
        left = left * np.where(flags[name], 1 - weight, 1.0)
    suspicion = 1 - left
    return Suspects(suspicion, fit.middle, flags, np.lexsort([-np.nan_to_num(fit.middle), -suspicion]))
