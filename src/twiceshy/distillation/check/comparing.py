"""Ratios between two sets of traces at the same tasks, with intervals over tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from twiceshy.distillation.check.features import Trace
from twiceshy.evidence.stats import Estimate, bootstrap

Numbers = Callable[[Trace], tuple[float | None, float]]
"""From a trace to a count (None: not measured) and what it is divided by."""
Pair = tuple[float | None, float | None]
"""The same two numbers of one task."""

UNMEASURED = Estimate(None, None, None, 0)
FEWEST_EVENTS = 20
"""Events (markers, forks, words) on the base's side below which a ratio has no interval: where one
marker in ten thousand words is missing afterwards, resampling tasks would call 0 certain. Ours."""

_T = TypeVar("_T")


def density_ratio(
    before: Mapping[str, Sequence[Trace]],
    after: Mapping[str, Sequence[Trace]],
    *,
    of: Numbers,
    seed: int,
) -> Estimate:
    """Return (Σ count / Σ length of `after`) / (the same of `before`), with a bootstrap over tasks.

    Each task with traces on both sides weighs by its mean trace on either side. Undefined (n = 0)
    where nothing was measured, without a value where `before` has no count at all, and without an
    interval where it has fewer than `FEWEST_EVENTS`.
    """
    tasks = [task for task in before if task in after]
    rows = [(*mean_of(before[task], of), *mean_of(after[task], of)) for task in tasks]
    kept = [row for row in rows if None not in row]
    found = bootstrap(np.array(kept, dtype=float).reshape(-1, 4), _ratio, seed=seed)
    n_events = sum(of(trace)[0] or 0 for task in tasks for trace in before[task])
    return with_enough(found, n_events=n_events)


def with_enough(found: Estimate, *, n_events: float) -> Estimate:
    """Return a ratio without its interval where the base's side has too few events.

    Args:
        found: The ratio.
        n_events: Events on the base's side.

    Example:
        >>> with_enough(Estimate(0.0, 0.0, 0.0, 40), n_events=1)
        Estimate(value=0.0, low=None, high=None, n=40)
    """
    return found if n_events >= FEWEST_EVENTS else found._replace(low=None, high=None)


def share(traces: Sequence[Trace], *, of: Numbers) -> float | None:
    """Return Σ count / Σ length; None where it is undefined."""
    count, length = zip(*(of(trace) for trace in traces), strict=True) if traces else ((), ())
    if not length or None in count or sum(length) == 0:
        return None
    return float(sum(count)) / float(sum(length))


def unpaired_ratio(before: Sequence[Pair], after: Sequence[Pair], *, seed: int) -> Estimate:
    """As `density_ratio`, where the two sides need not have a task in common.

    Args:
        before: Mean count and mean length of each task; a count of None makes all undefined.
        after: The same of the other side.
        seed: Of the bootstrap, over the tasks of both sides together; n counts them all.

    Example:
        >>> found = unpaired_ratio([(4.0, 1.0)] * 9, [(1.0, 1.0), (3.0, 1.0)] * 5, seed=0)
        >>> found.value, found.n
        (0.5, 19)
    """
    sides = [(0.0, *pair) for pair in before] + [(1.0, *pair) for pair in after]
    if any(None in row for row in sides):
        return UNMEASURED
    return bootstrap(np.array(sides, dtype=float).reshape(-1, 3), _ratio_of_sides, seed=seed)


def mean_of(traces: Sequence[_T], of: Callable[[_T], Pair]) -> Pair:
    """Return mean count and mean length; None twice where one count was not measured."""
    pairs = [of(trace) for trace in traces]
    counts = [count for count, _ in pairs if count is not None]
    if len(counts) < len(pairs) or not pairs:
        return None, None
    return float(np.mean(counts)), float(
        np.mean([length for _, length in pairs if length is not None])
    )


def _ratio_of_sides(rows: NDArray[Any]) -> float:
    after = rows[:, 0] > 0
    return _ratio(np.hstack([rows[~after, 1:].sum(axis=0), rows[after, 1:].sum(axis=0)])[None])


def _ratio(rows: NDArray[Any]) -> float:
    count_0, length_0, count_1, length_1 = rows.sum(axis=0)
    if length_0 <= 0 or length_1 <= 0 or count_0 <= 0:
        return float("nan")
    return float((count_1 / length_1) / (count_0 / length_0))
