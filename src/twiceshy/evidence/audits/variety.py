"""How varied the attempts of one group are: answers, calls, words, whole attempts."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from twiceshy.attempts.answers import final_answer
from twiceshy.attempts.effects import canonical
from twiceshy.attempts.texts import own_text
from twiceshy.attempts.types import Attempt, Group, Outcome
from twiceshy.evidence.audits.views import ngrams, words

MAX_WORDS = 200
"""Words of each attempt in the bigram count, which falls with length by itself."""


class Variety(NamedTuple):
    """How varied one group is; None where it has fewer than two of what is compared."""

    n_answers: int
    """Attempts with a marked answer."""
    n_distinct: int
    same_answer: float | None
    """Chance that two attempts give the same answer."""
    same_wrong: float | None
    """Chance that two failures do."""
    entropy: float | None
    """Plug-in entropy of the answers in nats."""
    n_copies: int
    """Attempts that repeat an earlier one of the group word for word and call for call."""
    same_calls: float | None
    """Chance that two attempts make the same calls in the same order."""
    distinct_bigrams: float | None
    """Distinct / all word pairs (distinct-2 of Li et al. 2016)."""


def variety_of(group: Group) -> Variety:
    """Return how varied a group is; verdicts matter only for `same_wrong`."""
    answers = [final_answer(attempt) for attempt in group.attempts]
    known = [answer for answer in answers if answer is not None]
    failed = [attempt.outcome is Outcome.FAILURE for attempt in group.attempts]
    wrong = [a for a, is_wrong in zip(answers, failed, strict=True) if is_wrong and a is not None]
    traces = [json.dumps(_trace(attempt)) for attempt in group.attempts]
    calls = [json.dumps(_calls(attempt)) for attempt in group.attempts]
    called = any(step.calls for attempt in group.attempts for step in attempt.steps)
    return Variety(
        n_answers=len(known),
        n_distinct=len(set(known)),
        same_answer=same_chance(known),
        same_wrong=same_chance(wrong),
        entropy=_entropy(known),
        n_copies=len(traces) - len(set(traces)),
        same_calls=same_chance(calls) if called else None,
        distinct_bigrams=_distinct_bigrams(group.attempts),
    )


def same_chance(values: Sequence[str]) -> float | None:
    """Return the chance that two different entries are equal; None for fewer than two.

    Σ_a n_a·(n_a − 1) / (n·(n − 1)), unbiased whatever the number of entries.

    Example:
        >>> same_chance(["4", "4", "5"]), same_chance(["4"])
        (0.3333333333333333, None)
    """
    n = len(values)
    if n < 2:
        return None
    return sum(c * (c - 1) for c in Counter(values).values()) / (n * (n - 1))


def _calls(attempt: Attempt) -> list[tuple[str, str]]:
    return [tuple(canonical(call)) for step in attempt.steps for call in step.calls]


def _trace(attempt: Attempt) -> list[object]:
    """Return all the policy did: its words and its calls."""
    return [own_text(attempt), _calls(attempt), attempt.answer]


def _entropy(values: Sequence[str]) -> float | None:
    """Return the plug-in entropy of the answers in nats; None for fewer than two."""
    n = len(values)
    if n < 2:
        return None
    return max(0.0, -sum(c / n * math.log(c / n) for c in Counter(values).values()))


def _distinct_bigrams(attempts: Sequence[Attempt]) -> float | None:
    """Return distinct / all word pairs over the group."""
    if len(attempts) < 2:
        return None
    runs = [run for a in attempts for run in ngrams(words(own_text(a))[:MAX_WORDS], size=2)]
    return len(set(runs)) / len(runs) if runs else None
