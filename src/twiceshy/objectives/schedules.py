"""Weights that change during training, as plain functions of the step or of the accuracy.

lambda_pos = linear(step, start=0.0, end=0.1, steps=50)
"""

from __future__ import annotations

import math

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import require_between


def linear(step: int, *, start: float, end: float, steps: int) -> float:
    """Return the value on the line from `start` (step 0) to `end` (from `steps` on).

    Example:
        >>> linear(5, start=0.0, end=1.0, steps=10)
        0.5
    """
    return start + (end - start) * _share(step, steps)


def cosine(step: int, *, start: float, end: float, steps: int) -> float:
    """Return the value on half a cosine from `start` (step 0) to `end` (from `steps` on).

    Example:
        >>> cosine(10, start=1.0, end=0.0, steps=10)
        0.0
    """
    return end + (start - end) * (1 + math.cos(math.pi * _share(step, steps))) / 2


def switch(step: int, *, before: float, after: float, at: int) -> float:
    """Return `before` up to the step `at`, and `after` from there on.

    Source: NSR as a warm-up phase, suggested by Zhu et al. (2506.01347), limitations.

    Example:
        >>> [switch(step, before=0.0, after=0.1, at=2) for step in range(4)]
        [0.0, 0.0, 0.1, 0.1]
    """
    return before if step < at else after


def by_accuracy(accuracy: float, *, full_at: float) -> float:
    """Return a weight that grows with the batch's accuracy and is 1 from `full_at` on.

    weight = min(1, accuracy / full_at)

    Source: A-GRAE's weight of positive advantages.

    Example:
        >>> by_accuracy(0.25, full_at=0.5)
        0.5
    """
    require_between(accuracy, low=0, high=1, where="accuracy")
    require_between(full_at, low=1e-6, high=1, where="full_at")
    return min(1.0, accuracy / full_at)


def _share(step: int, steps: int) -> float:
    if step < 0 or steps < 1:
        raise BadInput("step >= 0 and steps >= 1", got=f"{step}, {steps}", where="schedule")
    return min(1.0, step / steps)
