"""The reports of `learn` and `prove_lessons`: what was found, and what it is worth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.evidence.held_out import (
    MIXED_TO_CLAIM,
    MIXED_TO_SUGGEST,
    Arm,
    Baseline,
    HeldOut,
    NullRank,
)
from twiceshy.evidence.report import Alarm, Report
from twiceshy.evidence.stats.ranking import Auc
from twiceshy.evidence.tables import EventTable
from twiceshy.lessons import EvidenceLevel, Lesson
from twiceshy.memory.contrast.divergence import Agreement, DivergenceStudy, divergence_tables
from twiceshy.memory.contrast.learning_tables import (
    arm_table,
    lesson_table,
    pattern_table,
    reversal_tables,
    transfer_table,
)
from twiceshy.memory.contrast.mining import Mined, Pattern
from twiceshy.memory.contrast.pooled import PooledMining

_ALARMS = 3
"""Reversed patterns that get an alarm of their own; the others are counted in one."""


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that mining looked at and found."""

    attempts: Sequence[Attempt]
    """What lessons may come from."""
    n_kept_apart: int
    """Attempts at tasks that the log keeps for testing."""
    vocabulary: str | None
    table: EventTable
    mined: Mined
    pooled: PooledMining
    study: DivergenceStudy
    by_step: bool = False
    """Whether the lessons were mined from single steps; presence in a whole attempt then says
    little, because a longer attempt shows more of everything."""

    def count(self, outcome: Outcome) -> int:
        """How many attempts have this outcome."""
        return sum(each.outcome is outcome for each in self.attempts)

    @property
    def n_mixed_as_recorded(self) -> int:
        """Mixed tasks by the log's own scoring, before broken attempts are set aside."""
        seen: defaultdict[str, set[Outcome]] = defaultdict(set)
        for each in self.attempts:
            if each.verdict.as_recorded.is_scored:
                seen[each.task].add(each.verdict.as_recorded)
        return sum(len(outcomes) == 2 for outcomes in seen.values())


def learn_report(account: Account, lessons: Sequence[Lesson], *, seed: int) -> Report:
    """Report what was learned."""
    return Report(
        kind="learn",
        title="What separates failures from successes of the same task",
        summary=(_headline(account, lessons), *_context(account)),
        numbers=_numbers(account, lessons),
        tables=(
            lesson_table(lessons),
            *(() if account.by_step else (pattern_table(account.mined),)),
            *(divergence_tables(account.study) if account.study.pairs else ()),
            *reversal_tables(account.pooled),
        ),
        alarms=_reversal_alarms(account.pooled),
        manifest={"seed": seed, "alpha": account.mined.alpha, "vocabulary": account.vocabulary},
    )


def prove_report(account: Account, held_out: HeldOut, *, lessons: Sequence[Lesson]) -> Report:
    """Report whether the mining holds on unseen tasks.

    `ok` is false when lessons are claimed and the held-out test does not bear them out.
    """
    main = held_out.main
    claimed = _count(lessons, EvidenceLevel.SUPPORTED_WITHIN_TASK)
    numbers = _numbers(account, lessons) | _proof_numbers(held_out)
    return Report(
        kind="prove lessons",
        title="Do the lessons hold on tasks they were not mined from?",
        summary=(
            held_out.verdict[0],
            _second_line(account, lessons),
            *held_out.verdict[1:],
            *_context(account),
        ),
        numbers=numbers,
        tables=(
            arm_table(held_out),
            transfer_table(main),
            lesson_table(lessons),
            *reversal_tables(account.pooled),
            *(divergence_tables(account.study) if account.study.pairs else ()),
        ),
        alarms=(*_reversal_alarms(account.pooled), *_proof_alarms(held_out)),
        ok=claimed == 0 or held_out.holds is not False,
        manifest={
            "seed": held_out.seed,
            "alpha": account.mined.alpha,
            "vocabulary": account.vocabulary,
            "folds": held_out.folds,
            "n_splits": held_out.n_splits,
            "n_null": held_out.n_null,
        },
    )


def _headline(account: Account, lessons: Sequence[Lesson]) -> str:
    mined = account.mined
    if account.vocabulary is None and mined.n_attempts:
        return (
            f"No vocabulary fits these {mined.n_attempts} attempts, so nothing was mined: they"
            " neither call tools, nor calculate, nor tell facts."
        )
    mixed = mixed_tasks(account)
    if mined.n_mixed_tasks == 0:
        return f"Nothing can be learned by contrast: {mixed}, and every rate is undefined (n = 0)."
    if mined.gate == "describe":
        return (
            f"{mined.n_mixed_tasks} mixed tasks cannot decide: nothing is claimed below"
            f" {MIXED_TO_CLAIM} and nothing suggested below {MIXED_TO_SUGGEST} ({mixed})."
        )
    n_suggested = _count(lessons, EvidenceLevel.SUGGESTED)
    if mined.gate == "suggest":
        return (
            f"{n_suggested} lessons are worth a trial and none is claimed: {mixed}, and claims"
            f" need {MIXED_TO_CLAIM}."
        )
    return (
        f"{_count(lessons, EvidenceLevel.SUPPORTED_WITHIN_TASK)} lessons are supported within tasks"
        f" at a false discovery rate of {mined.alpha:.0%}, and {n_suggested} more are worth a trial"
        f" ({_n_tested(account, lessons)} patterns tested; {mixed}; {mined.n_pairs}"
        " failure-success pairs)."
    )


def _count(lessons: Sequence[Lesson], level: EvidenceLevel) -> int:
    return sum(each.level is level for each in lessons)


def _n_tested(account: Account, lessons: Sequence[Lesson]) -> int:
    """Patterns tested: by the search the lessons come from, else by the within-task search."""
    return max([account.mined.n_tested, *(each.evidence.n_tested for each in lessons)])


def _second_line(account: Account, lessons: Sequence[Lesson]) -> str:
    """The headline, or only the counts where the verdict has already said that they are too few."""
    if account.mined.gate == "describe" and account.mined.n_mixed_tasks:
        return f"{mixed_tasks(account)}; below {MIXED_TO_SUGGEST} nothing is even suggested."
    return _headline(account, lessons)


def mixed_tasks(account: Account) -> str:
    """Say how many tasks are mixed, and how many were before broken attempts were set aside."""
    recorded, now = account.n_mixed_as_recorded, account.mined.n_mixed_tasks
    n_broken = account.count(Outcome.BROKEN)
    counted = f"{now} of {account.mined.n_tasks} tasks have both a success and a failure"
    if not n_broken:
        return counted
    return f"{counted} after {n_broken} broken attempts were set aside, {recorded} as recorded"


def _context(account: Account) -> tuple[str, ...]:
    mined, pooled = account.mined, account.pooled
    said = [
        f"{account.count(Outcome.FAILURE)} failed, {account.count(Outcome.SUCCESS)} passed;"
        f" {account.count(Outcome.BROKEN)} broken and {account.count(Outcome.UNSCORED)} unscored"
        " attempts were left out."
    ]
    if account.n_kept_apart:
        said.append(
            f"{account.n_kept_apart} attempts at other tasks were kept apart, only to test on."
        )
    if pooled.discoveries:
        said.append(
            f"Pooling all attempts would report {len(pooled.discoveries)} patterns, with the"
            f" difficulty of tasks mixed in: {len(pooled.opposite)} have the opposite sign within"
            " tasks,"
            f" {pooled.n_few_tasks} vary in fewer than 3 mixed tasks, and {pooled.n_within} can be"
            " tested within tasks and reach p <= 0.05 there."
        )
    agreement = account.study.failure_success
    if agreement.n_pairs and account.study.success_success.n_pairs:
        said.append(
            f"Failing and passing attempts differ in their {account.study.level} in"
            f" {agreement.n_different} of {agreement.n_pairs} pairs, passing ones among themselves"
            f" in {account.study.success_success.n_different} of"
            f" {account.study.success_success.n_pairs}."
        )
    if mined.n_attempts and not mined.n_mixed_tasks:
        said.append("Join outcomes, or run each task several times, to get a contrast.")
    return tuple(said)


def _numbers(account: Account, lessons: Sequence[Lesson]) -> dict[str, Any]:
    mined, pooled, study = account.mined, account.pooled, account.study
    mined_lessons = [each for each in lessons if each.kind != "demonstration"]
    return {
        "n_attempts": len(account.attempts),
        "n_scored": mined.n_attempts,
        "n_failed": account.count(Outcome.FAILURE),
        "n_broken": account.count(Outcome.BROKEN),
        "n_unscored": account.count(Outcome.UNSCORED),
        "n_tasks": mined.n_tasks,
        "n_mixed_tasks": mined.n_mixed_tasks,
        "n_mixed_tasks_as_recorded": account.n_mixed_as_recorded,
        "n_pairs": mined.n_pairs,
        "vocabulary": account.vocabulary,
        "method": mined.method,
        "gate": mined.gate,
        "min_informative_tasks": mined.min_informative,
        "n_patterns": len(mined.patterns),
        "n_patterns_tested": _n_tested(account, lessons),
        "n_claimed": _count(lessons, EvidenceLevel.SUPPORTED_WITHIN_TASK),
        "n_suggested": _count(lessons, EvidenceLevel.SUGGESTED),
        "n_demonstrations": len(lessons) - len(mined_lessons),
        "pooled": {
            "n_tested": pooled.n_tested,
            "n_discoveries": len(pooled.discoveries),
            "n_sign_flips": len(pooled.opposite),
            "n_clear_reversals": len(pooled.reversed),
            "n_few_mixed_tasks": pooled.n_few_tasks,
            "n_within_unadjusted": pooled.n_within,
            "reversed": [_reversal(each) for each in pooled.reversed],
        },
        "divergence": {
            "level": study.level,
            "failure_success": _agreement(study.failure_success),
            "success_success": _agreement(study.success_success),
            "failure_failure": _agreement(study.failure_failure),
        },
        "lessons": [msgspec.to_builtins(each) for each in mined_lessons],
    }


def _agreement(agreement: Agreement) -> dict[str, Any]:
    return {
        "n_pairs": agreement.n_pairs,
        "n_different": agreement.n_different,
        "rate": agreement.rate,
    }


def _reversal(pattern: Pattern) -> dict[str, Any]:
    return {
        "pattern": pattern.name,
        "pooled": msgspec.to_builtins(pattern.pooled),
        "within_task": msgspec.to_builtins(pattern.within),
        "n_informative_tasks": pattern.n_informative,
    }


def _proof_numbers(held_out: HeldOut) -> dict[str, Any]:
    main = held_out.main
    return {
        "within_auc": _area(main.held_out.within),
        "within_auc_adjusted": _area(main.held_out.adjusted),
        "overall_auc": _area(main.held_out.overall),
        "null": _null(main.null),
        "null_adjusted": _null(main.null_adjusted),
        "placebo_auc": None if main.placebo is None else main.placebo._asdict(),
        "primary_arm": held_out.primary,
        "arms": {name: _arm(arm) for name, arm in held_out.arms.items()},
        "baselines": {name: _baseline(each) for name, each in held_out.baselines.items()},
        "needed_mixed_tasks": [each._asdict() for each in held_out.needed],
        "folds": held_out.folds,
        "n_splits": held_out.n_splits,
        "n_null": held_out.n_null,
        "holds": held_out.holds,
        "verdict": list(held_out.verdict),
    }


def _area(area: Auc | None) -> dict[str, Any] | None:
    return None if area is None else area._asdict()


def _null(null: NullRank | None) -> dict[str, Any] | None:
    if null is None:
        return None
    return {
        "n": null.n,
        "mean": null.mean,
        "low": null.low,
        "high": null.high,
        "p": null.p_value,
    }


def _arm(arm: Arm) -> dict[str, Any]:
    return {
        "within_auc": _area(arm.held_out.within),
        "within_auc_adjusted": _area(arm.held_out.adjusted),
        "overall_auc": _area(arm.held_out.overall),
        "null": _null(arm.null),
        "null_adjusted": _null(arm.null_adjusted),
        "placebo_auc": None if arm.placebo is None else arm.placebo._asdict(),
        "n_selected": None if arm.held_out.within.value is None else arm.n_selected,
        "share_empty": None if arm.held_out.within.value is None else arm.share_empty,
        "held_out_within_effect": arm.lift.within,
        "held_out_pooled_lift": arm.lift.pooled,
        "n_usually_selected": arm.lift.n_usual,
        "n_signs_differ": arm.lift.n_signs_differ,
    }


def _baseline(baseline: Baseline) -> dict[str, Any]:
    return {
        "within_auc": _area(baseline.held_out.within),
        "within_auc_adjusted": _area(baseline.held_out.adjusted),
        "overall_auc": _area(baseline.held_out.overall),
    }


def _reversal_alarms(pooled: PooledMining) -> tuple[Alarm, ...]:
    named = tuple(
        Alarm(
            name="pooled_reversal",
            severity="warning",
            message=f"'{each.name}': pooled effect {each.pooled.estimate:+.3f}, within the same"
            f" task {each.within.estimate:+.3f}.",
            value=each.within.estimate,
        )
        for each in pooled.reversed[:_ALARMS]
    )
    rest = len(pooled.reversed) - len(named)
    if rest <= 0:
        return named
    more = Alarm(
        name="pooled_reversal",
        severity="warning",
        message=f"{rest} more patterns have clearly opposite effects pooled and within tasks.",
        value=float(rest),
    )
    return (*named, more)


def _proof_alarms(held_out: HeldOut) -> tuple[Alarm, ...]:
    if held_out.n_null >= 100:
        return ()
    few = Alarm(
        name="few_null_runs",
        severity="warning",
        message=f"{held_out.n_null} runs on shuffled labels are too few for a verdict.",
        value=float(held_out.n_null),
        threshold=100.0,
        source="ours",
    )
    return (few,)
