"""The imitation study as a report: ends of the arms, who was accused, published figures beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from twiceshy.evidence.report import Report, Table
from twiceshy.evidence.stats import Estimate, clustered_mean
from twiceshy.training.studies.imitating.runs import Arm, Figure, Point, RunResult

KIND = "reproduce imitation"
Results = Mapping[Arm, Sequence[RunResult]]
Measure = Callable[[RunResult], float | None]

PUBLISHED = (
    (
        "broad",
        0.91,
        -0.45,
        None,
        "style: LLaMA on 150M tokens; capability: 13B on NQ, 20 → 15 of 31",
    ),
    ("narrow", None, None, 0.64, "13B on NQ-like data, 20 → 27 of 31"),
)
"""(arm, mean style closure, capability closure, the same inside the coverage, what it is of):
closures computed from the figures of Gudibande et al. (2305.15717)."""


class Comparison(NamedTuple):
    """A claim fixed before the runs, and what came."""

    claim: str
    found: Estimate
    """Mean over seeds with Student's interval."""
    holds: bool | None
    """Whether the interval lies on the claimed side; None without one."""


def report_of(results: Results, *, n_planned: int, manifest: dict[str, Any]) -> Report:
    """Return the report of the runs that are done."""
    runs = [run for by_seed in results.values() for run in by_seed]
    named = comparisons(results)
    return Report(
        kind=KIND,
        title="Imitation: whose voice, and whose knowledge",
        summary=tuple(_summary(results, named, n_runs=len(runs), n_planned=n_planned)),
        numbers={
            "n_runs": len(runs),
            "n_planned": n_planned,
            "arms": {arm: _arm_numbers(own) for arm, own in results.items()},
            "comparisons": [
                {"claim": c.claim, **c.found._asdict(), "holds": c.holds} for c in named
            ],
        },
        tables=(
            _ends(results),
            _claims(named),
            _style(results),
            _judge(results),
            _published(results),
        ),
        manifest=manifest | {"cpu_seconds": round(sum(run.cpu_seconds for run in runs))},
    )


def mean_over_seeds(runs: Sequence[RunResult], measure: Measure) -> Estimate:
    """Return the mean of a measure over seeds with Student's interval."""
    return clustered_mean([value for run in runs if (value := measure(run)) is not None])


def last(name: str) -> Measure:
    """Return the measure that reads a figure off the last point of the curve."""

    def measured(run: RunResult) -> float | None:
        found = getattr(run.curve[-1], name)
        return found.value if isinstance(found, Figure) else found

    return measured


def findings(runs: Sequence[RunResult]) -> str:
    """Return what the audit said at the end, with how often."""
    counts = Counter(run.curve[-1].finding for run in runs)
    return ", ".join(f"{name} {n}" for name, n in counts.most_common())


def comparisons(results: Results) -> list[Comparison]:
    """Return the claims, which were written down before the first full run."""

    def inside_gap(run: RunResult) -> float | None:
        point = run.curve[-1]
        both = (point.inside.value, point.outside.value)
        return None if both[0] is None or both[1] is None else both[0] - both[1]

    def style_premium(run: RunResult) -> float | None:
        return run.raw_strength - run.controlled_strength

    def gap(run: RunResult) -> float | None:
        known = run.preferred is not None and run.verified is not None
        return (run.preferred or 0) - (run.verified or 0) if known else None

    asked: list[tuple[str, Arm, Measure, int]] = [
        ("broad imitation: mimicry index above 0", "broad", last("index"), 1),
        (
            "broad imitation: capability does not rise",
            "broad",
            last("capability"),
            -1,
        ),
        ("narrow imitation: capability closes more inside than outside", "narrow", inside_gap, 1),
        ("improved: capability closure above 0", "improved", last("capability"), 1),
        ("broad imitation: preferred beyond what the verdicts bear out", "broad", gap, 1),
        ("broad imitation: style explains part of its strength", "broad", style_premium, 1),
    ]
    return [
        _compared(claim, results.get(arm, ()), measure, sign=sign)
        for claim, arm, measure, sign in asked
    ]


def _compared(claim: str, runs: Sequence[RunResult], measure: Measure, *, sign: int) -> Comparison:
    found = mean_over_seeds(runs, measure)
    if found.low is None or found.high is None:
        return Comparison(claim, found, None)
    return Comparison(claim, found, found.low > 0 if sign > 0 else found.high <= 0.05)


def _summary(
    results: Results, named: Sequence[Comparison], *, n_runs: int, n_planned: int
) -> Iterator[str]:
    if not n_runs:
        yield f"No run is done (0 of {n_planned}), so nothing can be said."
        return
    broad = results.get("broad", ())
    style, capability = (mean_over_seeds(broad, last(name)) for name in ("style", "capability"))
    if style.value is not None and capability.value is not None:
        yield (
            f"Broad imitation closed {_shown(style)} of the gap in style and {_shown(capability)} "
            f"of the gap in capability ({len(broad)} seeds)."
        )
    for arm, own in results.items():
        yield f"Of {arm} the audit said: {findings(own)}."
    failed = [c.claim for c in named if c.holds is False]
    if failed:
        yield f"Did not hold: {'; '.join(failed)}."
    if n_runs < n_planned:
        yield f"{n_runs} of {n_planned} runs are done."


def _shown(found: Estimate) -> str:
    if found.value is None:
        return "undefined"
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


_ENDS = (
    ("style closure", "style"),
    ("capability closure", "capability"),
    ("inside its data", "inside"),
    ("outside", "outside"),
    ("mimicry index", "index"),
    ("accuracy", "accuracy"),
    ("wrong and sure", "sure_and_wrong"),
)


def _ends(results: Results) -> Table:
    return Table(
        title="Where the arms end",
        columns=("arm", "seeds", *(name for name, _ in _ENDS), "the audit said"),
        rows=tuple(
            (
                arm,
                len(own),
                *(_shown(mean_over_seeds(own, last(field))) for _, field in _ENDS),
                findings(own),
            )
            for arm, own in results.items()
        ),
        note="Means over seeds with Student's 95 % intervals; closures are by the audit of each "
        "seed. 0 is the base, 1 the teacher.",
    )


def _claims(named: Sequence[Comparison]) -> Table:
    return Table(
        title="Claims written down before the runs",
        columns=("claim", "found", "seeds", "holds"),
        rows=tuple((c.claim, _shown(c.found), c.found.n, c.holds) for c in named),
        note="Holds: the interval over seeds is on the claimed side (for 'does not rise', its "
        "upper end is at most 0.05).",
    )


def _style(results: Results) -> Table:
    names = list(
        dict.fromkeys(name for own in results.values() for run in own for name in run.style)
    )
    return Table(
        title="Style closure by metric",
        columns=("arm", *names),
        rows=tuple(
            (arm, *(_shown(mean_over_seeds(own, _metric(name))) for name in names))
            for arm, own in results.items()
        ),
    )


def _metric(name: str) -> Measure:
    return lambda run: run.style.get(name)


def _judge(results: Results) -> Table:
    measures: tuple[tuple[str, Measure], ...] = (
        ("level with the teacher, judged", lambda run: run.preferred),
        ("by the verdicts", lambda run: run.verified),
        ("wrong but preferred", lambda run: run.wrong_but_preferred),
        ("strength above base, judged", lambda run: run.raw_strength),
        ("with style held fixed", lambda run: run.controlled_strength),
        ("AUC of style alone", lambda run: run.style_auc),
    )
    return Table(
        title="A judge that likes length, lists and assurance",
        columns=("arm", *(name for name, _ in measures)),
        rows=tuple(
            (arm, *(_shown(mean_over_seeds(own, measure)) for _, measure in measures))
            for arm, own in results.items()
        ),
        note="The judge is made up: it weighs being right with half a logit.",
    )


def _published(results: Results) -> Table:
    rows = []
    for arm, style, capability, inside, note in PUBLISHED:
        own = [run for name, runs in results.items() if name == arm for run in runs]
        ours = [_shown(mean_over_seeds(own, last(f))) for f in ("style", "capability", "inside")]
        rows.append((arm, style, ours[0], capability, ours[1], inside, ours[2], note))
    return Table(
        title="Published figures beside ours",
        columns=(
            "arm", "style, published", "ours", "capability, published", "ours ",
            "inside, published", "ours  ", "published is",
        ),
        rows=tuple(rows),
        note="Gudibande et al. (2305.15717). The published style table does not name the model.",
    )  # fmt: skip


def _arm_numbers(runs: Sequence[RunResult]) -> dict[str, Any]:
    return {
        "n_seeds": len(runs),
        "findings": dict(Counter(run.curve[-1].finding for run in runs)),
        **{field: mean_over_seeds(runs, last(field))._asdict() for _, field in _ENDS},
        "curve": [_point_numbers(runs, place) for place in range(len(runs[0].curve))],
        "base_accuracy": mean_over_seeds(runs, lambda run: run.base_accuracy)._asdict(),
        "teacher_accuracy": mean_over_seeds(runs, lambda run: run.teacher_accuracy)._asdict(),
        "by_seed": [msgspec.to_builtins(run.curve[-1]) for run in runs],
    }


def _point_numbers(runs: Sequence[RunResult], place: int) -> dict[str, Any]:
    points: list[Point] = [run.curve[place] for run in runs]
    fields = ("style", "capability", "inside", "outside", "index")
    return {
        "step": points[0].step,
        **{
            field: clustered_mean(
                [v for p in points if (v := getattr(p, field).value) is not None]
            )._asdict()
            for field in fields
        },
        "findings": dict(Counter(p.finding for p in points)),
    }
