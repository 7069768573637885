"""Luck: how likely a success was undeserved, from the rate of undeserved reward and the counts.

Three quantities are kept apart: `p_r`, the chance of a sound solution; `g`, the chance that an
unsound attempt still matches the key; and the checker's true- and false-positive rates τ and φ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from twiceshy.errors import BadInput
from twiceshy.frontier.rates import JEFFREYS, FloatArray, checked_counts

_MIN_POINTS = 200
_CELLS = 2_000_000
"""Grid cells held at once; bounds memory at about 16 MB an array."""
_NEAR_ONE = 1 - 1e-9


def undeserved_rate(*, guess: float, false_positive: float = 0.0, tau: float = 1.0) -> float:
    """Return `p0 = τ·g + φ·(1−g)`, the chance that an unsound attempt is paid.

    Source: with τ = 1 and φ = 0 the decomposition of SIGNBALANCE (2609.04063); the checker's
    errors are added here.

    Args:
        guess: g, chance that an unsound attempt still matches the key.
        false_positive: φ, the checker's rate of passing a wrong answer.
        tau: τ, the checker's rate of passing a right answer.

    Raises:
        BadInput: A rate is outside [0, 1].

    Example:
        >>> undeserved_rate(guess=0.25, false_positive=0.02)
        0.265
    """
    for name, rate in (("guess", guess), ("false_positive", false_positive), ("tau", tau)):
        if not 0 <= rate <= 1:
            raise BadInput("a rate between 0 and 1", got=str(rate), where=name)
    return tau * guess + false_positive * (1 - guess)


def lucky_share(p_sound: ArrayLike, p0: ArrayLike, *, tau: float = 1.0) -> FloatArray:
    """Return `P(lucky | success) = (1−p_r)·p0 / s` with `s = p0 + (τ−p0)·p_r`, p_r known.

    Args:
        p_sound: p_r, chance of a sound solution, any shape.
        p0: Undeserved-reward rate, broadcast against `p_sound`.
        tau: The checker's true-positive rate.

    Returns:
        The share; NaN where no success can happen at all (s = 0).

    Example:
        >>> float(lucky_share(0.01, 0.02).round(3))
        0.664
    """
    sound, floor = np.asarray(p_sound, float), np.asarray(p0, float)
    observed = floor + (tau - floor) * sound
    lucky = (1 - sound) * floor
    share = np.full(np.broadcast(sound, floor).shape, np.nan)
    return np.divide(lucky, observed, out=share, where=observed > 0)


def p_lucky(
    successes: ArrayLike,
    trials: ArrayLike,
    *,
    p0: ArrayLike,
    tau: float = 1.0,
    prior: tuple[float, float] = JEFFREYS,
) -> FloatArray:
    """Return the chance that one of r successes in n was undeserved.

    Posterior of p_r ∝ `Beta(a,b)(p_r)·Binom(r; n, p0+(τ−p0)·p_r)` on a grid, then the mean of
    `lucky_share` under it.

    Source: the decomposition `s = p0 + (τ−p0)·p_r` of SIGNBALANCE (2609.04063) taken as a
    likelihood; the posterior is ours. The grid is even in θ with `p_r = sin²θ`, where Jeffreys'
    prior is flat: on one even in p_r, the prior's spike at 0 is weighed by where the first point
    happens to lie.

    Args:
        successes: r, shape (n,); may be discounted sums and need not be whole.
        trials: n, shape (n,).
        p0: Undeserved-reward rate in [0, τ], scalar or shape (n,).
        tau: The checker's true-positive rate in (0, 1].
        prior: Pseudo-counts (a, b), each at least ½.

    Returns:
        Shape (n,); NaN where r = 0, for there is no success to judge.

    Raises:
        BadInput: Counts, p0, tau or prior out of range.

    Example:
        >>> p_lucky([1, 4], [40, 40], p0=0.02).round(2).tolist()
        [0.61, 0.23]
        >>> round(float(p_lucky(1, 8, p0=0.02)), 2)
        0.23
    """
    r, n = checked_counts(successes, trials)
    floor = _checked_floor(p0, tau, r.shape).ravel()
    if min(prior) < 0.5:
        raise BadInput("prior pseudo-counts of at least 0.5", got=str(prior), where="prior")
    shape, r, n = r.shape, r.ravel(), n.ravel()
    result = np.full(r.shape, np.nan)
    some = np.flatnonzero(r > 0)
    # The posterior's spread in θ is about 1/(2·sqrt(n)), so the grid grows with sqrt(n).
    points = max(_MIN_POINTS, int(8 * np.sqrt(n.max(initial=0.0))))
    step = max(1, _CELLS // points)
    for start in range(0, len(some), step):
        part = some[start : start + step]
        result[part] = _posterior_luck(
            r[part], n[part], floor[part], tau=tau, prior=prior, points=points
        )
    return result.reshape(shape)


def _posterior_luck(
    r: FloatArray,
    n: FloatArray,
    floor: FloatArray,
    *,
    tau: float,
    prior: tuple[float, float],
    points: int,
) -> FloatArray:
    theta = (np.arange(points) + 0.5) * (np.pi / 2 / points)
    sound = np.sin(theta) ** 2
    base = (2 * prior[0] - 1) * np.log(np.sin(theta)) + (2 * prior[1] - 1) * np.log(np.cos(theta))
    slope = (tau - floor)[:, None]
    observed = floor[:, None] + slope * sound  # (n, points)
    missed = (1 - floor)[:, None] - slope * sound
    log_weight = base + r[:, None] * np.log(observed) + (n - r)[:, None] * np.log(missed)
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    share = (1 - sound) * floor[:, None] / observed
    return (weight * share).sum(axis=1) / weight.sum(axis=1)


def chance_tail(successes: ArrayLike, trials: ArrayLike, *, p0: ArrayLike) -> FloatArray:
    """Return `P(R ≥ r | n, p0)`: how often pure luck does at least as well.

    `I_p0(r, n−r+1)`, the binomial tail by the incomplete beta function, so counts need not be
    whole. Control the batch with `evidence.stats.q_values`.

    Args:
        successes: r, shape (n,).
        trials: n, shape (n,).
        p0: Undeserved-reward rate, scalar or shape (n,).

    Returns:
        One-sided p-values, shape (n,); 1 where r = 0.

    Example:
        >>> float(chance_tail([1], [8], p0=0.02)[0].round(3))
        0.149
    """
    from scipy.special import betainc

    r, n = checked_counts(successes, trials)
    floor = _checked_floor(p0, 1.0, r.shape)
    return np.where(r == 0, 1.0, betainc(np.where(r == 0, 1.0, r), n - r + 1, floor))


def _checked_floor(p0: ArrayLike, tau: float, shape: tuple[int, ...]) -> FloatArray:
    floor = np.asarray(p0, float)
    if not 0 < tau <= 1:
        raise BadInput("a true-positive rate in (0, 1]", got=str(tau), where="tau")
    if not bool(np.all((floor >= 0) & (floor <= tau))):
        raise BadInput(f"an undeserved-reward rate between 0 and {tau}", got="others", where="p0")
    return np.broadcast_to(np.minimum(floor, _NEAR_ONE), shape)
