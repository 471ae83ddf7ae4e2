"""A comparison of models as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taurec.report.page import Block, Details, Figure, Page, Prose, Section, Table
from taurec.report.people import some_people
from taurec.report.plots import Series, bar_plot, interval_plot, line_plot, scatter_plot
from taurec.report.private import NOTE, Hashed
from taurec.report.tables import count, number, seconds
from taurec.report.tryit import try_it, without_form
from taurec.report.words import summary

if TYPE_CHECKING:
    from taurec.ranker import Ranker
    from taurec.studies.audit.fairness.measures import Fairness
    from taurec.studies.compare import Comparison, Row

SHOWN = 4
"""Models in the plots of groups and beside the histories."""


def compare_page(
    found: Comparison,
    fairness: Mapping[str, Fairness] | None = None,
    command: str = "",
    facts: Mapping[str, Any] | None = None,
    private: Hashed | None = None,
) -> Page:
    """The page of ``taurec compare``.

    Args:
        found: what is shown.
        fairness: label -> how a model's lists are divided, for the models of :func:`shown_models`; none leaves the
            section out.
        command: how to repeat it.
        facts: of the machine.
        private: hashes ids wherever they are shown.
    """
    sections = [Section("Accuracy", _accuracy(found)), Section("Quality and cost", _cost(found))]
    if any(row.trained for row in found.rows):
        sections.insert(1, Section("Learning curves", _curves(found)))
    if fairness:
        sections.append(Section("Who is served", _served(fairness)))
    rankers = {label: found.models[label].ranker for label in shown_models(found) if label in found.models}
    if rankers:
        people = some_people(dict(list(rankers.items())[:2]), found.split, private=private)
        sections.append(Section("A few users", [people, *([Prose(NOTE)] if private else [])]))
        sections.append(Section("Try it", [_panel(found, rankers, private)]))
    sections.append(Section("How it was judged", _protocol(found)))
    words = "\n\n".join(summary(found))
    title = f"Models compared on {found.source}"
    return Page(title, words, sections, command, facts or {}, found.chosen.run.model_dump(mode="json"))


def shown_models(found: Comparison) -> list[str]:
    """The models of most interest: the one to use, the best of the other kind, the best on test, popularity."""
    versus = [] if found.versus is None else [found.versus.trained, found.versus.baseline]
    labels = [found.chosen.run.label, *versus, found.best.label, "popularity"]
    known = {row.label for row in found.rows}
    return [label for label in dict.fromkeys(labels) if label in known][:SHOWN]


def _accuracy(found: Comparison) -> list[Block]:
    ranked = _ranked(found)
    values = [row.metrics[found.metric] for row in ranked]
    lows = [v.mean if v.low is None else v.low for v in values]
    highs = [v.mean if v.high is None else v.high for v in values]
    svg = interval_plot(
        [row.label for row in ranked], [v.mean for v in values], lows, highs, x_label=f"{found.metric} on test"
    )
    alt = ", ".join(f"{row.label} {number(v.mean)}" for row, v in zip(ranked, values, strict=True))
    names = list(ranked[0].metrics)
    head = ["model", *(part for name in names for part in (name, f"{name} 95 %")), "p (Holm)", "sd of seeds"]
    rows = [
        [
            row.label,
            *(part for name in names for part in (row.metrics[name].mean, _between(row, name))),
            row.p_value,
            row.spread[found.metric].std if found.metric in row.spread else None,
        ]
        for row in ranked
    ]
    users = count(found.n_users, "user")
    return [
        Figure(svg, f"{found.metric} over {users} of the test part, with 95 % bootstrap intervals over users.", alt),
        Table(
            head,
            rows,
            "p: paired sign-flip test against the best row, corrected by Holm. sd of seeds: standard deviation of "
            f"{found.metric} over {count(found.seeds, 'seed')}; empty for one seed or a model without random draws.",
            strong=[n for n, row in enumerate(ranked) if row is found.best],
        ),
    ]


def _curves(found: Comparison) -> list[Block]:
    series, alt = [], []
    for row in found.rows:
        model = found.models.get(row.label)
        if not row.trained or model is None:
            continue
        records = [r for r in model.records if found.metric in r.metrics]
        if not records:
            continue
        series.append(Series(row.label, [float(r.epoch) for r in records], [r.metrics[found.metric] for r in records]))
        alt.append(f"{row.label} is best in epoch {row.epochs} of {len(model.records)}")
    if not series:
        return [Prose("No trained model was validated along training.")]
    svg = line_plot(series, x_label="epoch", y_label=f"{found.metric} on validation")
    return [
        Figure(
            svg, "Validation after each epoch, first seed; the best epoch of each is what is judged.", ", ".join(alt)
        )
    ]


def _cost(found: Comparison) -> list[Block]:
    from taurec.studies.compare.front import on_front

    labels = [row.label for row in found.rows]
    means = [row.metrics[found.metric].mean for row in found.rows]
    blocks: list[Block] = []
    for cost, name in (("seconds", "seconds of one fit"), ("tune_seconds", "seconds of all settings and seeds")):
        front = on_front(found.rows, found.metric, (cost,))
        x = [max(float(getattr(row, cost)), 1e-3) for row in found.rows]
        svg = scatter_plot(labels, x, means, x_label=name, y_label=f"{found.metric} on test", log_x=True)
        said = f"On the front, so that no other is both better and cheaper: {', '.join(front)}"
        blocks.append(Figure(svg, f"Accuracy against {name}. {said}.", said))
    fronts = {cost: on_front(found.rows, found.metric, (cost,)) for cost in ("seconds", "tune_seconds", "peak_mb")}
    rows = [
        [
            row.label,
            row.metrics[found.metric].mean,
            row.seconds,
            row.tune_seconds,
            row.tried,
            row.peak_mb,
            ", ".join(
                name
                for cost, name in (("seconds", "fit"), ("tune_seconds", "tuning"), ("peak_mb", "memory"))
                if row.label in fronts[cost]
            ),
        ]
        for row in _ranked(found)
    ]
    head = ["model", found.metric, "fit (s)", "tuning (s)", "settings tried", "memory (MB)", "on the front of"]
    return [
        *blocks,
        Table(head, rows, "What each model was allowed and what it took; memory is the growth of the process."),
    ]


def _served(fairness: Mapping[str, Fairness]) -> list[Block]:
    first = next(iter(fairness.values()))
    groups = [group.name for group in first.items]
    svg = bar_plot(
        groups,
        {label: [group.ndcg.mean for group in found.items] for label, found in fairness.items()},
        x_label="items by popularity, groups of equal interaction mass",
        y_label=f"contribution to ndcg@{first.k}",
    )
    blocks: list[Block] = [
        Figure(
            svg,
            f"What each popularity group of items contributes to ndcg@{first.k}; a model's bars add up to its value.",
            f"Contributions of {count(len(groups), 'popularity group')} of items to ndcg@{first.k}",
        )
    ]
    for place, division in enumerate(first.users):
        names = [group.name for group in division.groups]
        bars = {label: [g.ndcg.mean for g in found.users[place].groups] for label, found in fairness.items()}
        worst = division.worst
        blocks.append(
            Figure(
                bar_plot(names, bars, x_label=f"users by {division.what}", y_label=f"ndcg@{first.k}"),
                f"How well users are served, by {division.what}.",
                f"{next(iter(fairness))} serves {worst.name if worst else 'no group'} worst",
            )
        )
    head = ["model", f"ndcg@{first.k}", "coverage", "Gini", "average popularity", "tail share"]
    rows = [
        [label, f.ndcg.mean, f.coverage, f.gini, f.average_popularity, f.tail_share] for label, f in fairness.items()
    ]
    said = (
        "First seed. Coverage: share of the catalogue in any list. Gini: inequality of exposure. Average popularity: "
        f"training count of a listed item. Tail share: of the lists; of what users went for later it is "
        f"{number(first.test_tail_share, 3)}."
    )
    return [*blocks, Table(head, rows, said)]


def _panel(found: Comparison, rankers: Mapping[str, Ranker], private: Hashed | None) -> Block:
    """The try-it panel of the model to use and the best of the other kind."""
    train = found.split.train
    raw = train.items.ids.to_list()
    names = dict(zip(raw, private.items(raw), strict=True)) if private else None
    shown = dict(list(rankers.items())[:2])
    panel = try_it(shown, train, names, k=min(10, max(1, train.n_items // 2)))
    return Prose(without_form(list(shown))) if panel is None else panel


def _protocol(found: Comparison) -> list[Block]:
    rows = [[row.label, row.tried, seconds(row.tune_seconds), number(row.valid), _setting(row)] for row in found.rows]
    return [
        Prose(
            f"One division of the log ({found.split.how}) for all models. The setting and the epoch of a model are "
            f"those with the best {found.metric} on the validation part; the test part was looked at once, with them. "
            "Candidates are all items but those of the user in training and validation."
        ),
        Details("The settings that validation chose", [Table(_HEAD, rows)]),
    ]


_HEAD = ["model", "settings tried", "time for them", "on validation", "chosen"]


def _setting(row: Row) -> str:
    run = row.run
    if run.model is not None:
        return run.model.text
    numbers = f"lr {run.lr:g}, l2 {run.l2:g}, batch {run.batch_size}"
    return f"{run.backbone.text}, {run.loss.text}, {run.negatives.text}, {numbers}"


def _ranked(found: Comparison) -> Sequence[Row]:
    return sorted(found.rows, key=lambda row: -row.metrics[found.metric].mean)


def _between(row: Row, name: str) -> str:
    value = row.metrics[name]
    return "-" if value.low is None or value.high is None else f"{number(value.low)} to {number(value.high)}"
