"""Demonstrations: one concrete, typical and short success for each task.

A pass is not a demonstration by itself. One that changed nothing and computed nothing teaches
passivity, so it is taken last and flagged; so is one whose deeds a failing attempt did as well.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.lessons import Evidence, Lesson
from twiceshy.memory.contrast.deeds import Deed, Level, call_text, choose_level, deeds_of
from twiceshy.memory.contrast.lessons import lesson_id, scope_of
from twiceshy.memory.contrast.toolcalls_moves import read_moves

MAX_STEPS = 20
"""Steps of a demonstration; longer ones are cut and flagged."""
MAX_SIBLINGS = 30
"""Successes of a task that stand for the consensus."""
MAX_IDS = 5
"""Attempt ids kept for and against."""

DOES_NOTHING = "the attempt passed without changing or computing anything"
SHARED_WITH_FAILURE = "a failing attempt at the same task did the same"
ONLY_SUCCESS = "the only success at its task"
CUT = f"cut to {MAX_STEPS} steps"

_VOCABULARIES: dict[Level, str] = {
    "writes": "toolcalls",
    "results": "calculations",
    "actions": "conditions",
}
_DONE: dict[Level, str] = {"writes": "calls", "results": "calculations", "actions": "actions"}


class _Candidate(NamedTuple):
    attempt: Attempt
    deeds: tuple[Deed, ...]
    steps: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(deed.key for deed in self.deeds)


def find_demonstrations(
    attempts: Sequence[Attempt], *, level: Level | None = None, max_lessons: int | None = None
) -> tuple[Lesson, ...]:
    """Return at most one demonstration a task, those without a flag and of mixed tasks first.

    Of a task's successes the one nearest to the others in what it did is taken, then the one
    nearest in its steps, then the shortest. Its steps are the policy's own calls that did not
    fail, or its calculations; no text of a tool or a user is copied.

    Args:
        attempts: Any attempts; broken and unscored ones are left out.
        level: What counts as doing something; None chooses it by the kind of log.
        max_lessons: How many to return; None returns one for every task with a success.
    """
    chosen = level if level is not None else choose_level(attempts)
    if chosen is None:
        return ()
    scope = scope_of(attempts)
    found = [
        _demonstration(task, sides, level=chosen, scope=scope)
        for task, sides in _by_task(attempts).items()
        if sides.passed
    ]
    found.sort(key=lambda each: (len(each.flags), -each.evidence.n_informative_tasks))
    return tuple(found[:max_lessons])


class _Sides(NamedTuple):
    passed: list[Attempt]
    failed: list[Attempt]


def _by_task(attempts: Iterable[Attempt]) -> dict[str, _Sides]:
    tasks: defaultdict[str, _Sides] = defaultdict(lambda: _Sides([], []))
    for attempt in attempts:
        if attempt.outcome.is_scored:
            sides = tasks[attempt.task]
            is_success = attempt.outcome is Outcome.SUCCESS
            (sides.passed if is_success else sides.failed).append(attempt)
    return tasks


def _demonstration(task: str, sides: _Sides, *, level: Level, scope: Mapping[str, str]) -> Lesson:
    passed = [_candidate(each, level) for each in sides.passed]
    best = min(passed, key=lambda each: _rank(each, passed[:MAX_SIBLINGS]))
    evidence = _evidence(best, passed, [_candidate(each, level) for each in sides.failed])
    flags = _flags(best, passed, evidence.n_against > 0)
    pattern = f"demonstration: {task}"
    steps = best.steps[:MAX_STEPS]
    done = "; ".join(steps) or "nothing"
    return Lesson(
        id=lesson_id("demonstration", pattern, scope=scope),
        kind="demonstration",
        text=f"A passing attempt at this task made {len(best.steps)} {_DONE[level]}: {done}",
        pattern=pattern,
        vocabulary=_VOCABULARIES[level],
        family="demonstration",
        trigger="at this task or one like it",
        scope=dict(scope),
        evidence=evidence,
        steps=steps,
        flags=flags,
        parents=(best.attempt.id,),
    )


def _candidate(attempt: Attempt, level: Level) -> _Candidate:
    deeds = deeds_of(attempt, level)
    if level == "results":
        return _Candidate(attempt, deeds, tuple(deed.text for deed in deeds))
    calls = (move for move in read_moves(attempt) if not move.is_error)
    return _Candidate(attempt, deeds, tuple(call_text(move.call) for move in calls))


def _rank(candidate: _Candidate, siblings: Sequence[_Candidate]) -> tuple[object, ...]:
    """Smaller is the better demonstration: does something, typical, short; then by id."""
    return (
        not candidate.deeds,
        round(_mean_distance(candidate.keys, [each.keys for each in siblings]), 9),
        round(_mean_distance(candidate.steps, [each.steps for each in siblings]), 9),
        len(candidate.steps),
        candidate.attempt.id,
    )


def _mean_distance(own: Sequence[str], others: Sequence[Sequence[str]]) -> float:
    """Return the mean of one minus the multiset Jaccard index, the sequence itself included."""
    mine = Counter(own)
    total = 0.0
    for other in others:
        theirs = Counter(other)
        union = (mine | theirs).total()
        total += 1 - (mine & theirs).total() / union if union else 0.0
    return total / len(others)


def _flags(best: _Candidate, passed: Sequence[_Candidate], shared: bool) -> tuple[str, ...]:
    flags = {
        DOES_NOTHING: not best.deeds,
        SHARED_WITH_FAILURE: shared,
        ONLY_SUCCESS: len(passed) == 1,
        CUT: len(best.steps) > MAX_STEPS,
    }
    return tuple(text for text, holds in flags.items() if holds)


def _evidence(
    best: _Candidate, passed: Sequence[_Candidate], failed: Sequence[_Candidate]
) -> Evidence:
    same_failed = [each.attempt.id for each in failed if each.keys == best.keys]
    same_passed = [each.attempt.id for each in passed if each.keys == best.keys]
    varies = bool(failed) and len({each.keys for each in (*passed, *failed)}) > 1
    return Evidence(
        attempts_for=(
            best.attempt.id,
            *(each for each in same_passed if each != best.attempt.id),
        )[:MAX_IDS],
        attempts_against=tuple(same_failed[:MAX_IDS]),
        n_for=len(same_passed),
        n_against=len(same_failed),
        n_tasks=1,
        n_informative_tasks=int(varies),
    )
