"""The tables of a fairness audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taurec.studies.result import Cell, Column, Table, Value
from taurec.studies.words import count

if TYPE_CHECKING:
    from taurec.evaluation.significance import Interval
    from taurec.studies.audit.fairness.audit import FairnessAudit
    from taurec.studies.names import Names

MODELS, ITEMS, SCORES, LISTED = "Models", "Items by popularity", "Spread of scores", "Most listed items"

DEFINITIONS = (
    ("ndcg, recall", "0 to 1", "mean over users with held-out items; the contributions of the groups add up to it"),
    ("held out", "0 to 1", "contribution of a group to a recall of 1: mean over users of its share"),
    ("exposure", "0 to 1", "share of all list positions; discounted: position r counts 1 / log2(r + 1)"),
    ("coverage", "0 to 1", "share of the catalogue that is in at least one list"),
    ("Gini", "0 to 1", "inequality of how often items are listed; 0 is equal"),
    ("entropy", "bits", "of the exposure shares; log2 of the number of items means equal exposure"),
    ("ARP", "interactions", "mean over users of the mean training count of the listed items"),
    ("tail (APLT)", "0 to 1", "mean over users of the share of their list outside the items that hold 80 % of "
     "training"),
    ("corr", "-1 to 1", "rank correlation over items of training count and number of lists"),
    ("REO, RSP", "0 or more", "spread over mean of the groups' chance to be listed; REO: of held-out items only"),
    ("rel var", "0 or more", "variance of a user's negative scores over the squared distance between the means of "
     "positive and negative scores"),
    ("pop", "-1 to 1", "rank correlation over items of training count and mean score among users without the item"),
    ("var-tail", "-1 to 1", "rank correlation over users of score variance and tail share of the list"),
)  # fmt: skip

TEXTS = {
    ITEMS: "Items are in groups of about equally many training interactions. A group's contribution is the part of the "
    "metric that comes from its hits; the contributions add up to the metric.",
    SCORES: "For large tau the softmax loss penalises the mean and the variance of a user's negative scores, which "
    "should keep popular items from rising above the others for all users. Scores of different models have no common "
    "scale; the relative variance has none. A correlation over a few models is a description, not a proof.",
}
"""The explanation at the top of a section."""


def tables(audit: FairnessAudit) -> list[Table]:
    """All tables, by section."""
    divisions = range(len(audit.best.fairness.users))
    return [
        _models(audit),
        _contributions(audit),
        _exposure(audit),
        _all_items(audit),
        *(made for d in divisions for made in _users(audit, d)),
        _scores(audit),
        _most_listed(audit, audit.names),
        Table("Definitions of the measures", ("measure", "range", "what it is"), DEFINITIONS, section="Definitions",
              folded=True),
    ]  # fmt: skip


def users_section(what: str) -> str:
    """The section of a division of the users."""
    return f"Users by {what}"


def short(name: str) -> str:
    """The number of a group without its meaning; any other name unchanged.

    >>> short("10 most popular"), short("fi")
    ('10', 'fi')
    """
    first = name.split()[0]
    return first if first.isdigit() else name


def value(found: Interval) -> Value:
    """An interval as a cell."""
    return Value(found.mean, found.low, found.high)


def _models(audit: FairnessAudit) -> Table:
    recall, ndcg = f"recall@{audit.k}", f"ndcg@{audit.k}"
    columns = [
        Column("model", whole=True), Column(ndcg, better="higher"), Column(recall, better="higher"),
        Column("coverage", spec=".3f"), Column("Gini", spec=".3f"), Column("entropy", "bits", spec=".2f"),
        Column("ARP", spec=".1f"), Column("tail", spec=".3f"), Column("corr", spec=".2f"),
        Column("REO", spec=".2f"), Column("RSP", spec=".2f"),
    ]  # fmt: skip
    rows = [
        (
            m.label, value(f.ndcg), f.recall.mean, f.coverage, f.gini, f.entropy, f.average_popularity,
            f.tail_share, f.popularity_exposure, f.reo, f.rsp,
        )
        for m in audit.models
        for f in [m.fairness]
    ]  # fmt: skip
    best = [n for n, m in enumerate(audit.models) if m is audit.best]
    return Table(
        f"{audit.source}: lists of {audit.k} for {count(audit.best.fairness.n_users, 'user')}, test part",
        columns, rows, strong=best, section=MODELS,
        narrow=[[f"± {ndcg}"], [recall], ["entropy"]],
    )  # fmt: skip


def _contributions(audit: FairnessAudit) -> Table:
    labels = [m.label for m in audit.models]
    rows: list[Sequence[Cell]] = [
        (short(g.name), g.items, g.test_share, *(m.fairness.items[n].ndcg.mean for m in audit.models))
        for n, g in enumerate(audit.best.fairness.items)
    ]
    sizes = sum(g.items for g in audit.best.fairness.items)
    rows.append(("sum", sizes, 1.0, *(m.fairness.ndcg.mean for m in audit.models)))
    columns: list[Column | str] = [
        "group",
        "items",
        Column("held out", spec=".3f"),
        *(Column(label, spec=".4f") for label in labels),
    ]
    title = f"Contribution to ndcg@{audit.k} by popularity group, 1 the least popular"
    return Table(title, columns, rows, strong=[len(rows) - 1], section=ITEMS)


def _exposure(audit: FairnessAudit) -> Table:
    rows: list[Sequence[Cell]] = [
        (short(g.name), g.train_share, g.test_share, *(m.fairness.items[n].exposure for m in audit.models))
        for n, g in enumerate(audit.best.fairness.items)
    ]
    heads = ["training", "held out", *(m.label for m in audit.models)]
    columns: list[Column | str] = ["group", *(Column(name, spec=".3f") for name in heads)]
    title = "Share of training, held-out items and list positions by popularity group"
    return Table(title, columns, rows, section=ITEMS)


def _all_items(audit: FairnessAudit) -> Table:
    rows = [
        (
            m.label, g.name, g.items, g.train_share, g.test_share, g.recall.mean, value(g.ndcg), g.exposure,
            g.discounted_exposure, g.found, g.listed,
        )
        for m in audit.models
        for g in m.fairness.items
    ]  # fmt: skip
    columns = ("model", "group", "items", "training", "held out", "recall", "ndcg", "exposure", "discounted exposure")
    more = ("P(listed | held out)", "P(listed)")
    return Table("All figures by popularity group", (*columns, *more), rows, section=ITEMS, folded=True)


def _users(audit: FairnessAudit, d: int) -> list[Table]:
    divisions = [m.fairness.users[d] for m in audit.models]
    what, section = divisions[0].what, users_section(divisions[0].what)
    labels = [m.label for m in audit.models]
    rows: list[Sequence[Cell]] = [
        (short(g.name), g.users, *(of.groups[n].ndcg.mean for of in divisions))
        for n, g in enumerate(divisions[0].groups)
    ]
    rows.append(("gap", None, *(of.gap.mean for of in divisions)))
    columns: list[Column | str] = ["group", "users", *(Column(label, spec=".4f") for label in labels)]
    apart = [label for label, of in zip(labels, divisions, strict=True) if of.apart]
    without = divisions[0].n_without
    notes = [
        f"The 95 % intervals of the worst and the best group do not overlap for {', '.join(apart)}." if apart else "",
        f"{without:,} users with held-out items have no value and are in no group." if without else "",
    ]
    title = f"ndcg@{audit.k} by {what} of users"
    everything = [
        (m.label, g.name, g.users, value(g.recall), value(g.ndcg))
        for m, of in zip(audit.models, divisions, strict=True)
        for g in of.groups
    ]
    head = ("model", "group", "users", f"recall@{audit.k}", f"ndcg@{audit.k}")
    return [
        Table(title, columns, rows, " ".join(filter(None, notes)), [len(rows) - 1], section),
        Table(f"All figures by {what}", head, everything, section=section, folded=True),
    ]


def _scores(audit: FairnessAudit) -> Table:
    heads = ("neg mean", "neg var", "pos mean", "pos var", "rel var")
    columns = [Column("model", whole=True), *(Column(name, spec=".3g") for name in heads)]
    columns += [Column("pop", spec=".2f"), Column("var-tail", spec=".2f")]
    rows = [
        (
            m.label, s.negative_mean, s.negative_variance, s.positive_mean, s.positive_variance, s.relative_variance,
            s.popularity_score, m.variance_tail.rho,
        )
        for m in audit.models
        for s in [m.scores]
    ]  # fmt: skip
    title = f"Scores of {count(audit.best.scores.n_users, 'user')}, in units of each model"
    return Table(title, columns, rows, section=SCORES, narrow=[["var-tail"]])


def _most_listed(audit: FairnessAudit, names: Names) -> Table:
    raw = audit.split.train.items.ids
    rows = [(m.label, names.item(raw[i]), lists, training) for m in audit.models for i, lists, training in
            m.most_exposed]  # fmt: skip
    head = ("model", "item", "share of lists", "share of training")
    return Table("The ten items in the most lists of each model", head, rows, section=LISTED, folded=True)
