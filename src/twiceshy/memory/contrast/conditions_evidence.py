"""The tests behind rules over steps, and the greedy choice of the few rules that cover most.

Both tests are exact, stratified by task and policy, and done once more with whole strata as the
independent units (`evidence.stats.stratified`): attempts that copy each other are one observation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.evidence.stats.fdr import q_values
from twiceshy.evidence.stats.stratified import clustered_p_values, stratified_test
from twiceshy.memory.contrast.conditions_table import Block, Bools, Ints

Floats: TypeAlias = "NDArray[np.float64]"


class Endings(NamedTuple):
    """How scored attempts ended: bool arrays of shape (n_attempts,), exactly one true of each."""

    won: Bools
    lost: Bools
    """Failed, and not by running out of steps."""
    timed_out: Bools
    """Failed by running out of steps (`Attempt.truncated`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """Settings of the search; the defaults were chosen on training games only."""

    min_attempts: int = 8
    """Attempts that must show a pattern."""
    max_literals: Literal[0, 1, 2] = 2
    fdr: float = 0.05
    min_hazard: float = 0.5
    """Share of matching steps that must be fatal."""
    win_cost: float = 0.5
    """Newly covered losses that one won attempt with a matching step outweighs."""
    habit_coverage: float = 0.9
    """Share of the wins, at tasks where some win shows a habit, that must show it."""


def endings_of(attempts: Sequence[Attempt]) -> Endings:
    """Return how each scored attempt ended."""
    won = np.array([a.outcome is Outcome.SUCCESS for a in attempts], dtype=np.bool_)
    cut = np.array([a.truncated is True for a in attempts], dtype=np.bool_)
    return Endings(won=won, lost=~won & ~cut, timed_out=~won & cut)


def task_codes(attempts: Sequence[Attempt]) -> Ints:
    """Return the tasks as numbers in order of first appearance, shape (n_attempts,)."""
    codes: dict[str, int] = {}
    return np.array([codes.setdefault(a.task, len(codes)) for a in attempts], dtype=np.int64)


def stratum_codes(attempts: Sequence[Attempt]) -> Ints:
    """Return (task, policy) as numbers in order of first appearance, shape (n_attempts,).

    Only attempts by one policy at one task are compared: otherwise a weak policy's style is found.
    """
    codes: dict[tuple[str, str], int] = {}
    pairs = ((a.task, a.policy) for a in attempts)
    return np.array([codes.setdefault(pair, len(codes)) for pair in pairs], dtype=np.int64)


def ends_on(block: Block, n_attempts: int) -> Bools:
    """Return which attempts end on each pattern: bool, shape (n_attempts, n_patterns)."""
    result = np.zeros((n_attempts, len(block.patterns)), dtype=np.bool_)
    result[block.attempt[block.is_last]] = block.hits[block.is_last]
    return result


class PatternTest(NamedTuple):
    """One row per pattern of a block; 1 where a p-value is undefined or on the other side."""

    p_value: Floats
    log_odds_ratio: Floats
    n_informative: Ints


def excess_test(
    present: Bools, *, failed: Bools, stratum: Ints, clustered: bool = True
) -> PatternTest:
    """Test for an excess inside strata; p is the larger of the exact and the clustered one.

    Args:
        present: bool, shape (n, n_patterns).
        failed: bool, shape (n,).
        stratum: int64, shape (n,).
        clustered: False leaves the exact one alone.
    """
    exact = stratified_test(present, failed=failed, stratum=stratum)
    p_value = exact.p_value
    if clustered:
        by_whole = clustered_p_values(present, failed=failed, stratum=stratum)
        p_value = np.maximum(p_value, by_whole)
    told = (exact.log_odds_ratio > 0) & ~np.isnan(p_value)
    return PatternTest(np.where(told, p_value, 1.0), exact.log_odds_ratio, exact.n_informative)


def terminal_test(
    block: Block, *, stratum: Ints, lost: Bools, clustered: bool = True
) -> PatternTest:
    """Test a block's patterns between steps and between attempts; only an excess of losses counts.

    Args:
        block: Steps and patterns.
        stratum: int64, shape (n_attempts,); see `stratum_codes`.
        lost: bool, shape (n_attempts,).
        clustered: As for `excess_test`.
    """
    fatal, at = block.is_last & lost[block.attempt], stratum[block.attempt]
    steps = excess_test(block.hits, failed=fatal, stratum=at, clustered=clustered)
    ends = ends_on(block, len(lost))
    attempts = excess_test(ends, failed=lost, stratum=stratum, clustered=clustered)
    return attempts._replace(p_value=np.maximum(steps.p_value, attempts.p_value))


class Candidate(NamedTuple):
    """A significant pattern of a block, with what the greedy choice needs."""

    block: Block
    column: int
    test: PatternTest
    q_value: float
    covered: Bools
    """Attempts it explains."""
    against: Bools
    """Attempts that speak against it."""


def pooled_q(tests: Sequence[PatternTest]) -> list[Floats]:
    """Adjust over the patterns of all blocks together."""
    if not tests:
        return []
    q = q_values(np.concatenate([test.p_value for test in tests]))
    return np.split(q, np.cumsum([test.p_value.size for test in tests])[:-1])


def greedy(
    candidates: Sequence[Candidate], gain: Callable[[Candidate, int], float]
) -> list[Candidate]:
    """Pick candidates one by one while one still gains; earlier ones win ties."""
    left = list(candidates)
    picked: list[Candidate] = []
    if not left:
        return picked
    covered = np.zeros_like(left[0].covered)
    while left:
        gains = [gain(each, int((each.covered & ~covered).sum())) for each in left]
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            break
        chosen = left.pop(best)
        covered |= chosen.covered
        picked.append(chosen)
    return picked
