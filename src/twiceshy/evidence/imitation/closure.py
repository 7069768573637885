"""How far a student came from the base towards the teacher, in style and in capability.

0 is the base, 1 the teacher (in style: a second draw of the teacher, which no imitation can beat).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats.ranking import percentile_interval

Draws = NDArray[np.float64]
"""A statistic on all tasks, then on bootstrap draws of tasks; shape (1 + n_draws,)."""


MIN_TASKS = 6
"""Tasks from which an interval is claimed. With fewer, not even all of them agreeing excludes
chance: 2 · 2⁻⁵ > 0.05 (a sign test)."""


class Spread(NamedTuple):
    """A number with its bootstrap interval over tasks; None is undefined."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is there and does not hold 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


NOTHING = Spread(None, None, None)


def spread_of(draws: Draws) -> Spread:
    """Return the first entry with the interval of the rest; no interval where they are all NaN.

    Example:
        >>> spread_of(np.array([0.5, 0.4, 0.6]))._replace(low=None, high=None).value
        0.5
    """
    if not draws.size or not np.isfinite(draws[0]):
        return NOTHING
    return Spread(float(draws[0]), *percentile_interval(draws[1:]))


def rate_of(draws: Draws) -> Spread:
    """As `spread_of`, for a rate: no interval where its draws do not vary, as at 0 of n.

    Example:
        >>> rate_of(np.array([0.0, 0.0, 0.0]))
        Spread(value=0.0, low=None, high=None)
    """
    found = spread_of(draws)
    return found if found.low != found.high else found._replace(low=None, high=None)


def closure(student: float, *, base: float, ceiling: float) -> float | None:
    """Return (student − base) / (ceiling − base); None when ceiling and base are equal.

    Source: ours, made for the tables of Gudibande et al. (2305.15717).

    Example:
        >>> round(closure(81, base=13, ceiling=83), 2)
        0.97
        >>> closure(1, base=2, ceiling=2) is None
        True
    """
    gap = ceiling - base
    return (student - base) / gap if gap else None


class Closures(NamedTuple):
    """Closures of a table of published figures."""

    style: dict[str, float | None]
    capability: dict[str, float | None]
    mean_style: float | None
    mean_capability: float | None
    mimicry_index: float | None
    """Mean style closure − mean capability closure."""


def closures(
    *,
    style: Mapping[str, tuple[float, float, float]],
    capability: Mapping[str, tuple[float, float, float]],
) -> Closures:
    """Return closures and mimicry index of figures that somebody else measured.

    Without the answers there is no interval, and no way to see whether a gap is within noise.

    Args:
        style: For each metric (base, student, teacher resample).
        capability: For each task (base, student, teacher).

    Example:
        >>> found = closures(style={"lists": (13, 81, 83)}, capability={"NQ": (20, 15, 31)})
        >>> round(found.mean_style, 2), round(found.mean_capability, 2)
        (0.97, -0.45)
    """
    by_style = {name: closure(s, base=b, ceiling=c) for name, (b, s, c) in style.items()}
    by_task = {name: closure(s, base=b, ceiling=c) for name, (b, s, c) in capability.items()}
    first, second = _mean(list(by_style.values())), _mean(list(by_task.values()))
    index = first - second if first is not None and second is not None else None
    return Closures(by_style, by_task, first, second, index)


class Closed(NamedTuple):
    """One closure with what it is made of."""

    name: str
    base: Spread
    student: Spread
    ceiling: Spread
    closure: Spread
    why_not: str
    """Why the closure is undefined; empty when it is defined."""
    draws: Draws
    """Of the closure; empty when it is undefined."""


def closed(
    name: str,
    *,
    base: Draws,
    student: Draws,
    ceiling: Draws | None,
    may_fall: bool = False,
    fell: str = "the teacher is below the base",
    missing: str = "undefined for all",
) -> Closed:
    """Return a closure with its interval, undefined where the gap is within noise.

    Args:
        name: Of the metric or task.
        base: The metric of the base.
        student: Of the student.
        ceiling: Of the teacher, or its resample; None when there is none.
        may_fall: Whether the ceiling may lie below the base (a rate that is neither good nor bad).
        fell: What to say where the ceiling lies below the base and may not.
        missing: What to say where it is undefined for base, student and ceiling alike.
    """
    parts = (rate_of(base), rate_of(student))
    top = NOTHING if ceiling is None else rate_of(ceiling)
    why = _why_not(*parts, top, missing=missing) if ceiling is not None else "no teacher resample"
    if why or ceiling is None:
        return Closed(name, *parts, top, NOTHING, why, np.zeros(0))
    gap = ceiling - base
    found = spread_of(gap)
    if found.low is None:
        why = f"fewer than {MIN_TASKS} tasks to go by"
    elif not found.excludes_zero:
        why = "teacher and base differ within noise"
    elif gap[0] < 0 and not may_fall:
        why = fell
    if why:
        return Closed(name, *parts, top, NOTHING, why, np.zeros(0))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(gap * gap[0] > 0, (student - base) / gap, np.nan)
    return Closed(name, *parts, top, spread_of(share), "", share)


def _why_not(base: Spread, student: Spread, ceiling: Spread, *, missing: str) -> str:
    without = [
        who
        for who, found in (("base", base), ("student", student), ("teacher", ceiling))
        if found.value is None
    ]
    if len(without) == len((base, student, ceiling)):
        return missing
    return f"undefined for the {' and the '.join(without)}" if without else ""


def mean_of(found: Sequence[Closed]) -> Draws:
    """Return the mean of the closures that are defined; empty when none is."""
    defined = [each.draws for each in found if each.draws.size]
    return np.mean(defined, axis=0) if defined else np.zeros(0)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
