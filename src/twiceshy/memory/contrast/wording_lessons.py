"""Lessons in a model's words, and lessons with one more condition."""

from __future__ import annotations

import hashlib
from itertools import compress

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.tables import EventTable
from twiceshy.lessons import ContrastPair, Evidence, Lesson
from twiceshy.memory.contrast.lessons import MAX_IDS, SIGNS_DIFFER, lesson_id, sentence
from twiceshy.memory.contrast.vocabulary import Phrase
from twiceshy.memory.contrast.wording_answers import Answer, words_of
from twiceshy.memory.contrast.wording_conditions import Retest

NOT_HELD_OUT = "a model proposed the condition; it was not tested on tasks it was not mined from"


def in_words(lesson: Lesson, words: Answer | None) -> Lesson:
    """Return the lesson in a model's words, its evidence untouched; the lesson itself without any.

    The new id covers the words, so that a trial can tell the two sentences apart.

    Example:
        >>> rule = Lesson(id="a", kind="avoid", text="Do without guessing.", action="guessing")
        >>> better = in_words(rule, Answer(action="making a guess"))
        >>> better.text, better.author, better.parents
        ('Do without making a guess.', 'model', ('a',))
    """
    if words is None:
        return lesson
    text = words_of(words, lesson)
    return msgspec.structs.replace(
        lesson,
        id=hashlib.sha256(msgspec.json.encode([lesson.id, text])).hexdigest()[:16],
        text=text,
        trigger=words.trigger,
        action=words.action,
        instead=words.instead,
        why=words.why or lesson.why,
        author="model",
        parents=(lesson.id,),
        extra={**lesson.extra, "rule_text": lesson.text},
    )


def narrowed(
    rule: Lesson, worded: Lesson, *, found: Retest, table: EventTable, n_tested: int
) -> Lesson:
    """Return the lesson with one more condition, on the evidence of the narrowed pattern.

    Args:
        rule: The lesson that is narrowed.
        worded: The same with the words to use.
        found: The test of the narrowed pattern.
        table: What both were mined from.
        n_tested: Patterns tested beside this one, all proposals included.
    """
    pattern, event = found.tested, table.names[found.condition.event]
    trigger = f"{worded.trigger}, where '{event}' holds too".removeprefix(", ")
    phrase = Phrase(trigger=trigger, action=worded.action)
    ratio = pattern.log_odds_ratio
    return Lesson(
        id=lesson_id(rule.kind, pattern.name, scope=rule.scope),
        kind=rule.kind,
        text=sentence(phrase, kind=rule.kind, instead=worded.instead),
        pattern=pattern.name,
        vocabulary=rule.vocabulary,
        family=rule.family,
        trigger=trigger,
        action=worded.action,
        instead=worded.instead,
        why=worded.why,
        scope=rule.scope,
        level=pattern.level,
        author="model",
        evidence=_evidence(rule, found, table=table, n_tested=n_tested),
        contrast=_still_contrasting(rule, found, table=table),
        flags=(NOT_HELD_OUT, *((SIGNS_DIFFER,) if pattern.signs_differ else ())),
        parents=(rule.id,),
        extra={"all_of": [rule.pattern, event], "rule_text": rule.text}
        | ({} if ratio is None else {"log_odds_ratio": ratio}),
    )


def _evidence(rule: Lesson, found: Retest, *, table: EventTable, n_tested: int) -> Evidence:
    pattern = found.tested
    agrees = table.failed == (rule.kind == "avoid")
    return Evidence(
        attempts_for=_ids(table, found.shown & agrees),
        attempts_against=_ids(table, found.shown & ~agrees),
        n_for=int((found.shown & agrees).sum()),
        n_against=int((found.shown & ~agrees).sum()),
        n_tasks=pattern.n_tasks,
        n_informative_tasks=pattern.n_informative,
        failure_rate_with=pattern.failure_rate_with,
        failure_rate_without=pattern.failure_rate_without,
        pooled=pattern.pooled,
        within_task=pattern.within,
        signs_differ=pattern.signs_differ,
        n_tested=n_tested,
        adjusted_for_policy=rule.evidence.adjusted_for_policy,
    )


def _ids(table: EventTable, rows: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(compress(table.attempt_ids, rows.tolist()))[:MAX_IDS]


def _still_contrasting(
    rule: Lesson, found: Retest, *, table: EventTable
) -> tuple[ContrastPair, ...]:
    """Keep the pairs in which only the one side shows the narrowed pattern."""
    shows = set(compress(table.attempt_ids, found.shown.tolist()))
    to_failure = rule.kind == "avoid"
    return tuple(
        pair
        for pair in rule.contrast
        if (pair.failure_id in shows) is to_failure and (pair.success_id in shows) is not to_failure
    )
