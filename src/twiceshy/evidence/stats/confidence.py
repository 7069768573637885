"""The mean of scores that arrive one by one, with an interval that may be looked at at any time.

Three ideas:

1. A bet on "the mean is above m" that loses on average when it is not: its capital rarely grows.
   Every m whose bet grew too rich is ruled out, and what is left is the interval.
2. Scores may have any size, as long as a bound is known *before* each score: it sets the stake.
3. The interval holds at all times at once, so stopping because of it costs nothing. It is wider
   than one made for a single look.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.sequential import BETS

_HALVINGS = 30
"""Of [-1, 1]: ends are found to 2e-9."""


class RunningMean(NamedTuple):
    """A mean in [-1, 1] with its anytime-valid interval; None is undefined."""

    value: float | None
    """Mean weighted by 1 / scale, cut to [-1, 1]."""
    low: float | None
    high: float | None
    error: float | None
    """Standard error of the mean; None below two scores or without spread."""
    e_greater: float
    """Evidence against "the mean is at most 0": capital from a stake of 1."""
    e_less: float
    """Evidence against "the mean is at least 0"."""
    n: int


def running_mean(scores: ArrayLike, *, bounds: ArrayLike, level: float = 0.95) -> RunningMean:
    """Return the mean of scores with an interval that holds at every n at once.

    K_n(m) = mean over bets λ of Π_{i ≤ n} (1 + λ·(s_i − m) / c_i),  c_i = 1 + bound_i
    low = the least m in [-1, 1] with K_n(m) < 2 / (1 − level); high likewise with −s

    Source: Waudby-Smith and Ramdas (2024), betting confidence sequences (numbering from memory);
    scores as in Waudby-Smith et al. (2022, anytime-valid off-policy inference). Differs: fixed
    bets 0.05, …, 0.95, as in `BettingTest`. Because they are fixed, K_n(m) ≤ Π(1 + λ(μ_i − m)/c_i)
    times a fair capital, and the product is at most 1 whenever Σ(μ_i − m)/c_i ≤ 0: so the interval
    covers the mean of the conditional means μ_i weighted by 1/c_i, also when they change.

    Args:
        scores: s_i in the order they arrived, shape (n,).
        bounds: A number at least |s_i|, fixed before s_i is drawn; shape (n,) or one number.
        level: Confidence in (0, 1), over all times together.

    Raises:
        BadInput: A score exceeds its bound, or a value is not finite.

    Example:
        >>> mean = running_mean([1.0, 0.0, 1.0, 1.0] * 25, bounds=1.0)
        >>> mean.value, round(mean.low, 2), round(mean.high, 2), mean.n
        (0.75, 0.6, 0.89, 100)
        >>> running_mean([], bounds=1.0).value is None
        True
    """
    s, scale = _checked(scores, bounds=bounds, level=level)
    if s.size == 0:
        return RunningMean(None, None, None, None, 1.0, 1.0, 0)
    weight = 1.0 / scale
    value = float(s @ weight / weight.sum())
    spread = math.sqrt(float(((s - value) * weight) @ ((s - value) * weight))) / weight.sum()
    threshold = math.log(2 / (1 - level))
    return RunningMean(
        value=min(1.0, max(-1.0, value)),
        low=_least(s, scale=scale, threshold=threshold),
        high=-_least(-s, scale=scale, threshold=threshold),
        error=float(spread) if s.size > 1 and spread > 1e-12 else None,
        e_greater=_capital(s, scale=scale),
        e_less=_capital(-s, scale=scale),
        n=int(s.size),
    )


def log_capital_path(
    scores: NDArray[np.float64],
    *,
    bounds: NDArray[np.float64] | float,
    mean: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.float64]:
    """Return log K_n(mean) after every score along the first axis, shape as `scores`.

    Args:
        scores: Shape (n, …): n scores of any number of sequences.
        bounds: As for `running_mean`; broadcast against `scores`.
        mean: The mean bet against, in [-1, 1]; broadcast against `scores`.

    Example:
        >>> log_capital_path(np.ones((3, 1)), bounds=1.0).round(2).ravel().tolist()
        [0.22, 0.46, 0.7]
    """
    gains = (scores - mean) / (1.0 + np.asarray(bounds))
    total = np.full(gains.shape, -np.inf)
    for bet in BETS:
        total = np.logaddexp(total, np.cumsum(np.log1p(bet * gains), axis=0))
    return total - math.log(len(BETS))


def _log_capital(s: NDArray[np.float64], *, scale: NDArray[np.float64], mean: float) -> float:
    logs = np.log1p(BETS[:, None] * ((s - mean) / scale)).sum(axis=1)
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).mean()))


def _capital(s: NDArray[np.float64], *, scale: NDArray[np.float64]) -> float:
    return math.exp(min(_log_capital(s, scale=scale, mean=0.0), 700.0))


def _least(s: NDArray[np.float64], *, scale: NDArray[np.float64], threshold: float) -> float:
    """Return the least mean not ruled out; the capital falls as the mean rises."""
    low, high = -1.0, 1.0
    if _log_capital(s, scale=scale, mean=low) < threshold:
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _log_capital(s, scale=scale, mean=middle) < threshold:
            high = middle
        else:
            low = middle
    return high


def _checked(
    scores: ArrayLike, *, bounds: ArrayLike, level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not 0 < level < 1:
        raise BadInput("a confidence level inside (0, 1)", got=repr(level), where="level")
    s = np.asarray(scores, dtype=float)
    limit = np.broadcast_to(np.asarray(bounds, dtype=float), s.shape)
    if s.ndim != 1 or not np.isfinite(s).all() or not np.isfinite(limit).all():
        raise BadInput("a flat list of finite scores and bounds", got=f"shape {s.shape}")
    if (np.abs(s) > limit + 1e-9).any():
        raise BadInput("scores within their bounds", got=f"{float(np.abs(s).max()):g}")
    return s, 1.0 + limit
