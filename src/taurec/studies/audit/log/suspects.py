"""The rows of a log ranked by how suspicious they are, each with its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taurec.data.interactions import Index, Interactions
from taurec.studies.audit.log.bots import Bots
from taurec.studies.audit.log.bursts import Bursts
from taurec.studies.audit.log.crossfit import CrossFit
from taurec.studies.names import Names

WEIGHT: Mapping[str, float] = MappingProxyType({"bot-like": 0.5, "burst": 0.2, "activity": 0.1})
"""What a flag adds to the suspicion of a row: the probability that the row is meaningless if nothing else is known. Set
by hand, not estimated."""

LEAST = 0.1
"""A row below this suspicion is not a suspect: nine of ten like it are meaningful."""

PLACE = 0.5
"""Beyond this position the row's item counts as unexpected."""


@dataclass(frozen=True, eq=False)
class Suspects:
    """The suspicion of each row, with its reasons.

    Attributes:
        suspicion: [P] in [0, 1].
        place: [P] as in :class:`taurec.studies.audit.log.crossfit.CrossFit`; nan where not scored.
        flags: reason -> [P] bool.
        order: [P] rows, the most suspicious first; equal suspicion is ordered by place, then by position.
    """

    log: Interactions
    suspicion: NDArray[np.float64]
    place: NDArray[np.float64]
    flags: dict[str, NDArray[np.bool_]]
    order: Index

    @property
    def count(self) -> int:
        """How many rows are suspects: those with suspicion of at least :data:`LEAST`."""
        return int((self.suspicion >= LEAST).sum())

    def reasons(self, row: int) -> list[str]:
        """The flags of one row."""
        return [name for name, rows in self.flags.items() if rows[row]]

    def frame(
        self,
        n: int | None = None,
        names: Names | None = None,
        more: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> pl.DataFrame:
        """The first n suspects, all by default, with the columns user, item, suspicion, place, reasons.

        Args:
            names: what to write for ids; the ids themselves by default.
            more: further columns, [P] each.
        """
        rows = self.order[: self.count][:n]
        shown = names or Names()
        users = shown.users(self.log.users.decode(self.log.user_of[rows]))
        items = shown.items(self.log.items.decode(self.log.indices[rows]))
        return pl.DataFrame(
            {
                "user": pl.Series(users, dtype=pl.String),
                "item": pl.Series(items, dtype=pl.String),
                "suspicion": self.suspicion[rows].round(4),
                "place": pl.Series(self.place[rows].round(4)).fill_nan(None),
                **{name: values[rows].round(4) for name, values in (more or {}).items()},
                "reasons": pl.Series(["; ".join(self.reasons(int(row))) for row in rows], dtype=pl.String),
            }
        )


def suspects(
    log: Interactions, fit: CrossFit, chance: NDArray[np.float64] | None, found_bursts: Bursts, found_bots: Bots
) -> Suspects:
    """Combine the score of a model and the flags of each row.

        suspicion = 1 - (1 - chance) prod_{flags f of the row} (1 - weight_f)

    ``chance`` is the estimated share of meaningless rows at the row's place (0 where unknown), the weights are
    :data:`WEIGHT`: independent grounds add up, none takes another back.

    Args:
        chance: of :func:`taurec.studies.audit.log.shares.chance`; None where nothing could be estimated, which leaves
            the flags alone.
    """
    known = np.zeros(len(log)) if chance is None else np.nan_to_num(chance)
    bot = found_bots.users[log.user_of]
    flags = {
        "unexpected item": np.nan_to_num(fit.middle) > PLACE,
        "bot-like": bot,
        "burst": found_bursts.rows,
        "activity": found_bots.signs["activity"][log.user_of] & ~bot,
    }
    left = 1 - known
    for name, weight in WEIGHT.items():
        left = left * np.where(flags[name], 1 - weight, 1.0)
    suspicion = 1 - left
    order = np.lexsort([-np.nan_to_num(fit.middle), -suspicion])
    return Suspects(log, suspicion, fit.middle, flags, order)
