"""One attempt at a task, looked over again and again: the last of them, and what the changes teach.

Source: MaTTS, sequential (ReasoningBank, 2509.25140): after finishing, the agent is told to check
its work, first with one instruction, then with a repeated one; its notes become memory material.
What
differs: the instructions are in our words; a round that breaks is skipped and the next one looks at
the last whole attempt; flips are counted in both directions, because looking again also loses. The
released code has no sequential form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from twiceshy.attempts.types import Attempt, Outcome, Verdict
from twiceshy.lessons import Lesson
from twiceshy.memory.scaling.choosing import Choice, choose
from twiceshy.memory.scaling.finishing import Writing, finish, plan
from twiceshy.memory.scaling.running import attempt_at, check_count, judged, run_sync
from twiceshy.memory.scaling.types import Agent, Judge, Request, Scaled
from twiceshy.models import Completer

CHECK = (
    "Look over your attempt before it counts. Compare what was asked with what you did, step by"
    " step; note what is missing, wrong or not checked. Then put it right, or keep it and say why."
)
CHECK_AGAIN = (
    "Look it over once more, as if another had made it. Doubt first the step that all others rest"
    " on. Change the result only for a reason that you can name."
)
NOTE = "note"
"""Key of `Attempt.extra` for what the agent said while looking over; else its last words count."""


async def sequential_async(
    agent: Agent,
    task: str,
    *,
    k: int,
    judge: Judge | None = None,
    known: Sequence[Lesson] = (),
    completer: Completer | None = None,
    announce: Callable[[str], object] | None = None,
    seed: int = 0,
) -> Scaled:
    """Make an attempt and have it looked over k − 1 times.

    The rounds are not independent draws, so no rate may be taken from them; a change between two of
    them is still a contrast at one task.

    Args:
        agent: Makes one attempt; from the second call on it gets the last whole attempt and a note.
            One that raises gives a broken attempt.
        task: Identity of the task; the agent's attempts must carry it.
        k: Rounds, the first attempt included.
        judge: A verifier or a judging model. With one, the best judged round is chosen, of equals
            the last; without, the last whole round. It scores rounds that nobody has scored.
        known: Lessons of the bank.
        completer: A language model that writes lessons; None takes what can be had without.
        announce: Called with the budget in words, before the first attempt and after the last.
        seed: Seed of everything random.

    Raises:
        BadInput: When `k` is below 1.
    """
    check_count(k, 1)
    writing = Writing(known, completer, announce, seed)
    planned = plan(k, judges=judge is not None, compares=False, asks=completer is not None)
    writing.say("at most", planned)
    made: list[Attempt] = []
    verdicts: list[Verdict | None] = []
    for index in range(k):
        request = _request(task, index, made=made, seed=seed * k + index)
        made.append(await attempt_at(agent, request))
        verdicts.append(await judged(judge, made[-1]))
    choice = await _choose(made, verdicts)
    scaled = await finish(made, verdicts, choice=choice, writing=writing, planned=planned)
    won, lost = _flips(scaled.attempts)
    return scaled._replace(
        notes=tuple(filter(None, map(_note, scaled.attempts[1:]))),
        flips_to_success=won,
        flips_to_failure=lost,
    )


def sequential(agent: Agent, task: str, **settings: Any) -> Scaled:
    """Make an attempt and have it looked over; as `sequential_async`, whose arguments it takes.

    Raises:
        BadInput: As there, or when an event loop is running here.

    Example:
        >>> def agent(request):
        ...     return Attempt(task=request.task, answer=str(request.index), extra={"note": "hm"},
        ...                    verdict=Verdict(outcome=Outcome.UNSCORED))
        >>> scaled = sequential(agent, "t", k=3)
        >>> scaled.best.answer, scaled.notes
        ('2', ('hm', 'hm'))
    """
    return run_sync(sequential_async(agent, task, **settings))


def _request(task: str, index: int, *, made: Sequence[Attempt], seed: int) -> Request:
    whole = [each for each in made if each.outcome is not Outcome.BROKEN]
    if not whole:
        return Request(task, index, seed)
    return Request(task, index, seed, CHECK if len(whole) == 1 else CHECK_AGAIN, whole[-1])


async def _choose(made: Sequence[Attempt], verdicts: Sequence[Verdict | None]) -> Choice:
    """Return the best judged round; of equals, and without a judge, the last whole one."""
    choice = await choose(made, verdicts, prefer=None, seed=0)
    whole = [each for each in made if each.outcome is not Outcome.BROKEN]
    if choice.chosen_by == "nothing":
        return choice._replace(best=whole[-1] if whole else None)
    if not choice.tied:
        return choice
    last = [each for each in whole if each.id in choice.tied][-1]
    return choice._replace(best=last, chosen_by="judge", tied=())


def _note(attempt: Attempt) -> str:
    """Return what the agent said while looking over: its note, or the last thing it said."""
    told = attempt.extra.get(NOTE)
    if isinstance(told, str):
        return told
    said = [step.text for step in attempt.steps if step.role == "assistant" and step.text]
    return said[-1] if said else ""


def _flips(attempts: Sequence[Attempt]) -> tuple[int, int]:
    """Count rounds that turned a failure into a success, and the reverse; broken rounds aside."""
    scored = [each.outcome for each in attempts if each.outcome.is_scored]
    pairs = list(pairwise(scored))
    won = sum(old is Outcome.FAILURE and new is Outcome.SUCCESS for old, new in pairs)
    return won, sum(old is Outcome.SUCCESS and new is Outcome.FAILURE for old, new in pairs)
