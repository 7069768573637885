"""Pull noisy effects of one kind towards what the kind does on the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MIN_EFFECTS = 3
"""Fewer effects say nothing about how effects of their kind are spread. Ours."""


class Prior(NamedTuple):
    """How effects of one kind are spread."""

    mean: float
    variance: float
    """Of the effects themselves, their noise taken out; 0: no more spread than noise."""
    n: int
    """Effects it was estimated from."""


class Shrunk(NamedTuple):
    """One effect given all of its kind."""

    value: float
    error: float
    """Posterior standard deviation; the prior's own uncertainty is not in it."""


def fit_prior(effects: Sequence[float], errors: Sequence[float]) -> Prior | None:
    """Return the normal distribution of effects, by moments.

    mean = Σ w·effect / Σ w,  w = 1 / error²
    variance = max(0, (Σ w·(effect − mean)² − (n − 1)) / (Σ w − Σ w² / Σ w))

    Source: DerSimonian and Laird (1986) for the variance; normal-normal empirical Bayes as in
    Morris (1983). Differs: the mean keeps the weights w.

    Args:
        effects: Shape (n,).
        errors: Standard errors > 0, shape (n,).

    Returns:
        The prior, or None below three effects.

    Example:
        >>> fit_prior([0.0, 2.0, 4.0], [1.0, 1.0, 1.0])
        Prior(mean=2.0, variance=3.0, n=3)
        >>> fit_prior([1.0], [1.0]) is None
        True
    """
    if len(effects) < MIN_EFFECTS:
        return None
    x, w = np.asarray(effects, dtype=float), np.asarray(errors, dtype=float) ** -2
    total = float(w.sum())
    mean = float(w @ x) / total
    excess = float(w @ (x - mean) ** 2) - (x.size - 1)
    variance = max(0.0, excess / (total - float(w @ w) / total))
    return Prior(mean, variance, x.size)


def shrink_towards(prior: Prior, effect: float, *, error: float) -> Shrunk:
    """Return the posterior mean and standard deviation of one effect.

    value = mean + (effect − mean)·v / (v + error²),  error' = √(v·error² / (v + error²))

    Example:
        >>> shrink_towards(Prior(mean=2.0, variance=3.0, n=3), 4.0, error=1.0).value
        3.5
    """
    share = prior.variance / (prior.variance + error**2)
    return Shrunk(prior.mean + (effect - prior.mean) * share, math.sqrt(share) * error)


def shrink_to_zero(
    effect: NDArray[np.float64], *, error: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Pull noisy effects towards zero.

    shrunk = effect t² / (t² + error²),  t² = max(0, Σ (effect²/error² − 1) / Σ 1/error²)

    Source: normal-normal empirical Bayes (Morris 1983) with the moment estimate of the spread.
    *Differs:* the prior mean is fixed at zero, no effect.

    Args:
        effect: float64, shape (n,).
        error: Standard errors, shape (n,). NaN or 0 leaves the entry out; it becomes 0.

    Example:
        >>> shrink_to_zero(np.array([2.0, 0.0]), error=np.array([1.0, np.nan])).tolist()
        [1.5, 0.0]
    """
    usable = np.isfinite(effect) & np.isfinite(error) & (error > 0)
    shrunk = np.zeros(effect.shape)
    if not usable.any():
        return shrunk
    precision = 1.0 / error[usable] ** 2
    spread = max(0.0, float((effect[usable] ** 2 * precision - 1.0).sum() / precision.sum()))
    shrunk[usable] = effect[usable] * spread / (spread + 1.0 / precision)
    return shrunk
