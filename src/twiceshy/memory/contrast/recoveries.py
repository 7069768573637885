"""What passing attempts do after an error that failing attempts at other times also met.

A recovery is described, not tested: an error is seldom met by both a failing and a passing attempt
at one task. An error's text comes from outside; only words of a fixed list and names of tools and
arguments stay in the symptom.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.lessons import Evidence, Lesson
from twiceshy.memory.contrast.lessons import MAX_IDS, lesson_id, scope_of
from twiceshy.memory.contrast.toolcalls_moves import Move, error_kind, read_moves, schema_words

MAX_STEPS = 4
"""Calls after the error that belong to the recovery."""
MIN_ATTEMPTS = 2
"""Attempts that must meet an error before it is worth telling."""
SAME_IN_FAILURES = "failing attempts did the same after it at least as often"
ONE_TASK = "met by passing attempts at one task only"


class _Met(NamedTuple):
    attempt: Attempt
    steps: tuple[str, ...]


def find_recoveries(attempts: Sequence[Attempt]) -> tuple[Lesson, ...]:
    """Return for each error some passing attempt met what passing attempts did next.

    Only errors that the log *types* as errors count. The first time an attempt meets an error is
    taken, and the calls up to the first one of the same tool that succeeds, at most four.

    Args:
        attempts: Any attempts; broken and unscored ones are left out.
    """
    scored = [each for each in attempts if each.outcome.is_scored]
    runs = [read_moves(each) for each in scored]
    known = {word for moves in runs for word in schema_words(moves)}
    met: defaultdict[tuple[str, str], list[_Met]] = defaultdict(list)
    for attempt, moves in zip(scored, runs, strict=True):
        for symptom, steps in _first_errors(moves, known).items():
            met[symptom].append(_Met(attempt, steps))
    scope = scope_of(attempts)
    found = [
        _lesson(symptom, each, scope=scope)
        for symptom, each in met.items()
        if len(each) >= MIN_ATTEMPTS and any(_passed(one) for one in each)
    ]
    return tuple(sorted(found, key=lambda each: (len(each.flags), -each.evidence.n_for, each.id)))


def _first_errors(
    moves: Sequence[Move], known: set[str]
) -> Mapping[tuple[str, str], tuple[str, ...]]:
    first: dict[tuple[str, str], tuple[str, ...]] = {}
    for place, move in enumerate(moves):
        if move.is_error:
            symptom = (move.name, error_kind(move.error_text, known=known))
            first.setdefault(symptom, _next_steps(move, moves[place + 1 :]))
    return first


def _next_steps(failed: Move, after: Sequence[Move]) -> tuple[str, ...]:
    steps: list[str] = []
    for move in after[:MAX_STEPS]:
        steps.append(_step(failed, move))
        if move.name == failed.name and not move.is_error:
            break
    return tuple(dict.fromkeys(steps)) or (f"go on without {failed.name}",)


def _step(failed: Move, move: Move) -> str:
    if move.name != failed.name:
        return f"call {move.name}"
    names = sorted({*map(str, failed.arguments), *map(str, move.arguments)})
    changed = [
        name
        for name in names
        if failed.arguments.get(name) != move.arguments.get(name) and name.isidentifier()
    ]
    return (
        f"call {move.name} with other {' and '.join(changed)}"
        if changed
        else (f"call {move.name} again")
    )


def _passed(met: _Met) -> bool:
    return met.attempt.outcome is Outcome.SUCCESS


def _lesson(symptom: tuple[str, str], met: Sequence[_Met], *, scope: Mapping[str, str]) -> Lesson:
    tool, error = symptom
    passed = [each for each in met if _passed(each)]
    steps, _ = max(
        Counter(each.steps for each in passed).items(), key=lambda item: (item[1], item[0])
    )
    agrees = [each.attempt.id for each in passed if each.steps == steps]
    against = [each.attempt.id for each in met if not _passed(each) and each.steps == steps]
    pattern = f"error: {tool}: {error}"
    return Lesson(
        id=lesson_id("recover", pattern, scope=scope),
        kind="recover",
        text=f"When {tool} fails with an error about '{error}': {', then '.join(steps)}.",
        pattern=pattern,
        vocabulary="toolcalls",
        family="errors",
        trigger=f"when {tool} fails with an error about '{error}'",
        scope=dict(scope),
        evidence=_evidence(met, agrees=agrees, against=against),
        steps=steps,
        flags=_flags(passed, met, agrees=agrees, against=against),
    )


def _evidence(met: Sequence[_Met], *, agrees: list[str], against: list[str]) -> Evidence:
    n_failed = sum(not _passed(each) for each in met)
    passed = {each.attempt.task for each in met if _passed(each)}
    failed = {each.attempt.task for each in met if not _passed(each)}
    return Evidence(
        attempts_for=tuple(agrees[:MAX_IDS]),
        attempts_against=tuple(against[:MAX_IDS]),
        n_for=len(agrees),
        n_against=len(against),
        n_tasks=len(passed | failed),
        n_informative_tasks=len(passed & failed),
        failure_rate_with=n_failed / len(met),
    )


def _flags(
    passed: Sequence[_Met], met: Sequence[_Met], *, agrees: list[str], against: list[str]
) -> tuple[str, ...]:
    n_failed = len(met) - len(passed)
    as_often = n_failed > 0 and len(against) * len(passed) >= len(agrees) * n_failed
    told = {SAME_IN_FAILURES: as_often, ONE_TASK: len({each.attempt.task for each in passed}) == 1}
    return tuple(text for text, holds in told.items() if holds)
