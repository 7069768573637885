"""Where a failed attempt went wrong, as far as its log and its siblings can tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from twiceshy.attempts import Attempt, Step
from twiceshy.distillation.contexts.thinking import written


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
    first step that no right sibling takes after the same beginning. The last is a guess from
    contrast: the departure need not be the mistake.

    Args:
        attempt: A failed attempt.
        right: Right attempts at the same task.
        told: Index of the failing step where it is known.

    Example:
        >>> from twiceshy.attempts import Outcome, Verdict
        >>> def tried(*words: str) -> Attempt:
        ...     steps = tuple(Step(role="assistant", text=word) for word in words)
        ...     return Attempt(task="t", verdict=Verdict(outcome=Outcome.FAILURE), steps=steps)
        >>> found = failing_step(tried("open", "fry", "eat"), right=[tried("open", "roast", "eat")])
        >>> found.index, found.why, found.instead
        (1, 'departs', 'roast')
    """
    own = [index for index, step in enumerate(attempt.steps) if step.role == "assistant"]
    index, why = _located(attempt, own, told=told)
    departure = _departure(attempt, right)
    if index is None and departure is not None:
        index, why = departure[0], "departs"
    if index is None or not own:
        return None
    same = departure is not None and departure[0] == index
    instead, sibling = (departure[1], departure[2]) if same and departure else ("", "")
    return FailingStep(index, why, _reply(attempt.steps, index), instead, sibling)


def _located(attempt: Attempt, own: list[int], *, told: int | None) -> tuple[int | None, str]:
    if told is not None and 0 <= told < len(attempt.steps):
        return told, "told"
    errors = [index for index, step in enumerate(attempt.steps) if step.error]
    before = [index for index in own if errors and index < errors[-1]]
    return (before[-1], "error") if before else (None, "")


def _departure(attempt: Attempt, right: Sequence[Attempt]) -> tuple[int, str, str] | None:
    """Return (step, what the sibling did, its id) where the longest common beginning ends."""
    mine = _policy_steps(attempt)
    best: tuple[int, str, str] | None = None
    for sibling in right:
        theirs = _policy_steps(sibling)
        shared = _shared(mine, theirs)
        if shared < min(len(mine), len(theirs)) and (best is None or mine[shared][0] > best[0]):
            best = (mine[shared][0], theirs[shared][1], sibling.id)
    # One step each, say two whole answers, share no beginning: nothing is located.
    return best if best is not None and len(mine) > 1 else None


def _policy_steps(attempt: Attempt) -> list[tuple[int, str]]:
    return [
        (index, written(step, thinking=False))
        for index, step in enumerate(attempt.steps)
        if step.role == "assistant"
    ]


def _shared(mine: list[tuple[int, str]], theirs: list[tuple[int, str]]) -> int:
    pairs = zip(mine, theirs, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a[1] != b[1]), min(len(mine), len(theirs)))


def _reply(steps: Sequence[Step], index: int) -> str:
    after = steps[index + 1] if index + 1 < len(steps) else None
    if after is None or after.role == "assistant":
        return ""
    return after.error or ""
