"""Attempts at the same task by the same policy belong together."""

from __future__ import annotations

from collections.abc import Iterable

from twiceshy.attempts.types import Attempt, Group


def group_attempts(attempts: Iterable[Attempt]) -> list[Group]:
    """Return the attempts by task and policy, in the order in which each was first seen.

    Example:
        >>> from twiceshy.attempts.types import Outcome, Verdict
        >>> verdict = Verdict(outcome=Outcome.SUCCESS)
        >>> a, b = (Attempt(task=task, verdict=verdict) for task in "xy")
        >>> [(group.task, len(group.attempts)) for group in group_attempts([a, b, a])]
        [('x', 2), ('y', 1)]
    """
    found: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in attempts:
        found.setdefault((attempt.task, attempt.policy), []).append(attempt)
    return [Group(task, policy, tuple(held)) for (task, policy), held in found.items()]
