"""Which of several attempts is best, by a judge or by comparisons; a coin decides a tie."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from twiceshy.attempts.types import Attempt, Outcome, Verdict
from twiceshy.memory.scaling.running import call
from twiceshy.memory.scaling.types import Chosen, Prefer


class Choice(NamedTuple):
    """The best attempt and how it was found."""

    best: Attempt | None
    chosen_by: Chosen
    tied: tuple[str, ...]
    n_comparisons: int


NOTHING = Choice(None, "nothing", (), 0)


async def choose(
    attempts: Sequence[Attempt],
    verdicts: Sequence[Verdict | None],
    *,
    prefer: Prefer | None,
    seed: int,
) -> Choice:
    """Return the best attempt that did not break.

    The judge comes first, comparisons decide among those it leaves, and a coin among those they
    leave. An attempt's own verdict is not looked at: it is what selection is measured by.

    Args:
        attempts: All attempts.
        verdicts: The judge's, in order; None where there is none.
        prefer: Compares two attempts; every pair is asked in both orders.
        seed: Seed of the coin.
    """
    whole = [at for at, each in enumerate(attempts) if each.outcome is not Outcome.BROKEN]
    if not whole or (prefer is None and not any(verdicts)):
        return NOTHING
    left = _best_judged(whole, verdicts)
    by: Chosen = "judge" if len(left) < len(whole) else "nothing"
    n_comparisons = 0
    if prefer is not None and len(left) > 1:
        points, n_comparisons = await _points([attempts[at] for at in left], prefer)
        most = max(points)
        kept = [at for at, won in zip(left, points, strict=True) if won == most]
        by = "comparison" if len(kept) < len(left) else by
        left = kept
    if len(left) == 1:
        return Choice(attempts[left[0]], by, (), n_comparisons)
    place = left[int(np.random.default_rng(seed).integers(len(left)))]
    tied = tuple(attempts[at].id for at in left)
    return Choice(attempts[place], "coin", tied, n_comparisons)


def _best_judged(places: Sequence[int], verdicts: Sequence[Verdict | None]) -> list[int]:
    """Return those judged best: by outcome, then by reward where all of these have one."""
    ranks = {at: _rank(verdicts[at]) for at in places}
    best = [at for at in places if ranks[at] == max(ranks.values())]
    rewards = {at: verdict.reward for at in best if (verdict := verdicts[at]) is not None}
    told = {at: reward for at, reward in rewards.items() if reward is not None}
    if len(told) < len(best):
        return best
    return [at for at in best if told[at] == max(told.values())]


def _rank(verdict: Verdict | None) -> int:
    """A success is better than no verdict, and no verdict better than a failure."""
    if verdict is None or not verdict.outcome.is_scored:
        return 1
    return 2 if verdict.outcome is Outcome.SUCCESS else 0


async def _points(attempts: Sequence[Attempt], prefer: Prefer) -> tuple[list[float], int]:
    """Return points won in a round robin; both orders are asked, since judges favour a place."""
    points = [0.0] * len(attempts)
    asked = 0
    for first, second in permutations(range(len(attempts)), 2):
        asked += 1
        try:
            won = await call(prefer, attempts[first], attempts[second])
        except Exception:  # noqa: BLE001  # a comparison that fails is no opinion
            won = None
        if won is not None:
            points[first] += won
            points[second] += 1 - won
    return points, asked
