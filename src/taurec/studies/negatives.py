"""``taurec negatives``: a language model writes or picks hard negatives of users, into a file for ``provided``."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from taurec.errors import DataError, UsageError
from taurec.studies.files import TABLES, write_frame
from taurec.studies.names import Hashed, Names
from taurec.studies.opening import Note, open_and_split, silent
from taurec.studies.options import Fields, Option, Reading, RunFields, Source
from taurec.studies.result import Cell, Result, Table
from taurec.studies.train_command import reading_options
from taurec.studies.words import count

if TYPE_CHECKING:
    from taurec.data.interactions import Interactions
    from taurec.sampling.semantic.written import Task

_MODEL = "Language model"


@dataclass(frozen=True)
class WrittenNegatives(Result):
    """What a language model was asked, and what came of it.

    Attributes:
        source: name of the log.
        model: name of the language model.
        how: ``write`` or ``pick``.
        users: whom it was asked for.
        unusable: answers that were not what was asked for.
        pairs: negatives in the file; None after a dry run.
        calls, tokens: spent.
        reused: answers that were kept from before.
        out: the file.
        prompt: the first prompt, after a dry run.
        options: of the split and of the reading, for the next command.
    """

    schema: ClassVar[str] = "taurec.negatives/1"
    source: str
    model: str
    how: str
    users: int
    unusable: int = 0
    pairs: int | None = None
    calls: int = 0
    tokens: int = 0
    reused: int = 0
    out: str = ""
    prompt: str = ""
    options: tuple[str, ...] = ()

    def title(self) -> str:
        return f"Negatives for {self.source} by a language model"

    def document(self) -> dict[str, Any]:
        fields = ("source", "model", "how", "users", "unusable", "pairs", "calls", "tokens", "reused", "out", "prompt")
        return {name: getattr(self, name) for name in fields}

    def verdict(self) -> list[str]:
        if self.pairs is None:
            asked = count(self.users, "user")
            return [self.prompt, f"Nothing was sent. This is the first of the prompts for {asked}."]
        lines = [f"{count(self.pairs, 'negative')} of {count(self.users, 'user')} are in {self.out}."]
        if self.unusable:
            lines.append(f"{count(self.unusable, 'answer')} could not be used: not the JSON that was asked for.")
        return lines

    def tables(self) -> list[Table]:
        if self.pairs is None:
            return []
        rows: list[tuple[Cell, ...]] = [
            ("calls", self.calls), ("tokens", self.tokens), ("answers kept from before", self.reused),
            ("unusable answers", self.unusable), ("negatives", self.pairs),
        ]  # fmt: skip
        return [Table(f"Asked {self.model} to {self.how}", ("what", "number"), rows)]

    def commands(self) -> list[str]:
        if self.pairs is None:
            return []
        words = ["taurec", "train", self.source, "--negatives", "provided", "--set", f"negatives.path={self.out}"]
        return [shlex.join([*words, "--set", "negatives.share=0.5", *self.options])]


def negatives(
    source: Source = "debian",
    out: Annotated[
        Path | None, Option("The negatives: FILE.csv, .tsv or .parquet.", metavar="FILE", endings=TABLES)
    ] = None,
    texts: Annotated[
        Path | None, Option("File with the id and the text of each item; the ids if not given.", metavar="FILE")
    ] = None,
    model: Annotated[str, Option("The endpoint's name of the model.", metavar="NAME", group=_MODEL)] = "",
    base_url: Annotated[
        str, Option("Endpoint with the chat interface of OpenAI; theirs if empty.", metavar="URL", group=_MODEL)
    ] = "",
    key_variable: Annotated[
        str, Option("Environment variable that holds the key.", metavar="NAME", group=_MODEL)
    ] = "OPENAI_API_KEY",
    how: Annotated[
        Literal["write", "pick"], Option("Write names, or pick from the items nearest to the history.", group=_MODEL)
    ] = "write",
    max_calls: Annotated[int, Option("Prompts that are sent, at most.", group=_MODEL)] = 100,
    max_tokens: Annotated[int, Option("Tokens that are spent, at most.", group=_MODEL)] = 200_000,
    cache: Annotated[
        Path | None, Option("Where answers are kept; beside --out if not given.", metavar="FILE", group=_MODEL)
    ] = None,
    dry_run: Annotated[bool, Option("Print the first prompt and send nothing.")] = False,
    encoder: Annotated[str, Option("Compares texts: tfidf, sentence:FOLDER, module:Class.", metavar="NAME")] = "tfidf",
    users: Annotated[int, Option("Users to ask for, chosen at random.")] = 100,
    per_user: Annotated[int, Option("Negatives of a user.")] = 5,
    history: Annotated[int, Option("Liked items in a prompt, at most.")] = 20,
    candidates: Annotated[int, Option("Items to pick from, with --how pick.")] = 40,
    overwrite: Annotated[bool, Option("Replace a file at --out.")] = False,
    *,
    fields: Annotated[Fields, RunFields(("split", "seed"))],
    reading: Reading,
    names: Names | None = None,
    on_progress: Note = silent,
    on_note: Note = silent,
) -> WrittenNegatives:
    """Ask a language model for hard negatives of users, and write them for --negatives provided.

    A prompt holds names of items from a user's training part; they are sent to the endpoint as JSON data. Written names
    are mapped to the nearest item by text that the user does not have. Answers are kept, so that the same command
    continues where a budget or an error stopped it. The key is read from an environment variable and written nowhere.
    Train with the same split and seed. Needs the extra llm.
    """
    from taurec.sampling.semantic.answers import Budget, KeptAnswers
    from taurec.sampling.semantic.provider import OpenAIProvider
    from taurec.sampling.semantic.vectors import catalogue_texts
    from taurec.sampling.semantic.written import Task, some_users
    from taurec.training.presets import resolve

    task = Task(how, per_user, history, candidates)
    budget = Budget(max_calls, max_tokens)
    if users < 1:
        raise UsageError(f"--users must be at least 1, got {users}")
    if not dry_run:
        if out is None:
            raise UsageError("no file for the negatives; add --out FILE.csv, or --dry-run to see a prompt")
        if out.exists() and not overwrite:
            raise UsageError(f"{out} exists already and is not replaced; give another --out, or --overwrite")
    provider = OpenAIProvider(model or ("dry-run" if dry_run else ""), base_url, key_variable)
    opened, parts = open_and_split(resolve(**fields, source=source, reading=reading), on_note)
    train = parts.train
    catalogue = catalogue_texts(train, str(texts or ""))
    asked = some_users(train, users, int(fields.get("seed", 0)))
    prompts = _prompts(train, catalogue, asked.tolist(), task, encoder, int(fields.get("seed", 0)))
    if not prompts:
        raise DataError(f"none of the {len(asked):,} users has an item with a text; give a file with more texts")
    if len(prompts) < len(asked):
        on_note(f"{count(len(asked) - len(prompts), 'user')} left out: none of their items has a text")
    result = WrittenNegatives(opened.name, provider.model, how, len(prompts))
    if out is None or dry_run:
        first = next(iter(prompts.values()))[0]
        hidden = "(the prompt is left out, since it names items of a user)"
        return dataclasses.replace(result, prompt=hidden if isinstance(names, Hashed) else first)
    answers = KeptAnswers(provider, cache or out.with_suffix(".answers.jsonl"), budget)
    replies: dict[int, tuple[str, list[int]]] = {}
    for n, (user, (prompt, listed)) in enumerate(prompts.items(), 1):
        replies[user] = answers.complete(prompt).text, listed
        on_progress(f"asked for {n:,} of {len(prompts):,} users, {answers.tokens:,} tokens")
    found, unusable = _items(train, catalogue, task, encoder, replies)
    if not found:
        example = next(iter(replies.values()))[0]
        raise DataError(
            f"none of the {len(replies):,} answers names an item; the first begins with {example[:80]!r}; try another "
            f"model, and delete {answers.path} to ask again"
        )
    pairs = _write(train, found, out)
    return dataclasses.replace(
        result, unusable=unusable, pairs=pairs, calls=answers.calls, tokens=answers.tokens, reused=answers.reused,
        out=str(out), options=(*_split_options(fields), *reading_options(reading)),
    )  # fmt: skip


def _prompts(
    train: Interactions, catalogue: tuple[str, ...], users: list[int], task: Task, encoder: str, seed: int
) -> dict[int, tuple[str, list[int]]]:
    """user -> prompt, and the items that can be picked by their number; a user whose items have no text has none."""
    from taurec.sampling.semantic.vectors import text_vectors
    from taurec.sampling.semantic.written import candidates_of, liked_items

    near = candidates_of(text_vectors(catalogue, encoder), train, task.candidates) if task.how == "pick" else None
    found = {}
    for user in users:
        liked = [catalogue[i] for i in liked_items(train, user, task.history, seed) if catalogue[i]]
        if not liked:
            continue
        listed = [] if near is None else [int(i) for i in near.ids[user] if i < train.n_items]
        found[user] = task.prompt(liked, [catalogue[i] for i in listed]), listed
    return found


def _items(
    train: Interactions,
    catalogue: tuple[str, ...],
    task: Task,
    encoder: str,
    replies: Mapping[int, tuple[str, list[int]]],
) -> tuple[dict[int, list[int]], int]:
    """user -> items of the catalogue, and the number of answers that could not be used."""
    from taurec.sampling.semantic.encoders import ENCODERS
    from taurec.sampling.semantic.written import nearest_items

    parsed = {user: task.parse(answer, len(listed)) for user, (answer, listed) in replies.items()}
    used = {user: found for user, found in parsed.items() if found is not None}
    unusable = len(parsed) - len(used)
    if task.how == "pick":
        return {user: [replies[user][1][int(n) - 1] for n in found] for user, found in used.items()}, unusable
    written = {user: [str(name) for name in found] for user, found in used.items()}
    items = nearest_items(ENCODERS.build(encoder), catalogue, train, written) if written else {}
    return {user: found for user, found in items.items() if found}, unusable


def _write(train: Interactions, found: Mapping[int, list[int]], out: Path) -> int:
    """Write the pairs with the ids of the log; their number."""
    import polars as pl

    pairs = [(user, item) for user, items in found.items() for item in items]
    ids = train.users.decode([user for user, _ in pairs]), train.items.decode([item for _, item in pairs])
    write_frame(pl.LazyFrame({"user": ids[0], "item": ids[1]}), out, "--out")
    return len(pairs)


def _split_options(fields: Fields) -> list[str]:
    """The options of the split that were given; the settings of --set stay with the reader."""
    given = [(name, fields[name]) for name in ("split", "seed") if name in fields]
    return [word for name, value in given for word in (f"--{name}", f"{value}")]
