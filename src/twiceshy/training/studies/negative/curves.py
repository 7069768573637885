"""Comparing walks through the plane of pass@1 and coverage at the same pass@1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from twiceshy.training.studies.negative.plan import Outcome
from twiceshy.training.studies.negative.runs import Point, Run

LEVELS = (0.5, 0.75, 1.0)
"""Where curves are compared: at these shares of the gain in pass@1 that both of them reach."""
MIN_GAIN = 0.01
"""Common gain in pass@1 below which there is no curve to compare; ours."""

_FIELD = {"pass@1": "pass_at_1", "pass@8": "pass_at_8", "pass@64": "pass_at_64"}


class Curve(NamedTuple):
    """A run from its base policy on, in the order of training."""

    rollouts: tuple[int, ...]
    pass_at_1: tuple[float, ...]
    outcome: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Largest gain in pass@1 over the base policy."""
        return max(self.pass_at_1) - self.pass_at_1[0]


def value(point: Point, outcome: Outcome) -> float:
    """Return what a point says of an outcome."""
    return getattr(point, _FIELD.get(outcome, outcome))


def curve_of(run: Run, base: Run, *, outcome: Outcome) -> Curve:
    """Return a run's curve, its base policy's point first."""
    points = [*base.points[:1], *run.points]
    return Curve(
        tuple(point.rollouts for point in points),
        tuple(point.pass_at_1 for point in points),
        tuple(value(point, outcome) for point in points),
    )


def at_level(curve: Curve, level: float) -> float | None:
    """Return the outcome where a curve first reaches a pass@1, by linear interpolation.

    None when it never does.

    Example:
        >>> at_level(Curve((0, 1, 2), (0.1, 0.3, 0.2), (1.0, 0.5, 0.0)), 0.2)
        0.75
        >>> at_level(Curve((0, 1), (0.1, 0.3), (1.0, 0.5)), 0.4) is None
        True
    """
    x, y = curve.pass_at_1, curve.outcome
    if x[0] >= level:
        return y[0]
    for i in range(1, len(x)):
        if x[i] >= level:
            share = (level - x[i - 1]) / (x[i] - x[i - 1])
            return y[i - 1] + share * (y[i] - y[i - 1])
    return None


def matched_difference(first: Curve, second: Curve) -> float | None:
    """Return first − second in the outcome at equal pass@1, mean over `LEVELS`.

    Both start at one base policy. Levels are shares of the smaller of their largest gains, so that
    both reach each of them. None when that gain is below `MIN_GAIN`.

    Example:
        >>> flat = Curve((0, 1), (0.0, 0.2), (1.0, 1.0))
        >>> steep = Curve((0, 1), (0.0, 0.4), (1.0, 0.6))
        >>> round(matched_difference(flat, steep), 3)  # at 0.10, 0.15 and 0.20
        0.15
    """
    gain = min(first.gain, second.gain)
    if gain < MIN_GAIN:
        return None
    differences: list[float] = []
    for share in LEVELS:
        one = at_level(first, first.pass_at_1[0] + share * gain * (1 - 1e-9))
        two = at_level(second, second.pass_at_1[0] + share * gain * (1 - 1e-9))
        if one is None or two is None:
            return None
        differences.append(one - two)
    return float(np.mean(differences))


def equal_rollouts_difference(first: Curve, second: Curve) -> float | None:
    """Return first − second after the largest number of rollouts at which both were evaluated.

    None when there is none beyond the base policy.

    Example:
        >>> one, two = Curve((0, 5, 9), (0.1,) * 3, (1, 2, 3)), Curve((0, 5), (0.1,) * 2, (1, 4))
        >>> equal_rollouts_difference(one, two)
        -2
    """
    shared = set(first.rollouts[1:]) & set(second.rollouts[1:])
    if not shared:
        return None
    at = max(shared)
    return first.outcome[first.rollouts.index(at)] - second.outcome[second.rollouts.index(at)]
