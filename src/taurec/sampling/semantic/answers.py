"""Answers of a language model, kept on disk and within a budget."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from taurec.errors import ArtefactError, ResourceError, UsageError
from taurec.sampling.semantic.provider import Completion, tokens_of

if TYPE_CHECKING:
    from taurec.sampling.semantic.provider import TextProvider


class BudgetReached(ResourceError):
    """The next prompt would exceed the budget; the answers so far are kept."""


@dataclass(frozen=True)
class Budget:
    """What may be asked of a language model; answers that are kept already cost nothing.

    Attributes:
        calls: prompts that are sent, at most.
        tokens: of prompts and answers together. A prompt is sent only if its estimated tokens still fit, so the last
            answer may exceed the budget by its own length.
    Raises: UsageError for a number below 0.
    """

    calls: int = 100
    tokens: int = 200_000

    def __post_init__(self) -> None:
        if self.calls < 0 or self.tokens < 0:
            raise UsageError(f"a budget must be 0 or more, got {self.calls} calls and {self.tokens} tokens")


class KeptAnswers:
    """A provider whose answers are kept in a file and used again, and which stops at a budget.

    The file has one JSON object a line: the SHA-256 of model and prompt, the model, the answer and its tokens. A line
    is written as soon as the answer is there. Prompts and keys are not written.

    Args:
        provider: who answers.
        path: the file, made if it is not there.
        budget: for the prompts that are sent from now on.
    Attributes:
        calls, tokens: spent so far.
        reused: answers that were in the file.
    Raises: ArtefactError for a file that has other lines; an incomplete last line, of a process that was stopped, is
        dropped.
    """

    def __init__(self, provider: TextProvider, path: Path, budget: Budget):
        self.provider, self.path, self.budget = provider, path, budget
        self.calls = self.tokens = self.reused = 0
        self._kept = _read(path)

    @property
    def model(self) -> str:
        return self.provider.model

    def complete(self, prompt: str) -> Completion:
        """The kept answer of this model to this prompt, or a new one.

        Raises: BudgetReached before a prompt that would exceed the budget; ResourceError if the file cannot be written.
        """
        key = hashlib.sha256(f"{self.model}\x1f{prompt}".encode("utf-8", "surrogatepass")).hexdigest()
        if key in self._kept:
            self.reused += 1
            return self._kept[key]
        spent = f"{self.calls:,} calls and {self.tokens:,} tokens are spent; the answers are kept in {self.path}"
        if self.calls >= self.budget.calls:
            raise BudgetReached(f"the budget of {self.budget.calls:,} calls is reached: {spent}")
        if self.tokens + tokens_of(prompt) > self.budget.tokens:
            raise BudgetReached(f"the budget of {self.budget.tokens:,} tokens is reached: {spent}")
        self.calls += 1
        answer = self.provider.complete(prompt)
        self.tokens += answer.tokens
        self._kept[key] = answer
        self._write({"key": key, "model": self.model, "answer": answer.text, "tokens": answer.tokens})
        return answer

    def _write(self, line: dict[str, str | int]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise ResourceError(f"{self.path}: answers cannot be kept there ({error.strerror})") from None


def _read(path: Path) -> dict[str, Completion]:
    if not path.exists():
        return {}
    try:
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):  # what is appended next must begin a line
            path.write_bytes(whole)
        lines = whole.decode().splitlines()
    except UnicodeDecodeError:
        raise ArtefactError(f"{path}: not a file of kept answers; give another file") from None
    except OSError as error:
        raise ResourceError(f"{path}: kept answers cannot be read ({error.strerror})") from None
    found = {}
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text)
            found[str(line["key"])] = Completion(str(line["answer"]), int(line["tokens"]))
        except (ValueError, KeyError, TypeError):
            raise ArtefactError(f"{path}:{number}: not a kept answer; delete the line, or give another file") from None
    return found
