"""The study as a report: end points, comparisons, alarms, published figures beside ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from twiceshy.evidence.report import Report, Table
from twiceshy.evidence.stats import Estimate, clustered_mean
from twiceshy.training.studies.hard_prompts.contrasts import (
    MARGIN,
    NAMED,
    Compared,
    Results,
    against_naive_band,
    against_no_gate,
    named_comparisons,
    pool_words,
)
from twiceshy.training.studies.hard_prompts.runs import Cell, RunResult
from twiceshy.training.tasks import ChainKind

KIND = "reproduce over-hard"
PUBLISHED = (5.75, 11.24, 1.07)
"""Points that training on Hard@8 prompts cost three models on average over benchmarks: Cheng et al.
(2605.28388), by a secondary source."""
PUBLISHED_LENGTH = (510.7, 45.7, 58)
"""Mean response length in tokens before and after so many steps on one harmful prompt, likewise."""
_SLACK = 0.05
"""Fall of medium accuracy below the base from which it counts as fallen. Ours."""

Value = str | int | float | bool | None
Measure = Callable[[RunResult], float | None]


def report_of(results: Results, *, n_planned: int, manifest: dict[str, Any]) -> Report:
    """Return the report of the runs that are done."""
    runs = [run for by_seed in results.values() for run in by_seed.values()]
    named, no_gate = named_comparisons(results), against_no_gate(results)
    naive = against_naive_band(results)
    return Report(
        kind=KIND,
        title="Over-hard prompts: what they do to skills that were there, and what a gate does",
        summary=tuple(_summary(named, no_gate, n_runs=len(runs), n_planned=n_planned)),
        numbers={
            "n_runs": len(runs),
            "n_planned": n_planned,
            "cells": [_cell_numbers(cell, by_seed) for cell, by_seed in results.items()],
            "named_comparisons": [_numbers(each) for each in named],
            "frontier_against_none": [_numbers(each) for each in no_gate],
            "frontier_against_naive_band": [_numbers(each) for each in naive],
        },
        tables=(
            _end_points(results),
            _comparisons(
                "Named comparisons, final accuracy on medium prompts",
                named,
                note="Fixed before the runs. p: exact sign-flip test over seeds, two-sided; the"
                " second one by Holm over all rows. Intervals: Student's, over seeds, 95 %.",
            ),
            _comparisons(
                "Our gate against no gate, everywhere",
                no_gate,
                note=f"Not tested. No worse: a loss of more than {MARGIN:.2f} lies outside the"
                " interval.",
            ),
            _comparisons("Our gate against the naive band, everywhere", naive, note="Not tested."),
            _alarms(results),
            _published(results),
        ),
        manifest=manifest | {"cpu_seconds": round(sum(run.cpu_seconds for run in runs))},
    )


def mean_of(by_seed: Mapping[int, RunResult], measure: Measure) -> Estimate:
    """Return the mean of a measure over seeds with Student's interval."""
    values = [value for run in by_seed.values() if (value := measure(run)) is not None]
    return clustered_mean(values)


def hard_share(run: RunResult) -> float | None:
    """Return the share of over-hard prompts among the groups learned from; None without any."""
    n = sum(run.n_learned)
    return sum(run.n_hard_learned) / n if n else None


def _kind(kind: ChainKind) -> Measure:
    return lambda run: run.accuracy[kind.value]


def _skips(run: RunResult) -> float:
    return run.skip_rate[ChainKind.MEDIUM.value]


def _hard_accuracy(run: RunResult) -> float | None:
    return run.accuracy[run.cell.kind.value] if run.cell.share else None


MEASURES: dict[str, Measure] = {
    "medium": _kind(ChainKind.MEDIUM),
    "easy": _kind(ChainKind.EASY),
    "hard": _hard_accuracy,
    "skipped on medium": _skips,
    "hard share of learned": hard_share,
    "groups learned a step": lambda run: float(np.mean(run.n_learned)),
    "AUC of luck": lambda run: run.luck_auc,
}


def _summary(
    named: Sequence[Compared],
    no_gate: Sequence[Compared],
    *,
    n_runs: int,
    n_planned: int,
) -> Iterator[str]:
    yield _headline(named)
    yield f"{n_runs} of {n_planned} runs; one base policy, so its variance is not covered."
    for each in named:
        if each.difference is not None:
            yield f"{each.contrast.name}: {_spoken(each)}."
    worse = [each.contrast.name for each in no_gate if each.is_no_worse is False]
    n_known = sum(each.is_no_worse is not None for each in no_gate)
    yield (
        f"Against no gate ours is no worse (by more than {MARGIN:.2f}) in {n_known - len(worse)} of"
        f" {n_known} settings" + (f"; not shown for {'; '.join(worse)}." if worse else ".")
    )


def _headline(named: Sequence[Compared]) -> str:
    by_name = {each.contrast.name: each for each in named}
    harm, gate = (
        by_name["harm of 90 % over budget"],
        by_name["our gate against none, 90 % over budget"],
    )
    naive = by_name["our gate against the naive band, 90 % unlearnable"]
    if harm.difference is None or gate.difference is None or naive.difference is None:
        return "Too few runs are done to say anything."
    return (
        f"Medium prompts: {harm.before:.2f} when trained alone, {harm.after:.2f} beside 90 %"
        f" over-budget prompts, {gate.after:.2f} with the gate; beside 90 % unlearnable ones"
        f" {naive.before:.2f} with the naive band, {naive.after:.2f} with the gate."
    )


def _spoken(each: Compared) -> str:
    least = len(NAMED) * 2.0 ** (1 - each.n_seeds)  # of the sign-flip test, by Holm
    p = f"p = {each.p_holm:.3f} by Holm" if each.p_holm is not None else "not tested"
    tested = p if least < 0.05 else "too few to test"
    return f"{_signed(each.difference)} {_interval(each)} over {each.n_seeds} seeds, {tested}"


def _signed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.3f}"


def _interval(each: Compared) -> str:
    return "" if each.low is None else f"[{each.low:+.3f}, {each.high:+.3f}]"


def _cell_numbers(cell: Cell, by_seed: Mapping[int, RunResult]) -> dict[str, Any]:
    found = {name: mean_of(by_seed, measure) for name, measure in MEASURES.items()}
    return {
        **msgspec.to_builtins(cell),
        "name": cell.name,
        "n_seeds": len(by_seed),
        **{name: _rounded(estimate) for name, estimate in found.items()},
    }


def _rounded(estimate: Estimate) -> dict[str, Any]:
    values = {"mean": estimate.value, "low": estimate.low, "high": estimate.high}
    rounded = {k: None if v is None else round(v, 4) for k, v in values.items()}
    return {**rounded, "n": estimate.n}


def _numbers(each: Compared) -> dict[str, Any]:
    kept = msgspec.to_builtins(each)
    contrast = kept.pop("contrast")
    cells = {"before_cell": each.contrast.before.name, "after_cell": each.contrast.after.name}
    kept = {k: round(v, 5) if isinstance(v, float) else v for k, v in kept.items()}
    return {"name": contrast["name"], **cells, **kept, "is_no_worse": each.is_no_worse}


def _end_points(results: Results) -> Table:
    rows = [
        (
            pool_words(cell),
            cell.objective,
            _gate_words(cell),
            len(by_seed),
            *(_cell(mean_of(by_seed, measure)) for measure in MEASURES.values()),
        )
        for cell, by_seed in sorted(results.items(), key=_by_pool)
    ]
    return Table(
        title="At the end of training",
        columns=("pool", "objective", "gate", "seeds", *MEASURES),
        rows=tuple(rows),
        note="Accuracy on held-out prompts, mean over seeds ± half the 95 % interval. Hard:"
        " accuracy on the pool's own over-hard kind. AUC of luck: how often a success at an"
        " over-hard prompt has a larger P(lucky), by earlier visits, than one at a medium prompt.",
    )


def _by_pool(item: tuple[Cell, Any]) -> tuple[float, str, str, str, str]:
    cell = item[0]
    kind = cell.kind.value if cell.share else ""
    return cell.share, kind, cell.objective, cell.truncated_as, _gate_words(cell)


def _gate_words(cell: Cell) -> str:
    words = {"none": "–", "naive_band": "naive band", "frontier": "ours"}[cell.gate]
    return words if cell.truncated_as == "as_judged" else f"{words}, truncated abstain"


def _cell(estimate: Estimate) -> str | None:
    if estimate.value is None:
        return None
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ±{(estimate.high - estimate.low) / 2:.3f}"


def _comparisons(title: str, rows: Sequence[Compared], *, note: str) -> Table:
    tested = any(each.p is not None for each in rows)
    columns = ("comparison", "seeds", "before", "after", "difference", "95 %")
    return Table(
        title=title,
        columns=(*columns, *(("p", "p by Holm") if tested else ("no worse",))),
        rows=tuple(
            (
                each.contrast.name,
                each.n_seeds,
                _three(each.before),
                _three(each.after),
                None if each.difference is None else _signed(each.difference),
                _interval(each) or None,
                *((_three(each.p), _three(each.p_holm)) if tested else (each.is_no_worse,)),
            )
            for each in rows
        ),
        note=note,
    )


def _three(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def fallen_at(run: RunResult) -> int | None:
    """Return the first measured step at which medium accuracy lies clearly below the base's."""
    base = run.curve[0].medium
    return next((p.step for p in run.curve if p.medium < base - _SLACK), None)


def _alarms(results: Results) -> Table:
    names = sorted(
        {name for runs in results.values() for r in runs.values() for name in r.first_alarm}
    )
    rows: list[tuple[Value, ...]] = []
    for cell, by_seed in sorted(results.items(), key=_by_pool):
        if cell.objective != "grpo":
            continue
        fallen = [step for run in by_seed.values() if (step := fallen_at(run)) is not None]
        rows.append(
            (
                pool_words(cell),
                _gate_words(cell),
                len(by_seed),
                _when(fallen),
                *(
                    _when([r.first_alarm[name] for r in by_seed.values() if name in r.first_alarm])
                    for name in names
                ),
            )
        )
    return Table(
        title="First step of each alarm (GRPO)",
        columns=("pool", "gate", "seeds", "accuracy fell", *(n.replace("_", " ") for n in names)),
        rows=tuple(rows),
        note="Median over the seeds in which it happened, and how many those are. Accuracy fell:"
        f" first measurement (every 5 steps) of medium accuracy {_SLACK:.2f} below the base's.",
    )


def _when(steps: Sequence[int]) -> str | None:
    return f"{float(np.median(steps)):g} ({len(steps)})" if steps else None


def _published(results: Results) -> Table:
    def loss(kind: ChainKind) -> str | None:
        cell = Cell(objective="grpo", gate="none", kind=kind, share=0.9)
        runs = results.get(cell, {})
        values = [100 * (run.accuracy["medium"] - run.curve[0].medium) for run in runs.values()]
        return f"{np.mean(values):+.1f}" if values else None

    def lengths() -> str | None:
        cell = Cell(objective="grpo", gate="none", kind=ChainKind.OVER_BUDGET, share=0.9)
        runs = list(results.get(cell, {}).values())
        if not runs:
            return None
        first, last = (float(np.mean([r.curve[i].length for r in runs])) for i in (0, -1))
        return f"{first:.1f} → {last:.1f} in {runs[0].curve[-1].step} steps"

    published = "; ".join(f"−{points}" for points in PUBLISHED)
    first, last, n_steps = PUBLISHED_LENGTH
    return Table(
        title="Published figures beside ours",
        columns=("figure", "published", "ours, 90 % over budget", "ours, 90 % unlearnable"),
        rows=(
            (
                "points against the base policy after training on over-hard prompts, no gate",
                f"{published} (three models)",
                loss(ChainKind.OVER_BUDGET),
                loss(ChainKind.UNLEARNABLE),
            ),
            ("mean response length", f"{first} → {last} in {n_steps} steps", lengths(), None),
        ),
        note="Published: Cheng et al. (2605.28388), by a secondary source; models of billions of"
        " parameters on MATH, trained on prompts solved 0 of 8 times, averaged over benchmarks."
        " Ours: medium held-out prompts, a policy of 0.1 million parameters; the sizes cannot be"
        " compared, the directions can. The published length is of one harmful prompt trained on"
        " alone; ours is over easy and medium held-out prompts.",
    )
