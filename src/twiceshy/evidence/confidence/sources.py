"""Where a confidence comes from: what the answer states, how often it recurs, how it is worded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from twiceshy.attempts.answers import final_answer
from twiceshy.attempts.lexicons import Lexicon
from twiceshy.attempts.markers import count_markers
from twiceshy.attempts.stated import logs_percentages, stated_confidence
from twiceshy.attempts.texts import shown_text, without_code
from twiceshy.attempts.types import Attempt, Group, Outcome

Source = Literal["stated", "self-consistency", "token probability"]

Equivalence = Callable[[str, str], bool]
"""Whether two answers mean the same. Symmetric; it is asked of normalised answers."""

UNHEDGED, HEDGED, ABSTAINED = 1.0, 0.5, 0.0
"""Decisiveness of an answer by its words; ours, where no number is stated."""


class Judged(NamedTuple):
    """One confidence with the outcome it was about."""

    task: str
    confidence: float
    is_right: bool


class Meanings(NamedTuple):
    """The answers of one group by meaning."""

    clusters: tuple[tuple[int, ...], ...]
    """Places of attempts that give equivalent answers, the commonest meaning first."""
    n_answers: int

    @property
    def entropy(self) -> float | None:
        """Semantic entropy −Σ p log p over meanings in nats; None for fewer than two answers."""
        if self.n_answers < 2:
            return None
        shares = [len(own) / self.n_answers for own in self.clusters]
        return max(0.0, -sum(share * math.log(share) for share in shares))


def same_answer(first: str, second: str) -> bool:
    """Return whether two normalised answers are the same string: the equivalence without a model.

    Example:
        >>> same_answer("7", "7"), same_answer("7", "seven")
        (True, False)
    """
    return first == second


def meanings_of(group: Group, *, equivalent: Equivalence = same_answer) -> Meanings:
    """Return the answers of a group by meaning, those of broken attempts left out.

    Source: Farquhar et al. (Nature 630:625, 2024), discrete semantic entropy. Differs: the
    equivalence is whatever is given; each answer is compared with the first of each cluster, and
    shares are counts, not sequence probabilities.
    """
    clusters: list[tuple[str, list[int]]] = []
    for place, attempt in enumerate(group.attempts):
        answer = None if attempt.outcome is Outcome.BROKEN else final_answer(attempt)
        if answer is None:
            continue
        for first, members in clusters:
            if equivalent(first, answer):
                members.append(place)
                break
        else:
            clusters.append((answer, [place]))
    ordered = sorted((tuple(members) for _, members in clusters), key=len, reverse=True)
    return Meanings(tuple(ordered), sum(len(members) for members in ordered))


def stated(attempts: Sequence[Attempt]) -> list[Judged]:
    """Return stated confidences of scored attempts."""
    found: list[Judged] = []
    in_percent = logs_percentages(attempts)
    for attempt in attempts:
        if not attempt.outcome.is_scored:
            continue
        confidence = stated_confidence(attempt, in_percent=in_percent)
        if confidence is not None:
            found.append(Judged(attempt.task, confidence, attempt.outcome is Outcome.SUCCESS))
    return found


def token_probability(attempts: Sequence[Attempt]) -> list[Judged]:
    """Return the geometric mean of token probabilities of scored attempts that log them."""
    found: list[Judged] = []
    for attempt in attempts:
        values = [x for x in attempt.logprobs or () if math.isfinite(x)]
        if attempt.outcome.is_scored and values:
            mean = min(0.0, sum(values) / len(values))
            found.append(Judged(attempt.task, math.exp(mean), attempt.outcome is Outcome.SUCCESS))
    return found


def self_consistency(groups: Sequence[tuple[Group, Meanings]]) -> list[Judged]:
    """Return q = max_a n_a / k of each group, about its commonest answer.

    k is the number of attempts with an answer; the answer in question is among them. The
    commonest answer is right when most of the scored attempts that give it are; a tie between
    meanings goes to the one that came first. Groups with fewer than two answers have none.
    """
    found: list[Judged] = []
    for group, meanings in groups:
        right = modal_is_right(group, meanings)
        if meanings.n_answers >= 2 and right is not None:
            share = len(meanings.clusters[0]) / meanings.n_answers
            found.append(Judged(group.task, share, right))
    return found


def modal_is_right(group: Group, meanings: Meanings) -> bool | None:
    """Return whether a group's commonest answer is right; None without verdicts or on a tie."""
    if not meanings.clusters:
        return None
    counts = Counter(
        group.attempts[place].outcome is Outcome.SUCCESS
        for place in meanings.clusters[0]
        if group.attempts[place].outcome.is_scored
    )
    return None if counts[True] == counts[False] else counts[True] > counts[False]


class Voiced(NamedTuple):
    """How decisively an answer is told, and how often its siblings agree with it."""

    task: str
    decisiveness: float
    agreement: float
    """Share of the other answers of its group that mean the same."""


def voiced(groups: Sequence[tuple[Group, Meanings]], *, lexicon: Lexicon | None) -> list[Voiced]:
    """Return decisiveness and agreement of every answer that has siblings.

    Decisiveness is the stated confidence where there is one; else 0 for an answer that abstains,
    0.5 for one that hedges and 1 for any other. Without a lexicon only stated ones are left.
    """
    in_percent = logs_percentages(each for group, _ in groups for each in group.attempts)
    found: list[Voiced] = []
    for group, meanings in groups:
        if meanings.n_answers < 2:
            continue
        for members in meanings.clusters:
            agreement = (len(members) - 1) / (meanings.n_answers - 1)
            for place in members:
                attempt = group.attempts[place]
                decisive = decisiveness(attempt, lexicon=lexicon, in_percent=in_percent)
                if decisive is not None:
                    found.append(Voiced(group.task, decisive, agreement))
    return found


def decisiveness(
    attempt: Attempt, *, lexicon: Lexicon | None, in_percent: bool = False
) -> float | None:
    """Return how decisively an attempt answers, in [0, 1]; None when nothing tells.

    Args:
        attempt: One attempt; its code is not read for hedges.
        lexicon: None leaves only stated numbers.
        in_percent: As in `stated_confidence`.
    """
    number = stated_confidence(attempt, in_percent=in_percent)
    if number is not None:
        return number
    text = shown_text(attempt)
    if lexicon is None or not text.strip():
        return None
    found = count_markers(without_code(text), lexicon=lexicon)
    if found.counts.get("abstain"):
        return ABSTAINED
    return HEDGED if found.is_hedged else UNHEDGED
