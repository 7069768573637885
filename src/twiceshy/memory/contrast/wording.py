"""Better words, and narrower conditions, for mined lessons, by a language model.

Nothing here is needed: without a model the lessons keep the sentences of their templates. With one,
each of the strongest lessons is put to it once. What it says is data until it passes:

1. Words pass the rules of `wording_answers`. They change the sentence and its parts, never the
   pattern, the evidence, the level or the effect.
2. A condition is one of a few offered events, and passes the test of `wording_conditions`. It
   becomes a lesson of its own beside the one it narrows.
3. All that was proposed is counted, the rejected with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.evidence.tables import EventTable
from twiceshy.lessons import EvidenceLevel, Lesson
from twiceshy.memory.contrast.conditions import NAME as BY_STEP
from twiceshy.memory.contrast.learning import Learned
from twiceshy.memory.contrast.learning_tables import lesson_table
from twiceshy.memory.contrast.mining import Mined
from twiceshy.memory.contrast.wording_asking import Heard, ask
from twiceshy.memory.contrast.wording_conditions import (
    Condition,
    Retest,
    Verdict,
    offer,
    retest,
)
from twiceshy.memory.contrast.wording_lessons import in_words, narrowed
from twiceshy.models import Completer

MAX_LESSONS = 20
"""Lessons that are put to the model, the strongest."""
MAX_FAILED_CALLS = 2
"""Failed calls in a row after which the model is left alone."""


class Tally(NamedTuple):
    """Proposals of one kind; accepted and rejected add up to proposed."""

    proposed: int
    accepted: int
    rejected: Mapping[str, int]
    """How many for each reason."""


@dataclass(frozen=True, slots=True)
class Reworded:
    """Lessons with a model's words where those passed."""

    lessons: tuple[Lesson, ...]
    """In the order given; a narrowed lesson stands right after the one it narrows."""
    n_asked: int
    """Lessons put to the model."""
    n_calls: int
    sentences: Tally
    """One for every answer that came."""
    conditions: Tally
    """One for every answer that named a condition, or that could not be read and might have."""
    n_tested: int
    """Patterns tested: the search's own and every proposed condition."""
    errors: tuple[str, ...]
    """Why calls failed."""

    @property
    def numbers(self) -> dict[str, Any]:
        """The counts, as a report's numbers."""
        return {
            "n_lessons_asked": self.n_asked,
            "n_calls": self.n_calls,
            "n_failed_calls": len(self.errors),
            "sentences": self.sentences._asdict(),
            "conditions": self.conditions._asdict(),
            "n_patterns_tested": self.n_tested,
        }


class _Asked(NamedTuple):
    lesson: Lesson
    heard: Heard
    named: tuple[Condition | Verdict, ...]
    """The conditions it named, or why one cannot be tested."""


def reword(
    lessons: Sequence[Lesson],
    *,
    completer: Completer,
    table: EventTable,
    mined: Mined,
    max_lessons: int = MAX_LESSONS,
    progress: Callable[[int, int], None] | None = None,
) -> Reworded:
    """Ask a model for better words and narrower conditions for the same evidence.

    The model sees the parts of a lesson, its counts and an excerpt of both sides of one contrast
    pair; nothing else of the attempts. A model that fails changes nothing: the lessons it was not
    heard on stay as they were and the failure is told in `Reworded.errors`.

    Args:
        lessons: Strongest first, as `learn` returns them. Only rule-made `avoid` and `strategy`
            lessons are put to the model; all are returned.
        completer: The model.
        table: What the lessons were mined from.
        mined: The search of that table. Its alpha is the false discovery rate of conditions too.
        max_lessons: How many lessons to ask about, at most.
        progress: Called with (lessons done, lessons to ask about).
    """
    told = [each for each in lessons if each.kind in ("avoid", "strategy")]
    chosen = [each for each in told if each.author == "rule"][:max_lessons]
    asked = list(
        _ask_each(chosen, completer=completer, table=table, mined=mined, progress=progress)
    )
    named = [each for one in asked for each in one.named]
    n_tested = mined.n_tested + len(named)
    usable = [each for each in named if isinstance(each, Condition)]
    tested = retest(table, usable, mined=mined, n_proposed=len(named))
    judged = _judge(asked, tested)
    better = {one.lesson.id: in_words(one.lesson, one.heard.words) for one in asked}
    narrower = {
        one.lesson.id: tuple(
            narrowed(
                one.lesson,
                better[one.lesson.id],
                found=tested[each],
                table=table,
                n_tested=n_tested,
            )
            for each in kept
        )
        for one, kept in zip(asked, judged.kept, strict=True)
    }
    sentences = [one.heard.words is not None for one in asked]
    refused = Counter(each.value for one in asked for each in one.heard.rejected)
    return Reworded(
        lessons=tuple(
            each for old in lessons for each in (better.get(old.id, old), *narrower.get(old.id, ()))
        ),
        n_asked=len(asked),
        n_calls=sum(one.heard.n_calls for one in asked),
        sentences=Tally(sum(sentences) + refused.total(), sum(sentences), dict(refused)),
        conditions=Tally(len(named), sum(map(len, judged.kept)), dict(judged.rejected)),
        n_tested=n_tested,
        errors=tuple(one.heard.error for one in asked if one.heard.error is not None),
    )


def _ask_each(
    chosen: Sequence[Lesson],
    *,
    completer: Completer,
    table: EventTable,
    mined: Mined,
    progress: Callable[[int, int], None] | None,
) -> Iterator[_Asked]:
    """Yield what the model says about each lesson, until it fails too often in a row."""
    column = {name: place for place, name in enumerate(table.names)}
    n_failed = 0
    for done, lesson in enumerate(chosen, start=1):
        place = None if lesson.vocabulary == BY_STEP else column.get(lesson.pattern)
        offered = () if place is None else offer(table, place, mined=mined)
        heard = ask(lesson, offered=[table.names[each] for each in offered], completer=completer)
        yield _Asked(lesson, heard, tuple(_named(heard, place, offered)))
        if progress is not None:
            progress(done, len(chosen))
        n_failed = n_failed + 1 if heard.error is not None else 0
        if n_failed >= MAX_FAILED_CALLS:
            return


def _named(
    heard: Heard, pattern: int | None, offered: Sequence[int]
) -> Iterator[Condition | Verdict]:
    for number in heard.chosen:
        if number is None:
            yield Verdict.UNREADABLE
        elif pattern is None or not 1 <= number <= len(offered):
            yield Verdict.UNKNOWN
        else:
            yield Condition(pattern, offered[number - 1])


class _Judged(NamedTuple):
    kept: list[list[Condition]]
    """For each lesson asked about."""
    rejected: Counter[str]


def _judge(asked: Sequence[_Asked], tested: Mapping[Condition, Retest]) -> _Judged:
    """Sort the proposals; of the same two events the first proposal counts."""
    judged = _Judged([], Counter())
    seen: set[frozenset[int]] = set()
    for one in asked:
        judged.kept.append([])
        for each in one.named:
            verdict = each if isinstance(each, Verdict) else tested[each].rejected
            if isinstance(each, Condition):
                verdict = Verdict.REPEATED if frozenset(each) in seen else verdict
                seen.add(frozenset(each))
            if verdict is not None:
                judged.rejected[verdict.value] += 1
            elif isinstance(each, Condition):
                judged.kept[-1].append(each)
    return judged


def reword_learned(
    learned: Learned,
    *,
    completer: Completer,
    progress: Callable[[int, int], None] | None = None,
) -> Learned:
    """Return what was learned with a model's words and conditions in it and in its reports.

    Args:
        learned: The result of `learn`.
        completer: The model.
        progress: Called with (lessons done, lessons to ask about).
    """
    found = reword(
        learned.lessons,
        completer=completer,
        table=learned.table,
        mined=learned.mined,
        progress=progress,
    )
    report = _with_lessons(learned.report, found.lessons)
    return replace(
        learned,
        lessons=found.lessons,
        report=msgspec.structs.replace(
            report,
            summary=(*report.summary, summary_of(found)),
            numbers={**report.numbers, **_lesson_numbers(found), "wording": found.numbers},
            tables=(*report.tables, wording_table(found)),
            alarms=(*report.alarms, *_alarms(found)),
        ),
        proof=None if learned.proof is None else _with_lessons(learned.proof, found.lessons),
    )


def _with_lessons(report: Report, lessons: Sequence[Lesson]) -> Report:
    """Show these lessons where the report shows lessons."""
    shown = lesson_table(lessons)
    tables = (shown if each.title == shown.title else each for each in report.tables)
    return msgspec.structs.replace(report, tables=tuple(tables))


def _lesson_numbers(found: Reworded) -> dict[str, Any]:
    mined = [each for each in found.lessons if each.kind != "demonstration"]
    levels = Counter(each.level for each in mined)
    return {
        "n_claimed": levels[EvidenceLevel.SUPPORTED_WITHIN_TASK],
        "n_suggested": levels[EvidenceLevel.SUGGESTED],
        "lessons": [msgspec.to_builtins(each) for each in mined],
    }


def summary_of(found: Reworded) -> str:
    """Return what came of asking the model, in one sentence."""
    sentences, conditions = found.sentences, found.conditions
    among = f", tested among {found.n_tested} patterns" if conditions.proposed else ""
    return (
        f"A language model was asked about {found.n_asked} lessons in {found.n_calls} calls:"
        f" {sentences.accepted} of {sentences.proposed} sentences and {conditions.accepted} of"
        f" {conditions.proposed} conditions were accepted{among}."
    )


def wording_table(found: Reworded) -> Table:
    """Show what the model proposed and why it was turned down."""
    rows: list[tuple[str, str, int]] = []
    for name, tally in (("sentence", found.sentences), ("condition", found.conditions)):
        if not tally.proposed:
            continue
        rows.append((name, "accepted", tally.accepted))
        rows += [(name, f"rejected: {reason}", n) for reason, n in tally.rejected.items()]
    return Table(
        title="What a language model proposed",
        columns=("proposal", "result", "answers"),
        rows=tuple(rows),
        note="A rejected sentence leaves the rule's own. Words never change the evidence; a"
        " condition is tested like any pattern, and every proposal counts as a test.",
    )


def _alarms(found: Reworded) -> tuple[Alarm, ...]:
    if not found.errors:
        return ()
    failed = Alarm(
        name="model_failed",
        severity="warning",
        message=f"{len(found.errors)} of {found.n_calls} calls to the language model failed"
        f" ({found.errors[0]}); the lessons it was not heard on keep their words.",
        value=float(len(found.errors)),
    )
    return (failed,)
