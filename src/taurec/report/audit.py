"""The audit of a log as tables for a terminal; the rows are shared with its page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.table import Table

from taurec.report.tables import count, number, plus_minus, table

if TYPE_CHECKING:
    from taurec.evaluation.significance import Interval, Paired
    from taurec.studies.audit.fix import Fix
    from taurec.studies.audit.log.audit import LogAudit
    from taurec.studies.audit.log.recovery import Recovery

SIGN_WORDS = {
    "activity": "far more rows than the others",
    "catalogue": "more than half of the catalogue",
    "regular": "regular as a clock",
    "uniform": "items no more popular than drawn ones",
    "chance": "rows like random ones to a model",
}


def findings(found: LogAudit) -> list[tuple[str, str]]:
    """What was looked for and what came of it, one pair of texts each."""
    log = found.log
    rows = [
        ("repeated pairs", f"{found.log.merged:,} of {found.rows:,} rows, {log.exact:,} of them alike in every column"),
        ("bursts", _bursts(found)),
    ]
    bots = found.bots
    for sign, who in bots.signs.items():
        value = f"not looked for: {bots.skipped[sign]}" if sign in bots.skipped else count(int(who.sum()), "user")
        rows.append((f"users, {sign}", f"{value} ({SIGN_WORDS[sign]})" if sign not in bots.skipped else value))
    of_bots = int(log.user_counts[bots.users].sum())
    rows.append(("bot-like", f"{count(int(bots.users.sum()), 'user')} with {count(of_bots, 'row')}"))
    for what, groups in (("user", found.alike_users), ("item", found.alike_items)):
        rows.append((f"alike {what} ids", f"{count(len(groups), 'group')} of ids that differ only in spelling"))
    return rows


def estimates(found: LogAudit) -> list[tuple[str, str, str]]:
    """The two estimates and what they rest on: name, value, 95 % interval."""
    s = found.shares
    if s is None:
        return []
    return [
        ("rows that look like chance (false positives)", *_percent(s.false_positives)),
        ("unseen pairs that are probably liked", *_percent(s.hidden)),
        ("uniform negatives that are rows of the log", f"{s.known:.1%}", ""),
        ("rows that could be judged", f"{s.judged:.1%}", ""),
    ]


def log_tables(found: LogAudit, shown: int, user_name: Callable[[str], str], item_name: Callable[[str], str]) -> Any:
    """The parts of an audit for a terminal, in order."""
    log = found.log
    title = f"{found.name}: {log.n_users:,} users, {log.n_items:,} items, {len(log):,} pairs"
    parts: list[Any] = [table(["looked for", "found"], findings(found), title=title)]
    if found.shares is None:
        parts.append(f"No estimate of false positives: {found.no_shares}.")
    else:
        parts.append(
            table(
                ["estimate, at most", "share", "95 % interval"],
                estimates(found),
                title=f"By {found.fit.folds} folds of {found.shares.judge}",
                right=["share"],
            )
        )
    for what, groups, name in (("user", found.alike_users, user_name), ("item", found.alike_items, item_name)):
        if groups:
            lines = [(by, ", ".join(map(name, ids))) for by, ids in groups[:shown]]
            parts.append(table(["differ in", f"{what} ids"], lines))
    frame = suspect_frame(found, shown, user_name, item_name)
    if len(frame):
        right = [name for name in frame.columns if name not in ("user", "item", "reasons")]
        cells = [[_cell(value) for value in row] for row in frame.iter_rows()]
        title = f"The most suspicious of {count(found.suspects.count, 'suspect row')}"
        parts.append(table(frame.columns, cells, title=title, right=right))
    return parts


def suspect_frame(
    found: LogAudit, n: int | None, user_name: Callable[[str], str], item_name: Callable[[str], str]
) -> Any:
    """The first n suspects, with BSL's weights where they were asked for."""
    more = {} if found.weights is None else {"bsl_weight": found.weights}
    return found.suspects.frame(n, user_name, item_name, more)


def recovery_table(found: Recovery) -> Table:
    """How well each score finds injected rows."""
    rows = [(f.method, *(plus_minus(v.mean, v.low, v.high) for v in (f.auc, f.precision))) for f in found.methods]
    title = f"{found.share:.1%} of the rows injected, {count(found.seeds, 'seed')}: found again by"
    return table(["score", "AUC", "precision at the count"], rows, title=title, right=["AUC", "precision at the count"])


def recovery_sentence(found: Recovery) -> str:
    """What the estimate says of the injected share."""
    e = found.estimated
    expected = found.share + found.before * (1 - found.share)
    bounds = "" if e.low is None or e.high is None else f" ({e.low:.1%} to {e.high:.1%} over seeds)"
    return (
        f"The estimate of false positives went from {found.before:.1%} to {e.mean:.1%}{bounds}; with what was injected "
        f"it should be {expected:.1%}."
    )


def gain_rows(found: Fix) -> list[tuple[str, ...]]:
    """One row a model and metric: values of the three arms, and the differences with their intervals."""
    return [
        (g.model, metric, *(number(values[metric]) for values in g.test.values()), signed(gain), signed(over))
        for g in found.gains
        for metric, gain, over in ((m, g.gain[m], g.over_control[m]) for m in g.gain)
    ]


GAIN_HEAD = ("model", "metric", "all rows", "cleaned", "random removed", "gain (95 %)", "over random (95 %)")


def fix_tables(found: Fix) -> list[Any]:
    """What cleaning comes to, for a terminal."""
    if found.clean or not found.gains:
        return []
    n = int(found.removed.sum())
    title = f"{found.source}: test part, {count(found.n_users, 'user')}; {n:,} of {len(found.removed):,} rows removed"
    return [table(GAIN_HEAD, gain_rows(found), title=title, right=["all rows", "cleaned", "random removed"])]


def signed(paired: Paired) -> str:
    """A difference with its interval.

    >>> from taurec.evaluation.significance import Interval, Paired
    >>> signed(Paired(Interval(0.01, 0.005, 0.015), 0.01, 50))
    '+0.0100 (+0.0050 to +0.0150)'
    """
    d = paired.difference
    return f"{d.mean:+.4f}" + ("" if d.low is None or d.high is None else f" ({d.low:+.4f} to {d.high:+.4f})")


def _bursts(found: LogAudit) -> str:
    if found.bursts.skipped:
        return f"not looked for: {found.bursts.skipped}"
    rows, users = count(int(found.bursts.rows.sum()), "row"), count(found.bursts.users, "user")
    return f"{rows} of {users}; a fullest minute usually has {found.bursts.usual:g}"


def _percent(value: Interval) -> tuple[str, str]:
    bounds = "-" if value.low is None or value.high is None else f"{value.low:.1%} to {value.high:.1%}"
    return f"{value.mean:.1%}", bounds


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
