"""From lessons that were found and lessons that are known to edits, one lesson at a time.

Nothing is rewritten as a whole. In this order: proposals that say the same are folded; those that
are known change the known lesson's evidence; narrower ones of a known lesson replace it; the rest
is added. Then known near-duplicates are merged, lessons that newer evidence reverses are retired,
and full families give up the ones with least evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from twiceshy.lessons import EvidenceLevel, Lesson, Status
from twiceshy.memory.bank.types import Add, Edit, Merge, Refine, SetEvidence, SetStatus, Split
from twiceshy.memory.writing.contradictions import SAME_PATTERN, find_contradictions
from twiceshy.memory.writing.evidence import joined, newer
from twiceshy.memory.writing.likeness import Likeness
from twiceshy.memory.writing.screening import FAMILY
from twiceshy.memory.writing.strength import LEVELS, certainty, is_alive, strength
from twiceshy.memory.writing.types import Contradiction, Reason, Rejected, Similarity

CAP = 20
"""Lessons of one family in one half (demonstrations, the others); ours."""
MIN_REVERSAL_TASKS = 10
"""Informative tasks from which newer evidence may retire a lesson; ours."""
CONTRADICTED = "another lesson says the opposite"


@dataclass(slots=True)
class Deltas:
    """Edits in the making; `find_deltas` returns them finished."""

    edits: list[Edit] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    contradictions: tuple[Contradiction, ...] = ()

    def reject(self, lesson: Lesson, reason: Reason, *, detail: str = "") -> None:
        """Count a proposal as turned down."""
        self.rejected.append(
            Rejected(reason=reason, author=lesson.author, text=lesson.text, detail=detail)
        )


def find_deltas(
    found: Sequence[Lesson],
    known: Sequence[Lesson],
    *,
    similarity: Similarity | None = None,
    cap: int = CAP,
    max_new: int | None = None,
) -> Deltas:
    """Return the edits by which a bank takes in what was found.

    Args:
        found: Proposed lessons, as candidates.
        known: Lessons of the bank, those of every status: what was retired does not come back.
        similarity: Cosines between texts, to find near-duplicates that share few words.
        cap: Lessons a family may have in each half.
        max_new: Lessons to add at most, those with most evidence; None for all.
    """
    deltas = Deltas()
    alive = {each.id: each for each in known if is_alive(each)}
    folded = _fold(found, deltas=deltas, similarity=similarity)
    fresh = _match(folded, known, deltas=deltas, similarity=similarity)
    fresh = _split(fresh, alive, deltas=deltas)
    _merge(alive, deltas=deltas, similarity=similarity)
    fresh = _limit(fresh, max_new, deltas=deltas)
    fresh = _contradict(fresh, alive, deltas=deltas)
    fresh = _cap(fresh, alive, deltas=deltas, cap=cap)
    deltas.edits += [Add(lesson=each, because="found in attempts") for each in fresh]
    return deltas


def _fold(
    found: Sequence[Lesson], *, deltas: Deltas, similarity: Similarity | None
) -> list[Lesson]:
    """Fold proposals that say the same into the one with most evidence."""
    ordered = sorted(found, key=strength, reverse=True)
    likeness = Likeness(ordered, similarity=similarity)
    taken: dict[int, Lesson] = {}
    gone: set[int] = set()
    for place, lesson in enumerate(ordered):
        if place in gone:
            continue
        same = [each for each in likeness.same_as(place) if each not in gone and each > place]
        gone.update(same)
        for each in same:
            deltas.reject(ordered[each], Reason.REPEATED, detail=lesson.id)
        taken[place] = joined(lesson, [ordered[each] for each in same])
    return list(taken.values())


def _key(lesson: Lesson) -> tuple[str, ...]:
    """What makes two lessons the same pattern, whoever the policies were."""
    return (lesson.kind, lesson.vocabulary, lesson.pattern, lesson.scope.get(FAMILY, ""))


def _match(
    found: Sequence[Lesson],
    known: Sequence[Lesson],
    *,
    deltas: Deltas,
    similarity: Similarity | None,
) -> list[Lesson]:
    """Give known lessons what is new about them; return what is not known."""
    by_id = {each.id: each for each in known}
    by_key = {_key(each): each for each in known if each.pattern}
    likeness = Likeness([*known, *found], similarity=similarity)
    fresh: list[Lesson] = []
    for place, lesson in enumerate(found, start=len(known)):
        same = by_id.get(lesson.id) or by_key.get(_key(lesson))
        if same is None:
            like = [each for each in likeness.same_as(place) if each < len(known)]
            same = known[like[0]] if like else None
        if same is None:
            fresh.append(lesson)
        elif not is_alive(same):
            deltas.reject(lesson, Reason.GONE, detail=same.id)
        else:
            _update(same, lesson, deltas=deltas)
    return fresh


def _update(known: Lesson, lesson: Lesson, *, deltas: Deltas) -> None:
    """Emit the edit by which a known lesson takes in a newer finding of itself, if it changes."""
    both = newer(known, lesson)
    if both == known:
        deltas.reject(lesson, Reason.KNOWN, detail=known.id)
        return
    words = msgspec.structs.replace(both, evidence=known.evidence, level=known.level)
    if words == known:
        deltas.edits.append(
            SetEvidence(
                lesson_id=known.id,
                level=both.level,
                evidence=both.evidence,
                because="found again in attempts",
            )
        )
    else:
        deltas.edits.append(Refine(lesson=both, because="found again in attempts"))


def _split(fresh: Sequence[Lesson], alive: dict[str, Lesson], *, deltas: Deltas) -> list[Lesson]:
    """Replace a known lesson by narrower ones that are better supported than it is."""
    narrower: dict[str, list[Lesson]] = {}
    for lesson in fresh:
        for parent in lesson.parents:
            is_narrower = parent in alive and "all_of" in lesson.extra
            if is_narrower and _level(lesson) > _level(alive[parent]):
                narrower.setdefault(parent, []).append(lesson)
    for parent, lessons in narrower.items():
        because = "a condition tells when it holds"
        deltas.edits.append(Split(lesson_id=parent, into=tuple(lessons), because=because))
        del alive[parent]
    into = {each.id for lessons in narrower.values() for each in lessons}
    return [each for each in fresh if each.id not in into]


def _level(lesson: Lesson) -> int:
    return LEVELS.index(lesson.level)


def _merge(alive: dict[str, Lesson], *, deltas: Deltas, similarity: Similarity | None) -> None:
    """Merge known lessons that say the same; edits of the absorbed are no longer needed."""
    ordered = sorted(alive.values(), key=strength, reverse=True)
    likeness = Likeness(ordered, similarity=similarity)
    gone: set[str] = set()
    for place, lesson in enumerate(ordered):
        if lesson.id in gone:
            continue
        same = [ordered[each] for each in likeness.same_as(place) if each > place]
        same = [each for each in same if each.id not in gone and not _is_tried(each)]
        if same:
            _emit_merge(lesson, same, deltas=deltas)
            gone.update(each.id for each in same)
    for each in gone:
        del alive[each]


def _is_tried(lesson: Lesson) -> bool:
    """Whether a trial has measured the lesson, so that it must keep its name."""
    return lesson.level is EvidenceLevel.SUPPORTED_IN_TRIAL


def _emit_merge(lesson: Lesson, same: Sequence[Lesson], *, deltas: Deltas) -> None:
    """Merge on top of what this round has already changed about the lessons."""
    ids = {each.id for each in (lesson, *same)}
    current = {each.id: _as_edited(each, deltas.edits) for each in (lesson, *same)}
    deltas.edits = [each for each in deltas.edits if _changed(each) not in ids]
    absorbed = [current[each.id] for each in same]
    deltas.edits.append(
        Merge(
            lesson=joined(current[lesson.id], absorbed),
            absorbed=tuple(each.id for each in same),
            because="they say the same",
        )
    )


def _changed(edit: Edit) -> str | None:
    if isinstance(edit, Refine):
        return edit.lesson.id
    return edit.lesson_id if isinstance(edit, SetEvidence) else None


def _as_edited(lesson: Lesson, edits: Sequence[Edit]) -> Lesson:
    for edit in edits:
        if isinstance(edit, Refine) and edit.lesson.id == lesson.id:
            lesson = edit.lesson
        elif isinstance(edit, SetEvidence) and edit.lesson_id == lesson.id:
            lesson = msgspec.structs.replace(lesson, level=edit.level, evidence=edit.evidence)
    return lesson


def _limit(fresh: Sequence[Lesson], max_new: int | None, *, deltas: Deltas) -> list[Lesson]:
    if max_new is None:
        return list(fresh)
    ordered = sorted(fresh, key=strength, reverse=True)
    for lesson in ordered[max_new:]:
        deltas.reject(lesson, Reason.OVER_LIMIT)
    return ordered[:max_new]


def _contradict(
    fresh: Sequence[Lesson], alive: dict[str, Lesson], *, deltas: Deltas
) -> list[Lesson]:
    """Find contradictions with what is new, retire what newer evidence reverses, flag the rest."""
    new = {each.id: each for each in fresh}
    found = find_contradictions([*alive.values(), *fresh], new=new.keys())
    kept: list[Contradiction] = []
    for each in found:
        old = next((alive[one] for one in (each.first, each.second) if one in alive), None)
        other = new[each.second if old is not None and each.first == old.id else each.first]
        if old is not None and each.because == SAME_PATTERN and _reverses(other, old):
            because = f"newer evidence points the other way: {other.id}"
            deltas.edits.append(SetStatus(lesson_id=old.id, status=Status.RETIRED, because=because))
            del alive[old.id]
        else:
            kept.append(each)
    deltas.contradictions = tuple(kept)
    at_odds = {one for each in kept for one in (each.first, each.second)}
    return [_flagged(each) if each.id in at_odds else each for each in fresh]


def _reverses(newer: Lesson, old: Lesson) -> bool:
    """Whether a finding may retire the lesson that says the opposite of the same pattern.

    It takes enough informative tasks, an interval without zero, and more evidence than the old
    lesson has. A lesson in use, or measured in a trial, is left to the trial.
    """
    return (
        old.status is not Status.ACTIVE
        and not _is_tried(old)
        and newer.evidence.n_informative_tasks >= MIN_REVERSAL_TASKS
        and certainty(newer) > certainty(old)
    )


def _flagged(lesson: Lesson) -> Lesson:
    return msgspec.structs.replace(lesson, flags=(*lesson.flags, CONTRADICTED))


def _half(lesson: Lesson) -> tuple[str, bool]:
    return lesson.scope.get(FAMILY, ""), lesson.kind == "demonstration"


def _cap(
    fresh: Sequence[Lesson], alive: Mapping[str, Lesson], *, deltas: Deltas, cap: int
) -> list[Lesson]:
    """Keep the lessons with most evidence in each full half of a family.

    Only halves that get a new lesson are looked at. A lesson in use, or measured in a trial, is
    never evicted; then the newcomer is not added.
    """
    kept: list[Lesson] = []
    for half in dict.fromkeys(map(_half, fresh)):
        ranked = sorted(
            [each for each in (*alive.values(), *fresh) if _half(each) == half],
            key=lambda each: (_is_safe(each), strength(each)),
            reverse=True,
        )
        out = {each.id for each in ranked[cap:] if not _is_safe(each)}
        for each in ranked:
            if each.id in alive and each.id in out:
                because = f"its family is full at {cap} lessons with more evidence"
                deltas.edits.append(
                    SetStatus(lesson_id=each.id, status=Status.RETIRED, because=because)
                )
            elif each.id not in alive and each.id in out:
                deltas.reject(each, Reason.OVER_CAP)
            elif each.id not in alive:
                kept.append(each)
    return kept


def _is_safe(lesson: Lesson) -> bool:
    return lesson.status is Status.ACTIVE or _is_tried(lesson)
