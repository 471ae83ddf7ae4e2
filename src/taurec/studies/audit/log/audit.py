"""The audit of a log: everything that casts doubt on its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taurec.data.interactions import Interactions
from taurec.data.lookalikes import alike_groups
from taurec.errors import UsageError
from taurec.studies.audit.log import tables
from taurec.studies.audit.log.bots import Bots, bots
from taurec.studies.audit.log.bursts import Bursts, bursts
from taurec.studies.audit.log.crossfit import CrossFit, cross_fit
from taurec.studies.audit.log.recovery import Recovery
from taurec.studies.audit.log.shares import Shares, chance, shares
from taurec.studies.audit.log.suspects import Suspects, suspects
from taurec.studies.names import Names
from taurec.studies.result import Figure, Part, Result, Table
from taurec.studies.words import count

CLEAN = 0.05
"""A log with a smaller share of rows that look like chance is clean enough: losses for noise differ little there."""

REPEATED = 0.01
FROM_BOTS = 0.01
FROM_BURSTS = 0.05
SHOWN = 20
"""Suspects and ids in the document."""


@dataclass(frozen=True, eq=False)
class LogAudit(Result):
    """The result of the audit of a log.

    Attributes:
        name: of the log.
        log: the log.
        fit: how plausible each row is.
        shares: the estimates; None where there are none, and ``no_shares`` says why.
        alike_users, alike_items: groups of ids that differ only in spelling: (kind of difference, raw ids).
        suspects: the rows, ranked.
        weights: [P] BSL's weight of each row, if requested.
        recovery: how well injected rows are found, if it was measured.
        names: what to write for ids.
        config: the settings.
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
    alike_users: tuple[tuple[str, tuple[str, ...]], ...]
    alike_items: tuple[tuple[str, tuple[str, ...]], ...]
    suspects: Suspects
    weights: NDArray[np.float64] | None = None
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
    def problems(self) -> tuple[str, ...]:
        """What is wrong, one sentence each; empty if the log is clean enough."""
        return tuple(_problems(self))

    def verdict(self) -> list[str]:
        if self.problems:
            return ["Look at: " + "; ".join(self.problems) + "."]
        if self.shares is None:
            return [f"Nothing odd was found, but the share of false positives is unknown: {self.no_shares}."]
        upper = self.shares.false_positives
        return [f"Clean enough: at most {upper.mean:.1%} of the rows look like chance, and nothing else stands out."]

    def suspect_rows(self, n: int | None = None) -> pl.DataFrame:
        """The first n suspects, all by default, with BSL's weights if requested."""
        more = {} if self.weights is None else {"bsl_weight": self.weights}
        return self.suspects.frame(n, self.names, more)

    def document(self) -> dict[str, Any]:
        user, item = self.names.user, self.names.item
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
                "users": self.bursts.users,
                "rows": int(self.bursts.rows.sum()),
                "usual": self.bursts.usual,
                "skipped": self.bursts.skipped,
            },
            "bots": {
                **self.bots.document(),
                "ids": [user(raw) for raw in self.log.users.decode(np.flatnonzero(self.bots.users)[:SHOWN])],
            },
            "alike_users": [{"by": by, "ids": [user(i) for i in ids]} for by, ids in self.alike_users[:SHOWN]],
            "alike_items": [{"by": by, "ids": [item(i) for i in ids]} for by, ids in self.alike_items[:SHOWN]],
            "shares": None if self.shares is None else self.shares.document(),
            "no_shares": self.no_shares,
            "suspects": self.suspect_rows(SHOWN).to_dicts(),
            "recovery": None if self.recovery is None else self.recovery.document(),
        }


def audit_log(
    log: Interactions,
    name: str = "(in memory)",
    *,
    judge: str | None = None,
    folds: int = 5,
    seed: int = 0,
    weights: NDArray[np.float64] | None = None,
    names: Names | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> LogAudit:
    """Find duplicates, bursts, bot-like users and ids that look alike, and estimate the share of random rows.

    Args:
        name: of the log.
        judge, folds, seed: as for :func:`taurec.studies.audit.log.crossfit.cross_fit`.
        weights: [P] BSL's weights (:func:`taurec.studies.audit.log.weights.bsl_weights`), to be shown.
        names: what to write for ids; the ids themselves by default.
        on_progress: called with a line of text before each fit.
    Raises: UsageError for what ``cross_fit`` refuses.

    >>> from taurec.data.planted import planted
    >>> found = audit_log(planted(n_users=300, n_items=100, per_user=12, noise=0.2, seed=1).log, judge="itemknn")
    >>> found.verdict()
    ['Look at: at most 20% of the rows look like chance.']
    """
    fit = cross_fit(log, judge, folds=folds, seed=seed, on_progress=on_progress)
    estimated, why = None, ""
    try:
        estimated = shares(log, fit, seed=seed)
    except UsageError as error:
        why = str(error)
    found_bursts, found_bots = bursts(log), bots(log, fit)
    alike_users, alike_items = (
        tuple((by, tuple(ids.gather(at).to_list())) for by, at in alike_groups(ids))
        for ids in (log.users.ids, log.items.ids)
    )
    ranked = suspects(log, fit, None if estimated is None else chance(fit, estimated), found_bursts, found_bots)
    return LogAudit(
        name, log, fit, estimated, why, found_bursts, found_bots, alike_users, alike_items, ranked, weights,
        names=names or Names(),
    )  # fmt: skip


def _problems(found: LogAudit) -> list[str]:
    said = []
    log = found.log
    if found.shares is not None and found.chance_rows:
        said.append(f"at most {found.shares.false_positives.mean:.0%} of the rows look like chance")
    if log.merged > REPEATED * found.rows:
        said.append(f"{log.merged:,} of {found.rows:,} rows ({log.merged / found.rows:.0%}) repeat a pair")
    of_bots = int(log.user_counts[found.bots.users].sum())
    if of_bots > FROM_BOTS * len(log):
        users = count(int(found.bots.users.sum()), "bot-like user")
        said.append(f"{users} with {of_bots:,} rows ({of_bots / len(log):.0%})")
    if (fast := int(found.bursts.rows.sum())) > FROM_BURSTS * len(log):
        said.append(f"{fast:,} rows ({fast / len(log):.0%}) came in bursts")
    for what, groups in (("user", found.alike_users), ("item", found.alike_items)):
        if groups:
            n = sum(len(ids) for _, ids in groups)
            said.append(f"{n:,} {what} ids differ from another only in spelling")
    return said
