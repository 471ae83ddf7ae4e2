"""The provider of answers, against a server on this machine; the file of kept answers and the budget."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from taurec.errors import ArtefactError, ResourceError, UsageError
from taurec.sampling.semantic.answers import Budget, BudgetReached, KeptAnswers
from taurec.sampling.semantic.provider import Completion, OpenAIProvider

KEY = "sk-very-secret-0123456789"


class Endpoint(HTTPServer):
    """Answers every prompt with ``answer``, or with an error ``status`` whose body repeats the key."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict]] = []
        self.answer: str | None = '{"negatives": ["x"]}'
        self.status, self.usage = 200, True
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.headers["Authorization"], body))
        message = {"role": "assistant", "content": self.server.answer}
        reply: dict = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"]}
        reply["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
        if self.server.usage:
            reply["usage"] = {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}
        if self.server.status != 200:
            reply = {"error": {"message": f"wrong key {self.headers['Authorization']}"}}
        data = json.dumps(reply).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    pytest.importorskip("openai", reason="the package openai (extra llm) is not installed")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def provider(endpoint: Endpoint, **settings: object) -> OpenAIProvider:
    return OpenAIProvider("small", endpoint.url, retries=0, **settings)


def test_an_answer(endpoint: Endpoint):
    assert provider(endpoint).complete("hello") == Completion('{"negatives": ["x"]}', 42)
    ((key, body),) = endpoint.seen
    assert key == f"Bearer {KEY}"
    assert body["messages"] == [{"role": "user", "content": "hello"}]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("small", 0, 400)


def test_tokens_are_estimated_where_the_endpoint_does_not_count(endpoint: Endpoint):
    endpoint.usage, endpoint.answer = False, "x" * 9
    assert provider(endpoint).complete("hello").tokens == 2 + 3


def test_an_endpoint_without_a_key(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    provider(endpoint).complete("hello")
    assert endpoint.seen[0][0] == "Bearer none"
    with pytest.raises(UsageError, match="OPENAI_API_KEY holds no key"):
        OpenAIProvider("small").complete("hello")
    monkeypatch.setenv("OTHER_KEY", "k2")
    provider(endpoint, key_variable="OTHER_KEY").complete("hello")
    assert endpoint.seen[1][0] == "Bearer k2"


@pytest.mark.parametrize(("status", "remedy"), [(401, "check the key"), (404, "base URL"), (429, "wait"), (500, "log")])
def test_a_refusal_shows_no_key(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], status: int, remedy: str
):
    endpoint.status = status
    with caplog.at_level(logging.DEBUG), pytest.raises(ResourceError, match=f"{status}; .*{remedy}") as caught:
        provider(endpoint).complete("hello")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    shown = [str(caught.value), repr(provider(endpoint)), *(record.getMessage() for record in caplog.records)]
    assert not any(KEY in text for text in [*shown, *capsys.readouterr()])


def test_no_answer(endpoint: Endpoint):
    endpoint.answer = None
    with pytest.raises(ArtefactError, match="has no text"):
        provider(endpoint).complete("hello")
    with pytest.raises(ResourceError, match="did not answer"):
        OpenAIProvider("small", "http://127.0.0.1:9/v1", retries=0, timeout=2).complete("hello")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ""}, "no model is named"),
        ({"base_url": "localhost:1"}, "must be an address"),
        ({"base_url": "http://me:word@host/v1"}, "no user name"),
        ({"base_url": "http://host/v1?key=word"}, "no user name"),
        ({"timeout": 0.0}, "timeout above 0"),
    ],
)
def test_settings_are_checked(settings: dict, message: str):
    with pytest.raises(UsageError, match=message) as caught:
        OpenAIProvider(**{"model": "m", **settings})
    assert "word" not in str(caught.value)


class Echo:
    """Answers a prompt with itself, at ten tokens each."""

    def __init__(self, model: str = "echo"):
        self.model, self.asked = model, 0

    def complete(self, prompt: str) -> Completion:
        self.asked += 1
        return Completion(f"{prompt}\n\u2028é", 10)


def test_answers_are_kept_and_used_again(tmp_path: Path):
    path, echo = tmp_path / "deep" / "kept.jsonl", Echo()
    first = KeptAnswers(echo, path, Budget())
    assert [first.complete(p).text for p in ("a", "b", "a")] == ["a\n\u2028é", "b\n\u2028é", "a\n\u2028é"]
    assert (echo.asked, first.calls, first.tokens, first.reused) == (2, 2, 20, 1)
    again = KeptAnswers(echo, path, Budget(calls=0))
    assert again.complete("b") == Completion("b\n\u2028é", 10)
    assert (again.calls, again.reused) == (0, 1)
    other = KeptAnswers(Echo("another"), path, Budget(calls=0))
    with pytest.raises(BudgetReached):
        other.complete("b")


def test_a_budget_stops_and_keeps_what_was_done(tmp_path: Path):
    path = tmp_path / "kept.jsonl"
    for budget, word in ((Budget(calls=2), "2 calls is reached"), (Budget(tokens=20), "20 tokens is reached")):
        path.unlink(missing_ok=True)
        answers = KeptAnswers(Echo(), path, budget)
        answers.complete("a"), answers.complete("b")
        with pytest.raises(BudgetReached, match=f"{word}: 2 calls and 20 tokens are spent"):
            answers.complete("c")
        assert len(path.read_text().splitlines()) == 2
    with pytest.raises(UsageError, match="0 or more"):
        Budget(calls=-1)


def test_an_incomplete_last_line_is_dropped_and_other_lines_refused(tmp_path: Path):
    path, echo = tmp_path / "kept.jsonl", Echo()
    KeptAnswers(echo, path, Budget()).complete("a")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "12')
    answers = KeptAnswers(echo, path, Budget())
    answers.complete("a"), answers.complete("b")
    assert echo.asked == 2
    assert len(KeptAnswers(echo, path, Budget())._kept) == 2
    path.write_bytes(whole + b"[]\n")
    with pytest.raises(ArtefactError, match=r"kept.jsonl:2: not a kept answer"):
        KeptAnswers(echo, path, Budget())
