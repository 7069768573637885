"""Which of several outcomes of one run is in force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from twiceshy.attempts.types import Outcome, Verdict, VerdictSource
from twiceshy.memory.bank.types import OutcomeRecorded

ASSUMED: dict[VerdictSource | None, float] = {
    "test": 0.99,
    "verifier": 0.95,
    "human": 0.9,
    "judge": 0.73,
    "log": 0.6,
    "heuristic": 0.6,
    None: 0.5,
}
"""Reliability by who judged, where a verdict states none. The judge's is the accuracy that
ReasoningBank (2509.25140) reports of its own, 72.7 %; the others are ours and only set an order."""


class Told(NamedTuple):
    """One outcome told of a run, as far as it matters for which is in force."""

    event: int
    outcome: str
    trust: float


class Conflict(NamedTuple):
    """A run of which different outcomes were told."""

    run_id: str
    in_force: OutcomeRecorded
    others: tuple[OutcomeRecorded, ...]
    """The other outcomes told, oldest first; some may agree with the one in force."""


def trust(verdict: Verdict) -> float:
    """Return how far a verdict is believed: the reliability it states, or the judge's usual one.

    Example:
        >>> trust(Verdict(outcome=Outcome.SUCCESS, source="test"))
        0.99
        >>> trust(Verdict(outcome=Outcome.SUCCESS, source="test", reliability=0.5))
        0.5
    """
    return verdict.reliability if verdict.reliability is not None else ASSUMED[verdict.source]


def in_force(told: Sequence[Told]) -> Told:
    """Return the outcome that counts: judged before unscored, then the most reliable, then first.

    Example:
        >>> in_force([Told(1, "failure", 0.7), Told(2, "success", 0.9), Told(3, "failure", 0.9)])
        Told(event=2, outcome='success', trust=0.9)
    """
    return max(told, key=lambda each: (each.outcome != Outcome.UNSCORED, each.trust, -each.event))


def contradict(told: Sequence[Told]) -> bool:
    """Whether outcomes differ; that nobody judged contradicts nothing.

    Example:
        >>> contradict([Told(1, "unscored", 0.5), Told(2, "success", 0.9)])
        False
        >>> contradict([Told(1, "failure", 0.5), Told(2, "success", 0.9)])
        True
    """
    return len({each.outcome for each in told} - {Outcome.UNSCORED}) > 1
