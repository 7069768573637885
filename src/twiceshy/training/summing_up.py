"""A run's records as a report: before, during and after, with intervals, and what sounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.evidence.stats import PairedDifference, paired_difference
from twiceshy.evidence.stats.passk import pass_at_k_by_task
from twiceshy.training.config import RunConfig
from twiceshy.training.evaluation import Evaluation
from twiceshy.training.loop import StepRecord
from twiceshy.training.starting import task_name


class Moment(NamedTuple):
    """One evaluation of a run."""

    step: int
    evaluation: Evaluation


class Moments(NamedTuple):
    """Three evaluations of a run; the same one where there are fewer."""

    before: Moment
    during: Moment | None
    """The one nearest the middle, where there is one between the others."""
    after: Moment


def evaluations(records: Sequence[StepRecord]) -> list[Moment]:
    """Return the evaluations of a run, in order."""
    return [Moment(r.step, r.evaluation) for r in records if r.evaluation is not None]


def moments(records: Sequence[StepRecord]) -> Moments:
    """Return the first, the middle and the last evaluation."""
    found = evaluations(records)
    middle = (found[0].step + found[-1].step) / 2
    between = sorted(found[1:-1], key=lambda each: abs(each.step - middle))
    return Moments(found[0], between[0] if between else None, found[-1])


def summed_up(records: Sequence[StepRecord], *, config: RunConfig, origin: str) -> Report:
    """Return the report of a run.

    `ok` is false when a rule stopped the run, or a check of severity "alarm" sounded at its last
    step.

    Args:
        records: Of `train`, the base policy's first; evaluated at least once.
        config: The run.
        origin: Where its base policy came from.
    """
    chosen, last = moments(records), records[-1]
    changes = {k: change_at(k, chosen) for k in config.evaluation.ks}
    still = [alarm.name for alarm in last.alarms if alarm.severity == "alarm"]
    return Report(
        kind="train",
        title=f"Training on {task_name(config.task)} with {config.objective.name}",
        summary=(
            _went(changes, chosen=chosen, config=config),
            f"It began with {origin}. {_rollouts(records):,} rollouts in {last.step} steps; one "
            "seed: the intervals are over prompts and say nothing about another run.",
            *_ended(last, n_steps=config.rl.n_steps),
        ),
        numbers=_numbers(records, chosen=chosen, changes=changes, config=config),
        tables=(_levels(chosen, config=config), _differences(changes)),
        alarms=alarms_of(records),
        ok=last.stopped_by is None and not still,
    )


def change_at(k: int, chosen: Moments) -> PairedDifference:
    """Return the change in pass@k from before to after, paired by prompt."""
    before, after = (
        pass_at_k_by_task(each.evaluation.n_scored, each.evaluation.n_right, k=k)
        for each in (chosen.before, chosen.after)
    )
    return paired_difference(before, after)


def alarms_of(records: Sequence[StepRecord]) -> tuple[Alarm, ...]:
    """Return each alarm of a run once, as it last sounded, with when and how often it did."""
    n_steps = records[-1].step
    last: dict[tuple[str, str], Alarm] = {}
    steps: dict[tuple[str, str], list[int]] = {}
    for record in records:
        own = record.alarms
        stop = record.stopped_by
        for alarm in own if stop is None or stop in own else (*own, stop):
            key = (alarm.name, alarm.severity)
            last[key] = alarm
            steps.setdefault(key, []).append(record.step)
    return tuple(
        msgspec.structs.replace(alarm, message=f"{alarm.message} ({_when(steps[key], n_steps)})")
        for key, alarm in last.items()
    )


def _when(steps: list[int], n_steps: int) -> str:
    if len(steps) == 1:
        return f"at step {steps[0]} of {n_steps} only"
    return f"at step {steps[-1]}; first at {steps[0]}, {len(steps)} of {n_steps} steps"


def _went(changes: dict[int, PairedDifference], *, chosen: Moments, config: RunConfig) -> str:
    low, high = min(config.evaluation.ks), path_k(config)
    n = chosen.after.evaluation.n_prompts
    first = f"{_change(low, changes, chosen)} on {n} unseen prompts"
    rest = f"; {_change(high, changes, chosen)}" if high != low else ""
    name, task = config.objective.name, task_name(config.task)
    return f"{first} in {chosen.after.step} steps of {name} on {task}{rest}."


def _change(k: int, changes: dict[int, PairedDifference], chosen: Moments) -> str:
    before, after = chosen.before.evaluation.at(k), chosen.after.evaluation.at(k)
    if before is None or after is None:
        return f"pass@{k} is undefined"
    return f"pass@{k} went from {before:.3f} to {after:.3f} ({difference(changes[k])})"


def difference(change: PairedDifference) -> str:
    """Return a paired difference with its interval in words; "undefined" without one."""
    if change.difference is None:
        return "undefined"
    if change.low is None or change.high is None:
        return f"{change.difference:+.3f}"
    return f"{change.difference:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"


def path_k(config: RunConfig) -> int:
    """Return the k of the path beside pass@1: 64 where it was evaluated, else the largest."""
    return 64 if 64 in config.evaluation.ks else max(config.evaluation.ks)


def _ended(last: StepRecord, *, n_steps: int) -> tuple[str, ...]:
    rule = last.stopped_by
    if rule is None:
        return ()
    return (f"A rule stopped it at step {last.step} of {n_steps}: {rule.message}.",)


def _levels(chosen: Moments, *, config: RunConfig) -> Table:
    at = [each for each in chosen if each is not None]
    names = ("before", "during", "after") if len(at) == 3 else ("before", "after")
    heads = (f"{name}, step {each.step}" for name, each in zip(names, at, strict=True))
    asked = config.evaluation
    return Table(
        title=f"{asked.n_prompts} unseen prompts, {asked.n_samples} responses each",
        columns=("measure", *heads),
        rows=(
            *((f"pass@{k}", *(_point(each.evaluation, k) for each in at)) for k in asked.ks),
            ("entropy", *(_rounded(each.evaluation.entropy, 3) for each in at)),
            ("distinct", *(_rounded(each.evaluation.distinct, 2) for each in at)),
        ),
        note="Unbiased pass@k with 95% intervals over prompts; entropy in nats a token; distinct: "
        f"different right responses a prompt among {asked.n_samples}, mean.",
    )


def _differences(changes: dict[int, PairedDifference]) -> Table:
    return Table(
        title="After − before, paired by prompt",
        columns=("measure", "change", "low", "high", "prompts"),
        rows=tuple(
            (f"pass@{k}", each.difference, each.low, each.high, each.n_tasks)
            for k, each in changes.items()
        ),
    )


def _point(evaluation: Evaluation, k: int) -> str | None:
    point = next(each for each in evaluation.pass_at if each.k == k)
    if point.estimate is None or point.low is None or point.high is None:
        return None if point.estimate is None else f"{point.estimate:.3f}"
    return f"{point.estimate:.3f} [{point.low:.3f}, {point.high:.3f}]"


def _rounded(value: float | None, decimals: int) -> str | None:
    return None if value is None else f"{value:.{decimals}f}"


def _rollouts(records: Sequence[StepRecord]) -> int:
    return int(sum(record.metrics.get("n_responses") or 0 for record in records))


def _numbers(
    records: Sequence[StepRecord],
    *,
    chosen: Moments,
    changes: dict[int, PairedDifference],
    config: RunConfig,
) -> dict[str, Any]:
    last = records[-1]
    named = chosen._asdict().items()
    return {
        "task": task_name(config.task),
        "objective": config.objective.name,
        "n_steps": last.step,
        "n_rollouts": _rollouts(records),
        "stopped_by": last.stopped_by,
        **{name: None if each is None else _told(each) for name, each in named},
        "change": {f"pass@{k}": change._asdict() for k, change in changes.items()},
        "path": [_told(each) for each in evaluations(records)],
    }


def _told(moment: Moment) -> dict[str, Any]:
    kept = msgspec.to_builtins(moment.evaluation)
    left_out = ("n_right", "n_scored")
    return {"step": moment.step, **{k: v for k, v in kept.items() if k not in left_out}}


def column(found: Sequence[Moment], k: int) -> NDArray[np.float64]:
    """Return estimate, low and high of pass@k at each evaluation, NaN where undefined, (n, 3)."""
    points = [next(p for p in each.evaluation.pass_at if p.k == k) for each in found]
    rows = [(p.estimate, p.low, p.high) for p in points]
    return np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=float)
