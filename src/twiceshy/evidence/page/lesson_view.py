"""Lessons as the template wants them: effects with intervals, and the pair side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from twiceshy.evidence.page.contrast import Piece, part
from twiceshy.evidence.page.ranking import LEVELS_STRONGEST_FIRST, MEANING, rank_lessons
from twiceshy.evidence.page.tables import Ids, TableView, table
from twiceshy.evidence.page.words import (
    Entry,
    counted,
    flatten,
    interval,
    number,
    probability,
    shorten,
    signed,
)
from twiceshy.lessons import ContrastPair, Effect, Evidence, EvidenceLevel, Lesson

MAX_IN_FULL = 40
_MAX_PAIRS = 3
_MAX_SENTENCE = 400
_STRIP = 120.0
"""Width of the small interval drawing, in its own units."""

LEVEL_NAMES: dict[EvidenceLevel, str] = {
    EvidenceLevel.DESCRIBED: "Described",
    EvidenceLevel.SUGGESTED: "Suggested",
    EvidenceLevel.SUPPORTED_WITHIN_TASK: "Supported within task",
    EvidenceLevel.SUPPORTED_IN_TRIAL: "Supported in a trial",
}


class Strip(NamedTuple):
    """An interval as a small drawing: x places from 0 to 120, `zero` is no effect."""

    zero: float
    low: float
    high: float
    estimate: float


class EffectView(NamedTuple):
    """One effect, formatted."""

    name: str
    note: str
    estimate: str
    interval: str
    n_attempts: str
    n_tasks: str
    p: str
    q: str
    strip: Strip | None


class PairView(NamedTuple):
    """A failing and a passing attempt at the same task."""

    task: str
    failure: tuple[Piece, ...]
    success: tuple[Piece, ...]
    failure_place: str
    success_place: str
    ending: str
    is_unlike: bool


class LessonView(NamedTuple):
    """One lesson, ready to print."""

    id: str
    rank: int
    lesson: Lesson
    sentence: str
    is_open: bool
    signs_differ: bool
    facts: str
    effects: tuple[EffectView, ...]
    scale: str
    pairs: tuple[PairView, ...]
    n_more_pairs: int
    origin: tuple[Entry, ...]


class LevelView(NamedTuple):
    """The lessons of one evidence level."""

    level: EvidenceLevel
    name: str
    strength: int
    """1 to 4, for the badge."""
    meaning: str
    n: int
    shown: tuple[LessonView, ...]


class LessonsView(NamedTuple):
    """All lessons by level, and those beyond the first 40 as a table."""

    levels: tuple[LevelView, ...]
    rest: TableView | None
    n: int


def lessons_view(ids: Ids, lessons: Sequence[Lesson]) -> LessonsView:
    """Rank the lessons and lay them out, the strongest level first."""
    ranked = rank_lessons(lessons)
    views = [_lesson(ids, one, rank=i + 1) for i, one in enumerate(ranked[:MAX_IN_FULL])]
    levels = tuple(
        LevelView(
            level,
            LEVEL_NAMES[level],
            4 - place,
            MEANING[level],
            sum(one.level is level for one in ranked),
            tuple(view for view in views if view.lesson.level is level),
        )
        for place, level in enumerate(LEVELS_STRONGEST_FIRST)
    )
    rest = ranked[MAX_IN_FULL:]
    return LessonsView(levels, _rest_table(ids, rest) if rest else None, len(ranked))


def _rest_table(ids: Ids, lessons: Sequence[Lesson]) -> TableView:
    return table(
        ids,
        f"Lessons ranked below the first {MAX_IN_FULL}",
        columns=("lesson", "level", "effect within task", "interval", "informative tasks"),
        rows=[
            (
                shorten(one.text, 160),
                LEVEL_NAMES[one.level],
                signed(effect.estimate),
                interval(effect.low, effect.high, sign=True),
                one.evidence.n_informative_tasks,
            )
            for one in lessons
            for effect in [one.evidence.within_task or Effect(estimate=None)]
        ],
    )


def _lesson(ids: Ids, lesson: Lesson, *, rank: int) -> LessonView:
    evidence = lesson.evidence
    effects = (
        ("Held out", _held_out_note(evidence), evidence.held_out),
        ("Within task", "as mined: expect it to shrink", evidence.within_task),
        ("Pooled", "task difficulty not removed", evidence.pooled),
    )
    given = [effect for _, _, effect in effects if effect is not None]
    odds = any(effect.scale == "log_odds_ratio" for effect in given)
    ends = _scale(given)
    return LessonView(
        id=ids.new("lesson"),
        rank=rank,
        lesson=lesson,
        sentence=shorten(lesson.text, _MAX_SENTENCE),
        is_open=rank <= 3,
        signs_differ=evidence.signs_differ or _opposed(evidence.pooled, evidence.within_task),
        facts=_facts(lesson),
        effects=tuple(
            _effect(effect, name=name, note=note, ends=ends)
            for name, note, effect in effects
            if effect is not None
        ),
        scale="log odds ratio of failure" if odds else "difference in P(failure)",
        pairs=tuple(_pair(pair) for pair in lesson.contrast[:_MAX_PAIRS]),
        n_more_pairs=max(0, len(lesson.contrast) - _MAX_PAIRS),
        origin=tuple(_origin(lesson)),
    )


def _held_out_note(evidence: Evidence) -> str:
    if evidence.repeats_mined:
        return "selected whichever tasks were left out, so over all tasks: the mined effect again"
    return "on tasks it was not mined from"


def _opposed(pooled: Effect | None, within: Effect | None) -> bool:
    if pooled is None or within is None:
        return False
    return (pooled.estimate or 0.0) * (within.estimate or 0.0) < 0


def _facts(lesson: Lesson) -> str:
    """Say in a sentence or two what was counted."""
    evidence = lesson.evidence
    n_with = evidence.n_for + evidence.n_against
    if n_with == 0:
        return "No scored attempt shows it: every rate is undefined (n = 0)."
    parts = [
        f"Seen in {counted(n_with, 'scored attempt')} at {counted(evidence.n_tasks, 'task')}, "
        f"{number(evidence.n_informative_tasks)} of them informative; "
        f"{number(evidence.n_for)} for, {number(evidence.n_against)} against."
    ]
    if evidence.failure_rate_with is not None:
        parts.append(_rates(lesson, n_with=n_with))
    if evidence.n_tested:
        adjusted = ", adjusted for policy" if evidence.adjusted_for_policy else ""
        parts.append(f"{counted(evidence.n_tested, 'pattern')} tested{adjusted}.")
    if evidence.selection_frequency is not None:
        parts.append(f"Selected in {evidence.selection_frequency:.0%} of train splits.")
    return " ".join(parts)


def _rates(lesson: Lesson, *, n_with: int) -> str:
    evidence = lesson.evidence
    text = f"P(failure) {number(evidence.failure_rate_with)} with it (n = {number(n_with)})"
    total = evidence.pooled.n_attempts if evidence.pooled else 0
    if total > n_with and evidence.failure_rate_without is not None:
        rate = number(evidence.failure_rate_without)
        text += f", {rate} without (n = {number(total - n_with)})"
    return text + "; intervals are on the differences below."


def _scale(effects: Sequence[Effect]) -> tuple[float, float]:
    """Return the ends of the drawing: no effect lies within, and a lesson has one scale."""
    values = [v for e in effects for v in (e.estimate, e.low, e.high) if v is not None]
    low, high = min([0.0, *values]), max([0.0, *values])
    pad = 0.06 * (high - low) or 1.0
    return low - pad, high + pad


def _effect(effect: Effect, *, name: str, note: str, ends: tuple[float, float]) -> EffectView:
    undefined = effect.estimate is None
    return EffectView(
        name=name,
        note=note,
        estimate=f"undefined (n = {number(effect.n_attempts)})"
        if undefined
        else signed(effect.estimate),
        interval="—" if undefined else interval(effect.low, effect.high, sign=True),
        n_attempts=number(effect.n_attempts),
        n_tasks=number(effect.n_tasks),
        p=probability(effect.p_value),
        q=probability(effect.q_value),
        strip=_strip(effect, ends=ends),
    )


def _strip(effect: Effect, *, ends: tuple[float, float]) -> Strip | None:
    estimate, (start, stop) = effect.estimate, ends
    if estimate is None:
        return None

    def place(value: float | None) -> float:
        shown = estimate if value is None else value
        return round(_STRIP * (shown - start) / (stop - start), 1)

    return Strip(place(0.0), place(effect.low), place(effect.high), place(estimate))


def _pair(pair: ContrastPair) -> PairView:
    parted = part(pair.failure_text, pair.success_text)
    return PairView(
        pair.task,
        parted.failure,
        parted.success,
        _place(pair.failure_id, pair.failure_step),
        _place(pair.success_id, pair.success_step),
        pair.ending or "",
        parted.is_unlike,
    )


def _place(attempt: str, step: int | None) -> str:
    short = shorten(attempt, 20) or "unnamed"
    return f"attempt {short}" + (f", step {step}" if step is not None else "")


def _origin(lesson: Lesson) -> list[Entry]:
    evidence = lesson.evidence
    names = {
        "lesson": lesson.id,
        "pattern": lesson.pattern,
        "vocabulary": lesson.vocabulary,
        "family": lesson.family,
        "scope": lesson.scope,
        "attempts for": evidence.attempts_for,
        "attempts against": evidence.attempts_against,
        "descends from": lesson.parents,
    }
    return [
        Entry(e.name, shorten(e.value, 600)) for e in flatten({k: v for k, v in names.items() if v})
    ]
