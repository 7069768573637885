"""How many tasks or runs a comparison of success rates needs before it is begun."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.power import Needed
from twiceshy.evidence.stats.sequential import BETS

_LOOKS = 200
"""Points in time at which a planned betting test is looked at; between them it is not."""
_REACH = 8
"""A betting test is followed to this many times the number a single look needs."""


def paired_needed(
    difference: float, *, discordant: float = 0.25, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Return the tasks that a paired comparison needs, each run with and without, looked at once.

    n = (z_{1−alpha/2} + z_power)²·(discordant − difference²) / difference²

    Source: the normal approximation to McNemar's test (Miettinen 1968, from memory), with the same
    variance under the null and under the alternative.

    Args:
        difference: Gain in P(success), not 0.
        discordant: Share of tasks that come out differently in the two runs.
        alpha: Two-sided error rate.
        power: Wanted chance of finding the difference.

    Raises:
        BadInput: A value is out of range; a difference cannot exceed `discordant`.

    Example:
        >>> [paired_needed(points / 100) for points in (3, 5, 10)]
        [2173, 778, 189]
    """
    _check_share(alpha, "alpha")
    _check_share(power, "power")
    if not 0 < abs(difference) <= discordant <= 1:
        raise BadInput(
            "0 < |difference| <= discordant <= 1",
            got=f"{difference}, {discordant}",
            where="difference, discordant",
        )
    spread = (discordant - difference**2) / difference**2
    return math.ceil(_quantiles(alpha, power) ** 2 * spread)


def arms_needed(
    difference: float,
    *,
    first: float,
    second: float,
    rate: float = 0.5,
    explained: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int:
    """Return the runs that a comparison by a coin needs, looked at once.

    n = (z_{1−alpha/2} + z_power)²·σ²·(1/first + 1/second) / difference²
    σ² = rate·(1 − rate)·(1 − explained)

    Args:
        difference: Difference in P(success) to be found, not 0.
        first: Chance of the first arm.
        second: Chance of the second arm; with the first at most 1.
        rate: P(success) midway.
        explained: Share of the outcome's variance that task difficulty explains, in [0, 1).
        alpha: Two-sided error rate.
        power: Wanted chance of finding the difference.

    Example:
        >>> arms_needed(0.28, first=0.5, second=0.5)
        101
    """
    scale = _scale(first, second, rate=rate, explained=explained)
    _check_share(abs(difference), "difference")
    return math.ceil((_quantiles(alpha, power) * scale / difference) ** 2)


def detectable_difference(
    n: int,
    *,
    first: float,
    second: float,
    rate: float = 0.5,
    explained: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """Return the least difference that n runs find, looked at once; may exceed 1: none can be.

    Example:
        >>> round(detectable_difference(100, first=0.9, second=0.1), 2)
        0.47
    """
    if n < 1:
        raise BadInput("at least one run", got=str(n), where="n")
    scale = _scale(first, second, rate=rate, explained=explained)
    return _quantiles(alpha, power) * scale / math.sqrt(n)


def betting_needed(
    gains: ArrayLike,
    chances: ArrayLike,
    *,
    at_once: int,
    alpha: float = 0.05,
    power: float = 0.8,
    seed: int = 0,
    draws: int = 400,
) -> Needed:
    """Return when a bet on a positive mean, looked at all the while, has reached 1/alpha.

    The bet is that of `BettingTest` and `running_mean`. Its power is simulated; it is looked at
    200 times on the way to 8 times `at_once`.

    Args:
        gains: Possible gains, scores over their scale, each in [-1, 1]; shape (k,).
        chances: Probability of each, shape (k,).
        at_once: About what a single look needs; sets how far to look.
        alpha: One-sided error rate over all looks.
        power: Wanted chance of having reached it.
        seed: Seed of the simulation.
        draws: Simulated sequences.

    Returns:
        The number and the power there; None: not within reach.
    """
    step = max(1, math.ceil(_REACH * at_once / _LOOKS))
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(step, np.asarray(chances, dtype=float), size=(draws, _LOOKS))
    growth = np.log1p(BETS[None, :] * np.asarray(gains, dtype=float)[:, None])
    logs = np.cumsum(counts, axis=1) @ growth
    capital = np.logaddexp.reduce(logs, axis=2) - math.log(len(BETS))
    reached = np.maximum.accumulate(capital, axis=1) >= -math.log(alpha)
    share = reached.mean(axis=0)
    enough = np.flatnonzero(share >= power)
    if enough.size == 0:
        return Needed(None, float(share[-1]))
    return Needed(int(enough[0] + 1) * step, float(share[enough[0]]))


def _scale(first: float, second: float, *, rate: float, explained: float) -> float:
    if not (first > 0 and second > 0 and first + second <= 1 + 1e-9):
        raise BadInput("two positive chances with a sum of at most 1", got=f"{first}, {second}")
    _check_share(rate, "rate")
    if not 0 <= explained < 1:
        raise BadInput("a share in [0, 1)", got=repr(explained), where="explained")
    return math.sqrt(rate * (1 - rate) * (1 - explained) * (1 / first + 1 / second))


def _quantiles(alpha: float, power: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(1 - alpha / 2) + ndtri(power))


def _check_share(value: float, where: str) -> None:
    if not 0 < value < 1:
        raise BadInput("a number inside (0, 1)", got=repr(value), where=where)
