"""The study as a report: where arms end, the comparisons, published figures beside ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.evidence.stats import Estimate, clustered_mean
from twiceshy.training.base import base_policy
from twiceshy.training.studies.negative.contrasts import Compared, Runs, compare_all, find_run
from twiceshy.training.studies.negative.plan import QUESTIONS, Plan, Setting
from twiceshy.training.studies.negative.runs import BASE, Point, Run, jobs_of

KIND = "reproduce negative-reinforcement"
PUBLISHED: dict[str, tuple[float, float, float]] = {
    "base": (63.2, 95.2, 96.9),
    "psr": (74.1, 89.3, 91.2),
    "nsr": (75.7, 95.3, 96.9),
    "w_reinforce": (76.6, 95.3, 96.7),
    "grpo": (76.3, 93.6, 95.5),
}
"""Per cent at k = 1, 64 and 256: Zhu et al. (2506.01347), table 1, Qwen2.5-Math-7B on MATH."""

_COLUMNS = ("pass@1", "pass@8", "pass@64", "entropy", "distinct", "tokens")
Cell = str | int | float | bool | None


def report_of(plan: Plan, runs: Runs, *, manifest: dict[str, Any]) -> Report:
    """Return the report of what has been run so far; what is missing is counted and said."""
    compared = compare_all(plan, runs)
    jobs = jobs_of(plan)
    n_failed = sum(bool(run.error) for run in runs.values())
    return Report(
        kind=KIND,
        title="Negative reinforcement: PSR, NSR and others along their curves",
        summary=tuple(_summary(plan, compared, n_done=len(runs), n_jobs=len(jobs))),
        numbers={
            "n_runs": len(runs),
            "n_planned": len(jobs),
            "n_ended_early": n_failed,
            "contrasts": [_number(each) for each in compared],
        },
        tables=tuple(_tables(plan, runs, compared)),
        alarms=tuple(_ended_early(runs)),
        manifest=manifest | {"cpu_seconds": round(sum(run.cpu_seconds for run in runs.values()))},
    )


def verdict(each: Compared) -> str:
    """Return what a comparison says, at 5 % after correction.

    "not shown" is not "equal": the interval says how large a difference is left open.
    """
    if each.difference is None:
        return "undefined" if each.n_undefined else "not run"
    if each.p_holm is None or each.p_holm >= 0.05:
        return "not shown"
    return "higher" if each.difference > 0 else "lower"


def _summary(
    plan: Plan, compared: Sequence[Compared], *, n_done: int, n_jobs: int
) -> Iterator[str]:
    by_question: dict[int, list[Compared]] = {}
    for each in compared:
        by_question.setdefault(each.contrast.question, []).append(each)
    yield f"{n_done} of {n_jobs} runs, {plan.n_seeds} seeds planned an arm."
    for question, text in QUESTIONS.items():
        if question not in by_question:
            continue
        counts = [verdict(each) for each in by_question[question]]
        said = ", ".join(
            f"{word} {counts.count(word)}"
            for word in ("higher", "lower", "not shown", "undefined", "not run")
            if word in counts
        )
        yield f"{text} Of {len(counts)} comparisons: {said}."


def _number(each: Compared) -> dict[str, Any]:
    c = each.contrast
    kept = msgspec.to_builtins(each)
    del kept["contrast"]
    return {
        "question": c.question,
        "name": c.name,
        "outcome": c.outcome,
        "how": c.how,
        "fixed_beforehand": c.fixed_beforehand,
        "verdict": verdict(each),
        **kept,
    }


def _tables(plan: Plan, runs: Runs, compared: Sequence[Compared]) -> Iterator[Table]:
    started = {run.job.setting for run in runs.values() if run.job.objective != BASE}
    yield from (_end_points(plan, runs, s) for s in plan.settings if s.name in started)
    for question, text in QUESTIONS.items():
        rows = [each for each in compared if each.contrast.question == question]
        if rows:
            yield _contrast_table(text, rows)
    yield _published(plan, runs)


def _end_points(plan: Plan, runs: Runs, setting: Setting) -> Table:
    """Return where the arms of a setting are after the same number of rollouts."""
    step = max(setting.eval_steps)
    rows: list[tuple[Cell, ...]] = []
    for objective in (BASE, *setting.objectives):
        found = [find_run(runs, setting, objective=objective, seed=s) for s in range(plan.n_seeds)]
        done = [run for run in found if run is not None]
        points = [_point_at(run, 0 if objective == BASE else step) for run in done]
        known = [point for point in points if point is not None]
        changes = [_right_change(run, upto=step) for run in done]
        rows.append(
            (
                objective,
                len(known),
                *(_spread([_columns(point)[name] for point in known]) for name in _COLUMNS),
                _spread([change for change in changes if change is not None], digits=4),
                _clipped(done),
            )
        )
    rollouts = step * setting.prompts_per_step * 16
    return Table(
        title=f"{setting.name}: after {rollouts:,} rollouts, rate {setting.learning_rate:g}",
        columns=("objective", "seeds", *_COLUMNS, "right Δlogp", "clipped"),
        rows=tuple(rows),
        note=(
            "Mean over seeds ± half of Student's 95 % interval. Entropy: nats a token. Distinct: "
            f"different right responses of {plan.n_samples}. Right Δlogp: change of right "
            "responses' log-probability in one step, nats a token, mean over steps. Clipped: share "
            "of tokens without gradient because of the clip."
        ),
    )


def _columns(point: Point) -> dict[str, float]:
    rates = (point.pass_at_1, point.pass_at_8, point.pass_at_64)
    values = (*rates, point.entropy, point.distinct, point.mean_length)
    return dict(zip(_COLUMNS, values, strict=True))


def _point_at(run: Run, step: int) -> Point | None:
    return next((point for point in run.points if point.step == step), None)


def _right_change(run: Run, *, upto: int) -> float | None:
    """Return the mean over steps; each point's is a mean over the steps since the one before."""
    total, n, before = 0.0, 0, 0
    for point in run.points:
        change = point.training.get("right_logp_change")
        if point.step <= upto and change is not None:
            total, n = total + change * (point.step - before), n + point.step - before
        before = point.step
    return total / n if n else None


def _clipped(runs: Sequence[Run]) -> str | None:
    shares = [
        (point.training.get("clipped_low") or 0.0) + (point.training.get("clipped_high") or 0.0)
        for run in runs
        for point in run.points
        if point.training
    ]
    return f"{np.mean(shares):.2%}" if shares and max(shares) > 0 else None


def _spread(values: Sequence[float], *, digits: int = 3) -> str | None:
    estimate = clustered_mean(list(values))
    return None if estimate.value is None else _plus_minus(estimate, digits=digits)


def _plus_minus(estimate: Estimate, *, digits: int) -> str:
    if estimate.value is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} ± {estimate.high - estimate.value:.{digits}f}"


def _contrast_table(title: str, rows: Sequence[Compared]) -> Table:
    return Table(
        title=title,
        columns=("comparison", "outcome", "how", "difference", "95 %", "seeds", "p (Holm)", "says"),
        rows=tuple(
            (
                each.contrast.name + ("" if each.contrast.fixed_beforehand else " (afterthought)"),
                each.contrast.outcome,
                each.contrast.how.replace("_", " "),
                None if each.difference is None else f"{each.difference:+.3f}",
                None if each.low is None else f"{each.low:+.3f} to {each.high:+.3f}",
                f"{each.n_positive}+ of {each.n_seeds}"
                + (f", {each.n_undefined} undefined" if each.n_undefined else ""),
                None if each.p_holm is None else f"{each.p_holm:.3f}",
                verdict(each),
            )
            for each in rows
        ),
    )


def _published(plan: Plan, runs: Runs) -> Table:
    """Return published figures beside those of the first setting, after equal rollouts."""
    setting = plan.settings[0]
    step = max(setting.eval_steps)
    rows: list[tuple[Cell, ...]] = []
    for objective, (at_1, at_64, at_256) in PUBLISHED.items():
        if objective != BASE and objective not in setting.objectives:
            continue
        found = [find_run(runs, setting, objective=objective, seed=s) for s in range(plan.n_seeds)]
        points = [
            point
            for run in found
            if run is not None
            and (point := _point_at(run, 0 if objective == BASE else step)) is not None
        ]
        ours = [
            100 * float(np.mean([_columns(point)[name] for point in points])) if points else None
            for name in ("pass@1", "pass@64")
        ]
        shown = [None if each is None else f"{each:.1f}" for each in ours]
        rows.append((objective, at_1, at_64, at_256, *shown))
    return Table(
        title="Published figures beside ours, per cent",
        columns=("objective", "MATH @1", "MATH @64", "MATH @256", "ours @1", "ours @64"),
        rows=tuple(rows),
        note=(
            "Published: Zhu et al. (2506.01347), table 1, Qwen2.5-Math-7B. Ours: "
            f"{setting.name}, {base_policy(setting.base).policy.n_parameters:,} parameters. "
            "Only orderings can be compared."
        ),
    )


def _ended_early(runs: Runs) -> Iterator[Alarm]:
    for run in runs.values():
        if run.error:
            yield Alarm(name=run.job.name, severity="warning", message=run.error)
