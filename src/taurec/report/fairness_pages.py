"""An audit of fairness as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taurec.report.fairness import short, verdict
from taurec.report.page import Block, Details, Figure, Page, Prose, Section, Table
from taurec.report.plots import Series, bar_plot, interval_plot, line_plot, scatter_plot

if TYPE_CHECKING:
    from taurec.studies.audit.fairness.audit import FairnessAudit, ModelFairness

DEFINITIONS = (
    ("ndcg, recall", "0 to 1", "mean over users with held-out items; the parts of the groups add up to it"),
    ("held out", "0 to 1", "what a group would contribute to a recall of 1: mean over users of its share"),
    ("exposure", "0 to 1", "share of all list slots; discounted: slot r counts 1 / log2(r + 1)"),
    ("coverage", "0 to 1", "share of the catalogue that is in at least one list"),
    ("Gini", "0 to 1", "inequality of how often items are listed; 0 is equal"),
    ("entropy", "bits", "of the exposure shares; log2 of the number of items is equal use"),
    ("ARP", "interactions", "mean over users of the mean training count of the listed items"),
    ("tail share (APLT)", "0 to 1", "mean over users of the share of their list outside the items that hold 80 % of "
     "training"),
    ("popularity-exposure", "-1 to 1", "rank correlation over items of training count and times listed"),
    ("REO, RSP", "0 or more", "spread over mean of the groups' chance to be listed; REO: of held-out items only"),
    ("relative variance", "0 or more", "variance of a user's negative scores over the squared distance of the means of "
     "positives and negatives"),
    ("popularity-score", "-1 to 1", "rank correlation over items of training count and mean score where not taken"),
)  # fmt: skip


def fairness_page(
    audit: FairnessAudit,
    *,
    command: str = "",
    facts: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    items: Sequence[str] | None = None,
    note: str = "",
) -> Page:
    """The page of an audit.

    Args:
        audit: what is shown.
        command, facts, config: as for :class:`taurec.report.page.Page`.
        items: what to call the items by index; their raw ids if not given.
        note: a remark under the summary, such as that ids are hashed.
    Raises: UsageError if the extra ``taurec[report]`` is missing.
    """
    names = audit.parts.train.items.ids.to_list() if items is None else items
    sections = [
        Section("Models", _models(audit)),
        Section("Items by popularity", _items(audit)),
        *(
            Section(f"Users by {division.what}", _users(audit, d))
            for d, division in enumerate(audit.best.fairness.users)
        ),
        Section("Spread of scores", _scores(audit)),
        Section("Most listed items", _exposed(audit, names)),
        Section("Definitions", [Table(("measure", "range", "what it is"), DEFINITIONS)]),
    ]
    return Page(
        f"Fairness audit of {audit.source}",
        "\n\n".join([*verdict(audit), *([note] if note else [])]),
        sections,
        command=command,
        facts=facts or {},
        config=config or {},
    )


def _models(audit: FairnessAudit) -> list[Block]:
    metric = f"ndcg@{audit.k}"
    accuracy = [
        (m.label, m.fairness.recall.mean, m.fairness.ndcg.mean, m.fairness.ndcg.low, m.fairness.ndcg.high)
        for m in audit.models
    ]
    spread, popular = [], []
    for m in audit.models:
        f = m.fairness
        spread.append((m.label, f.coverage, f.gini, f.entropy, f.reo, f.rsp))
        popular.append((m.label, f.average_popularity, f.tail_share, f.popularity_exposure))
    best = [n for n, m in enumerate(audit.models) if m is audit.best]
    wanted = audit.best.fairness.test_tail_share
    drawn = scatter_plot(
        [m.label for m in audit.models],
        [m.fairness.tail_share for m in audit.models],
        [m.fairness.ndcg.mean for m in audit.models],
        x_label="tail share of the lists",
        y_label=metric,
    )
    who = f"{audit.best.fairness.n_users:,} users of the test part"
    tail = f"tail shares from {_span([m.fairness.tail_share for m in audit.models])}"
    return [
        Figure(
            drawn,
            f"Accuracy and tail share of each model. Users' held-out items have a tail share of {wanted:.3f}.",
            f"{audit.best.label} has the highest {metric}, {audit.best.fairness.ndcg.mean:.4f}; {tail}.",
        ),
        Table(
            ("model", f"recall@{audit.k}", metric, "95 % low", "high"), accuracy, f"Lists of {audit.k}, {who}.", best
        ),
        Table(("model", "coverage", "Gini", "entropy (bits)", "REO", "RSP"), spread, "How the lists are spread.", best),
        Table(
            ("model", "ARP (interactions)", "tail share", "popularity-exposure"),
            popular,
            "How popular the listed items are.",
            best,
        ),
    ]


def _items(audit: FairnessAudit) -> list[Block]:
    metric = f"ndcg@{audit.k}"
    numbers = range(1, len(audit.best.fairness.items) + 1)
    ndcg = [_contributions(m, numbers) for m in audit.models]
    exposure = [Series(m.label, numbers, [g.exposure for g in m.fairness.items]) for m in audit.models]
    exposure.append(Series("held-out items", numbers, [g.test_share for g in audit.best.fairness.items]))
    label = "popularity group, 1 is the least popular"
    last = audit.best.fairness.items[-1]
    rows = [
        (m.label, g.name, g.items, g.train_share, g.test_share, g.recall.mean, g.ndcg.mean, g.ndcg.low, g.ndcg.high)
        + (g.exposure, g.discounted_exposure, g.found, g.listed)
        for m in audit.models
        for g in m.fairness.items
    ]
    head = ["model", "group", "items", "training", "held out", "recall", "ndcg", "95 % low", "high"]
    head += ["exposure", "discounted exposure", "P(listed | held out)", "P(listed)"]
    return [
        Prose(
            "Items are in groups of about equally many training interactions. A group's contribution is the part of "
            "the metric that its hits make; the contributions add up to the metric."
        ),
        Figure(
            line_plot(ndcg, x_label=label, y_label=f"contribution to {metric}"),
            f"Contribution of each popularity group to {metric}, with 95 % bootstrap intervals over users.",
            f"From the most popular group {audit.best.label} has {last.ndcg.mean:.4f} of its {metric} of "
            f"{audit.best.fairness.ndcg.mean:.4f}.",
        ),
        Figure(
            line_plot(exposure, x_label=label, y_label="share"),
            "Share of each group in the held-out items, and in the list slots of each model.",
            f"The most popular group has {last.exposure:.1%} of the list slots of {audit.best.label} and "
            f"{last.test_share:.1%} of the held-out items.",
        ),
        Details("All figures by popularity group", [Table(head, rows)]),
    ]


def _contributions(model: ModelFairness, numbers: Sequence[int]) -> Series:
    found = [g.ndcg for g in model.fairness.items]
    low = [x.mean if x.low is None else x.low for x in found]
    high = [x.mean if x.high is None else x.high for x in found]
    return Series(model.label, numbers, [x.mean for x in found], low, high)


def _users(audit: FairnessAudit, d: int) -> list[Block]:
    metric = f"ndcg@{audit.k}"
    shown = audit.best.fairness.users[d]
    served = [g for g in shown.groups if g.users]
    if not served:
        return [Prose("No group has users with held-out items.")]
    values = {m.label: [g.ndcg.mean for g in m.fairness.users[d].groups if g.users] for m in audit.models}
    blocks: list[Block] = [
        Figure(
            bar_plot([short(g.name) for g in served], values, x_label=f"{shown.what} of users", y_label=metric),
            f"{metric} of each group of users. Active users have more held-out items, which also moves the metric; "
            "compare models within a group first.",
            f"{audit.best.label} has values from {_span([g.ndcg.mean for g in served])}.",
        ),
        Figure(
            interval_plot(
                [g.name for g in served],
                [g.ndcg.mean for g in served],
                [g.ndcg.mean if g.ndcg.low is None else g.ndcg.low for g in served],
                [g.ndcg.mean if g.ndcg.high is None else g.ndcg.high for g in served],
                x_label=metric,
            ),
            f"{audit.best.label} by group, with 95 % bootstrap intervals over users.",
            f"The gap between the best and the worst group is {shown.gap.mean:.4f}.",
        ),
    ]
    rows = [
        (m.label, g.name, g.users, g.recall.mean, g.ndcg.mean, g.ndcg.low, g.ndcg.high)
        for m in audit.models
        for g in m.fairness.users[d].groups
    ]
    head = ("model", "group", "users", f"recall@{audit.k}", metric, "95 % low", "high")
    blocks.append(Details("All figures by group", [Table(head, rows)]))
    if shown.n_without:
        blocks.append(Prose(f"{shown.n_without:,} users with held-out items have no value and are in no group."))
    return blocks


def _scores(audit: FairnessAudit) -> list[Block]:
    head = ["model", "negative mean", "negative variance", "positive mean", "positive variance"]
    rows = [
        (
            m.label,
            m.scores.negative_mean,
            m.scores.negative_variance,
            m.scores.positive_mean,
            m.scores.positive_variance,
        )
        for m in audit.models
    ]
    free_head = ["model", "relative variance", "popularity-score", "tail share", "variance and tail share over users"]
    free = [
        (m.label, m.scores.relative_variance, m.scores.popularity_score, m.fairness.tail_share, m.variance_tail.rho)
        for m in audit.models
    ]
    drawable = [m for m in audit.models if m.scores.relative_variance == m.scores.relative_variance]
    blocks: list[Block] = [
        Prose(
            "For large tau the softmax loss asks for a small mean and a small variance of a user's negative scores, "
            "which should keep popular items from rising above the rest for everybody. Scores of different models "
            "have no common scale; the relative variance has none. A correlation over a few models describes them and "
            "proves nothing."
        )
    ]
    if drawable:
        x = [m.scores.relative_variance for m in drawable]
        y = [m.fairness.tail_share for m in drawable]
        c = audit.between_models()["tail_share"]
        blocks.append(
            Figure(
                scatter_plot(
                    [m.label for m in drawable],
                    x,
                    y,
                    x_label="relative variance of a user's negative scores",
                    y_label="tail share of the lists",
                ),
                f"Spread of scores and tail share of each model; rank correlation {c.rho:.2f}, n = {c.n}.",
                f"Relative variances from {_span(x)}.",
            )
        )
    users = f"{audit.best.scores.n_users:,} users"
    return [
        *blocks,
        Table(head, rows, f"Scores of {users}, in units of each model."),
        Table(free_head, free, f"What has no scale; the last column is a rank correlation over at most {users}."),
    ]


def _exposed(audit: FairnessAudit, names: Sequence[str]) -> list[Block]:
    rows = [(m.label, names[i], share, popularity) for m in audit.models for i, share, popularity in m.most_exposed]
    head = ("model", "item", "share of lists", "share of training")
    return [Details("The ten items that stand in the most lists of each model", [Table(head, rows)])]


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.4f} to {max(values):.4f}"
