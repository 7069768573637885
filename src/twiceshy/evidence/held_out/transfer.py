"""What each selected pattern does on the tasks it was not selected from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats.fixed_effects import WithinDesign
from twiceshy.evidence.tables import EventTable
from twiceshy.lessons import Effect

_USUALLY = 0.5
"""A pattern selected in at least this share of training sets counts as usually selected."""


class Transfer(NamedTuple):
    """One pattern on held-out tasks."""

    column: int
    name: str
    selection_frequency: float
    """Share of training sets in which it got a weight."""
    mean_weight: float
    """Mean weight where it got one; positive points to failure."""
    held_out: Effect
    """Within-task risk difference on held-out tasks, adjusted for policy, clustered by task."""
    pooled_lift: float | None
    """P(failure) with minus without on the same held-out tasks, difficulty not removed."""

    @property
    def is_usual(self) -> bool:
        """Whether it was selected in at least half of the training sets.

        A rarely selected pattern is selected just when the tasks left out speak against it, which
        pulls its held-out effect below the truth; only that of a usual one is worth reading.
        """
        return self.selection_frequency >= _USUALLY

    @property
    def signs_differ(self) -> bool:
        """Whether pooled lift and within-task effect point in opposite directions."""
        return (self.pooled_lift or 0.0) * (self.held_out.estimate or 0.0) < 0


class Lift(NamedTuple):
    """Mean held-out effect of an arm's patterns, turned so that positive is as mined."""

    within: float | None
    """None when nothing was usually selected or nothing varies inside a mixed task."""
    pooled: float | None
    """The same without difficulty removed. Never evidence; shown for the difference."""
    n_usual: int
    """Patterns selected in at least half of the training sets."""
    n_signs_differ: int
    """Of those, how many have opposite signs pooled and within the task."""


def transfers(
    table: EventTable, *, fold: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[Transfer, ...]:
    """Measure every pattern that was ever selected on the folds left out when it was.

    effect_j = sum_t c_tj cross_tj / sum_t c_tj square_tj, c_tj the share of splits in which pattern
    j was selected without task t. A pattern that is always selected is measured on all tasks, and
    no choice made by looking at a task enters the number for it.

    Args:
        table: Events of scored attempts.
        fold: Shape (n_splits, n_attempts); -1 is never tested.
        weights: Shape (n_splits, n_folds, n_events).
    """
    chosen = (weights != 0).astype(np.float64)
    ever = np.flatnonzero(chosen.any(axis=(0, 1)))
    share = np.mean(
        [np.where(one[:, None] >= 0, chosen[split][one], 0.0) for split, one in enumerate(fold)],
        axis=0,
    )
    design = WithinDesign(
        table.present[:, ever], failed=table.failed, task=table.task, policy=table.policy
    )
    sums = design.task_sums(table.failed)
    first_row = {int(code): row for row, code in reversed(list(enumerate(table.task)))}
    rows = np.array([first_row[int(code)] for code in sums.task], dtype=np.int64)
    weight = share[np.ix_(rows, ever)]
    effects = _effects(sums.cross, sums.square, weight=weight, varies=sums.varies)
    lifts = _pooled_lift(table.present[:, ever], table.failed, share=share[:, ever])
    frequency = chosen.mean(axis=(0, 1))
    with np.errstate(invalid="ignore"):
        mean_weight = weights.sum(axis=(0, 1)) / chosen.sum(axis=(0, 1))
    return tuple(
        Transfer(
            int(column),
            table.names[column],
            float(frequency[column]),
            float(mean_weight[column]),
            effects[place],
            None if np.isnan(lifts[place]) else float(lifts[place]),
        )
        for place, column in enumerate(ever)
    )


def mean_lift(found: tuple[Transfer, ...]) -> Lift:
    """Average the held-out effects of the patterns an arm usually selects, turned as mined."""
    usual = [each for each in found if each.is_usual]
    return Lift(
        _weighted_mean([(each, each.held_out.estimate) for each in usual]),
        _weighted_mean([(each, each.pooled_lift) for each in usual]),
        len(usual),
        sum(each.signs_differ for each in usual),
    )


def _weighted_mean(values: list[tuple[Transfer, float | None]]) -> float | None:
    known = [(each, value) for each, value in values if value is not None]
    total = sum(each.selection_frequency for each, _ in known)
    if total == 0:
        return None
    turned = (
        each.selection_frequency * (value if each.mean_weight > 0 else -value)
        for each, value in known
    )
    return sum(turned) / total


def _effects(
    cross: NDArray[np.float64],
    square: NDArray[np.float64],
    *,
    weight: NDArray[np.float64],
    varies: NDArray[np.bool_],
) -> list[Effect]:
    """Weighted task sums to effects with clustered 95 % intervals."""
    from scipy.special import stdtrit

    found: list[Effect] = []
    for column in range(cross.shape[1]):
        share = weight[:, column]
        total = float((share * square[:, column]).sum())
        n_tasks = int((varies[:, column] & (share > 0)).sum())
        if n_tasks == 0 or total <= 0:
            found.append(Effect(estimate=None, n_tasks=n_tasks))
            continue
        effect = float((share * cross[:, column]).sum()) / total
        if n_tasks < 2:
            found.append(Effect(estimate=effect, n_tasks=n_tasks))
            continue
        score = share * (cross[:, column] - effect * square[:, column])
        error = float(np.sqrt((score**2).sum() * n_tasks / (n_tasks - 1))) / total
        reach = float(stdtrit(n_tasks - 1, 0.975)) * error
        found.append(
            Effect(estimate=effect, low=effect - reach, high=effect + reach, n_tasks=n_tasks)
        )
    return found


def _pooled_lift(
    present: NDArray[np.bool_], failed: NDArray[np.bool_], *, share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """P(failed | present) - P(failed | absent) with attempts weighted by `share`; NaN undefined."""
    with_pattern, without = share * present, share * ~present
    rates = []
    for mass in (with_pattern, without):
        total = mass.sum(axis=0)
        undefined = np.full(total.size, np.nan)
        rates.append(np.divide(failed @ mass, total, out=undefined, where=total > 0))
    return rates[0] - rates[1]
