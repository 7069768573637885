"""Rules over steps as lessons: what to avoid with what to do instead, habits, demonstrations."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from twiceshy.attempts.types import Attempt
from twiceshy.evidence.tables import EventTable
from twiceshy.lessons import ContrastPair, Effect, Evidence, EvidenceLevel, Lesson
from twiceshy.memory.contrast.conditions import (
    NAME,
    Pattern,
    is_negated,
    matches,
    situation_words,
    verb_of,
)
from twiceshy.memory.contrast.conditions_evidence import SearchSettings, task_codes
from twiceshy.memory.contrast.conditions_habits import Habit
from twiceshy.memory.contrast.conditions_search import AvoidRule, Found, search
from twiceshy.memory.contrast.conditions_table import Block, Bools, Ints, shown
from twiceshy.memory.contrast.demonstrations import find_demonstrations
from twiceshy.memory.contrast.lessons import FEW_MIXED
from twiceshy.memory.contrast.mining import Pattern as MinedPattern
from twiceshy.memory.contrast.mining import gate_for, mine

MAX_IDS = 5
"""Attempt ids and contrast pairs kept with a lesson."""
MIN_WINS = 5
"""Won attempts that must do the positive alternative."""


class ConditionLessons(NamedTuple):
    """The lessons of one search, by kind, and the search itself."""

    avoid: tuple[Lesson, ...]
    strategies: tuple[Lesson, ...]
    demonstrations: tuple[Lesson, ...]
    found: Found

    @property
    def all(self) -> tuple[Lesson, ...]:
        """Every lesson: avoid, then strategies, then demonstrations."""
        return (*self.avoid, *self.strategies, *self.demonstrations)


def mine_conditions(
    attempts: Sequence[Attempt],
    *,
    settings: SearchSettings | None = None,
    max_demonstrations: int | None = None,
) -> ConditionLessons:
    """Learn from attempts whose steps tell facts; see `conditions_search` for how.

    Args:
        attempts: Attempts at many tasks, several at each; broken and unscored ones are left out.
        settings: None for the defaults.
        max_demonstrations: None for one at every task with a success.
    """
    found = search(attempts, settings)
    patterns = [rule.pattern for rule in found.avoid] + [each.pattern for each in found.habits]
    tested = _attempt_level(found, patterns)
    level = _level(found)
    return ConditionLessons(
        avoid=tuple(
            _avoid_lesson(found, rule, tested=tested[rule.pattern], level=level)
            for rule in found.avoid
        ),
        strategies=tuple(
            _strategy(found, habit, tested=tested[habit.pattern], level=level)
            for habit in found.habits
            if _favours_success(tested[habit.pattern])
        ),
        demonstrations=_demonstrations(found.attempts, max_demonstrations),
        found=found,
    )


def _favours_success(tested: MinedPattern) -> bool:
    """Whether attempts that show a habit fail less than siblings that do not.

    A habit is found by its share of steps; one that failing attempts merely repeat less often can
    still be shown by more of them, and would be a strategy against its own evidence.
    """
    return tested.within.estimate is not None and tested.within.estimate < 0


def _level(found: Found) -> EvidenceLevel:
    return {
        "describe": EvidenceLevel.DESCRIBED,
        "suggest": EvidenceLevel.SUGGESTED,
        "claim": EvidenceLevel.SUPPORTED_WITHIN_TASK,
    }[gate_for(found.n_mixed_tasks)]


def _few_mixed(level: EvidenceLevel) -> tuple[str, ...]:
    return (FEW_MIXED,) if level is EvidenceLevel.DESCRIBED else ()


def _attempt_level(found: Found, patterns: Sequence[Pattern]) -> dict[Pattern, MinedPattern]:
    """Return effects of showing a pattern at all, pooled and within tasks, with intervals."""
    present = np.zeros((len(found.attempts), len(patterns)), dtype=np.bool_)
    for k, pattern in enumerate(patterns):
        block, column = _place(found, pattern)
        present[:, k] = shown(block, len(found.attempts))[:, column]
    policies = _policies(found)
    table = EventTable(
        present=present,
        failed=~found.endings.won,
        task=task_codes(found.attempts),
        policy=np.array([policies.index(each.policy) for each in found.attempts], dtype=np.int64),
        attempt_ids=tuple(each.id for each in found.attempts),
        names=tuple(map(str, patterns)),
        families=(NAME,) * len(patterns),
        fault=np.zeros(len(patterns), dtype=np.bool_),
        task_names=tuple(dict.fromkeys(each.task for each in found.attempts)),
        policy_names=policies,
    )
    return dict(zip(patterns, mine(table, min_informative=1).patterns, strict=True))


def _policies(found: Found) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.policy for each in found.attempts))


def _place(found: Found, pattern: Pattern) -> tuple[Block, int]:
    block = next(each for each in found.blocks if each.verb == pattern.verb)
    return block, block.patterns.index(pattern)


def _avoid_lesson(
    found: Found, rule: AvoidRule, *, tested: MinedPattern, level: EvidenceLevel
) -> Lesson:
    block, column = _place(found, rule.pattern)
    fatal = block.hits[:, column] & block.is_last & found.endings.lost[block.attempt]
    instead = _alternative(found, block, column=column)
    verb, trigger = rule.pattern.verb, situation_words(rule.pattern)
    positive = f"'{verb}' {situation_words(instead)}" if instead else ""
    pairs = _pairs(found, block, fatal=fatal, instead=instead)
    why = (
        f"{rule.n_fatal} of {rule.n_steps} such steps lost the attempt at once; of steps with "
        f"'{verb}' at the same tasks {rule.baseline:.0%} did."
    )
    return Lesson(
        id=_lesson_id("avoid", str(rule.pattern)),
        kind="avoid",
        text=(
            f"Use {positive} instead of using it {trigger}."
            if positive
            else f"Do not use '{verb}' {trigger}."
        ),
        pattern=str(rule.pattern),
        vocabulary=NAME,
        family="terminal",
        trigger=trigger,
        action=f"'{verb}'",
        instead=positive,
        why=why,
        level=level,
        evidence=_avoid_evidence(
            found, rule, tested=tested, hits=block.hits[:, column], block=block
        ),
        contrast=pairs,
        flags=(
            *(() if positive else ("no positive alternative was found",)),
            *_few_mixed(level),
        ),
        extra={
            "instead_pattern": str(instead) if instead else None,
            "n_steps": rule.n_steps,
            "n_verb_steps": rule.n_verb_steps,
            "n_fatal": rule.n_fatal,
            "hazard": rule.hazard,
            "baseline_hazard": rule.baseline,
            "n_lost": rule.n_lost,
            "n_won": rule.n_won,
            "n_timed_out": rule.n_timed_out,
        },
    )


def _avoid_evidence(
    found: Found, rule: AvoidRule, *, tested: MinedPattern, hits: Bools, block: Block
) -> Evidence:
    shows = np.unique(block.attempt[hits])
    lost = [found.attempts[i].id for i in shows if found.endings.lost[i]]
    won = [found.attempts[i].id for i in shows if found.endings.won[i]]
    return Evidence(
        attempts_for=tuple(lost[:MAX_IDS]),
        attempts_against=tuple(won[:MAX_IDS]),
        n_for=rule.n_lost,
        n_against=rule.n_won,
        n_tasks=rule.n_tasks,
        n_informative_tasks=tested.n_informative,
        failure_rate_with=tested.failure_rate_with,
        failure_rate_without=tested.failure_rate_without,
        pooled=tested.pooled,
        within_task=_with_p(tested.within, p_value=rule.p_value, q_value=rule.q_value),
        signs_differ=tested.signs_differ,
        n_tested=found.n_tested,
        adjusted_for_policy=len(_policies(found)) > 1,
    )


def _with_p(effect: Effect, *, p_value: float, q_value: float) -> Effect:
    """Show the search's own p and q, which are adjusted over every pattern it tested."""
    return msgspec.structs.replace(effect, p_value=p_value, q_value=q_value)


def _alternative(found: Found, block: Block, *, column: int) -> Pattern | None:
    """Return what winners do with the same verb where the rule does not hold.

    Counted in wins: first among steps of wins that act on the very thing (task, verb and first
    argument) another attempt was lost on by the rule; when fewer than `MIN_WINS` wins have such a
    step, among all steps of wins. An alternative shares no step with the rule and is fatal at most
    a fifth as often. Best is the most wins times the square of survival, which prefers a precise
    alternative to a broad one, less a tenth for each negation.
    """
    fatal = block.is_last & found.endings.lost[block.attempt]
    hits = block.hits.astype(np.float32)
    hazard = (fatal @ hits) / hits.sum(axis=0)
    n_wins = _wins_by_pattern(found, block, fatal=fatal & block.hits[:, column])
    fits = (block.hits[:, column] @ hits == 0) & (n_wins >= MIN_WINS)
    fits &= hazard <= hazard[column] / 5
    fits &= np.array([len(pattern.literals) > 0 for pattern in block.patterns])
    if not fits.any():
        return None
    negations = np.array([sum(map(is_negated, each.literals)) for each in block.patterns])
    score = n_wins * (1 - hazard) ** 2 * (1 - negations / 10)
    return block.patterns[int(np.argmax(np.where(fits, score, -1.0)))]


def _wins_by_pattern(found: Found, block: Block, *, fatal: Bools) -> Ints:
    """Count the wins that show each pattern, on the things lost elsewhere if enough wins do."""
    things = [
        (found.attempts[i].task, _first_argument(found.attempts[i], k))
        for i, k in zip(block.attempt.tolist(), block.step.tolist(), strict=True)
    ]
    lost_on = {thing for thing, is_fatal in zip(things, fatal, strict=True) if is_fatal}
    in_win = found.endings.won[block.attempt]
    same = in_win & np.array([thing in lost_on for thing in things])
    enough = len(np.unique(block.attempt[same])) >= MIN_WINS
    chosen = block.at(same if enough else in_win)
    if not chosen.attempt.size:
        return np.zeros(len(block.patterns), dtype=np.int64)
    return shown(chosen, len(found.attempts)).sum(axis=0)


def _pairs(
    found: Found, block: Block, *, fatal: Bools, instead: Pattern | None
) -> tuple[ContrastPair, ...]:
    """Pair lost attempts with wins at the same task, at the fatal step and at the alternative.

    At most one pair a task; pairs in which the win did the alternative to the same thing first.
    """
    wins: dict[str, list[Attempt]] = {}
    for attempt, won in zip(found.attempts, found.endings.won, strict=True):
        if won:
            wins.setdefault(attempt.task, []).append(attempt)
    best: dict[str, _Rated] = {}
    for row in np.flatnonzero(fatal):
        failure = found.attempts[int(block.attempt[row])]
        if failure.task in wins:
            index = int(block.step[row])
            rated = _pair(failure, wins[failure.task], index=index, instead=instead)
            if failure.task not in best or rated.rank < best[failure.task].rank:
                best[failure.task] = rated
    ordered = sorted(best.values(), key=lambda rated: rated.rank)
    return tuple(rated.pair for rated in ordered[:MAX_IDS])


class _Rated(NamedTuple):
    rank: int
    """0: the win did the alternative to the same thing; 1: to another; 2: not at all."""
    pair: ContrastPair


def _pair(
    failure: Attempt, wins: Sequence[Attempt], *, index: int, instead: Pattern | None
) -> _Rated:
    fatal = failure.steps[index]
    pattern = instead or Pattern(verb_of(fatal) or "")
    places = [
        (win, k) for win in wins for k, step in enumerate(win.steps) if matches(pattern, step)
    ]
    thing = _first_argument(failure, index)
    same = [(win, k) for win, k in places if _first_argument(win, k) == thing]
    win, k = (same or places or [(wins[0], None)])[0]
    pair = ContrastPair(
        task=failure.task,
        failure_id=failure.id,
        success_id=win.id,
        failure_step=index,
        success_step=k,
        failure_text=fatal.text,
        success_text="" if k is None else win.steps[k].text,
        ending=failure.ending,
    )
    return _Rated(0 if same else 1 if places else 2, pair)


def _first_argument(attempt: Attempt, index: int) -> str:
    arguments = attempt.steps[index].calls[0].arguments
    return str(next(iter(arguments.values()), "") if isinstance(arguments, dict) else arguments)


def _strategy(found: Found, habit: Habit, *, tested: MinedPattern, level: EvidenceLevel) -> Lesson:
    verb, trigger = habit.pattern.verb, situation_words(habit.pattern)
    block, column = _place(found, habit.pattern)
    shows: Ints = np.unique(block.attempt[block.hits[:, column]])
    won = [found.attempts[i].id for i in shows if found.endings.won[i]]
    failed = [found.attempts[i].id for i in shows if not found.endings.won[i]]
    evidence = Evidence(
        attempts_for=tuple(won[:MAX_IDS]),
        attempts_against=tuple(failed[:MAX_IDS]),
        n_for=habit.n_won,
        n_against=habit.n_failed,
        n_tasks=habit.n_tasks,
        n_informative_tasks=habit.n_informative_tasks,
        failure_rate_with=tested.failure_rate_with,
        failure_rate_without=tested.failure_rate_without,
        pooled=tested.pooled,
        within_task=_with_p(tested.within, p_value=habit.p_value, q_value=habit.q_value),
        signs_differ=tested.signs_differ,
        n_tested=found.n_tested,
        adjusted_for_policy=len(_policies(found)) > 1,
    )
    return Lesson(
        id=_lesson_id("strategy", str(habit.pattern)),
        kind="strategy",
        text=f"Winning attempts use '{verb}' {trigger}.",
        pattern=str(habit.pattern),
        vocabulary=NAME,
        family="habit",
        trigger=trigger,
        action=f"'{verb}'",
        level=level,
        evidence=evidence,
        flags=("may be a sign of progress, not its cause", *_few_mixed(level)),
    )


def _demonstrations(attempts: Sequence[Attempt], limit: int | None) -> tuple[Lesson, ...]:
    """Return a typical short win per task, with the facts each of its actions was taken in."""
    by_id = {each.id: each for each in attempts}
    lessons = find_demonstrations(attempts, level="actions", max_lessons=limit)
    return tuple(_with_moves(lesson, by_id[lesson.parents[0]]) for lesson in lessons)


def _with_moves(lesson: Lesson, attempt: Attempt) -> Lesson:
    moves = [
        {"verb": verb_of(step), "facts": list(step.facts)}
        for step in attempt.steps
        if verb_of(step) is not None
    ]
    trigger = f"at tasks like: {attempt.prompt}" if attempt.prompt else lesson.trigger
    return msgspec.structs.replace(lesson, trigger=trigger, extra={**lesson.extra, "moves": moves})


def _lesson_id(kind: str, pattern: str) -> str:
    digest = hashlib.blake2b(f"{kind}|{NAME}|{pattern}".encode(), digest_size=8)
    return digest.hexdigest()
