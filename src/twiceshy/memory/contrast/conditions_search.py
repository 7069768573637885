"""Which step lost the attempt: rules over steps, mined with terminal credit.

Three ideas:

1. *Terminal credit.* In an environment that ends when the task is lost, the last action of a lost
   attempt is the one that lost it. A rule is a pattern whose matching steps are fatal more often
   than other steps *with the same verb in the same task*. A baseline that does not depend on the
   verb would call every use of a risky verb a mistake.
2. *Contrast, never failures alone.* Where an attempt ended is itself news about how it ended, so a
   step-level test finds rules even in shuffled outcomes. A rule must therefore pass a second test,
   between attempts at the same task: attempts that *end on* the pattern are lost more often than
   their siblings. Its p-value is the larger of the two (an intersection-union test: the rule is a
   discovery only if both nulls are rejected), and attempts that won although they did it count
   against it when rules are chosen.
3. *Endings are kept apart.* An attempt that ran out of steps has no fatal step; what it did most it
   did because it was long. Time-outs are counted and never mined.

Both tests are exact, stratified by task and policy, and repeated with whole strata as the units,
the larger p counting (`conditions_evidence`); Benjamini-Hochberg runs over all patterns. With too
few mixed tasks to suggest anything the exact tests stand alone: what they let through is described,
and copied attempts may be all there is to it. Where a policy made one attempt a task nothing can be
found. Steps of one attempt are treated as exchangeable by the first test although at most one of
them can be fatal, which makes it a little conservative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twiceshy.attempts.types import Attempt
from twiceshy.memory.contrast.conditions import Pattern
from twiceshy.memory.contrast.conditions_evidence import (
    Candidate,
    Endings,
    PatternTest,
    SearchSettings,
    endings_of,
    ends_on,
    greedy,
    pooled_q,
    stratum_codes,
    task_codes,
    terminal_test,
)
from twiceshy.memory.contrast.conditions_habits import Habit, find_habits
from twiceshy.memory.contrast.conditions_table import Block, Bools, Ints, build_blocks, shown
from twiceshy.memory.contrast.mining import gate_for


@dataclass(frozen=True, slots=True, kw_only=True)
class AvoidRule:
    """A pattern whose steps lose attempts."""

    pattern: Pattern
    n_steps: int
    """Steps that match."""
    n_verb_steps: int
    """Steps with its verb."""
    n_fatal: int
    """Of those, steps that lost the attempt."""
    hazard: float
    """n_fatal / n_steps."""
    baseline: float
    """Hazard expected of steps with this verb in the same tasks, in [0, 1]."""
    n_lost: int
    """Lost attempts with a matching step anywhere."""
    n_won: int
    """Won attempts with a matching step anywhere: what speaks against the rule."""
    n_timed_out: int
    n_tasks: int
    """Tasks with a matching step."""
    n_informative_tasks: int
    """Tasks (by policy, where there are several) with an attempt that was lost and one that was
    not, of which some end on the pattern and some do not."""
    log_odds_ratio: float
    """Of being lost, between attempts at one task that end on the pattern and those that do not."""
    p_value: float
    """The larger of the step-level and the attempt-level p-value."""
    q_value: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, with what it looked at."""

    attempts: tuple[Attempt, ...]
    """The scored attempts, in the order of `endings` and of the blocks' indices."""
    blocks: tuple[Block, ...]
    endings: Endings
    avoid: tuple[AvoidRule, ...]
    habits: tuple[Habit, ...]
    n_tested: int
    """Patterns tested, for avoiding; as many again were tested as habits."""
    n_significant: int
    """Patterns to avoid below the false discovery rate, before the few that cover them are
    chosen."""
    n_mixed_tasks: int
    """Tasks with both a success and a failure."""


def search(attempts: Sequence[Attempt], settings: SearchSettings | None = None) -> Found:
    """Mine rules to avoid and to follow from attempts whose steps tell facts.

    Broken and unscored attempts are left out. Nothing is found without wins or without losses.

    Args:
        attempts: Attempts at many tasks, several at each.
        settings: None for the defaults.
    """
    chosen = settings or SearchSettings()
    scored = tuple(each for each in attempts if each.outcome.is_scored)
    blocks = build_blocks(
        scored, min_attempts=chosen.min_attempts, max_literals=chosen.max_literals
    )
    task, endings = task_codes(scored), endings_of(scored)
    stratum = stratum_codes(scored)
    mixed = len(set(task[endings.won].tolist()) & set(task[~endings.won].tolist()))
    clustered = gate_for(mixed) != "describe"
    tests = [
        terminal_test(block, stratum=stratum, lost=endings.lost, clustered=clustered)
        for block in blocks
    ]
    significant = _significant(blocks, tests, task=task, endings=endings, fdr=chosen.fdr)
    risky = [each for each in significant if _hazard(each) >= chosen.min_hazard]
    picked = greedy(risky, lambda each, n_new: _gain(each, n_new, win_cost=chosen.win_cost))
    return Found(
        attempts=scored,
        blocks=tuple(blocks),
        endings=endings,
        avoid=tuple(_avoid_rule(each, task=task, endings=endings) for each in picked),
        habits=tuple(
            find_habits(
                blocks,
                task=task,
                stratum=stratum,
                won=endings.won,
                settings=chosen,
                clustered=clustered,
            )
        ),
        n_tested=sum(len(block.patterns) for block in blocks),
        n_significant=len(significant),
        n_mixed_tasks=mixed,
    )


def _significant(
    blocks: Sequence[Block],
    tests: Sequence[PatternTest],
    *,
    task: Ints,
    endings: Endings,
    fdr: float,
) -> list[Candidate]:
    found: list[Candidate] = []
    for block, test, q in zip(blocks, tests, pooled_q(tests), strict=True):
        shows, last = shown(block, len(task)), ends_on(block, len(task))
        found += [
            Candidate(
                block,
                column=int(column),
                test=test,
                q_value=float(q[column]),
                covered=last[:, column] & endings.lost,
                against=shows[:, column] & endings.won,
            )
            for column in np.flatnonzero(q <= fdr)
        ]
    return found


def _hazard(candidate: Candidate) -> float:
    n_steps = int(candidate.block.hits[:, candidate.column].sum())
    return int(candidate.covered.sum()) / n_steps


def _gain(candidate: Candidate, n_new: int, *, win_cost: float) -> float:
    """Newly covered losses times hazard, less wins hit, less length."""
    length = len(candidate.block.patterns[candidate.column].literals)
    return n_new * _hazard(candidate) - win_cost * int(candidate.against.sum()) - length


def _avoid_rule(candidate: Candidate, *, task: Ints, endings: Endings) -> AvoidRule:
    block, column, test = candidate.block, candidate.column, candidate.test
    hits = block.hits[:, column]
    fatal = block.is_last & endings.lost[block.attempt]
    shows = shown(block, len(task))[:, column]
    n_steps, n_fatal = int(hits.sum()), int((hits & fatal).sum())
    return AvoidRule(
        pattern=block.patterns[column],
        n_steps=n_steps,
        n_verb_steps=hits.size,
        n_fatal=n_fatal,
        hazard=n_fatal / n_steps,
        baseline=_baseline(hits, fatal=fatal, task=task[block.attempt]),
        n_lost=int((shows & endings.lost).sum()),
        n_won=int((shows & endings.won).sum()),
        n_timed_out=int((shows & endings.timed_out).sum()),
        n_tasks=len(np.unique(task[shows])),
        n_informative_tasks=int(test.n_informative[column]),
        log_odds_ratio=float(test.log_odds_ratio[column]),
        p_value=float(test.p_value[column]),
        q_value=candidate.q_value,
    )


def _baseline(hits: Bools, *, fatal: Bools, task: Ints) -> float:
    """Mean over matching steps of the share of fatal steps with their verb in their task."""
    share = np.bincount(task, weights=fatal) / np.maximum(np.bincount(task), 1)
    return float(share[task[hits]].mean())
