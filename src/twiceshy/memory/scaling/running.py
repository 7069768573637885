"""Calling an agent, a judge and a comparison, each sync or async, with errors told and not raised.

The async functions are the only implementation. The sync twins run them in a loop of their own; a
sync agent is called in a thread, so that several can run at once.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

import msgspec

from twiceshy.attempts.codec import attempt_id
from twiceshy.attempts.types import Attempt, Outcome, Verdict
from twiceshy.errors import BadInput
from twiceshy.memory.scaling.types import Agent, Judge, Request

T = TypeVar("T")


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end.

    Raises:
        BadInput: When an event loop is running here already.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    work.close()
    raise BadInput(
        "a place without a running event loop",
        where="the sync form of scaling",
        fix="Await the function whose name ends in _async.",
    )


async def call(function: Callable[..., T | Awaitable[T]], *arguments: Any) -> T:
    """Call a sync function in a thread, or await an async one."""
    if inspect.iscoroutinefunction(function):
        return await cast("Awaitable[T]", function(*arguments))
    result = await asyncio.to_thread(function, *arguments)
    return await result if inspect.isawaitable(result) else cast("T", result)


async def attempt_at(agent: Agent, request: Request) -> Attempt:
    """Return the agent's attempt; a broken one when it raises or returns something else."""
    try:
        made = await call(agent, request)
    except Exception as error:  # noqa: BLE001  # an agent's crash is the world's fault, not a failure
        return _broken(request, f"{type(error).__name__}: {error}")
    if not isinstance(made, Attempt):
        return _broken(request, f"the agent returned {type(made).__name__}, not an Attempt")
    if made.task != request.task:
        return _broken(request, f"the agent returned an attempt at another task: {made.task!r}")
    return _sealed(made, request)


def _broken(request: Request, reason: str) -> Attempt:
    verdict = Verdict(outcome=Outcome.BROKEN, broken="tool_crash", reason=reason[:300])
    return _sealed(Attempt(task=request.task, verdict=verdict), request)


def _sealed(attempt: Attempt, request: Request) -> Attempt:
    """Give an attempt its id; equal attempts of two requests are different attempts."""
    trial = attempt.trial if attempt.trial is not None else str(request.index)
    attempt = msgspec.structs.replace(attempt, trial=trial)
    return attempt if attempt.id else msgspec.structs.replace(attempt, id=attempt_id(attempt))


async def judged(judge: Judge | None, attempt: Attempt) -> Verdict | None:
    """Return what the judge says of an attempt; None without a judge, and of a broken one."""
    if judge is None or attempt.outcome is Outcome.BROKEN:
        return None
    try:
        verdict = await call(judge, attempt)
    except Exception as error:  # noqa: BLE001  # told as unscored: nobody judged it
        return Verdict(outcome=Outcome.UNSCORED, reason=f"{type(error).__name__}: {error}"[:300])
    return verdict


def labelled(attempt: Attempt, verdict: Verdict | None) -> Attempt:
    """Return the attempt with a judge's verdict where nobody had scored it."""
    if verdict is None or attempt.outcome is not Outcome.UNSCORED:
        return attempt
    return msgspec.structs.replace(attempt, verdict=verdict)


def check_count(k: int, concurrency: int) -> None:
    """Check the number of attempts.

    Raises:
        BadInput: When either is below 1.
    """
    for name, value in (("k", k), ("concurrency", concurrency)):
        if value < 1:
            raise BadInput("at least 1", got=str(value), where=name)
