"""From runs to numbers: means over seeds, and differences paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from twiceshy.evidence.stats import holm, paired_difference, permutation_test
from twiceshy.studies.teacher_context.plan import ARMS, CONTRASTS, Contrast, Size
from twiceshy.studies.teacher_context.problems import DOMAINS, HARD, TRAINED
from twiceshy.studies.teacher_context.results import Done

Runs = Mapping[tuple[str, int], Done]
"""Finished runs by arm and seed."""
Measure = Literal["accuracy", "length", "markers", "forks"]
Found = Literal["below 0", "above 0", "open"]
Outcome = Literal["held", "did not hold", "open", ""]

RATIOS = ("marker density", "length", "fork rate", "marker density over all tasks")
"""Signals of `check_traces` that are reported, teacher over base."""
ALPHA = 0.05


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A difference in accuracy, paired by seed."""

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n_seeds: int


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison fixed beforehand, and what came."""

    arm: str
    other: str
    problems: str
    asks: str
    row: Row
    p_holm: float | None
    found: Found
    """Where the difference lies, if its p under Holm is at most 0.05."""
    outcome: Outcome
    """What became of the claim; empty where nothing was claimed."""


def seeds_of(runs: Runs, *arms: str) -> list[int]:
    """Return the seeds that all these arms have."""
    return sorted(set.intersection(*({seed for name, seed in runs if name == arm} for arm in arms)))


def arms_of(runs: Runs) -> list[str]:
    """Return the arms that have a run, in the order of the plan."""
    return [arm.name for arm in ARMS if seeds_of(runs, arm.name)]


def series(
    runs: Runs, arm: str, *, domain: str, epoch: int, of: Measure = "accuracy"
) -> list[float]:
    """Return a number of each seed."""
    found = (runs[arm, seed].point(domain=domain, epoch=epoch) for seed in seeds_of(runs, arm))
    return [float(getattr(each, of)) for each in found]


def mean_of(values: Sequence[float]) -> float | None:
    """Return the mean; None of nothing.

    Example:
        >>> mean_of([1.0, 2.0]), mean_of([])
        (1.5, None)
    """
    return float(np.mean(values)) if values else None


def numbers_of(runs: Runs, size: Size) -> dict[str, Any]:
    """Return everything that is reported."""
    last, arms = max(size.epochs), arms_of(runs)
    return {
        "n_runs": len(runs),
        "n_runs_planned": len(size.arms) * size.n_seeds,
        "base": {domain: base_accuracy(runs, domain) for domain in DOMAINS},
        "teachers": {arm: teacher(runs, arm) for arm in arms},
        "students": {
            arm: {
                "n_seeds": len(seeds_of(runs, arm)),
                **{domain: student(runs, arm, domain=domain, epoch=last) for domain in DOMAINS},
                "alarm": alarms(runs, arm),
            }
            for arm in arms
        },
        "contrasts": [_flat(each) for each in contrasts(runs, epoch=last)],
        "afterthoughts": {
            f"{arm} − base, {domain}": msgspec.to_builtins(row)
            for arm in arms
            for domain, row in against_base(runs, arm, epoch=last).items()
        },
    }


def _flat(compared: Compared) -> dict[str, Any]:
    found = msgspec.to_builtins(compared)
    return found | found.pop("row")


def base_accuracy(runs: Runs, domain: str) -> float | None:
    """Return the base's accuracy: that of every student of a seed before it is taught."""
    by_seed = {
        seed: done.point(domain=domain, epoch=0).accuracy for (_, seed), done in runs.items()
    }
    return mean_of([by_seed[seed] for seed in sorted(by_seed)])


def teacher(runs: Runs, arm: str) -> dict[str, Any]:
    """Return what its teacher wrote, over seeds, and how often the check refused it."""
    taught = [runs[arm, seed].taught for seed in seeds_of(runs, arm)]
    ratios = {
        name: [value for t in taught if (value := t.check["signals"][name]["value"]) is not None]
        for name in RATIOS
    }
    return {
        "n_traces": mean_of([t.n for t in taught]),
        "right": mean_of([t.accuracy for t in taught]),
        "gap": mean_of([t.gap for t in taught if t.gap is not None]),
        "words": mean_of([t.length for t in taught]),
        "markers_per_hundred": mean_of([t.markers for t in taught]),
        "refused": sum(not t.check["ok"] for t in taught),
        "warned": sum("warning" in t.check["alarms"].values() for t in taught),
        "n": len(taught),
        **{f"{name} ratio": mean_of(values) for name, values in ratios.items()},
    }


def student(runs: Runs, arm: str, *, domain: str, epoch: int) -> dict[str, float | None]:
    """Return how its students do."""
    measures: tuple[Measure, ...] = ("accuracy", "length", "markers", "forks")
    return {of: mean_of(series(runs, arm, domain=domain, epoch=epoch, of=of)) for of in measures}


def alarms(runs: Runs, arm: str) -> dict[str, Any]:
    """Return how often the alarm sounded, and which signals it was."""
    found = [runs[arm, seed].alarm for seed in seeds_of(runs, arm)]
    names = found[0]["signals"] if found else {}
    return {
        "sounded": sum(not each["ok"] for each in found),
        "n": len(found),
        "fell": {
            name: sum(each["signals"][name]["state"] == "fell" for each in found) for name in names
        },
    }


def against_base(runs: Runs, arm: str, *, epoch: int) -> dict[str, Row]:
    """Return how much its students gained on the base, in domain and where it is hardest."""
    return {d: compare(runs, arm, None, domain=d, epoch=epoch) for d in (TRAINED, HARD)}


def compare(runs: Runs, arm: str, other: str | None, *, domain: str, epoch: int) -> Row:
    """Return the difference in accuracy, paired by seed; against the base where other is None."""
    seeds = seeds_of(runs, arm, other or arm)
    start = epoch if other else 0
    after = [runs[arm, s].point(domain=domain, epoch=epoch).accuracy for s in seeds]
    before = [runs[other or arm, s].point(domain=domain, epoch=start).accuracy for s in seeds]
    found = paired_difference(before, after)
    return Row(
        difference=found.difference,
        low=found.low,
        high=found.high,
        p=permutation_test(np.subtract(after, before), seed=0).p if seeds else None,
        n_seeds=len(seeds),
    )


def contrasts(runs: Runs, *, epoch: int) -> list[Compared]:
    """Return the comparisons fixed beforehand whose arms have runs, Holm over all of them."""
    names = {name for name, _ in runs}
    asked = [each for each in CONTRASTS if {each.arm, each.other} <= names]
    rows = [compare(runs, c.arm, c.other, domain=c.problems, epoch=epoch) for c in asked]
    known = [row.p for row in rows if row.p is not None]
    adjusted = iter(holm(known).tolist() if known else ())
    return [
        _compared(each, row, None if row.p is None else next(adjusted))
        for each, row in zip(asked, rows, strict=True)
    ]


def _compared(asked: Contrast, row: Row, p_holm: float | None) -> Compared:
    found: Found = "open"
    if p_holm is not None and row.difference is not None and p_holm <= ALPHA:
        found = "below 0" if row.difference < 0 else "above 0"
    return Compared(
        arm=asked.arm,
        other=asked.other,
        problems=asked.problems,
        asks=asked.asks,
        row=row,
        p_holm=p_holm,
        found=found,
        outcome=outcome_of(asked, found),
    )


def outcome_of(asked: Contrast, found: Found) -> Outcome:
    """Return what became of a claim; that nothing is clear is no proof of "not below 0".

    Example:
        >>> [outcome_of(CONTRASTS[2], each) for each in ("below 0", "above 0", "open")]
        ['did not hold', 'held', 'open']
    """
    if not asked.claim:
        return ""
    if found == "open":
        return "open"
    claimed = "above 0" if asked.claim == "not below 0" else asked.claim
    return "held" if found == claimed else "did not hold"
