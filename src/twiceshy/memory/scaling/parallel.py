"""Several attempts at one task side by side: the best of them, and what they teach by contrast.

Source: MaTTS, parallel (ReasoningBank, 2509.25140): k attempts of one query, each with memory, then
one extraction that compares them, at most 5 items; best-of-n by a judge. What differs: an attempt
that crashes is broken and not a failure; the judge may be a verifier; ties are told and a coin
decides them; comparisons are asked in both orders; outcomes are in the question (the released code
leaves them out).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from twiceshy.attempts.types import Attempt, Verdict
from twiceshy.lessons import Lesson
from twiceshy.memory.scaling.choosing import choose
from twiceshy.memory.scaling.finishing import Writing, finish, plan
from twiceshy.memory.scaling.running import attempt_at, check_count, judged, run_sync
from twiceshy.memory.scaling.types import Agent, Judge, Prefer, Request, Scaled
from twiceshy.models import Completer

CONCURRENCY = 4
"""Attempts that run at once."""


async def parallel_async(
    agent: Agent,
    task: str,
    *,
    k: int,
    judge: Judge | None = None,
    prefer: Prefer | None = None,
    known: Sequence[Lesson] = (),
    completer: Completer | None = None,
    concurrency: int = CONCURRENCY,
    announce: Callable[[str], object] | None = None,
    seed: int = 0,
) -> Scaled:
    """Make k attempts at a task, choose the best, and propose what they teach.

    Args:
        agent: Makes one attempt; called k times, each with another seed. Give it the lessons it
            needs beforehand. One that raises gives a broken attempt.
        task: Identity of the task; the agent's attempts must carry it.
        k: Attempts.
        judge: A verifier or a judging model. It chooses, and scores attempts that nobody has
            scored.
        prefer: Compares two attempts where the judge leaves several, or without a judge.
        known: Lessons of the bank.
        completer: A language model that writes lessons; None takes what can be had without.
        concurrency: Attempts and judgements that run at once.
        announce: Called with the budget in words, before the first attempt and after the last.
        seed: Seed of everything random.

    Raises:
        BadInput: When `k` or `concurrency` is below 1.
    """
    check_count(k, concurrency)
    writing = Writing(known, completer, announce, seed)
    planned = plan(
        k, judges=judge is not None, compares=prefer is not None, asks=completer is not None
    )
    writing.say("at most", planned)
    gate = asyncio.Semaphore(concurrency)

    async def one(index: int) -> tuple[Attempt, Verdict | None]:
        async with gate:
            made = await attempt_at(agent, Request(task, index, seed * k + index))
            return made, await judged(judge, made)

    pairs = await asyncio.gather(*(one(index) for index in range(k)))
    made, verdicts = [each for each, _ in pairs], [verdict for _, verdict in pairs]
    choice = await choose(made, verdicts, prefer=prefer, seed=seed)
    return await finish(made, verdicts, choice=choice, writing=writing, planned=planned)


def parallel(agent: Agent, task: str, **settings: Any) -> Scaled:
    """Make k attempts at a task and choose; as `parallel_async`, whose arguments it takes.

    Raises:
        BadInput: As there, or when an event loop is running here.

    Example:
        >>> from twiceshy.attempts.types import Attempt, Outcome, Verdict
        >>> def agent(request):
        ...     return Attempt(task=request.task, answer=str(request.index),
        ...                    verdict=Verdict(outcome=Outcome.UNSCORED))
        >>> def judge(attempt):
        ...     right = attempt.answer == "2"
        ...     return Verdict(outcome=Outcome.SUCCESS if right else Outcome.FAILURE)
        >>> scaled = parallel(agent, "t", k=3, judge=judge)
        >>> scaled.best.answer, scaled.chosen_by, scaled.spent.attempts
        ('2', 'judge', 3)
    """
    return run_sync(parallel_async(agent, task, **settings))
