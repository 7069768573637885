"""Attempts that a log keeps for testing: nothing may be learned from them."""

from __future__ import annotations

from twiceshy.attempts.types import Attempt

HELD_OUT_SPLITS = frozenset(
    {"test", "validation", "valid", "val", "dev", "eval", "held_out", "held-out"}
)
"""Values of `Attempt.split`, in small letters, that keep an attempt for testing."""


def is_held_out(attempt: Attempt) -> bool:
    """Whether the log keeps the attempt for testing.

    Example:
        >>> from twiceshy.attempts.types import Outcome, Verdict
        >>> verdict = Verdict(outcome=Outcome.SUCCESS)
        >>> is_held_out(Attempt(task="t", verdict=verdict, split="Validation"))
        True
        >>> is_held_out(Attempt(task="t", verdict=verdict))
        False
    """
    return attempt.split is not None and attempt.split.strip().lower() in HELD_OUT_SPLITS
