"""The rules of the gate: who is trusted how far, and what the agent may already use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

import msgspec

from twiceshy.attempts.types import Attempt, VerdictSource
from twiceshy.errors import BadInput


class Tier(IntEnum):
    """Trust by who judged, least first. The place of `LOG` is ours."""

    HEURISTIC = 0
    """A heuristic, nobody known, or only the text of a tool."""
    LOG = 1
    """The log's own score, by a judge it does not name."""
    JUDGE = 2
    """A judging model."""
    HUMAN = 3
    VERIFIER = 4
    TEST = 5


_TIER: Mapping[VerdictSource, Tier] = {
    "test": Tier.TEST,
    "verifier": Tier.VERIFIER,
    "human": Tier.HUMAN,
    "judge": Tier.JUDGE,
    "log": Tier.LOG,
    "heuristic": Tier.HEURISTIC,
}


def tier_of(attempt: Attempt) -> Tier:
    """Return how far an attempt's outcome is trusted.

    Example:
        >>> from twiceshy.attempts.types import Outcome, Verdict
        >>> tier_of(Attempt(task="t", verdict=Verdict(outcome=Outcome.SUCCESS, source="test"))).name
        'TEST'
    """
    source = attempt.verdict.source
    return Tier.HEURISTIC if source is None else _TIER[source]


def highest_tier(attempts: Iterable[Attempt]) -> Tier | None:
    """Return the best tier among attempts; None without any."""
    return max(map(tier_of, attempts), default=None)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate lets through.

    Raises:
        BadInput: When a bound is below its least.
    """

    allowed: tuple[str, ...] = ()
    """Hosts, mail addresses and programs that lessons may name beside those that the policy used by
    itself: "docs.python.org", "help@example.org", "pytest", "pip install numpy"."""
    trust_own_calls: bool = True
    """Whether lessons may name what the policy's own calls used before any text offered it."""
    trust_facts: bool = False
    """Whether lessons may repeat `Step.facts`: say so where your own environment writes them from a
    fixed list, not from text that others can write."""
    least_tier: Tier = Tier.LOG
    """A lesson that rests on less trusted outcomes alone is quarantined."""
    max_per_origin: int = 5
    """Lessons (not demonstrations) that may rest on one task alone; the rest is quarantined.
    ReasoningBank (2509.25140) takes at most 5 from a group."""
    copied_words: int = 5
    """Words in a row that count as copied from what a tool, a page or a user said; ours."""

    def __post_init__(self) -> None:
        for name, least in (("max_per_origin", 0), ("copied_words", 2)):
            value = getattr(self, name)
            if value < least:
                raise BadInput(f"at least {least}", got=str(value), where=f"Policy.{name}")
