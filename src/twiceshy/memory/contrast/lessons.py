"""From mined patterns to lessons: a sentence from a template, with what speaks for and against it.

A pattern that goes with failure becomes an `avoid`, told as "do Y, instead of X"; one that goes
with success becomes a `strategy`. The sentence is built from the vocabulary's words and from names
of tools only: text of tools, users and web pages stays in the contrast pair, as data.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.types import Attempt
from twiceshy.evidence.held_out import Arm
from twiceshy.evidence.tables import EventTable
from twiceshy.lessons import ContrastPair, Evidence, EvidenceLevel, Lesson, LessonKind
from twiceshy.memory.contrast.divergence import Divergence, DivergenceStudy, contrast_pair
from twiceshy.memory.contrast.mining import Mined, Pattern
from twiceshy.memory.contrast.vocabulary import Phrase, Vocabulary

MAX_IDS = 5
"""Attempt ids kept for and against."""
MAX_PAIRS = 3
"""Contrast pairs kept."""
MAX_DESCRIBED = 10
"""Checks offered when too few mixed tasks allow more than describing."""
MIN_ALTERNATIVE_TASKS = 2
"""Tasks in which passing siblings must do the same for it to be offered as the alternative."""
ALWAYS_FAILS_FROM = 50
"""Attempts from which "never passes" is suspicious of the data set instead of the task."""

SIGNS_DIFFER = "pooled and within-task effect point in opposite directions"
REVERSED = "pooling all attempts would teach the opposite, with an interval that excludes zero"
FEW_MIXED = "too few mixed tasks to say more than that it was seen"
NOT_HELD_OUT = "the effect has the opposite sign on tasks it was not mined from"
UNSTABLE = "selected in fewer than half of the training sets"
FAULT_WITH_SUCCESS = "named a fault beforehand, yet it goes with success"
NEVER_PASSES = "no attempt with it passes: this may be a property of the data set, not of the task"


@dataclass(frozen=True, slots=True)
class Source:
    """What lessons are made from."""

    attempts: Sequence[Attempt]
    table: EventTable
    mined: Mined
    vocabulary: Vocabulary
    study: DivergenceStudy
    claims: Arm
    """Held-out results of the arm that selects as the claims are selected."""


def lesson_id(kind: LessonKind, pattern: str, *, scope: Mapping[str, str]) -> str:
    """Return the content hash of kind, pattern and scope.

    Example:
        >>> lesson_id("avoid", "a", scope={}) == lesson_id("avoid", "a", scope={})
        True
        >>> lesson_id("avoid", "a", scope={}) == lesson_id("strategy", "a", scope={})
        False
    """
    return hashlib.sha256(msgspec.json.encode([kind, pattern, dict(scope)])).hexdigest()[:16]


def scope_of(attempts: Sequence[Attempt]) -> dict[str, str]:
    """Return the formats and policies the attempts came from."""
    formats = sorted({each.provenance.format for each in attempts if each.provenance.format})
    policies = sorted({each.policy for each in attempts})
    return {"format": ", ".join(formats), "policies": ", ".join(policies)}


def pattern_lessons(source: Source) -> tuple[Lesson, ...]:
    """Return the lessons of a search, the best supported first.

    Claimed and suggested patterns become lessons. Where the number of mixed tasks only allows to
    describe, at most ten checks that were named beforehand and lean towards failure are offered,
    as described.
    """
    scope = scope_of(source.attempts)
    shown = _PairEvents(source)
    return tuple(_lesson(source, each, shown=shown, scope=scope) for each in _chosen(source.mined))


def _chosen(mined: Mined) -> list[Pattern]:
    if mined.gate != "describe":
        return [each for each in mined.ranked if each.level is not EvidenceLevel.DESCRIBED]
    checks = [
        each
        for each in mined.patterns
        if each.is_fault and each.n_informative > 0 and (each.within.estimate or 0.0) > 0
    ]
    return sorted(checks, key=lambda each: (-each.n_informative, each.name))[:MAX_DESCRIBED]


class _PairEvents:
    """Which fail-success pairs of the divergence study show a pattern on one side only."""

    def __init__(self, source: Source) -> None:
        self._present = source.table.present
        row = {identity: place for place, identity in enumerate(source.table.attempt_ids)}
        known = [
            each for each in source.study.pairs if each.failure_id in row and each.success_id in row
        ]
        self._pairs: list[Divergence] = sorted(
            known, key=lambda each: each.difference.type == "none"
        )
        self._failure = np.array([row[each.failure_id] for each in self._pairs], dtype=np.int64)
        self._success = np.array([row[each.success_id] for each in self._pairs], dtype=np.int64)

    def one_sided(self, column: int, *, by_failure: bool) -> list[Divergence]:
        """Pairs in which the failing attempt shows the event and the other does not, or reverse."""
        shown = self._present[:, column]
        failing, passing = shown[self._failure], shown[self._success]
        found = failing & ~passing if by_failure else ~failing & passing
        return [self._pairs[place] for place in np.flatnonzero(found)]


def _lesson(
    source: Source, pattern: Pattern, *, shown: _PairEvents, scope: Mapping[str, str]
) -> Lesson:
    to_failure = (pattern.within.estimate or 0.0) > 0
    kind: LessonKind = "avoid" if to_failure else "strategy"
    phrase = source.vocabulary.phrase(pattern.name)
    pairs = shown.one_sided(pattern.column, by_failure=to_failure)
    instead = phrase.instead if to_failure else ""
    if to_failure and not instead:
        instead = alternative_of(pairs)
    evidence = _evidence(source, pattern, to_failure=to_failure)
    return Lesson(
        id=lesson_id(kind, pattern.name, scope=scope),
        kind=kind,
        text=sentence(phrase, kind=kind, instead=instead),
        pattern=pattern.name,
        vocabulary=source.vocabulary.name,
        family=phrase.family,
        trigger=phrase.trigger,
        action=phrase.action,
        instead=instead,
        why=phrase.why if to_failure else "",
        scope=dict(scope),
        level=pattern.level,
        evidence=evidence,
        contrast=_contrast(pairs),
        flags=_flags(source, pattern, evidence=evidence),
        extra={} if pattern.log_odds_ratio is None else {"log_odds_ratio": pattern.log_odds_ratio},
    )


def sentence(phrase: Phrase, *, kind: LessonKind, instead: str) -> str:
    """Return the lesson as one sentence.

    Example:
        >>> phrase = Phrase(trigger="when giving the answer", action="guessing")
        >>> sentence(phrase, kind="avoid", instead="Compute it")
        'When giving the answer: compute it, instead of guessing.'
        >>> sentence(phrase, kind="avoid", instead="")
        'When giving the answer: do without guessing.'
        >>> sentence(phrase, kind="strategy", instead="")
        'When giving the answer: prefer guessing.'
    """
    opening = f"{phrase.trigger[:1].upper()}{phrase.trigger[1:]}: " if phrase.trigger else ""
    if kind == "avoid" and instead:
        body = f"{instead[:1].lower()}{instead[1:]}, instead of {phrase.action}."
    else:
        body = f"{'do without' if kind == 'avoid' else 'prefer'} {phrase.action}."
    return opening + (body if opening else body[:1].upper() + body[1:])


def alternative_of(pairs: Sequence[Divergence]) -> str:
    """Return what most passing siblings do where the failing attempts first part; "" if they vary.

    Doing nothing there is not offered: it is what passes tasks that ask for nothing, and fails the
    others.

    Args:
        pairs: Pairs in which only the failing attempt shows the pattern.
    """
    deeds = [
        (each.task, each.difference.success.name if each.difference.success else "")
        for each in pairs
        if each.difference.type != "none"
    ]
    if not deeds:
        return ""
    name, count = Counter(name for _, name in deeds).most_common(1)[0]
    n_tasks = len({task for task, each in deeds if each == name})
    if not name or 2 * count <= len(deeds) or n_tasks < MIN_ALTERNATIVE_TASKS:
        return ""
    return f"Go on with {name}, as most passing attempts do there"


def _contrast(pairs: Sequence[Divergence]) -> tuple[ContrastPair, ...]:
    """Return a few pairs, each from another task where possible."""
    by_task = {each.task: each for each in reversed(pairs)}
    first = [each for each in pairs if by_task[each.task] is each]
    return tuple(contrast_pair(each) for each in first[:MAX_PAIRS])


def _evidence(source: Source, pattern: Pattern, *, to_failure: bool) -> Evidence:
    table = source.table
    shown = table.present[:, pattern.column]
    agrees, disagrees = shown & (table.failed == to_failure), shown & (table.failed != to_failure)
    transfer = next((t for t in source.claims.transfers if t.column == pattern.column), None)
    return Evidence(
        attempts_for=_ids(table, agrees),
        attempts_against=_ids(table, disagrees),
        n_for=int(agrees.sum()),
        n_against=int(disagrees.sum()),
        n_tasks=pattern.n_tasks,
        n_informative_tasks=pattern.n_informative,
        failure_rate_with=pattern.failure_rate_with,
        failure_rate_without=pattern.failure_rate_without,
        pooled=pattern.pooled,
        within_task=pattern.within,
        held_out=transfer.held_out if transfer is not None and transfer.is_usual else None,
        signs_differ=pattern.signs_differ,
        n_tested=source.mined.n_tested,
        selection_frequency=0.0 if transfer is None else transfer.selection_frequency,
        adjusted_for_policy=source.mined.method == "fixed_effects",
    )


def _ids(table: EventTable, rows: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return a few ids, those at mixed tasks first."""
    mixed = set(table.task[table.failed].tolist()) & set(table.task[~table.failed].tolist())
    places = sorted(
        np.flatnonzero(rows).tolist(), key=lambda row: int(table.task[row]) not in mixed
    )
    return tuple(table.attempt_ids[row] for row in places[:MAX_IDS])


def _flags(source: Source, pattern: Pattern, *, evidence: Evidence) -> tuple[str, ...]:
    held_out = evidence.held_out.estimate if evidence.held_out is not None else None
    within = pattern.within.estimate or 0.0
    supported = pattern.level is EvidenceLevel.SUPPORTED_WITHIN_TASK
    n_passed = pattern.n_attempts - pattern.n_failed
    told = {
        FEW_MIXED: source.mined.gate == "describe",
        SIGNS_DIFFER: pattern.signs_differ,
        REVERSED: pattern.clearly_reversed,
        NOT_HELD_OUT: held_out is not None and held_out * within < 0,
        UNSTABLE: supported and (evidence.selection_frequency or 0.0) < 0.5,
        FAULT_WITH_SUCCESS: pattern.is_fault and within < 0,
        NEVER_PASSES: n_passed == 0 and pattern.n_attempts >= ALWAYS_FAILS_FROM,
    }
    return tuple(text for text, holds in told.items() if holds)
