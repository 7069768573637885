"""Intervals for proportions, for means of clustered data, and by resampling clusters.

Every function returns an `Estimate`. With no data all of its numbers are None and `n` is 0; with
data that show no spread to estimate an interval from, `low` and `high` are None.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twiceshy.errors import BadInput

BootstrapMethod = Literal["percentile", "bca"]


class Estimate(NamedTuple):
    """A number with its interval and what it rests on."""

    value: float | None
    """None: undefined."""
    low: float | None
    high: float | None
    n: int
    """Independent units behind it: trials of a proportion, clusters otherwise."""


UNDEFINED = Estimate(None, None, None, 0)
"""The estimate from no data."""


def wilson(successes: int, trials: int, *, level: float = 0.95) -> Estimate:
    """Return a proportion with its score interval.

    low, high = (p + z²/2n ∓ z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)

    Source: Wilson (1927). Good coverage on average, not guaranteed for each p.

    Raises:
        BadInput: If the counts are impossible or `level` is not inside (0, 1).

    Example:
        >>> [round(x, 3) for x in wilson(8, 10)[:3]]
        [0.8, 0.49, 0.943]
    """
    _check_counts(successes, trials)
    if trials == 0:
        return UNDEFINED
    z = _normal_quantile(level)
    p, shrink = successes / trials, 1 + z * z / trials
    middle = (p + z * z / (2 * trials)) / shrink
    half = z * math.sqrt(p * (1 - p) / trials + (z / (2 * trials)) ** 2) / shrink
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == trials else min(1.0, middle + half)
    return Estimate(p, low, high, trials)


def clopper_pearson(successes: int, trials: int, *, level: float = 0.95) -> Estimate:
    """Return a proportion with its exact interval: coverage is at least `level` for every p.

    Source: Clopper and Pearson (1934), by Beta quantiles.

    Example:
        >>> round(clopper_pearson(0, 8).high or 0, 3)  # 1 - 0.025 ** (1 / 8)
        0.369
    """
    _check_counts(successes, trials)
    if trials == 0:
        return UNDEFINED
    from scipy.special import betaincinv

    tail, failures = _tail(level), trials - successes
    low = 0.0 if successes == 0 else float(betaincinv(successes, failures + 1, tail))
    high = 1.0 if failures == 0 else float(betaincinv(successes + 1, failures, 1 - tail))
    return Estimate(successes / trials, low, high, trials)


def beta_interval(
    successes: int, trials: int, *, prior: tuple[float, float] = (0.5, 0.5), level: float = 0.95
) -> Estimate:
    """Return a proportion with the equal-tailed posterior interval under a Beta prior.

    The default prior is Jeffreys'. `value` stays successes / trials, not the posterior mean.

    Source: Brown, Cai and DasGupta (2001), section 4.1.2, with their rule that the lower end is 0
    when there is no success and the upper end 1 when there is no failure.

    Example:
        >>> [round(x, 3) for x in beta_interval(1, 8)[:3]]
        [0.125, 0.014, 0.454]
    """
    _check_counts(successes, trials)
    if min(prior) <= 0:
        raise BadInput("two positive prior counts", got=repr(prior), where="prior")
    if trials == 0:
        return UNDEFINED
    from scipy.special import betaincinv

    tail, failures = _tail(level), trials - successes
    a, b = prior[0] + successes, prior[1] + failures
    low = 0.0 if successes == 0 else float(betaincinv(a, b, tail))
    high = 1.0 if failures == 0 else float(betaincinv(a, b, 1 - tail))
    return Estimate(successes / trials, low, high, trials)


def clustered_mean(
    values: ArrayLike, clusters: ArrayLike | None = None, *, level: float = 0.95
) -> Estimate:
    """Return the mean of all values with a cluster-robust t interval.

    se = √( G/(G−1) · Σ_g (Σ_{i in g} (x_i − mean))² ) / N,  interval mean ∓ t(G−1) · se

    Source: Liang and Zeger (1986) for the mean, with the usual G/(G−1) correction. With one value
    a cluster this is Student's interval. Differs: no interval is claimed when there are fewer than
    two clusters or no spread between them.

    Args:
        values: Numbers, shape (n,).
        clusters: Cluster of each value, shape (n,), any hashable dtype. None: each its own.
        level: Confidence in (0, 1).

    Example:
        >>> [round(x, 3) for x in clustered_mean([0, 1, 1, 1], ["a", "a", "b", "b"])[:3]]
        [0.75, -2.427, 3.927]
    """
    x = _finite_vector(values)
    tail = _tail(level)
    if x.size == 0:
        return UNDEFINED
    codes = cluster_codes(clusters, x.size)
    n_clusters = int(codes.max()) + 1
    mean = float(x.mean())
    sums = np.bincount(codes, weights=x - mean)
    spread = math.sqrt(float(sums @ sums))
    if n_clusters < 2 or spread <= 1e-12 * max(1.0, abs(mean)):
        return Estimate(mean, None, None, n_clusters)
    from scipy.special import stdtrit

    se = math.sqrt(n_clusters / (n_clusters - 1)) * spread / x.size
    half = float(stdtrit(n_clusters - 1, 1 - tail)) * se
    return Estimate(mean, mean - half, mean + half, n_clusters)


def bounded_mean(
    values: ArrayLike, clusters: ArrayLike | None = None, *, level: float = 0.95
) -> Estimate:
    """Return the mean of values in [0, 1] with a clustered interval that stays inside [0, 1].

    As `clustered_mean`, cut to [0, 1]. Where all values are 0 (or all 1) it is the Clopper-Pearson
    bound for that many clusters, which holds whatever the distribution in [0, 1]; where all share a
    value in between there is no spread to go by and no interval.

    Raises:
        BadInput: If a value is outside [0, 1].

    Example:
        >>> rate = bounded_mean([0.0] * 10)
        >>> rate.value, rate.low, round(rate.high or 0, 3)
        (0.0, 0.0, 0.308)
    """
    x = _finite_vector(values)
    if ((x < -1e-9) | (x > 1 + 1e-9)).any():
        raise BadInput("values in [0, 1]", got=f"{x.min():g} to {x.max():g}", where="values")
    found = clustered_mean(x, clusters, level=level)
    if found.low is not None and found.high is not None:
        return found._replace(low=max(0.0, found.low), high=min(1.0, found.high))
    if found.value not in (0.0, 1.0):
        return found
    bound = clopper_pearson(found.n if found.value else 0, found.n, level=level)
    return found._replace(low=bound.low, high=bound.high)


def bootstrap(
    rows: ArrayLike,
    statistic: Callable[[NDArray[Any]], float],
    *,
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
    method: BootstrapMethod = "percentile",
) -> Estimate:
    """Return a statistic with its bootstrap interval over clusters.

    Source: Efron and Tibshirani (1993), chapters 13 (percentile) and 14 (BCa: bias correction from
    the share of draws below the estimate, ties counted half; acceleration from the jackknife).

    Args:
        rows: One row a cluster, shape (n_clusters,) or (n_clusters, n_columns). A row holds what
            `statistic` needs of the whole cluster (a mean; a sum and a count).
        statistic: Function of such an array; NaN where it is undefined for a draw, and those draws
            are left out.
        seed: Seed of the resampling.
        draws: Number of resamples.
        level: Confidence in (0, 1).
        method: "percentile" or "bca".

    Example:
        >>> bootstrap([0.0, 0.0, 1.0, 1.0], np.mean, seed=1)
        Estimate(value=0.5, low=0.0, high=1.0, n=4)
    """
    data = np.asarray(rows, dtype=float)
    tail = _tail(level)
    if len(data) == 0:
        return UNDEFINED
    value = float(statistic(data))
    if math.isnan(value):
        return Estimate(None, None, None, len(data))
    rng = np.random.default_rng(seed)
    picks = (rng.integers(0, len(data), len(data)) for _ in range(draws))
    sample = np.array([statistic(data[pick]) for pick in picks])
    sample = sample[~np.isnan(sample)]
    if len(data) < 2 or sample.size == 0:
        return Estimate(value, None, None, len(data))
    tails = (tail, 1 - tail)
    if method == "bca":
        tails = _bca_tails(data, statistic, sample=sample, value=value, tail=tail)
    low, high = np.quantile(sample, tails)
    return Estimate(value, float(low), float(high), len(data))


def _bca_tails(
    data: NDArray[np.float64],
    statistic: Callable[[NDArray[Any]], float],
    *,
    sample: NDArray[np.float64],
    value: float,
    tail: float,
) -> tuple[float, float]:
    """Return the two quantile levels of the BCa interval; the plain ones when it is undefined."""
    from scipy.special import ndtr, ndtri

    below = float(np.mean(sample < value) + np.mean(sample <= value)) / 2
    left_out = np.array([statistic(np.delete(data, i, axis=0)) for i in range(len(data))])
    gaps = left_out.mean() - left_out
    scale = float((gaps**2).sum()) ** 1.5
    if below in (0.0, 1.0) or scale == 0 or math.isnan(scale):
        return tail, 1 - tail
    bias = float(ndtri(below))
    acceleration = float((gaps**3).sum()) / (6 * scale)

    def corrected(level: float) -> float:
        z = bias + float(ndtri(level))
        return float(ndtr(bias + z / (1 - acceleration * z)))

    return corrected(tail), corrected(1 - tail)


def _tail(level: float) -> float:
    if not 0 < level < 1:
        raise BadInput("a confidence level inside (0, 1)", got=repr(level), where="level")
    return (1 - level) / 2


def _normal_quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(1 - _tail(level)))


def _check_counts(successes: int, trials: int) -> None:
    if not 0 <= successes <= trials:
        raise BadInput(
            "0 <= successes <= trials", got=f"{successes} of {trials}", where="successes, trials"
        )


def _finite_vector(values: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise BadInput(
            "a flat list of finite numbers",
            got=f"shape {x.shape}, {int((~np.isfinite(x)).sum())} not finite",
            where="values",
            fix="Leave undefined values out and count them.",
        )
    return x


def cluster_codes(clusters: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """Return clusters as whole numbers from 0, shape (n,); None makes each value its own."""
    if clusters is None:
        return np.arange(n)
    names = np.asarray(clusters)
    if names.shape != (n,):
        raise BadInput(
            f"one cluster for each of {n} values", got=str(names.shape), where="clusters"
        )
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
