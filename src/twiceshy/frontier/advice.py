"""What to do with each task next, and where the next attempts are best spent."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np

from twiceshy.frontier.groups import STATES, GroupState
from twiceshy.frontier.ledger import MIN_IN_BAND
from twiceshy.frontier.rates import Band, FloatArray, IntArray, chance_of_contrast

CLEAR = 0.5
"""From this chance of lying in the band a task is kept. Ours."""


class Advice(StrEnum):
    """What to do with a task."""

    KEEP = "keep"
    """Learn from it: its solve rate is probably in the band."""
    REPLAY = "replay"
    """Run it again: too little is known, or its attempts broke."""
    DEFER = "defer"
    """Probably too hard for now; come back later, never delete."""
    REVIEW = "review"
    """Probably mastered; replay a small share, for mastered tasks are forgotten."""
    SCORE = "score"
    """Join outcomes first; nobody judged it."""


ADVICE: tuple[Advice, ...] = tuple(Advice)
"""The order that `advise` codes follow."""

WHY: Mapping[Advice, str] = {
    Advice.KEEP: "its solve rate is probably in the band",
    Advice.REPLAY: "too few attempts that count to tell where its solve rate lies",
    Advice.DEFER: "its solve rate is probably below the band",
    Advice.REVIEW: "its solve rate is probably above the band",
    Advice.SCORE: "no attempt was judged",
}


def advise(states: IntArray, chances: Band) -> IntArray:
    """Return each group's advice as a code into `ADVICE`.

    Source: defer in place of drop from Pilot-Commit (2605.26606); mastered tasks are replayed
    rarely, not deleted. Differs: decided on the posterior mass in the band, not on a point.

    Args:
        states: Codes into `STATES`, shape (n_groups,).
        chances: Mass below, in and above the band, each of shape (n_groups,).
    """
    conditions = [
        states == STATES.index(GroupState.UNSCORED),
        states == STATES.index(GroupState.BROKEN),
        chances.inside >= CLEAR,
        chances.inside >= MIN_IN_BAND,
        chances.below >= chances.above,
    ]
    choices = [Advice.SCORE, Advice.REPLAY, Advice.KEEP, Advice.REPLAY, Advice.DEFER]
    codes = [ADVICE.index(choice) for choice in choices]
    return np.select(conditions, codes, ADVICE.index(Advice.REVIEW)).astype(np.int64)


def contrast_by_state(
    states: IntArray, alpha: FloatArray, beta: FloatArray, *, more: int
) -> dict[str, float | None]:
    """Return, for each scored state, the mean chance that `more` new attempts would be mixed.

    None where no group is in the state.

    Args:
        states: Codes into `STATES`, shape (n_groups,).
        alpha: Posterior success pseudo-counts, shape (n_groups,).
        beta: Posterior failure pseudo-counts, shape (n_groups,).
        more: Attempts to add to each group.
    """
    chance = chance_of_contrast(alpha, beta, more=more)
    result: dict[str, float | None] = {}
    for state in (GroupState.MIXED, GroupState.ALL_RIGHT, GroupState.ALL_WRONG, GroupState.SINGLE):
        here = states == STATES.index(state)
        result[state.value] = float(chance[here].mean()) if here.any() else None
    return result


def budget_sentence(counts: Mapping[str, int], chances: Mapping[str, float | None]) -> str:
    """Return the sentence on where to spend the next attempts.

    Args:
        counts: Groups by state, from `groups.count_states`.
        chances: From `contrast_by_state`.

    Example:
        >>> print(budget_sentence({"mixed": 2, "all_wrong": 1, "all_right": 0, "single": 0}, {}))
        Spend attempts at the frontier: 2 of 3 groups hold a contrast.
    """
    dead = counts.get("all_wrong", 0) + counts.get("all_right", 0)
    total = dead + counts.get("mixed", 0) + counts.get("single", 0)
    if not total:
        return "Nothing is scored, so nothing can be said about where to spend attempts."
    mixed = counts.get("mixed", 0)
    text = f"Spend attempts at the frontier: {mixed} of {total} groups hold a contrast"
    shown = [
        f"{chance:.0%} at {label} tasks"
        for state, label in (
            ("mixed", "mixed"),
            ("all_wrong", "never-solved"),
            ("all_right", "always-solved"),
        )
        if (chance := chances.get(state)) is not None
    ]
    if not dead or not shown:
        return text + "."
    return (
        f"{text}; repeats of always- or never-solved tasks add none until the outcome changes"
        f" (chance that as many new attempts are mixed: {', '.join(shown)})."
    )
