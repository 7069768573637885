"""Evidence of a lesson that was found again, and of lessons that were folded into one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from twiceshy.lessons import TASKS, ContrastPair, Effect, Evidence, EvidenceLevel, Lesson

MAX_IDS = 50
"""Attempts that a told lesson names; all of them are needed to count each once."""
MAX_PAIRS = 5
TOLD = "a model told it; nothing was counted"
"""Flag of a lesson that a model told."""
OTHER_WAY = "newer attempts point the other way"


def joined(lesson: Lesson, same: Sequence[Lesson]) -> Lesson:
    """Return the lesson with the evidence of others that say the same.

    Counted evidence is not added up, since two patterns may have been counted on the same attempts.
    Evidence of told lessons names every attempt, so it is.
    """
    if not same:
        return lesson
    told = [each for each in same if is_told(each)]
    return msgspec.structs.replace(
        lesson,
        evidence=_union(lesson, told) if is_told(lesson) else lesson.evidence,
        contrast=_pairs(lesson, same),
        parents=tuple(
            dict.fromkeys((*lesson.parents, *(p for each in same for p in each.parents)))
        ),
        extra=_with_tasks(lesson, told) if is_told(lesson) else lesson.extra,
    )


def newer(known: Lesson, lesson: Lesson) -> Lesson:
    """Return a known lesson with what a newer finding of it adds; the known one if nothing.

    Its id, words, status and past stay. Of two counts the one on more informative tasks is kept,
    because the two may share attempts; where the smaller one points the other way, that is flagged.
    A level won in a trial is never lowered by counting.
    """
    if is_told(lesson):
        return joined(known, [lesson]) if is_told(known) else known
    if is_told(known):
        return msgspec.structs.replace(known, evidence=lesson.evidence, level=_level(known, lesson))
    if known.kind == "demonstration":
        better = len(lesson.flags) < len(known.flags)
        return (
            msgspec.structs.replace(lesson, id=known.id, status=known.status) if better else known
        )
    if lesson.evidence.n_informative_tasks < known.evidence.n_informative_tasks:
        turned = _sign(lesson.evidence.within_task) * _sign(known.evidence.within_task) < 0
        flags = (
            (*known.flags, OTHER_WAY) if turned and OTHER_WAY not in known.flags else known.flags
        )
        return msgspec.structs.replace(known, flags=flags)
    return msgspec.structs.replace(
        known,
        evidence=lesson.evidence,
        level=_level(known, lesson),
        contrast=_pairs(lesson, [known]),
        flags=lesson.flags,
    )


def is_told(lesson: Lesson) -> bool:
    """Whether a model told the lesson, instead of a rule having counted it."""
    return TOLD in lesson.flags


def _level(known: Lesson, lesson: Lesson) -> EvidenceLevel:
    if known.level is EvidenceLevel.SUPPORTED_IN_TRIAL:
        return known.level
    return lesson.level


def _sign(effect: Effect | None) -> int:
    estimate = None if effect is None else effect.estimate
    return 0 if not estimate else (1 if estimate > 0 else -1)


def _union(lesson: Lesson, same: Sequence[Lesson]) -> Evidence:
    own = lesson.evidence
    ids = _ids([own.attempts_for, *(each.evidence.attempts_for for each in same)])
    against = _ids([own.attempts_against, *(each.evidence.attempts_against for each in same)])
    return msgspec.structs.replace(
        own,
        attempts_for=ids[:MAX_IDS],
        attempts_against=against[:MAX_IDS],
        n_for=max(own.n_for, len(ids)),
        n_against=max(own.n_against, len(against)),
        n_tasks=max(own.n_tasks, len(_tasks(lesson, same))),
    )


def _ids(parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for part in parts for each in part))


def _with_tasks(lesson: Lesson, same: Sequence[Lesson]) -> dict[str, object]:
    return {**lesson.extra, TASKS: _tasks(lesson, same)}


def _tasks(lesson: Lesson, same: Sequence[Lesson]) -> list[str]:
    tasks = [task for each in (lesson, *same) for task in each.extra.get(TASKS, ())]
    return list(dict.fromkeys(tasks))[:MAX_IDS]


def _pairs(lesson: Lesson, same: Sequence[Lesson]) -> tuple[ContrastPair, ...]:
    pairs = [pair for each in (lesson, *same) for pair in each.contrast]
    unique = {(pair.failure_id, pair.success_id): pair for pair in reversed(pairs)}
    return tuple(reversed(unique.values()))[:MAX_PAIRS]
