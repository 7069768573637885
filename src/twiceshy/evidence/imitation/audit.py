"""`audit imitation`: did the student take over what the teacher can do, or only how it sounds?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from twiceshy.attempts.lexicons import Lexicon
from twiceshy.attempts.markers import language_of
from twiceshy.attempts.markers import lexicon as lexicon_of
from twiceshy.attempts.types import Attempt
from twiceshy.evidence.imitation.closure import (
    NOTHING,
    Closed,
    Draws,
    Spread,
    closed,
    mean_of,
    rate_of,
    spread_of,
)
from twiceshy.evidence.imitation.finding import ENOUGH_TASKS, Verdict, verdict_on
from twiceshy.evidence.imitation.judging import Preference
from twiceshy.evidence.imitation.preferred import Preferred, preferred
from twiceshy.evidence.imitation.sides import (
    STYLE_METRICS,
    Counts,
    Side,
    Sides,
    Sums,
    Tone,
    accuracies,
    gather,
    tone_change,
    tone_of,
)
from twiceshy.evidence.imitation.structure import StructureDistance, structure_distances
from twiceshy.evidence.imitation.style import answer_text

ALL_TASKS, NO_BENCHMARK = "all tasks", "no benchmark named"
CONFIDENT = 0.8
"""Stated confidence from which an answer counts as confident (ours)."""
_LANGUAGE_SAMPLE = 50


class Coverage(NamedTuple):
    """Capability closure on tasks inside and outside the imitation data."""

    inside: Closed
    outside: Closed
    difference: Spread
    n_inside: int
    n_outside: int


class Audited(NamedTuple):
    """Everything the audit found."""

    verdict: Verdict
    counts: dict[Side, Counts]
    n_tasks: int
    n_left_out: int
    language: str | None
    style: tuple[Closed, ...]
    capability: tuple[Closed, ...]
    """One a benchmark; with one benchmark, one."""
    n_verified: dict[str, int]
    """Tasks with verdicts on base, student and teacher, a benchmark."""
    mean_style: Spread
    mean_capability: Spread
    mimicry_index: Spread
    coverage: Coverage | None
    tone: dict[Side, Tone]
    tone_change: Spread
    """Confident-wrong rate of the student minus that of the base."""
    structure: tuple[StructureDistance, ...]
    preferred: Preferred | None
    in_tokens: bool
    """Whether lengths are in tokens, not in words."""
    same_resample: float | None
    """Share of tasks at which the resample is word for word the teacher's answer."""


def measure(
    attempts: Mapping[Side, Sequence[Attempt]],
    *,
    preferences: Sequence[Preference] | None = None,
    covered: Collection[str] | None = None,
    by: str = "benchmark",
    language: str | Lexicon | None = None,
    n_draws: int = 500,
    seed: int = 0,
) -> Audited:
    """Return all closures, rates and distances of a student; see `audit_imitation` for the words.

    Raises:
        BadInput: A side without attempts, sides without a common task, an unknown language.
    """
    lexicon = _lexicon(attempts, language)
    sides = gather(attempts, lexicon=lexicon)
    sums = Sums(sides.tasks, n_draws=n_draws, seed=seed)
    style = _style(sides, sums, has_lexicon=lexicon is not None)
    benchmarks = _benchmarks(attempts["base"], sides.tasks, by=by)
    capability = [_capability(name, sides, sums, tasks=tasks) for name, tasks in benchmarks.items()]
    verified = {name: _n_verified(sides, tasks) for name, tasks in benchmarks.items()}
    mean_style, mean_capability = mean_of(style), mean_of(capability)
    coverage = _coverage(sides, sums, covered)
    tones = {s: tone_of(sides, sums, s, threshold=CONFIDENT) for s in sides.looks}
    spread_style, spread_capability = spread_of(mean_style), spread_of(mean_capability)
    verdict = verdict_on(
        style=spread_style,
        capability=spread_capability,
        inside=_told(coverage.inside.closure, coverage.n_inside) if coverage else NOTHING,
        outside=_told(coverage.outside.closure, coverage.n_outside) if coverage else NOTHING,
        why_not=_why_not(style, capability),
        n_tasks=sum(verified.values()),
    )
    return Audited(
        verdict=verdict,
        counts=sides.counts,
        n_tasks=len(sides.tasks),
        n_left_out=sides.n_left_out,
        language=lexicon.language if lexicon else None,
        style=tuple(style),
        capability=tuple(capability),
        n_verified=verified,
        mean_style=spread_style,
        mean_capability=spread_capability,
        mimicry_index=spread_of(_index(mean_style, mean_capability)),
        coverage=coverage,
        tone=tones,
        tone_change=rate_of(tone_change(sides, sums, threshold=CONFIDENT)),
        structure=structure_distances(sides),
        preferred=None
        if preferences is None
        else preferred(preferences, sides=sides, sums=sums, seed=seed),
        in_tokens=sides.in_tokens,
        same_resample=_same_resample(sides),
    )


def _lexicon(
    attempts: Mapping[Side, Sequence[Attempt]], language: str | Lexicon | None
) -> Lexicon | None:
    if language is not None:
        return lexicon_of(language)
    texts = [answer_text(each) for own in attempts.values() for each in own[:_LANGUAGE_SAMPLE]]
    told = language_of(texts)
    return lexicon_of(told) if told else None


def _told(closure: Spread, n_tasks: int) -> Spread:
    return closure if n_tasks >= ENOUGH_TASKS else NOTHING


def _style(sides: Sides, sums: Sums, *, has_lexicon: bool) -> list[Closed]:
    found: list[Closed] = []
    has_ceiling = bool(sides.of("resample"))
    for metric in STYLE_METRICS:
        of = partial(metric.of, sides, sums)
        found.append(
            closed(
                metric.name,
                base=of("base"),
                student=of("student"),
                ceiling=of("resample") if has_ceiling else None,
                may_fall=metric.may_fall,
                fell="the teacher's second draw is less like it than the base is",
                missing=metric.missing
                if has_lexicon or not metric.needs_lexicon
                else "no lexicon for the language",
            )
        )
    return found


def _benchmarks(
    attempts: Sequence[Attempt], tasks: Sequence[str], *, by: str
) -> dict[str, frozenset[str] | None]:
    """Return the tasks of each benchmark, as the attempts of the base name it."""
    names = {each.task: each.extra.get(by) for each in attempts}
    found: dict[str, set[str]] = {}
    for task in tasks:
        name = names.get(task)
        found.setdefault(NO_BENCHMARK if name is None else str(name), set()).add(task)
    if set(found) == {NO_BENCHMARK}:
        return {ALL_TASKS: None}
    return {name: frozenset(own) for name, own in sorted(found.items())}


def _capability(
    name: str,
    sides: Sides,
    sums: Sums,
    *,
    tasks: Collection[str] | None,
    missing: str = "no task has verdicts on all three",
) -> Closed:
    rates = accuracies(sides, sums, tasks=tasks)
    return closed(
        name,
        base=rates["base"],
        student=rates["student"],
        ceiling=rates["teacher"],
        missing=missing,
    )


def _n_verified(sides: Sides, tasks: Collection[str] | None) -> int:
    asked: tuple[Side, ...] = ("base", "student", "teacher")
    return sum(
        all(any(look.is_right is not None for look in sides.of(side)[task]) for side in asked)
        for task in sides.tasks
        if tasks is None or task in tasks
    )


def _coverage(sides: Sides, sums: Sums, covered: Collection[str] | None) -> Coverage | None:
    if covered is None:
        return None
    inside = frozenset(covered).intersection(sides.tasks)
    outside = frozenset(sides.tasks) - inside
    none_here, all_here = "no covered task is here", "every task here is covered"
    first, second = (
        _capability(name, sides, sums, tasks=tasks)
        if tasks
        else _capability(name, sides, sums, tasks=tasks, missing=why)
        for name, tasks, why in (
            ("inside the imitation data", inside, none_here),
            ("outside", outside, all_here),
        )
    )
    both = bool(first.draws.size and second.draws.size)
    return Coverage(
        first,
        second,
        spread_of(first.draws - second.draws) if both else NOTHING,
        _n_verified(sides, inside),
        _n_verified(sides, outside),
    )


def _index(style: Draws, capability: Draws) -> Draws:
    return style - capability if style.size and capability.size else np.zeros(0)


def _why_not(style: Sequence[Closed], capability: Sequence[Closed]) -> str:
    parts = []
    for name, found in (("style", style), ("capability", capability)):
        if not any(each.draws.size for each in found):
            parts.append(
                f"no {name} closure ({'; '.join(dict.fromkeys(e.why_not for e in found))})"
            )
    return " and ".join(parts)


def _same_resample(sides: Sides) -> float | None:
    if not sides.of("resample"):
        return None
    both = [
        (sides.of("resample")[task][0].words, sides.of("teacher")[task][0].words)
        for task in sides.tasks
    ]
    same = [one == other for one, other in both if one or other]
    return sum(same) / len(same) if same else None
