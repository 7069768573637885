"""How many mixed tasks a pattern needs before a within-task test can find it.

The test is the exact conditional one, stratified by task, with the mid-p: given how many attempts
of a task failed and how many show the pattern, the failures that show it are hypergeometric under
the null, and the tasks add up by convolution. Only mixed tasks (a success and a failure) count.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput

_LOG_ZERO = -745.0
"""Log of the smallest float; stands in for log 0."""
_MAX_TASKS = 20_000
"""Where the search for a number of tasks gives up."""
_BLOCK = 4_000_000
"""Complex numbers held at once by the convolution, 64 MB."""


class Needed(NamedTuple):
    """What a search for the number of tasks found."""

    n_tasks: int | None
    """Mixed tasks that reach the target power; None: more than 20,000."""
    power: float
    """Power at that number (or at the largest tried)."""


def power_within_task(
    tasks: Sequence[tuple[int, int]],
    *,
    odds_ratio: float,
    prevalence: float,
    alpha: float,
    seed: int,
    task_spread: float = 1.0,
    draws: int = 1000,
) -> float | None:
    """Return the chance that the stratified exact mid-p test finds a pattern of this strength.

    log odds of the pattern = logit(prevalence) + task_spread·z_task ± log(odds_ratio) / 2

    in an attempt, with + for a failure and z_task standard normal. The test is two-sided, by
    doubling the smaller tail, and claims at p ≤ alpha. It is exact; its power is simulated.

    Args:
        tasks: (attempts, failures) of each mixed task; tasks that are not mixed are ignored.
        odds_ratio: Strength of the pattern, > 0; 1 gives the test's real error rate.
        prevalence: Chance of the pattern midway between a failure and a success at a typical
            task, in (0, 1).
        alpha: Level of one test; for a search over m patterns about 0.05 / m.
        seed: Seed of the simulation.
        task_spread: How much tasks differ in how common the pattern is, standard deviation of the
            log odds. The default 1 is ours; at 0 every task is alike and power is overstated.
        draws: Simulated data sets.

    Returns:
        Power in [0, 1], or None when no task is mixed.

    Raises:
        BadInput: If a parameter is out of range.

    Example:
        >>> power = power_within_task(
        ...     [(4, 2)] * 30, odds_ratio=5, prevalence=0.4, alpha=0.05, seed=0
        ... )
        >>> power is not None and 0.8 < power < 1
        True
        >>> power_within_task([(4, 4)], odds_ratio=5, prevalence=0.4, alpha=0.05, seed=0) is None
        True
    """
    _check(odds_ratio, prevalence, alpha=alpha)
    mixed = np.array([t for t in tasks if 0 < t[1] < t[0]], dtype=np.int64).reshape(-1, 2)
    if len(mixed) == 0:
        return None
    rng = np.random.default_rng(seed)
    middle = np.log(prevalence / (1 - prevalence))
    task_odds = np.exp(middle + task_spread * rng.standard_normal((draws, len(mixed))))
    tilt = np.sqrt(odds_ratio)
    in_failures = rng.binomial(mixed[:, 1], 1 - 1 / (1 + task_odds * tilt))
    in_successes = rng.binomial(mixed[:, 0] - mixed[:, 1], 1 - 1 / (1 + task_odds / tilt))
    p = _mid_p(mixed, in_failures=in_failures, present=in_failures + in_successes)
    return float((p <= alpha).mean())


def tasks_needed(
    mix: Sequence[tuple[int, int]],
    *,
    odds_ratio: float,
    prevalence: float,
    alpha: float,
    target: float = 0.8,
    seed: int = 0,
    draws: int = 500,
) -> Needed | None:
    """Return about how many mixed tasks of this mix give the target power.

    The number is found by doubling and halving with a fixed seed, to about 5 per cent.

    Args:
        mix: (attempts, failures) of the mixed tasks at hand; more tasks repeat it in turn.
        odds_ratio: As for `power_within_task`; not 1.
        prevalence: As for `power_within_task`.
        alpha: As for `power_within_task`.
        target: Wanted power, in (0, 1).
        seed: Seed of the simulation.
        draws: Simulated data sets at each number tried.

    Returns:
        The number, or None when no task of the mix is mixed.
    """
    kinds = tuple((task[0], task[1]) for task in mix if 0 < task[1] < task[0])
    if not kinds:
        return None
    return _search(
        kinds,
        odds_ratio=odds_ratio,
        prevalence=prevalence,
        alpha=alpha,
        target=target,
        seed=seed,
        draws=draws,
    )


@lru_cache(maxsize=256)
def _search(
    kinds: tuple[tuple[int, int], ...],
    *,
    odds_ratio: float,
    prevalence: float,
    alpha: float,
    target: float,
    seed: int,
    draws: int,
) -> Needed:
    """Double, then halve. Remembered, because small studies of one shape ask the same often."""

    def power(n_tasks: int) -> float:
        repeated = [kinds[i % len(kinds)] for i in range(n_tasks)]
        found = power_within_task(
            repeated,
            odds_ratio=odds_ratio,
            prevalence=prevalence,
            alpha=alpha,
            seed=seed,
            draws=draws,
        )
        return found or 0.0

    few, many, reached = 0, 8, power(8)
    while reached < target:
        if many >= _MAX_TASKS:
            return Needed(None, reached)
        few, many = many, min(2 * many, _MAX_TASKS)
        reached = power(many)
    while many - few > max(1, many // 20):
        middle = (few + many) // 2
        found = power(middle)
        if found >= target:
            many, reached = middle, found
        else:
            few = middle
    return Needed(many, reached)


def _check(odds_ratio: float, prevalence: float, *, alpha: float) -> None:
    if odds_ratio <= 0 or not 0 < prevalence < 1 or not 0 < alpha < 1:
        raise BadInput(
            "odds_ratio > 0, and prevalence and alpha inside (0, 1)",
            got=f"{odds_ratio}, {prevalence}, {alpha}",
            where="odds_ratio, prevalence, alpha",
        )


def _mid_p(
    tasks: NDArray[np.int64], *, in_failures: NDArray[np.int64], present: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return two-sided mid-p values, shape (draws,), of `in_failures` given `present`.

    The null distribution of the sum over tasks is a product of characteristic functions. A draw
    is a count of (attempts, failures, present) kinds, so one matrix product gives all draws.
    """
    columns = [np.broadcast_to(tasks[:, i], present.shape) for i in (0, 1)]
    kinds, kind_of = np.unique(
        np.stack([*columns, present], axis=-1).reshape(-1, 3), axis=0, return_inverse=True
    )
    kind_of = kind_of.reshape(present.shape)
    counts = np.stack([np.bincount(row, minlength=len(kinds)) for row in kind_of])
    size = int(tasks[:, 1].sum()) + 1
    log_phi = _log_characteristic(kinds, size=size)
    totals, p = in_failures.sum(axis=1), np.empty(len(present))
    step = max(1, _BLOCK // size)
    for start in range(0, len(p), step):
        block = slice(start, start + step)
        pmf = np.fft.ifft(np.exp(counts[block] @ log_phi), axis=1).real.clip(0.0)
        below = np.cumsum(pmf, axis=1)
        at = np.arange(len(pmf)), totals[block]
        lower = below[at] - pmf[at] / 2
        p[block] = 2 * np.minimum(lower, below[:, -1] - lower)
    return p


def _log_characteristic(kinds: NDArray[np.int64], *, size: int) -> NDArray[np.complex128]:
    """Return log of each kind's hypergeometric characteristic function, shape (kinds, size)."""
    from scipy.special import comb

    overlap = np.arange(int(kinds[:, 1].max()) + 1)
    n, failures, present = (kinds[:, i, None] for i in range(3))
    rest = present - overlap
    weight = comb(failures, overlap) * comb(n - failures, np.maximum(rest, 0)) * (rest >= 0)
    pmf = weight / weight.sum(axis=1, keepdims=True)
    waves = np.exp(-2j * np.pi * np.outer(overlap, np.arange(size)) / size)
    phi = pmf @ waves
    magnitude = np.abs(phi)
    safe = np.where(magnitude > 0, phi, 1.0)
    return np.where(magnitude > 0, np.log(safe), _LOG_ZERO + 0j)
