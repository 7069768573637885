"""Exact test of many binary patterns against failure, stratified by task.

Three ideas:

1. Inside a task the margins are fixed: how many attempts failed and how many show the pattern.
   Under "the pattern has nothing to do with the outcome" the number of failures that show it is
   hypergeometric, and the sum over tasks is the convolution of those. Task difficulty cancels.
2. Only tasks with both outcomes *in which the pattern varies* say anything. They are the support.
3. The null distribution depends on the margins only. Labels shuffled within tasks keep the margins,
   so `StratifiedNull` is built once and a shuffled run costs one matrix product and a look-up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput


class StratifiedTest(NamedTuple):
    """One row per pattern, all arrays of shape (n_patterns,)."""

    p_value: NDArray[np.float64]
    """Two-sided by doubling the smaller tail; NaN where no task is informative."""
    mid_p_value: NDArray[np.float64]
    """The same with half the probability of the observed table left out of each tail."""
    log_odds_ratio: NDArray[np.float64]
    """Mantel-Haenszel, natural log, positive when failure is likelier with the pattern."""
    n_informative: NDArray[np.int64]
    """Tasks with both outcomes in which the pattern varies."""


class _Tails(NamedTuple):
    p_value: NDArray[np.float64]
    mid_p_value: NDArray[np.float64]


class Margins(NamedTuple):
    """Counts by stratum that the test conditions on; strata without both outcomes are left out."""

    rows: NDArray[np.int64]
    """Rows of the input that lie in a mixed stratum, sorted by stratum."""
    starts: NDArray[np.int64]
    """Shape (n_strata,): where each stratum starts in `rows`."""
    size: NDArray[np.int64]
    """Shape (n_strata,): attempts."""
    n_failed: NDArray[np.int64]
    """Shape (n_strata,): failures."""
    n_present: NDArray[np.int64]
    """Shape (n_strata, n_patterns): attempts that show the pattern."""


def mixed_rows(failed: NDArray[np.bool_], stratum: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows in strata with both outcomes, sorted by stratum (stable).

    Args:
        failed: bool, shape (n,).
        stratum: int64 >= 0, shape (n,).

    Example:
        >>> mixed_rows(np.array([True, False, True]), np.array([1, 1, 0])).tolist()
        [0, 1]
    """
    if failed.size == 0:
        return np.zeros(0, dtype=np.int64)
    size = np.bincount(stratum)
    n_failed = np.bincount(stratum, weights=failed)
    mixed = (n_failed > 0) & (n_failed < size)
    order = np.argsort(stratum, kind="stable")
    return order[mixed[stratum[order]]].astype(np.int64)


def stratified_test(
    present: NDArray[np.bool_], *, failed: NDArray[np.bool_], stratum: NDArray[np.int64]
) -> StratifiedTest:
    """Test every pattern against failure inside tasks, exactly.

    A = sum over strata of the failures that show the pattern; given the margins each stratum adds
    hypergeometric(size, n_present, n_failed). p = min(1, 2 min(P(A <= a), P(A >= a))).

    Source: the exact conditional test for a common odds ratio in a series of 2 x 2 tables
    (Agresti, *Categorical Data Analysis*, 3rd ed., section 7.3.5); effect: Mantel & Haenszel 1959.
    *Differs:* two-sided by doubling; 0.5 is added to both Mantel-Haenszel sums so that the log odds
    ratio is finite; all patterns at once.

    Args:
        present: bool, shape (n_attempts, n_patterns).
        failed: bool, shape (n_attempts,).
        stratum: int64 >= 0, shape (n_attempts,). Usually the task.

    Raises:
        BadInput: When the shapes do not agree.

    Example:
        >>> present = np.array([[True], [True], [False], [False]])
        >>> failed = np.array([True, True, False, False])
        >>> test = stratified_test(present, failed=failed, stratum=np.zeros(4, dtype=np.int64))
        >>> test.p_value.round(4).tolist(), test.n_informative.tolist()
        ([0.3333], [1])
    """
    null = StratifiedNull(present, failed=failed, stratum=stratum)
    return null.test(failed)


def clustered_p_values(
    present: NDArray[np.bool_], *, failed: NDArray[np.bool_], stratum: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Test the same as `stratified_test` with whole strata as the independent units.

    z = sum_t U_t / sqrt(sum_t U_t^2),  U_t = a_t - n_present_t n_failed_t / size_t

    with a_t the failures of stratum t that show the pattern; two-sided, t distribution. Where rows
    of a stratum copy each other the exact test is far too sure, and this one is not.

    Source: the Mantel-Haenszel numerator with the clustered variance of Liang & Zeger 1986.
    *Differs:* degrees of freedom are the effective strata, (sum of V)^2 / sum of V^2 with V the
    hypergeometric variance, minus one; p is never below 2^(1 - informative strata).

    Args:
        present: bool, shape (n, n_patterns).
        failed: bool, shape (n,).
        stratum: int64 >= 0, shape (n,).

    Returns:
        Shape (n_patterns,); NaN below two informative strata.

    Example:
        >>> present = np.tile([[True], [False]], (6, 1))
        >>> failed = np.tile([True, False], 6)
        >>> stratum = np.repeat(np.arange(6), 2)
        >>> clustered_p_values(present, failed=failed, stratum=stratum).round(3).tolist()
        [0.058]
    """
    from scipy.special import stdtr

    _check_shapes(present, failed=failed, stratum=stratum)
    margins = _margins(present, failed=failed, stratum=stratum)
    if margins.rows.size == 0:
        return np.full(present.shape[1], np.nan)
    both = present[margins.rows] & failed[margins.rows][:, None]
    size, n_failed = margins.size[:, None], margins.n_failed[:, None]
    observed = np.add.reduceat(both.astype(np.int64), margins.starts, axis=0)
    excess = observed - margins.n_present * n_failed / size
    spread = margins.n_present * (size - margins.n_present) * n_failed * (size - n_failed)
    spread = spread / (size**2 * np.maximum(size - 1, 1))
    n_informative = (spread > 0).sum(axis=0)
    weight = np.maximum((spread**2).sum(axis=0), np.finfo(np.float64).tiny)
    freedom = np.maximum(np.minimum(spread.sum(axis=0) ** 2 / weight, n_informative) - 1.0, 1.0)
    error = np.sqrt((excess**2).sum(axis=0))
    total = np.abs(excess.sum(axis=0))
    ratio = np.divide(total, error, out=np.zeros(error.size), where=error > 0)
    p_value = np.maximum(2.0 * stdtr(freedom, -ratio), 2.0 ** (1.0 - n_informative))
    return np.where(n_informative >= 2, np.minimum(p_value, 1.0), np.nan)


class StratifiedNull:
    """The conditional null distributions of many patterns, reusable for relabelled data.

    Args:
        present: bool, shape (n_attempts, n_patterns).
        failed: bool, shape (n_attempts,). Gives the margins.
        stratum: int64 >= 0, shape (n_attempts,).

    Raises:
        BadInput: When the shapes do not agree.
    """

    def __init__(
        self,
        present: NDArray[np.bool_],
        *,
        failed: NDArray[np.bool_],
        stratum: NDArray[np.int64],
    ) -> None:
        _check_shapes(present, failed=failed, stratum=stratum)
        self._margins = _margins(present, failed=failed, stratum=stratum)
        self._present = present[self._margins.rows].astype(np.float64)
        self._lowest, self._mass = _null_mass(self._margins)
        self._at_most = np.cumsum(self._mass, axis=1)
        self._at_least = np.cumsum(self._mass[:, ::-1], axis=1)[:, ::-1]
        varies = (self._margins.n_present > 0) & (
            self._margins.n_present < self._margins.size[:, None]
        )
        self.n_informative = varies.sum(axis=0).astype(np.int64)

    def test(self, failed: NDArray[np.bool_]) -> StratifiedTest:
        """Test one labelling with the same failures per stratum as the one given at the start.

        Raises:
            BadInput: When the number of failures in some stratum differs.
        """
        labels = self._labels(failed)
        p_value, mid_p = self._tails(labels)
        return StratifiedTest(p_value, mid_p, self._log_odds_ratio(labels), self.n_informative)

    def p_values(self, failed: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return only the two-sided p-values of `test`, for many labellings in a row."""
        return self._tails(self._labels(failed))[0]

    def _labels(self, failed: NDArray[np.bool_]) -> NDArray[np.float64]:
        labels = failed[self._margins.rows].astype(np.float64)
        if labels.size and not np.array_equal(
            np.add.reduceat(labels, self._margins.starts), self._margins.n_failed
        ):
            raise BadInput("labels with the same failures per stratum", fix="Build a new null.")
        return labels

    def _tails(self, labels: NDArray[np.float64]) -> _Tails:
        place = np.rint(labels @ self._present).astype(np.int64) - self._lowest
        pattern = np.arange(place.size)
        smaller = np.minimum(self._at_most[pattern, place], self._at_least[pattern, place])
        half = self._mass[pattern, place] / 2.0
        defined = self.n_informative > 0
        return _Tails(
            np.where(defined, np.minimum(1.0, 2.0 * smaller), np.nan),
            np.where(defined, np.clip(2.0 * (smaller - half), 0.0, 1.0), np.nan),
        )

    def _log_odds_ratio(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        margins = self._margins
        if labels.size == 0:
            return np.full(self.n_informative.size, np.nan)
        both = np.add.reduceat(labels[:, None] * self._present, margins.starts, axis=0)
        size, n_failed = margins.size[:, None], margins.n_failed[:, None]
        passed_with = margins.n_present - both
        failed_without = n_failed - both
        passed_without = size - n_failed - passed_with
        towards = (both * passed_without / size).sum(axis=0)
        against = (passed_with * failed_without / size).sum(axis=0)
        ratio = np.log((towards + 0.5) / (against + 0.5))
        return np.where(self.n_informative > 0, ratio, np.nan)


def _check_shapes(
    present: NDArray[np.bool_], *, failed: NDArray[np.bool_], stratum: NDArray[np.int64]
) -> None:
    if present.ndim != 2 or failed.shape != present.shape[:1] or stratum.shape != failed.shape:
        raise BadInput(
            "present (n, m), failed (n,) and stratum (n,)",
            got=f"{present.shape}, {failed.shape}, {stratum.shape}",
        )


def _margins(
    present: NDArray[np.bool_], *, failed: NDArray[np.bool_], stratum: NDArray[np.int64]
) -> Margins:
    rows = mixed_rows(failed, stratum)
    if rows.size == 0:
        none = np.zeros(0, dtype=np.int64)
        return Margins(rows, none, none, none, np.zeros((0, present.shape[1]), dtype=np.int64))
    starts = np.flatnonzero(np.diff(stratum[rows], prepend=-1)).astype(np.int64)
    size = np.diff(np.append(starts, rows.size))
    n_failed = np.add.reduceat(failed[rows].astype(np.int64), starts)
    n_present = np.add.reduceat(present[rows].astype(np.int64), starts, axis=0)
    return Margins(rows, starts, size, n_failed, n_present)


def _null_mass(margins: Margins) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the lowest possible A and P(A = lowest + k), shape (n_patterns, support)."""
    size, n_failed = margins.size[:, None], margins.n_failed[:, None]
    low = np.maximum(0, n_failed + margins.n_present - size)
    high = np.minimum(margins.n_present, n_failed)
    width = high - low
    n_patterns = margins.n_present.shape[1]
    support = int(width.sum(axis=0).max(initial=0)) + 1
    mass = np.zeros((n_patterns, support))
    mass[:, 0] = 1.0
    log_factorial = _log_factorials(int(margins.size.max(initial=0)))
    filled = 1
    for stratum in range(margins.size.size):
        rows = np.flatnonzero(width[stratum] > 0)
        if rows.size == 0:
            continue
        chance = _hypergeometric(
            margins.n_present[stratum, rows],
            size=int(margins.size[stratum]),
            n_failed=int(margins.n_failed[stratum]),
            log_factorial=log_factorial,
        )
        before = mass[rows, :filled]
        filled = min(support, filled + chance.shape[1] - 1)
        after = np.zeros((rows.size, filled))
        for extra in range(chance.shape[1]):
            reach = min(before.shape[1], filled - extra)
            after[:, extra : extra + reach] += chance[:, extra, None] * before[:, :reach]
        mass[rows, :filled] = after
    return low.sum(axis=0).astype(np.int64), mass


def _hypergeometric(
    n_present: NDArray[np.int64], *, size: int, n_failed: int, log_factorial: NDArray[np.float64]
) -> NDArray[np.float64]:
    """P(low + k failures show the pattern), shape (n_patterns, widest support), zero beyond it."""
    low = np.maximum(0, n_failed + n_present - size)
    high = np.minimum(n_present, n_failed)
    count = low[:, None] + np.arange(int((high - low).max()) + 1)
    possible = count <= high[:, None]
    count = np.minimum(count, high[:, None])
    with_pattern = n_present[:, None]
    log_mass = _log_choose(with_pattern, count, log_factorial=log_factorial)
    log_mass += _log_choose(size - with_pattern, n_failed - count, log_factorial=log_factorial)
    log_mass -= _log_choose(np.array(size), np.array(n_failed), log_factorial=log_factorial)
    return np.where(possible, np.exp(log_mass), 0.0)


def _log_choose(
    n: NDArray[np.int64], k: NDArray[np.int64], *, log_factorial: NDArray[np.float64]
) -> NDArray[np.float64]:
    return log_factorial[n] - log_factorial[k] - log_factorial[n - k]


def _log_factorials(highest: int) -> NDArray[np.float64]:
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, highest + 1)))))
