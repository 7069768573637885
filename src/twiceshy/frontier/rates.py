"""Solve rates as intervals: Jeffreys limits and the chance that a rate lies in a band.

Groups repeat the same few count pairs, so everything costly is done once a distinct pair
(`unique_pairs`) and mapped back by index.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twiceshy.errors import BadInput

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

JEFFREYS = (0.5, 0.5)
"""Prior pseudo-counts (success, failure) of the Jeffreys interval."""


class CountPairs(NamedTuple):
    """The distinct (successes, trials) pairs of many groups."""

    successes: FloatArray
    """Shape (n_pairs,)."""
    trials: FloatArray
    """Shape (n_pairs,)."""
    index: IntArray
    """Shape (n_groups,): the pair of each group, so `values[index]` maps back."""


class Intervals(NamedTuple):
    """Solve rates with limits; NaN where nothing was scored."""

    rate: FloatArray
    low: FloatArray
    high: FloatArray


class Band(NamedTuple):
    """Chances that a solve rate lies below, in and above a band; they sum to 1."""

    below: FloatArray
    inside: FloatArray
    above: FloatArray


def unique_pairs(successes: ArrayLike, trials: ArrayLike) -> CountPairs:
    """Return the distinct pairs of (successes, trials) and each group's index into them.

    Example:
        >>> unique_pairs([1, 0, 1], [4, 4, 4]).index.tolist()
        [1, 0, 1]
    """
    r, n = checked_counts(successes, trials)
    pairs, index = np.unique(r + 1j * n, return_inverse=True)
    return CountPairs(pairs.real.copy(), pairs.imag.copy(), index.reshape(-1).astype(np.int64))


def jeffreys_interval(
    successes: ArrayLike, trials: ArrayLike, *, confidence: float = 0.95
) -> Intervals:
    """Return equal-tailed Jeffreys limits of a binomial rate.

    `low = Beta⁻¹((1−c)/2; r+½, n−r+½)`, 0 when r = 0; `high` likewise, 1 when r = n.

    Source: Brown, Cai and DasGupta (2001), "Interval estimation for a binomial proportion", 4.1.2.
    Counts need not be whole: discounted ones are accepted.

    Args:
        successes: Counts r, shape (n_groups,).
        trials: Counts n of scored attempts, shape (n_groups,).
        confidence: Coverage in (0, 1).

    Returns:
        Rates and limits, shape (n_groups,); NaN where n = 0 (undefined, never 0).

    Raises:
        BadInput: Counts are negative, not finite, or r > n.

    Example:
        >>> wide = jeffreys_interval([0], [8])
        >>> float(wide.low[0]), round(float(wide.high[0]), 3)
        (0.0, 0.262)
    """
    from scipy.special import betaincinv

    _require(0 < confidence < 1, "a confidence between 0 and 1", str(confidence), "confidence")
    r, n = checked_counts(successes, trials)
    tail = (1 - confidence) / 2
    low = np.where(r == 0, 0.0, betaincinv(r + 0.5, n - r + 0.5, tail))
    high = np.where(r == n, 1.0, betaincinv(r + 0.5, n - r + 0.5, 1 - tail))
    rate = np.divide(r, n, out=np.full(n.shape, np.nan), where=n > 0)
    undefined = n == 0
    return Intervals(rate, np.where(undefined, np.nan, low), np.where(undefined, np.nan, high))


def band_chances(alpha: ArrayLike, beta: ArrayLike, *, band: tuple[float, float]) -> Band:
    """Return P(p < lo), P(lo ≤ p ≤ hi) and P(p > hi) for p ~ Beta(alpha, beta).

    Raises:
        BadInput: The band is not inside [0, 1], or a pseudo-count is not positive.
    """
    from scipy.special import betainc

    lo, hi = checked_band(band)
    a, b = np.asarray(alpha, float), np.asarray(beta, float)
    _require(bool(np.all(a > 0) and np.all(b > 0)), "positive pseudo-counts", "0 or less", "prior")
    below = np.asarray(betainc(a, b, lo), float)
    above = 1 - np.asarray(betainc(a, b, hi), float)
    return Band(below, np.clip(1 - below - above, 0.0, 1.0), above)


def probability_in_band(alpha: ArrayLike, beta: ArrayLike, lo: float, hi: float) -> FloatArray:
    """Return `F(hi; α, β) − F(lo; α, β)`: the chance that a solve rate is on the frontier.

    Source: the Beta posterior of BOTS (2510.26374) and MoPPS (2507.04632); they gate on a point or
    on a Thompson draw, here the mass in the band is used.

    Args:
        alpha: Success pseudo-counts, shape (n,), positive.
        beta: Failure pseudo-counts, shape (n,), positive.
        lo: Lower edge of the band, in [0, 1].
        hi: Upper edge of the band, in [0, 1].

    Example:
        >>> probability_in_band([1.0], [1.0], 0.2, 0.8).round(3).tolist()
        [0.6]
    """
    return band_chances(alpha, beta, band=(lo, hi)).inside


def chance_of_contrast(alpha: ArrayLike, beta: ArrayLike, *, more: int) -> FloatArray:
    """Return the chance that `more` new attempts hold both a success and a failure.

    `1 − E[p^m] − E[(1−p)^m]` for p ~ Beta(α, β), the Beta-binomial form of Knapsack RL's
    `1 − p^G − (1−p)^G` (2509.25849), which takes p as known.

    Example:
        >>> chance_of_contrast([1.0], [1.0], more=2).round(3).tolist()
        [0.333]
    """
    from scipy.special import betaln

    a, b = np.asarray(alpha, float), np.asarray(beta, float)
    base = betaln(a, b)
    all_right = np.exp(betaln(a + more, b) - base)
    all_wrong = np.exp(betaln(a, b + more) - base)
    return np.clip(1 - all_right - all_wrong, 0.0, 1.0)


def checked_counts(successes: ArrayLike, trials: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return both counts as float arrays after checking 0 ≤ successes ≤ trials."""
    r, n = np.asarray(successes, float), np.asarray(trials, float)
    _require(r.shape == n.shape, "counts of one shape", f"{r.shape} and {n.shape}", "counts")
    fine = bool(np.all(np.isfinite(n)) and np.all(r >= 0) and np.all(r <= n))
    _require(fine, "0 ≤ successes ≤ trials", "counts outside it", "counts")
    return r, n


def checked_band(band: tuple[float, float]) -> tuple[float, float]:
    """Return the band after checking 0 ≤ lo < hi ≤ 1."""
    lo, hi = band
    _require(0 <= lo < hi <= 1, "a band 0 ≤ lo < hi ≤ 1", f"{lo}, {hi}", "band")
    return lo, hi


def _require(holds: bool, expected: str, got: str, where: str) -> None:
    if not holds:
        raise BadInput(expected, got=got, where=where)
