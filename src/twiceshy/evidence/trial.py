"""Compare policies on the same tasks: the arms of a trial, paired by task, with their controls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.evidence.stats import (
    Estimate,
    Flips,
    PairedDifference,
    bounded_mean,
    flips,
    paired_difference,
    permutation_test,
)

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """One arm against the reference arm, on the tasks that both attempted."""

    policy: str
    n_attempts: int
    """Scored attempts of the arm, over all its tasks."""
    rate: Estimate
    """Success rate; `n` counts tasks."""
    difference: PairedDifference | None
    """Of the per-task success rates, arm minus reference; None for the reference itself."""
    p_value: float | None
    """Of the sign-flip permutation test over shared tasks, two-sided, for this arm alone."""
    is_clear: bool
    """Whether p, by Holm's correction for the number of arms, is at most 1 - level."""
    flips: Flips | None
    n_gained: int
    """Pairs of the same task and trial that are wrong in the reference and right here."""
    n_lost: int
    """The same pairs, right in the reference and wrong here."""
    over_placebo: PairedDifference | None
    """Arm minus placebo; None where there is no placebo arm."""
    endings: Mapping[str, int]
    """How the attempts ended, in the log's own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """The arms, the reference first."""

    report: Report
    arms: tuple[ArmResult, ...]
    reference: str
    placebo: str | None
    n_seeds: int
    """Trials of a task under the reference, at most."""


def compare_policies(
    attempts: Iterable[Attempt],
    *,
    reference: str,
    placebo: str | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> TrialResult:
    """Compare every policy with a reference, paired by task.

    The unit is the task: a task's attempts under one policy make one success rate, and intervals
    and tests run over tasks. That the arms were assigned at random, and that their attempts share
    nothing but the task, is the caller's promise.

    Args:
        attempts: Attempts of two policies or more at the same tasks.
        reference: The policy without lessons.
        placebo: The policy with lessons of equal size that carry no information.
        seed: Seed of the permutation test.
        level: Confidence of the intervals, in (0, 1).

    Raises:
        BadInput: When the reference or the placebo is not among the policies.
    """
    every = tuple(attempts)
    kept = [each for each in every if each.outcome.is_scored]
    policies = list(dict.fromkeys(each.policy for each in kept))
    named = policies or list(dict.fromkeys(each.policy for each in every))
    for name, role in ((reference, "reference"), (placebo, "placebo")):
        if name is not None and named and name not in named:
            raise BadInput(
                f"a {role} policy with scored attempts",
                got=repr(name),
                where=f"--{role}",
                fix=f"Choose one of: {', '.join(named)}.",
            )
    tasks = {task: i for i, task in enumerate(dict.fromkeys(each.task for each in kept))}
    counts = {policy: _count(kept, tasks, policy) for policy in policies}
    order = sorted(policies, key=lambda policy: (policy != reference, policies.index(policy)))
    arms = _judged(
        [
            _arm(kept, counts, policy, reference=reference, placebo=placebo, seed=seed, level=level)
            for policy in order
        ],
        error_rate=1.0 - level,
    )
    return TrialResult(
        report=_report(
            arms,
            reference=reference,
            placebo=placebo,
            n_tasks=len(tasks),
            seed=seed,
            error_rate=1.0 - level,
        ),
        arms=arms,
        reference=reference,
        placebo=placebo,
        n_seeds=int(max(counts[reference][1], default=0)) if kept else 0,
    )


def _judged(arms: Sequence[ArmResult], *, error_rate: float) -> tuple[ArmResult, ...]:
    """Mark the arms that differ from the reference beyond chance, by Holm (1979)."""
    tested = sorted(
        (arm.p_value, place) for place, arm in enumerate(arms) if arm.p_value is not None
    )
    clear: set[int] = set()
    for rank, (p_value, place) in enumerate(tested):
        if p_value * (len(tested) - rank) > error_rate + 1e-12:
            break
        clear.add(place)
    return tuple(replace(arm, is_clear=place in clear) for place, arm in enumerate(arms))


def _count(
    attempts: Sequence[Attempt], tasks: Mapping[str, int], policy: str
) -> tuple[Counts, Counts]:
    """Return successes and scored attempts by task, each of shape (n_tasks,)."""
    right, tried = np.zeros(len(tasks)), np.zeros(len(tasks))
    for each in attempts:
        if each.policy == policy:
            tried[tasks[each.task]] += 1
            right[tasks[each.task]] += each.outcome is Outcome.SUCCESS
    return right, tried


def _rates(counts: tuple[Counts, Counts]) -> Counts:
    right, tried = counts
    return np.divide(right, tried, out=np.full(tried.shape, np.nan), where=tried > 0)


def _arm(
    attempts: Sequence[Attempt],
    counts: Mapping[str, tuple[Counts, Counts]],
    policy: str,
    *,
    reference: str,
    placebo: str | None,
    seed: int,
    level: float,
) -> ArmResult:
    mine, base = counts[policy], counts[reference]
    rates = _rates(mine)
    is_reference = policy == reference
    gaps = rates - _rates(base)
    against_placebo = (
        paired_difference(_rates(counts[placebo]), rates, level=level)
        if placebo is not None and policy not in (placebo, reference)
        else None
    )
    own = [each for each in attempts if each.policy == policy]
    seen = rates[~np.isnan(rates)]
    pairs = _pairs(own, [each for each in attempts if each.policy == reference])
    return ArmResult(
        policy=policy,
        n_attempts=len(own),
        rate=bounded_mean(seen, np.arange(seen.size), level=level),
        difference=None if is_reference else paired_difference(_rates(base), rates, level=level),
        p_value=None if is_reference else permutation_test(gaps[~np.isnan(gaps)], seed=seed).p,
        is_clear=False,
        flips=None
        if is_reference
        else flips(before_c=base[0], before_n=base[1], after_c=mine[0], after_n=mine[1]),
        n_gained=pairs[(Outcome.FAILURE, Outcome.SUCCESS)],
        n_lost=pairs[(Outcome.SUCCESS, Outcome.FAILURE)],
        over_placebo=against_placebo,
        endings=Counter(each.ending or "not told" for each in own),
    )


def _pairs(own: Sequence[Attempt], base: Sequence[Attempt]) -> Counter[tuple[Outcome, Outcome]]:
    """Count (reference, arm) outcomes of the same task and trial; trials must be named.

    Where a reference has a trial twice, its last attempt is the one compared with.
    """
    before = {(each.task, each.trial): each.outcome for each in base if each.trial is not None}
    keyed = (((each.task, each.trial or ""), each.outcome) for each in own)
    return Counter((before[key], outcome) for key, outcome in keyed if key in before)


def _report(
    arms: Sequence[ArmResult],
    *,
    reference: str,
    placebo: str | None,
    n_tasks: int,
    seed: int,
    error_rate: float,
) -> Report:
    return Report(
        kind="prove trial",
        title="The trial",
        summary=_summary(arms, reference=reference),
        numbers={
            "n_tasks": n_tasks,
            "reference": reference,
            "placebo": placebo,
            "arms": {arm.policy: _numbers(arm) for arm in arms},
        },
        tables=(_arm_table(arms, error_rate=error_rate), _ending_table(arms)),
        alarms=_alarms(arms, placebo=placebo),
        manifest={"seed": seed},
    )


def _summary(arms: Sequence[ArmResult], *, reference: str) -> tuple[str, ...]:
    others = [arm for arm in arms if arm.difference is not None]
    if not others:
        return ("Nothing to compare (n = 0): fewer than two policies have scored attempts.",)
    shared = [arm.difference.n_tasks for arm in others if arm.difference is not None]
    if not max(shared):
        return (f"Nothing to compare (n = 0): no task was attempted by {reference!r} and another.",)
    n_clear = sum(arm.is_clear for arm in others)
    over = f"{shared[0]}" if len(set(shared)) == 1 else f"{min(shared)} to {max(shared)} shared"
    sentence = (
        f"Against {reference!r}, {n_clear} of {len(others)} arms differ beyond chance in "
        f"success rate, paired over {over} tasks."
    )
    return (sentence,)


def _points(gap: PairedDifference | None) -> str | None:
    """Return a difference with its interval in percentage points; None when undefined."""
    if gap is None or gap.difference is None:
        return None
    estimate = f"{100 * gap.difference:+.0f}"
    if gap.low is None or gap.high is None:
        return estimate
    return f"{estimate} [{100 * gap.low:+.0f}, {100 * gap.high:+.0f}]"


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f}%"


def _numbers(arm: ArmResult) -> dict[str, Any]:
    return {
        "n_attempts": arm.n_attempts,
        "rate": arm.rate._asdict(),
        "difference": arm.difference._asdict() if arm.difference else None,
        "p_value": arm.p_value,
        "is_clear": arm.is_clear,
        "over_placebo": arm.over_placebo._asdict() if arm.over_placebo else None,
        "flips": arm.flips._asdict() if arm.flips else None,
        "n_gained": arm.n_gained,
        "n_lost": arm.n_lost,
        "endings": dict(arm.endings),
    }


def _arm_table(arms: Sequence[ArmResult], *, error_rate: float) -> Table:
    return Table(
        title="Arms, paired by task",
        columns=(
            "arm",
            "attempts",
            "tasks",
            "success",
            "over reference, points",
            "p",
            "right to wrong",
            "wrong to right",
            "over placebo, points",
        ),
        rows=tuple(_arm_row(arm) for arm in arms),
        note="Intervals are over tasks and not corrected for the number of arms; p is by sign-flip "
        f"permutation of tasks, and beyond chance is p <= {error_rate:.2g} by Holm's correction. "
        f"{_shared_note(arms)}{_rerun_note(arms)}",
    )


def _shared_note(arms: Sequence[ArmResult]) -> str:
    """Say where the difference is over fewer tasks than the success rates beside it."""
    fewer = [
        f"{arm.policy!r} on {arm.difference.n_tasks}"
        for arm in arms
        if arm.difference is not None and arm.difference.n_tasks_left_out
    ]
    if not fewer:
        return ""
    return (
        f"Success is over an arm's own tasks, the rest over those it shares: {', '.join(fewer)}. "
    )


def _rerun_note(arms: Sequence[ArmResult]) -> str:
    known = [
        arm.flips.rerun_right_to_wrong
        for arm in arms
        if arm.flips is not None and arm.flips.rerun_right_to_wrong is not None
    ]
    if not known:
        return "How often the reference flips by itself is unknown with one attempt a task."
    low, high = min(known), max(known)
    often = _share(low) if _share(low) == _share(high) else f"{_share(low)} to {_share(high)}"
    return f"A second run of the reference itself goes from right to wrong {often} of the time."


def _arm_row(arm: ArmResult) -> tuple[str | int | float | None, ...]:
    return (
        arm.policy,
        arm.n_attempts,
        arm.rate.n,
        arm.rate.value,
        _points(arm.difference),
        arm.p_value,
        arm.flips.right_to_wrong if arm.flips else None,
        arm.flips.wrong_to_right if arm.flips else None,
        _points(arm.over_placebo),
    )


def _ending_table(arms: Sequence[ArmResult]) -> Table:
    endings = sorted({ending for arm in arms for ending in arm.endings})
    rows = tuple((arm.policy, *(arm.endings.get(ending, 0) for ending in endings)) for arm in arms)
    return Table(title="How the attempts ended", columns=("arm", *endings), rows=rows)


def _alarms(arms: Sequence[ArmResult], *, placebo: str | None) -> tuple[Alarm, ...]:
    if placebo is not None or len(arms) < 2:
        return ()
    message = "No placebo arm: a difference may come from any text at all, not from this lesson."
    return (Alarm(name="no_placebo", severity="warning", message=message, source="ours"),)
