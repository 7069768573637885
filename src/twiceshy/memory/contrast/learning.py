"""`learn` and `prove_lessons`: from attempts to lessons with evidence, and to a test of the mining.

Both are pure functions of the attempts and the seed; neither writes to a bank or a file (but for
the checkpoint that `prove_lessons` is given).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.types import Attempt
from twiceshy.evidence.held_out import Arm, HeldOut, Miner, prove
from twiceshy.evidence.report import Report
from twiceshy.evidence.tables import EventTable
from twiceshy.lessons import EvidenceLevel, Lesson
from twiceshy.memory.contrast.arms import NAIVE, arms
from twiceshy.memory.contrast.conditions import Conditions
from twiceshy.memory.contrast.demonstrations import find_demonstrations
from twiceshy.memory.contrast.divergence import DivergenceStudy, find_divergences
from twiceshy.memory.contrast.learning_report import Account, learn_report, prove_report
from twiceshy.memory.contrast.lessons import Source, pattern_lessons
from twiceshy.memory.contrast.mining import Mined, mine
from twiceshy.memory.contrast.pooled import PooledMining, mine_pooled
from twiceshy.memory.contrast.recoveries import find_recoveries
from twiceshy.memory.contrast.table import build_table
from twiceshy.memory.contrast.vocabulary import Vocabulary, choose_vocabulary

TEST = "test"
"""`Attempt.split` of the tasks that lessons are tested on and not mined from."""
MAX_DEMONSTRATIONS = 50
"""Concrete successes returned by default."""
_ORDER = [
    EvidenceLevel.SUPPORTED_IN_TRIAL,
    EvidenceLevel.SUPPORTED_WITHIN_TASK,
    EvidenceLevel.SUGGESTED,
    EvidenceLevel.DESCRIBED,
]


@dataclass(frozen=True, slots=True)
class Learned:
    """What a set of attempts taught; nothing has been stored."""

    lessons: tuple[Lesson, ...]
    """By evidence level, then as strong as they are within tasks; all are candidates."""
    report: Report
    proof: Report | None
    """Whether the lessons hold on unseen tasks; None when no shuffled runs were asked for."""
    held_out: HeldOut
    """The numbers behind `proof`; without shuffled runs it holds no null and no verdict."""
    table: EventTable
    mined: Mined
    pooled: PooledMining
    divergence: DivergenceStudy


def learn(
    attempts: Sequence[Attempt],
    *,
    vocabulary: Vocabulary | None = None,
    alpha: float = 0.05,
    max_demonstrations: int | None = MAX_DEMONSTRATIONS,
    n_null: int = 0,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Learned:
    """Mine attempts for what separates failures from successes of the same task.

    Args:
        attempts: Any attempts; broken and unscored ones are left out and counted. Where some have
            the split "test", lessons come from the others alone and are tested on those.
        vocabulary: How to turn attempts into events; None picks the built-in one that fits.
        alpha: False discovery rate of the claims, in (0, 1).
        max_demonstrations: How many concrete successes to return; None for one a task.
        n_null: Runs of the whole procedure on shuffled labels for `Learned.proof`; 0 leaves the
            proof out.
        seed: Seed of everything random.
        checkpoint: File that keeps finished shuffled runs, to go on after an interrupt.
        progress: Called with (steps done, steps in all).

    Raises:
        BadInput: When `alpha` is outside (0, 1).
    """
    prepared = _prepare(attempts, vocabulary=vocabulary, alpha=alpha)
    held_out = _prove(
        prepared,
        alpha=alpha,
        n_null=n_null,
        n_draws=1000 if n_null else 0,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
    )
    lessons = _lessons(prepared, held_out.main, max_demonstrations=max_demonstrations)
    account = prepared.account
    return Learned(
        lessons=lessons,
        report=learn_report(account, lessons, seed=seed),
        proof=prove_report(account, held_out, lessons=lessons) if n_null else None,
        held_out=held_out,
        table=account.table,
        mined=account.mined,
        pooled=account.pooled,
        divergence=account.study,
    )


def prove_lessons(
    attempts: Sequence[Attempt],
    *,
    vocabulary: Vocabulary | None = None,
    alpha: float = 0.05,
    folds: int = 5,
    n_splits: int | None = None,
    n_null: int = 100,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Test on unseen tasks whether what is mined from attempts ranks failures above successes.

    Args:
        attempts: Any attempts; broken and unscored ones are left out and counted. Where some have
            the split "test", the others are mined and those tested; else tasks are dealt.
        vocabulary: How to turn attempts into events; None picks the built-in one that fits.
        alpha: False discovery rate of selection, in (0, 1).
        folds: Parts the tasks are dealt into.
        n_splits: Times the dealing is repeated; None chooses by the size of the table.
        n_null: Runs of the whole procedure on shuffled labels; at least 100 for a verdict.
        seed: Seed of everything random.
        checkpoint: File that keeps finished shuffled runs, to go on after an interrupt.
        progress: Called with (steps done, steps in all).

    Raises:
        BadInput: When `alpha` is outside (0, 1) or `folds` is below 2.
    """
    prepared = _prepare(attempts, vocabulary=vocabulary, alpha=alpha)
    held_out = _prove(
        prepared,
        alpha=alpha,
        folds=folds,
        n_splits=n_splits,
        n_null=n_null,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
    )
    lessons = _lessons(prepared, held_out.main, max_demonstrations=0)
    return prove_report(prepared.account, held_out, lessons=lessons)


@dataclass(frozen=True, slots=True)
class _Prepared:
    scored: tuple[Attempt, ...]
    """All scored attempts, the rows of `table`."""
    mined_from: tuple[Attempt, ...]
    """Those of them that lessons come from."""
    table: EventTable
    declared: NDArray[np.bool_] | None
    """Rows to test on, when the log itself keeps tasks apart."""
    vocabulary: Vocabulary | None
    account: Account


def _prepare(
    attempts: Sequence[Attempt], *, vocabulary: Vocabulary | None, alpha: float
) -> _Prepared:
    scored = tuple(each for each in attempts if each.outcome.is_scored)
    chosen = vocabulary if vocabulary is not None else choose_vocabulary(scored)
    whole = build_table(scored, vocabulary=chosen)
    declared = _declared(scored)
    table = whole if declared is None else whole.of_rows(~declared)
    kept = attempts if declared is None else [each for each in attempts if each.split != TEST]
    mined = mine(table, alpha=alpha)
    account = Account(
        attempts=kept,
        n_kept_apart=len(attempts) - len(kept),
        vocabulary=None if chosen is None else chosen.name,
        table=table,
        mined=mined,
        pooled=mine_pooled(table, mined),
        study=find_divergences(kept),
        by_step=isinstance(chosen, Conditions),
    )
    mined_from = tuple(each for each in kept if each.outcome.is_scored)
    return _Prepared(scored, mined_from, whole, declared, chosen, account)


def _declared(scored: Sequence[Attempt]) -> NDArray[np.bool_] | None:
    """Return which attempts the log keeps for testing; None when it does not keep any apart."""
    test = np.array([each.split == TEST for each in scored], dtype=np.bool_)
    return test if test.any() and not test.all() else None


def _prove(
    prepared: _Prepared,
    *,
    alpha: float,
    n_null: int,
    seed: int,
    folds: int = 5,
    n_splits: int | None = None,
    n_draws: int = 1000,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> HeldOut:
    return prove(
        prepared.table,
        _miners(prepared, alpha=alpha),
        folds=folds,
        n_splits=n_splits,
        declared=prepared.declared,
        n_null=n_null,
        seed=seed,
        scores=label_free_scores(prepared.scored),
        naive=NAIVE,
        configuration=f"{prepared.account.vocabulary}|{alpha}|{prepared.account.mined.method}",
        n_draws=n_draws,
        checkpoint=checkpoint,
        progress=progress,
    )


def _miners(prepared: _Prepared, *, alpha: float) -> Mapping[str, Miner]:
    """Return the arms; where the log tells the fatal step, the miner that uses it comes first."""
    within = arms(prepared.table, alpha=alpha)
    if not isinstance(prepared.vocabulary, Conditions):
        return within
    from twiceshy.memory.contrast.conditions_held_out import TerminalMiner

    return {"fatal_step": TerminalMiner(prepared.scored, prepared.table), **within}


def label_free_scores(attempts: Sequence[Attempt]) -> dict[str, NDArray[np.float64]]:
    """Return counts that need no label, each of shape (n_attempts,); constant ones are left out.

    Args:
        attempts: The attempts of the table's rows, in order.
    """
    counts = {
        "message_count": [len(each.steps) for each in attempts],
        "call_count": [sum(len(step.calls) for step in each.steps) for each in attempts],
        "error_count": [sum(step.error is not None for step in each.steps) for each in attempts],
        "text_length": [
            sum(len(step.text) for step in each.steps if step.role == "assistant")
            for each in attempts
        ],
    }
    return {
        name: np.array(values, dtype=np.float64)
        for name, values in counts.items()
        if len(set(values)) > 1
    }


def _lessons(
    prepared: _Prepared, claims: Arm, *, max_demonstrations: int | None
) -> tuple[Lesson, ...]:
    if prepared.vocabulary is None:
        return ()
    if prepared.account.by_step:
        return condition_lessons(prepared.mined_from, max_demonstrations=max_demonstrations)
    source = Source(
        attempts=prepared.mined_from,
        table=prepared.account.table,
        mined=prepared.account.mined,
        vocabulary=prepared.vocabulary,
        study=prepared.account.study,
        claims=claims,
    )
    mined = (*pattern_lessons(source), *find_recoveries(prepared.mined_from))
    if max_demonstrations == 0:
        return _ranked(mined, ())
    return _ranked(mined, find_demonstrations(prepared.mined_from, max_lessons=max_demonstrations))


def condition_lessons(
    attempts: Sequence[Attempt], *, max_demonstrations: int | None
) -> tuple[Lesson, ...]:
    """Return the lessons `learn` returns for a log that tells facts, without its report.

    Args:
        attempts: Attempts whose steps tell facts.
        max_demonstrations: How many concrete successes to return; None for one a task.
    """
    from twiceshy.memory.contrast.conditions_lessons import mine_conditions

    found = mine_conditions(attempts, max_demonstrations=max_demonstrations)
    return _ranked((*found.avoid, *found.strategies), found.demonstrations)


def _ranked(mined: Sequence[Lesson], demonstrations: Sequence[Lesson]) -> tuple[Lesson, ...]:
    """Order by evidence level, otherwise as given (strongest first); demonstrations last."""
    return (*sorted(mined, key=lambda each: _ORDER.index(each.level)), *demonstrations)
