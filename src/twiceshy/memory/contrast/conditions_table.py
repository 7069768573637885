"""Which steps match which patterns, verb by verb: what conditions are searched on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.types import Attempt
from twiceshy.memory.contrast.conditions import Pattern, is_negated, verb_of

Bools: TypeAlias = "NDArray[np.bool_]"
Ints: TypeAlias = "NDArray[np.int64]"


@dataclass(frozen=True, slots=True)
class Block:
    """The steps with one verb and the patterns they match.

    Attributes:
        verb: The verb.
        patterns: Distinct patterns, simplest first; no two match the same steps.
        hits: bool, shape (n_steps, n_patterns).
        attempt: int64, shape (n_steps,), not decreasing. Index of the attempt.
        step: int64, shape (n_steps,). Index into that attempt's `steps`.
        is_last: bool, shape (n_steps,). Whether it is the attempt's last action.
    """

    verb: str
    patterns: tuple[Pattern, ...]
    hits: Bools
    attempt: Ints
    step: Ints
    is_last: Bools

    def at(self, steps: Bools) -> Block:
        """Return the block with only the steps where a mask of shape (n_steps,) is true."""
        return replace(
            self,
            hits=self.hits[steps],
            attempt=self.attempt[steps],
            step=self.step[steps],
            is_last=self.is_last[steps],
        )


class _Action(NamedTuple):
    attempt: int
    step: int
    facts: tuple[str, ...]
    is_last: bool


def build_blocks(
    attempts: Sequence[Attempt], *, min_attempts: int = 8, max_literals: int = 2
) -> list[Block]:
    """Return one block per verb, in order of verb.

    A pattern enters when at least `min_attempts` attempts show it. Of patterns that match exactly
    the same steps only the simplest stays: fewest literals, then fewest negations, then shortest.
    No verdict is looked at.
    """
    by_verb: dict[str, list[_Action]] = {}
    for i, attempt in enumerate(attempts):
        acts = [(j, step) for j, step in enumerate(attempt.steps) if verb_of(step) is not None]
        for j, step in acts:
            action = _Action(i, j, step.facts, j == acts[-1][0])
            by_verb.setdefault(step.calls[0].name, []).append(action)
    return [
        _block(verb, by_verb[verb], min_attempts=min_attempts, max_literals=max_literals)
        for verb in sorted(by_verb)
        if len({action.attempt for action in by_verb[verb]}) >= min_attempts
    ]


def _block(verb: str, actions: list[_Action], *, min_attempts: int, max_literals: int) -> Block:
    attempt = np.array([action.attempt for action in actions], dtype=np.int64)
    singles = _distinct(_literals(actions), attempt, min_attempts=min_attempts)
    candidates = [_Candidate((), np.ones(len(actions), dtype=np.bool_))]
    candidates += singles if max_literals else []
    if max_literals == 2:
        candidates += (
            _Candidate(tuple(sorted((*a.literals, *b.literals))), a.hits & b.hits)
            for a, b in combinations(singles, 2)
        )
    kept = _distinct(candidates, attempt, min_attempts=min_attempts)
    return Block(
        verb=verb,
        patterns=tuple(Pattern(verb, candidate.literals) for candidate in kept),
        hits=np.stack([candidate.hits for candidate in kept], axis=1),
        attempt=attempt,
        step=np.array([action.step for action in actions], dtype=np.int64),
        is_last=np.array([action.is_last for action in actions], dtype=np.bool_),
    )


class _Candidate(NamedTuple):
    """Literals and the steps they hold for."""

    literals: tuple[str, ...]
    hits: Bools


def _literals(actions: list[_Action]) -> list[_Candidate]:
    names = sorted({fact for action in actions for fact in action.facts})
    column = {name: k for k, name in enumerate(names)}
    held = np.zeros((len(names), len(actions)), dtype=np.bool_)
    for row, action in enumerate(actions):
        held[[column[fact] for fact in action.facts], row] = True
    present = [_Candidate((name,), held[k]) for k, name in enumerate(names)]
    absent = [_Candidate((f"not {name}",), ~held[k]) for k, name in enumerate(names)]
    return present + absent


def _distinct(
    candidates: Iterable[_Candidate], attempt: Ints, *, min_attempts: int
) -> list[_Candidate]:
    """Keep candidates that enough attempts show, the simplest of each set of steps."""
    starts = np.flatnonzero(np.diff(attempt, prepend=-1))
    best: dict[bytes, _Candidate] = {}
    for each in sorted(candidates, key=_simplicity):
        if int(np.count_nonzero(np.logical_or.reduceat(each.hits, starts))) >= min_attempts:
            best.setdefault(np.packbits(each.hits).tobytes(), each)
    return list(best.values())


def _simplicity(candidate: _Candidate) -> tuple[int, int, int, tuple[str, ...]]:
    literals = candidate.literals
    negations = sum(is_negated(literal) for literal in literals)
    return len(literals), negations, sum(map(len, literals)), literals


def shown(block: Block, n_attempts: int) -> Bools:
    """Return which attempts show each pattern: bool, shape (n_attempts, n_patterns)."""
    result = np.zeros((n_attempts, len(block.patterns)), dtype=np.bool_)
    starts = np.flatnonzero(np.diff(block.attempt, prepend=-1))
    result[block.attempt[starts]] = np.logical_or.reduceat(block.hits, starts, axis=0)
    return result


def attempt_events(
    attempts: Sequence[Attempt],
    *,
    min_attempts: int,
    max_literals: int,
    merge_jaccard: float,
    max_events: int,
) -> list[frozenset[str]]:
    """Return the patterns each attempt shows, as text; see `conditions.Conditions`."""
    blocks = build_blocks(attempts, min_attempts=min_attempts, max_literals=max_literals)
    if not blocks:
        return [frozenset()] * len(attempts)
    patterns: list[Pattern] = []
    columns: list[Bools] = []
    for block in blocks:
        present = shown(block, len(attempts))
        kept = _spread(present, merge_jaccard)
        patterns += [block.patterns[k] for k in kept]
        columns.append(present[:, kept])
    simplest = np.argsort([len(p.literals) for p in patterns], kind="stable")[:max_events]
    names = [str(patterns[k]) for k in simplest]
    return [
        frozenset(names[k] for k in np.flatnonzero(row))
        for row in np.concatenate(columns, axis=1)[:, simplest]
    ]


def _spread(present: Bools, merge_jaccard: float) -> list[int]:
    """Return columns no two of which have a Jaccard index of `merge_jaccard` or more.

    Goes through the columns in order, simplest first, and leaves out what is close to a kept one.
    """
    as_numbers = present.astype(np.float32)
    both = as_numbers.T @ as_numbers
    count = np.diag(both)
    close = both >= merge_jaccard * (count[:, None] + count[None, :] - both) - 1e-6
    free = np.ones(present.shape[1], dtype=np.bool_)
    kept = []
    for column in range(present.shape[1]):
        if free[column]:
            kept.append(column)
            free &= ~close[column]
    return kept
