"""The named comparisons: paired by seed, with intervals, corrected for how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from twiceshy.evidence.stats import clustered_mean, holm
from twiceshy.training.studies.negative.curves import (
    Curve,
    curve_of,
    equal_rollouts_difference,
    matched_difference,
)
from twiceshy.training.studies.negative.plan import Contrast, Outcome, Plan, Setting
from twiceshy.training.studies.negative.runs import BASE, Run, job_name

Runs = Mapping[str, Run]
"""Finished runs by job name."""
Arm = tuple[str, str]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison with its result over seeds."""

    contrast: Contrast
    difference: float | None
    """Mean over seeds, first − second."""
    low: float | None
    high: float | None
    """Student's 95 % interval over seeds; None with fewer than two."""
    p: float | None
    """Two-sided, Student's t over seeds."""
    p_holm: float | None
    """Corrected for all comparisons of its kind in the plan: matched or equal rollouts, fixed
    beforehand or not."""
    n_seeds: int
    """Seeds in which it is defined."""
    n_undefined: int
    """Seeds whose runs are there, but one of them gained too little pass@1 to be compared."""
    n_positive: int
    """Seeds in which first > second."""
    differences: tuple[float | None, ...]
    """By seed; None where undefined or not run."""


def compare_all(plan: Plan, runs: Runs) -> list[Compared]:
    """Return every contrast of the plan; undefined ones have n_seeds 0."""
    found = [_compared(contrast, plan, runs) for contrast in plan.contrasts]
    adjusted = [each.p for each in found]
    for kind in {_kind(contrast) for contrast in plan.contrasts}:
        rows = [i for i, each in enumerate(found) if _kind(each.contrast) == kind]
        p = np.array([np.nan if found[i].p is None else found[i].p for i in rows], dtype=float)
        for i, value in zip(rows, holm(p), strict=True):
            adjusted[i] = None if np.isnan(value) else float(value)
    return [
        msgspec.structs.replace(each, p_holm=value)
        for each, value in zip(found, adjusted, strict=True)
    ]


def _kind(contrast: Contrast) -> tuple[str, bool]:
    return contrast.how, contrast.fixed_beforehand


def find_run(runs: Runs, setting: Setting, *, objective: str, seed: int) -> Run | None:
    """Return the run of an arm, or of its base policy; None when it is not done."""
    name = setting.base if objective == BASE else setting.name
    return runs.get(job_name(name, objective=objective, seed=seed))


def arm_curve(plan: Plan, runs: Runs, arm: Arm, *, seed: int, outcome: Outcome) -> Curve | None:
    """Return the curve of one seed of an arm; None when it was not run or ended at once."""
    setting = plan.setting(arm[0])
    run = find_run(runs, setting, objective=arm[1], seed=seed)
    base = find_run(runs, setting, objective=BASE, seed=seed)
    if run is None or base is None or not run.points:
        return None
    return curve_of(run, base, outcome=outcome)


def _compared(contrast: Contrast, plan: Plan, runs: Runs) -> Compared:
    rows = [_difference(contrast, plan, runs, seed=seed) for seed in range(plan.n_seeds)]
    values = [value for value, _ in rows]
    known = np.array([value for value in values if value is not None], dtype=float)
    spread = clustered_mean(known)
    return Compared(
        contrast=contrast,
        difference=spread.value,
        low=spread.low,
        high=spread.high,
        p=_p_value(known),
        p_holm=None,
        n_seeds=len(known),
        n_undefined=sum(there and value is None for value, there in rows),
        n_positive=int((known > 0).sum()),
        differences=tuple(values),
    )


def _p_value(differences: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    from scipy.stats import ttest_1samp

    if len(differences) < 2 or np.ptp(differences) == 0:
        return None
    return float(ttest_1samp(differences, 0.0).pvalue)


def _difference(
    contrast: Contrast, plan: Plan, runs: Runs, *, seed: int
) -> tuple[float | None, bool]:
    """Return the difference of one seed and whether all its runs are there."""
    pairs: Sequence[tuple[Arm, Arm]] = [(contrast.first, contrast.second)]
    if contrast.minus is not None:
        pairs = [*pairs, contrast.minus]
    measure = matched_difference if contrast.how == "matched" else equal_rollouts_difference
    values: list[float | None] = []
    for first, second in pairs:
        one = arm_curve(plan, runs, first, seed=seed, outcome=contrast.outcome)
        two = arm_curve(plan, runs, second, seed=seed, outcome=contrast.outcome)
        if one is None or two is None:
            return None, False
        values.append(measure(one, two))
    if any(value is None for value in values):
        return None, True
    known = [value for value in values if value is not None]
    return known[0] - sum(known[1:]), True
