"""Numbers, intervals, counts and durations as text, for verdicts and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taurec.evaluation.significance import Paired

LEVEL = 0.05
"""Significance level of the paired tests, after correction."""


def number(value: float, digits: int = 4) -> str:
    """The value of a metric as text; a dash if it is NaN.

    >>> number(0.12345), number(float("nan"))
    ('0.1235', '-')
    """
    return f"{value:.{digits}f}" if value == value else "-"


def interval(low: float | None, high: float | None, digits: int = 4) -> str:
    """The bounds of an interval as text; a dash if there are none.

    >>> interval(0.1, 0.2)
    '0.1000 to 0.2000'
    """
    return "-" if low is None or high is None else f"{number(low, digits)} to {number(high, digits)}"


def seconds(value: float) -> str:
    """A duration in seconds as text.

    >>> seconds(0.0123), seconds(9.87), seconds(75), seconds(3700)
    ('12 ms', '9.9 s', '1:15 min', '1:01:40 h')
    """
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    hours, rest = divmod(whole, 3600)
    if not hours:
        return f"{rest // 60}:{rest % 60:02d} min"
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d} h"


def count(n: int, noun: str) -> str:
    """A number with the noun that it counts, singular or plural.

    >>> count(1, "user"), count(1200, "user")
    ('1 user', '1,200 users')
    """
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def rate(per_second: float) -> str:
    """Rows per second as text with three digits.

    >>> rate(1234567.0), rate(45600.0), rate(321.0)
    ('1.23M', '45.6k', '321')
    """
    if per_second >= 1e6:
        return f"{per_second / 1e6:.3g}M"
    if per_second >= 1e3:
        return f"{per_second / 1e3:.3g}k"
    return f"{per_second:.3g}"


def difference_words(first: str, second: str, metric: str, paired: Paired, where: str) -> str:
    """One sentence on a difference: its size, its interval, and whether the paired test is significant.

    >>> from taurec.evaluation.significance import Interval, Paired
    >>> difference_words("ease", "mf:sl", "ndcg@20", Paired(Interval(0.0123, 0.01, 0.0146), 0.001, 50), "on test")
    'ease is ahead of mf:sl on test by 0.0123 ndcg@20 (95 % interval 0.0100 to 0.0146, p = 0.001).'
    """
    d = paired.difference
    low, high = d.low, d.high
    if paired.p_value < LEVEL and d.mean < 0 and low is not None and high is not None:
        low, high = -high, -low  # of how far it is behind
    between = "" if low is None or high is None else f"95 % interval {number(low)} to {number(high)}, "
    certainty = f"({between}p = {paired.p_value:.2g})"
    if paired.p_value >= LEVEL:
        size = f"{'+' if d.mean >= 0 else '-'}{number(abs(d.mean))}"
        return f"{first} and {second} do not differ significantly {where}: {size} {metric} {certainty}."
    way = "ahead of" if d.mean > 0 else "behind"
    return f"{first} is {way} {second} {where} by {number(abs(d.mean))} {metric} {certainty}."
