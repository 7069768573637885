"""Where a failed attempt went wrong, as far as its log and its siblings can tell."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from twiceshy.attempts import Attempt, Step
from twiceshy.distillation.contexts.thinking import written
from twiceshy.errors import BadInput


class FailingStep(NamedTuple):
    """A step of the policy and what speaks for it."""

    index: int
    """Into the attempt's steps."""
    why: str
    """How it was found: "told", "error" or "departs"."""
    reply: str
    """The error that followed, if one did."""
    instead: str
    """What a right sibling did there, if one is known."""
    sibling: str
    """Id of that sibling; empty without one."""


def failing_step(
    attempt: Attempt, *, right: Sequence[Attempt] = (), told: int | None = None
) -> FailingStep | None:
    """Return the step that a critique should point at, or None when nothing tells.

    In this order: the step somebody named; the last step whose reply is typed as an error; the
    first step that no right sibling takes after the same beginning, of one step or more. The last
    is a guess from contrast: the departure need not be the mistake. Attempts that differ from their
    first step on are two ways to go, and tell nothing.

    Args:
        attempt: A failed attempt.
        right: Right attempts at the same task.
        told: Index of the failing step where it is known.

    Raises:
        BadInput: If the step that was named is not one of the policy's.

    Example:
        >>> from twiceshy.attempts import Outcome, Verdict
        >>> def tried(*words: str) -> Attempt:
        ...     steps = tuple(Step(role="assistant", text=word) for word in words)
        ...     return Attempt(task="t", verdict=Verdict(outcome=Outcome.FAILURE), steps=steps)
        >>> found = failing_step(tried("open", "fry", "eat"), right=[tried("open", "roast", "eat")])
        >>> found.index, found.why, found.instead
        (1, 'departs', 'roast')
    """
    own = policy_steps(attempt)
    if told is not None and told not in own:
        raise BadInput(
            f"a step of the policy: {', '.join(map(str, own)) or 'there is none'}",
            got=str(told),
            where=f"attempt {attempt.id}",
        )
    index, why = (told, "told") if told is not None else _by_error(attempt, own)
    departure = _departure(attempt, right)
    if index is None and departure is not None:
        index, why = departure[0], "departs"
    if index is None:
        return None
    same = departure is not None and departure[0] == index
    instead, sibling = (departure[1], departure[2]) if same and departure else ("", "")
    return FailingStep(index, why, _reply(attempt.steps, index), instead, sibling)


def policy_steps(attempt: Attempt) -> list[int]:
    """Return the indices of the steps that the policy took."""
    return [index for index, step in enumerate(attempt.steps) if step.role == "assistant"]


def _by_error(attempt: Attempt, own: list[int]) -> tuple[int | None, str]:
    errors = [index for index, step in enumerate(attempt.steps) if step.error]
    before = [index for index in own if errors and index <= errors[-1]]
    return (before[-1], "error") if before else (None, "")


def _departure(attempt: Attempt, right: Sequence[Attempt]) -> tuple[int, str, str] | None:
    """Return (step, what the sibling did, its id) where the longest common beginning ends."""
    mine = _written_steps(attempt)
    best: tuple[int, str, str] | None = None
    for sibling in right:
        theirs = _written_steps(sibling)
        shared = _shared(mine, theirs)
        parts = 0 < shared < min(len(mine), len(theirs))
        if parts and (best is None or mine[shared][0] > best[0]):
            best = (mine[shared][0], theirs[shared][1], sibling.id)
    return best


def _written_steps(attempt: Attempt) -> list[tuple[int, str]]:
    own = policy_steps(attempt)
    return [(index, written(attempt.steps[index], thinking=False)) for index in own]


def _shared(mine: list[tuple[int, str]], theirs: list[tuple[int, str]]) -> int:
    pairs = zip(mine, theirs, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a[1] != b[1]), min(len(mine), len(theirs)))


def _reply(steps: Sequence[Step], index: int) -> str:
    """The last error before the policy's next step: one step may make several calls."""
    answers = takewhile(lambda step: step.role != "assistant", steps[index + 1 :])
    errors = [step.error for step in (steps[index], *answers) if step.error]
    return errors[-1] if errors else ""
