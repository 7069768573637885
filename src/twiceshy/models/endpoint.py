"""A model behind an OpenAI-compatible chat endpoint: many requests at once, failures as data."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from twiceshy.errors import BadInput
from twiceshy.models.client import open_client
from twiceshy.models.pacing import Limits, Pacer, retry_after
from twiceshy.models.running import arun, run, together
from twiceshy.models.types import Completion, Finish, Request

if TYPE_CHECKING:
    from openai import OpenAIError

TOLD = 300
"""Characters of an error that are kept."""
_CHARACTERS_PER_TOKEN = 4
"""A guess, for reckoning a prompt's tokens before the endpoint has counted them."""
_FINISHES: dict[str | None, Finish] = {"length": "length", "content_filter": "filtered"}


class _Tried(NamedTuple):
    completion: Completion
    again: bool = False
    """Whether another try may help."""
    wait: float | None = None
    """Seconds the endpoint asks to wait before it."""


class OpenAICompleter:
    """A model behind any OpenAI-compatible chat endpoint.

    Each request is tried again after a timeout, a rate limit, a server error or an unreadable
    answer; a rate limit holds all requests back. When one has failed at every try, the others are
    tried once each until one is answered, so that a run against an endpoint that went away ends.

    Args:
        model: The model's name as the endpoint knows it.
        base_url: The endpoint, for example a local server; None is the SDK's default.
        api_key: None reads the SDK's environment variable.
        timeout: Seconds to wait for one answer.
        limits: Rate limits, concurrency and retries.

    Raises:
        MissingExtra: When the `openai` extra is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
        limits: Limits | None = None,
    ) -> None:
        self.name = model
        self.limits = limits or Limits()
        self._client = open_client(
            self,
            feature="asking a language model",
            base_url=base_url,
            api_key=api_key,
            timeout=timeout,
            retries=0,  # ours: the SDK's do not hold the other requests back
        )
        self._pacer = Pacer(self.limits)
        self._slots = asyncio.Semaphore(self.limits.concurrency)
        self._reached = False
        self._given_up = False

    @property
    def base_url(self) -> str:
        """Address of the endpoint."""
        return str(self._client.base_url)

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete all requests, `limits.concurrency` at once.

        Raises:
            BadInput: When nothing was ever heard from the endpoint and it cannot be reached, or it
                takes neither the key nor the model.
        """
        return run(self._all(requests))

    async def acomplete(self, requests: Sequence[Request]) -> list[Completion]:
        """Do the same without blocking the event loop."""
        return await arun(self._all(requests))

    async def _all(self, requests: Sequence[Request]) -> list[Completion]:
        return await together([self._one(each) for each in requests])

    async def _one(self, request: Request) -> Completion:
        async with self._slots:
            n_tries = 0
            while True:
                n_tries += 1
                tried = await self._try(request)
                completion = tried.completion
                self._judge(completion)
                wait = self._wait(tried, n_tries)
                if wait is None:
                    self._given_up = not completion.answered and tried.again
                    return msgspec.structs.replace(completion, n_tries=n_tries)
                if completion.finish == "rate_limited":
                    self._pacer.pause(wait)
                await asyncio.sleep(wait)

    def _wait(self, tried: _Tried, n_tries: int) -> float | None:
        """Return the seconds before the next try, or None when there is none."""
        if not tried.again or n_tries > self.limits.retries or self._given_up:
            return None
        if tried.wait is None:
            return self.limits.wait_before(n_tries)
        return tried.wait if tried.wait <= self.limits.longest_wait else None

    def _judge(self, completion: Completion) -> None:
        """Note that the endpoint is there.

        Raises:
            BadInput: When it is not, or takes nothing, from the start.
        """
        if completion.answered or completion.finish in ("rate_limited", "malformed"):
            self._reached = True
        elif not self._reached and completion.finish in ("unreachable", "refused"):
            raise BadInput(
                "an endpoint that answers",
                got=f"{completion.finish}: {completion.error}",
                where=self.base_url,
                fix="Check its address, the key and the model's name.",
            )

    async def _try(self, request: Request) -> _Tried:
        from openai import OpenAIError

        expected = request.max_tokens + sum(
            len(each.content) // _CHARACTERS_PER_TOKEN for each in request.messages
        )
        await self._pacer.admit(expected)
        try:
            answer = await self._client.chat.completions.create(**_parameters(self.name, request))
        except OpenAIError as error:
            return _failed(error)
        except ValueError as error:  # the SDK lets a body that is no JSON through
            return _Tried(_completion("malformed", error=_told(error)), again=True)
        tried = _read(answer)
        used = tried.completion.prompt_tokens, tried.completion.completion_tokens
        if None not in used:
            self._pacer.settle(expected=expected, used=sum(each or 0 for each in used))
        return tried


def _parameters(model: str, request: Request) -> dict[str, Any]:
    given: dict[str, Any] = {
        "model": model,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "messages": [{"role": each.role, "content": each.content} for each in request.messages],
    }
    if request.stop:
        given["stop"] = list(request.stop)
    if request.seed is not None:
        given["seed"] = request.sent_seed
    return given


def _completion(finish: Finish, *, error: str) -> Completion:
    return Completion(text="", finish=finish, error=error)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:TOLD]


def _failed(error: OpenAIError) -> _Tried:
    import openai

    told = _told(error)
    if isinstance(error, openai.APITimeoutError):
        return _Tried(_completion("timeout", error=told), again=True)
    if isinstance(error, openai.APIConnectionError):
        return _Tried(_completion("unreachable", error=told), again=True)
    if not isinstance(error, openai.APIStatusError):
        return _Tried(_completion("malformed", error=told), again=True)
    wait = retry_after(error.response.headers)
    if error.status_code == 429:
        spent = error.code == "insufficient_quota"
        return _Tried(_completion("rate_limited", error=told), again=not spent, wait=wait)
    again = error.status_code in (408, 409) or error.status_code >= 500
    return _Tried(_completion("malformed" if again else "refused", error=told), again, wait)


def _read(answer: object) -> _Tried:
    """Return what an answer says; whatever its shape, since the SDK checks none."""
    try:
        choice = cast("Any", answer).choices[0]
        text = choice.message.content or ""
        said = choice.finish_reason
        usage = getattr(answer, "usage", None)
        tokens = (_count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        return _Tried(
            _completion("malformed", error=f"no choices in the answer: {_told(error)}"), again=True
        )
    if not isinstance(text, str):
        kind = type(text).__name__
        return _Tried(_completion("malformed", error=f"text of type {kind}"), again=True)
    finish = _FINISHES.get(said, "stop")
    silent = not text.strip() and finish != "filtered"
    return _Tried(
        Completion(
            text=text,
            finish="empty" if silent else finish,
            prompt_tokens=tokens[0],
            completion_tokens=tokens[1],
            error=f"no text; the endpoint says {said!r}" if silent else None,
        )
    )


def _count(usage: object, name: str) -> int | None:
    found = getattr(usage, name, None)
    return found if isinstance(found, int) else None
