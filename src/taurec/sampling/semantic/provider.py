"""A language model that answers a prompt, behind one protocol."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from taurec.errors import ArtefactError, ResourceError, UsageError

if TYPE_CHECKING:
    import openai

NO_KEY = "none"
"""What an endpoint gets that asks for no key; the client refuses to send nothing."""


@dataclass(frozen=True)
class Completion:
    """An answer.

    Attributes:
        text: as the model wrote it.
        tokens: of the prompt and of the answer together, as the endpoint counts them.
    """

    text: str
    tokens: int


class TextProvider(Protocol):
    """Answers prompts. Anything with a name and :meth:`complete` does.

    Attributes:
        model: names the model; answers are kept by it.
    """

    @property
    def model(self) -> str: ...

    def complete(self, prompt: str) -> Completion:
        """The answer to one prompt."""
        ...


@dataclass(frozen=True)
class OpenAIProvider:
    """A model behind an endpoint that speaks the chat interface of OpenAI: a hosted one, or a server of your own.

    The key is read from an environment variable when the first prompt is sent. It is no setting, and stands in no
    message, no file and no ``repr``.

    Args:
        model: the endpoint's name of the model.
        base_url: of the endpoint, such as ``http://localhost:11434/v1``; empty takes that of OpenAI.
        key_variable: the environment variable with the key. With a ``base_url`` it may be unset.
        max_answer: tokens of an answer, at most.
        timeout: seconds to wait for an answer.
        retries: how often a request is sent again after a failure of the network or of the server; a budget does not
            count these.
    Raises: UsageError for a setting out of range, a ``base_url`` with a user name or a query (which may hold a key), no
        key, or if ``openai`` is not installed; ResourceError if the endpoint does not answer or refuses; ArtefactError
        for an answer without text.

    >>> OpenAIProvider("small", "http://localhost:11434/v1").model
    'small'
    """

    model: str
    base_url: str = ""
    key_variable: str = "OPENAI_API_KEY"
    max_answer: int = 400
    timeout: float = 60.0
    retries: int = 2

    def __post_init__(self) -> None:
        if not self.model:
            raise UsageError("no model is named; give the name that the endpoint has for it, as --model NAME")
        if self.max_answer < 1 or not self.timeout > 0 or self.retries < 0:
            raise UsageError(
                f"max_answer must be at least 1 token, timeout above 0 s and retries at least 0, got "
                f"{self.max_answer}, {self.timeout} and {self.retries}"
            )
        parts = urlsplit(self.base_url)
        if self.base_url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise UsageError("base_url must be an address such as http://localhost:11434/v1; the one given is not")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise UsageError(
                f"base_url must have no user name, query or fragment, which may hold a key; put the key into the "
                f"environment variable {self.key_variable}"
            )

    def complete(self, prompt: str) -> Completion:
        """The answer to a prompt, with temperature 0, asked for as a JSON object."""
        client = self._client
        import openai

        try:
            found = client.chat.completions.create(
                model=self.model,
                messages=[{"role": "user", "content": prompt}],
                max_tokens=self.max_answer,
                temperature=0.0,
                response_format={"type": "json_object"},
            )
        except openai.APIStatusError as error:
            # The body of an error may repeat a part of the key, so it is not shown.
            raise ResourceError(
                f"the endpoint refused the request of model {self.model!r} with status {error.status_code}; "
                f"{_REMEDY.get(error.status_code, 'see the log of the endpoint')}"
            ) from None
        except openai.APIConnectionError as error:
            raise ResourceError(
                f"the endpoint did not answer ({type(error).__name__}); check the base URL and that the server runs, "
                f"or allow more than {self.timeout:g} s"
            ) from None
        text = found.choices[0].message.content if found.choices else None
        if text is None:
            raise ArtefactError(f"the endpoint's answer of model {self.model!r} has no text; is it a chat model?")
        used = found.usage.total_tokens if found.usage is not None else tokens_of(prompt) + tokens_of(text)
        return Completion(text, used)

    @cached_property
    def _client(self) -> openai.OpenAI:
        if importlib.util.find_spec("openai") is None:
            raise UsageError("openai is not installed, which asking a language model needs; pip install 'taurec[llm]'")
        import openai

        key = os.environ.get(self.key_variable, "")
        if not key and not self.base_url:
            raise UsageError(
                f"the environment variable {self.key_variable} holds no key; set it, or give the base URL of an "
                f"endpoint that needs none"
            )
        url = self.base_url or "https://api.openai.com/v1"
        return openai.OpenAI(api_key=key or NO_KEY, base_url=url, timeout=self.timeout, max_retries=self.retries)


_REMEDY = {
    400: "it may not know a parameter of the request, or the prompt is too long",
    401: "check the key in the environment variable",
    403: "the key may not use this model",
    404: "check the base URL and the name of the model",
    429: "wait, or raise the limit of the account",
}


def tokens_of(text: str) -> int:
    """An estimate of a text's tokens: one for each four characters, rounded up.

    >>> tokens_of("hello")
    2
    """
    return -(-len(text) // 4)
