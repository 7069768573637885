"""Comparing two arms on the same tasks: differences, tests, and flips in both directions.

The unit is the task. An arm's value at a task is its success rate there, over however many seeds.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.intervals import clustered_mean

_MAX_EXACT = 16
"""Up to this many non-zero differences all sign patterns (65,536) are enumerated."""

Alternative = Literal["two-sided", "greater", "less"]


class PairedDifference(NamedTuple):
    """Mean of after − before over the tasks that have both."""

    difference: float | None
    low: float | None
    high: float | None
    before: float | None
    after: float | None
    n_tasks: int
    n_tasks_left_out: int
    """Tasks undefined in an arm."""


class TestResult(NamedTuple):
    """A p-value with what it rests on."""

    __test__ = False  # keeps pytest from collecting it

    p: float | None
    """None: nothing to test."""
    n: int
    """Tasks that can speak: those with a non-zero difference."""
    n_ties: int


class Flips(NamedTuple):
    """Expected share of tasks that change when one run of each arm is compared.

    A stochastic policy flips against itself: compare `right_to_wrong` with
    `rerun_right_to_wrong`, what a second run of the *before* arm would lose by chance alone. With
    one seed a task the re-run baseline is undefined, and raw flips say next to nothing.
    """

    right_to_wrong: float | None
    wrong_to_right: float | None
    rerun_right_to_wrong: float | None
    """By symmetry also what a re-run gains. None: no shared task has two attempts in the before
    arm."""
    n_tasks: int
    n_tasks_rerun: int
    """Those of `n_tasks` with two attempts in the before arm, behind the re-run baseline. Where
    they are fewer than `n_tasks`, the two shares are not about the same tasks."""


def paired_difference(
    before: ArrayLike, after: ArrayLike, *, level: float = 0.95
) -> PairedDifference:
    """Return the mean paired difference with Student's interval over tasks.

    Args:
        before: Value of each task in the first arm, shape (n_tasks,); NaN where undefined.
        after: Same tasks, same order, in the second arm.
        level: Confidence in (0, 1).

    Example:
        >>> result = paired_difference([0.0, 0.5, 1.0], [0.5, 1.0, float("nan")])
        >>> result.difference, result.n_tasks, result.n_tasks_left_out
        (0.5, 2, 1)
    """
    first, second = _arms(before, after)
    both = ~(np.isnan(first) | np.isnan(second))
    spread = clustered_mean(second[both] - first[both], level=level)
    if spread.value is None:
        return PairedDifference(None, None, None, None, None, 0, len(both))
    means = float(first[both].mean()), float(second[both].mean())
    return PairedDifference(*spread[:3], *means, spread.n, int((~both).sum()))


def sign_test(differences: ArrayLike, *, alternative: Alternative = "two-sided") -> TestResult:
    """Return the exact binomial test that positive and negative differences are equally likely.

    Zero differences are left out and counted.

    Example:
        >>> sign_test([1, 1, 1, 1, 1, 0])
        TestResult(p=0.0625, n=5, n_ties=1)
    """
    d = _differences(differences)
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    return TestResult(_binomial_p(wins, losses, alternative), wins + losses, int((d == 0).sum()))


def mcnemar_exact(
    right_to_wrong: int, wrong_to_right: int, *, alternative: Alternative = "two-sided"
) -> TestResult:
    """Return McNemar's exact test on the discordant tasks of two single-run arms.

    Source: McNemar (1947), with the exact binomial tail. "greater": the second arm wins.

    Example:
        >>> mcnemar_exact(1, 9).p
        0.021484375
    """
    if min(right_to_wrong, wrong_to_right) < 0:
        raise BadInput("two counts of at least 0", got=f"{right_to_wrong}, {wrong_to_right}")
    p = _binomial_p(wrong_to_right, right_to_wrong, alternative)
    return TestResult(p, right_to_wrong + wrong_to_right, 0)


def permutation_test(
    differences: ArrayLike,
    *,
    seed: int,
    alternative: Alternative = "two-sided",
    draws: int = 10_000,
) -> TestResult:
    """Return the sign-flip test of the mean paired difference.

    All 2ⁿ sign patterns are enumerated for up to 16 non-zero differences; beyond that `draws`
    random ones are, and p = (1 + hits) / (1 + draws), which is never 0 and is itself valid.

    Source: Fisher (1935); Phipson and Smyth (2010) for the random case.

    Example:
        >>> permutation_test([0.5, 0.25, 1.0], seed=0).p  # 2 of the 8 sign patterns
        0.25
    """
    d = _differences(differences)
    moving = d[d != 0]
    n_ties = len(d) - len(moving)
    if moving.size == 0:
        return TestResult(None if d.size == 0 else 1.0, 0, n_ties)
    exact = moving.size <= _MAX_EXACT
    sums = _all_sums(moving) if exact else _random_sums(moving, seed=seed, draws=draws)
    seen, slack = float(moving.sum()), 1e-9 * float(np.abs(moving).sum())
    if alternative == "two-sided":
        hits = int((np.abs(sums) >= abs(seen) - slack).sum())
    else:
        side = 1.0 if alternative == "greater" else -1.0
        hits = int((side * sums >= side * seen - slack).sum())
    p = hits / len(sums) if exact else (1 + hits) / (1 + draws)
    return TestResult(p, len(moving), n_ties)


def flips(
    *, before_c: ArrayLike, before_n: ArrayLike, after_c: ArrayLike, after_n: ArrayLike
) -> Flips:
    """Return how often a task goes right→wrong and wrong→right, with the re-run baseline.

    right→wrong = mean over tasks of (c_b/n_b)·(1 − c_a/n_a)
    re-run      = mean over tasks of c_b·(n_b − c_b) / (n_b·(n_b − 1))

    Each is the unbiased estimate of the chance that one run of one arm and one of the other differ
    that way; the last is the same for two runs of the before arm. With one attempt in each arm the
    first is the plain share of flipped tasks.

    Args:
        before_c: Successes a task in the before arm, shape (n_tasks,).
        before_n: Attempts a task in the before arm; tasks with 0 in either arm are left out.
        after_c: Successes a task in the after arm.
        after_n: Attempts a task in the after arm.

    Example:
        >>> flips(before_c=[2, 1], before_n=[2, 2], after_c=[1, 2], after_n=[2, 2])[:3]
        (0.25, 0.25, 0.25)
    """
    c_b, n_b = _arms(before_c, before_n)
    c_a, n_a = _arms(after_c, after_n)
    if len(c_b) != len(c_a) or (c_b > n_b).any() or (c_a > n_a).any():
        raise BadInput("the same tasks in both arms, with successes <= attempts")
    both = (n_b > 0) & (n_a > 0)
    again = both & (n_b > 1)
    p_b, p_a = c_b[both] / n_b[both], c_a[both] / n_a[both]
    rerun = c_b[again] * (n_b[again] - c_b[again]) / (n_b[again] * (n_b[again] - 1))
    return Flips(
        right_to_wrong=_mean(p_b * (1 - p_a)),
        wrong_to_right=_mean((1 - p_b) * p_a),
        rerun_right_to_wrong=_mean(rerun),
        n_tasks=int(both.sum()),
        n_tasks_rerun=int(again.sum()),
    )


def _arms(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    one, two = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if one.ndim != 1 or one.shape != two.shape:
        raise BadInput("two flat lists over the same tasks", got=f"{one.shape}, {two.shape}")
    return one, two


def _differences(differences: ArrayLike) -> NDArray[np.float64]:
    d = np.asarray(differences, dtype=float)
    if d.ndim != 1 or not np.isfinite(d).all():
        raise BadInput("a flat list of finite differences", got=f"shape {d.shape}")
    return d


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if values.size else None


def _binomial_p(wins: int, losses: int, alternative: Alternative) -> float | None:
    """Return the exact tail of Binomial(wins + losses, 1/2); None when there is nothing."""
    from scipy.special import bdtr

    n = wins + losses
    if n == 0:
        return None
    if alternative == "two-sided":
        return min(1.0, 2 * float(bdtr(min(wins, losses), n, 0.5)))
    return float(bdtr(losses if alternative == "greater" else wins, n, 0.5))


def _all_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = np.zeros(1)
    for value in np.abs(values):
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _random_sums(values: NDArray[np.float64], *, seed: int, draws: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    sums = [rng.choice((-1.0, 1.0), values.size) @ values for _ in range(draws)]
    return np.array(sums)
