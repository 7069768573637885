"""The order in which lessons are shown: by what is known about them, then by how surely."""

from __future__ import annotations

from collections.abc import Iterable

from twiceshy.lessons import EvidenceLevel, Lesson

LEVELS_STRONGEST_FIRST: tuple[EvidenceLevel, ...] = (
    EvidenceLevel.SUPPORTED_IN_TRIAL,
    EvidenceLevel.SUPPORTED_WITHIN_TASK,
    EvidenceLevel.SUGGESTED,
    EvidenceLevel.DESCRIBED,
)

MEANING: dict[EvidenceLevel, str] = {
    EvidenceLevel.SUPPORTED_IN_TRIAL: (
        "A randomised trial showed that telling the agent helps, against a placebo of equal length."
    ),
    EvidenceLevel.SUPPORTED_WITHIN_TASK: (
        "It separates failures from successes at the same task, with multiple testing controlled. "
        "That predicts failure; it does not yet show that telling the agent helps."
    ),
    EvidenceLevel.SUGGESTED: (
        "There are enough mixed tasks to make it worth a trial, and not enough to claim anything."
    ),
    EvidenceLevel.DESCRIBED: (
        "It was seen. Too few mixed tasks to say more, or it was not tested. Not a claim."
    ),
}


def rank_lessons(lessons: Iterable[Lesson]) -> tuple[Lesson, ...]:
    """Return the lessons, best evidence first.

    By level; then those without a warning first; then by q-value within task (untested last); then
    by the size of the effect on tasks the lesson was not mined from (the mined effect where that
    is missing); then by the number of informative tasks; then by id, so that the order never
    depends on the input's.

    >>> rank_lessons([Lesson(id="a", kind="avoid", text="x"), Lesson(
    ...     id="b", kind="avoid", text="y", level=EvidenceLevel.SUGGESTED)])[0].id
    'b'
    """
    return tuple(sorted(lessons, key=_sort_key))


def _sort_key(lesson: Lesson) -> tuple[int, bool, float, float, int, str]:
    evidence = lesson.evidence
    within, held_out = evidence.within_task, evidence.held_out
    q_value = within.q_value if within else None
    estimates = [effect.estimate for effect in (held_out, within) if effect]
    size = next((abs(value) for value in estimates if value is not None), 0.0)
    level = LEVELS_STRONGEST_FIRST.index(lesson.level)
    surely = q_value if q_value is not None else 2.0
    flagged = bool(lesson.flags)
    return (level, flagged, surely, -size, -evidence.n_informative_tasks, lesson.id)
