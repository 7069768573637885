"""The contract of a language model: requests in, completions out, failures as data."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal, Protocol

import msgspec

from twiceshy.errors import BadInput

Role = Literal["system", "user", "assistant"]
Finish = Literal[
    "stop",
    "length",
    "empty",
    "filtered",
    "malformed",
    "timeout",
    "rate_limited",
    "unreachable",
    "refused",
]
"""How a request ended.

`stop` and `length` (cut at `max_tokens`) carry text. `empty` and `filtered` are answers without
text. The rest are no answers: what came could not be read, nothing came in time, the limit of calls
was hit, nobody was there, or the endpoint refused the request."""
ANSWERED: frozenset[Finish] = frozenset({"stop", "length", "empty", "filtered"})
"""The model was heard: asking again would be paid for again."""


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: Role
    content: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to ask. Equal requests have equal answers in a cache.

    To draw several answers to one prompt, number them with `sample`: each is a request of its own.
    """

    messages: tuple[Message, ...]
    temperature: float = 0.0
    max_tokens: int = 512
    """Longest answer, in tokens."""
    seed: int | None = None
    """Sent to the endpoint, changed by `sample`; None sends none."""
    stop: tuple[str, ...] = ()
    """Strings before which the answer ends."""
    sample: int = 0
    """Which of several draws; not sent."""

    def __post_init__(self) -> None:
        if not self.messages:
            raise BadInput("at least one message", where="Request.messages")
        if self.max_tokens < 1 or self.temperature < 0 or self.sample < 0:
            told = f"{self.max_tokens}, {self.temperature}, {self.sample}"
            raise BadInput("max_tokens ≥ 1, temperature ≥ 0 and sample ≥ 0", got=told)
        msgspec.structs.force_setattr(self, "temperature", float(self.temperature))

    @property
    def prompt(self) -> str:
        """The last message's text."""
        return self.messages[-1].content

    @property
    def sent_seed(self) -> int | None:
        """The seed to send: `seed` for sample 0, another fixed number for each other sample.

        Example:
            >>> first = request_of("Hello?", seed=7)
            >>> first.sent_seed, msgspec.structs.replace(first, sample=1).sent_seed
            (7, 1731163021)
        """
        if self.seed is None or not self.sample:
            return self.seed
        return int(sha256(f"{self.seed}|{self.sample}".encode()).hexdigest()[:8], 16) >> 1


def request_of(
    prompt: str,
    *,
    system: str = "",
    temperature: float = 0.0,
    max_tokens: int = 512,
    seed: int | None = None,
    stop: tuple[str, ...] = (),
    sample: int = 0,
) -> Request:
    """Return the request for one prompt, after a system message when there is one.

    Example:
        >>> [message.role for message in request_of("Hello?", system="Be brief.").messages]
        ['system', 'user']
    """
    before = (Message("system", system),) if system else ()
    return Request(
        messages=(*before, Message("user", prompt)),
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
        stop=stop,
        sample=sample,
    )


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request."""

    text: str
    """The answer; empty where there is none."""
    finish: Finish = "stop"
    prompt_tokens: int | None = None
    """Tokens of the request as the endpoint counted them; None when it did not say."""
    completion_tokens: int | None = None
    cached: bool = False
    """Whether it came from a cache or a recording: nothing was sent and nothing paid."""
    n_tries: int = 1
    """Times the request was sent; 0 when it came from a cache or a recording."""
    error: str | None = None
    """What went wrong, where something did."""

    @property
    def ok(self) -> bool:
        """Whether there is text to use, be it cut."""
        return self.finish in ("stop", "length")

    @property
    def answered(self) -> bool:
        """Whether the model was heard, with text or without."""
        return self.finish in ANSWERED


class Completer(Protocol):
    """Anything that completes requests.

    One completion for each request, in order. What goes wrong with a single request is told in its
    completion and never raised. What makes every request pointless is raised as `BadInput`: an
    endpoint that was never reached, a key it does not take, a prompt without a script.
    """

    @property
    def name(self) -> str:
        """The model's name. It keys caches and recordings: one name, one model."""
        ...

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete all requests, as many at once as the model takes."""
        ...

    async def acomplete(self, requests: Sequence[Request]) -> list[Completion]:
        """Do the same without blocking the event loop."""
        ...
