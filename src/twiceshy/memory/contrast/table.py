"""From attempts to the numeric table that lessons are mined from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.errors import BadInput
from twiceshy.evidence.tables import EventTable
from twiceshy.memory.contrast.vocabulary import Vocabulary, choose_vocabulary


def build_table(
    attempts: Sequence[Attempt],
    *,
    vocabulary: Vocabulary | None = None,
    min_attempts: int = 8,
    min_tasks: int = 4,
    merge_jaccard: float = 0.95,
) -> EventTable:
    """Return which events each scored attempt shows.

    Broken and unscored attempts are left out before anything is computed. Events are filtered
    and merged without looking at a label: an event must occur in `min_attempts` attempts of
    `min_tasks` tasks; of events whose sets of attempts have a Jaccard index of `merge_jaccard`
    or more the one with the simplest (shortest) name stays, and the others become its aliases.

    Args:
        attempts: Any attempts.
        vocabulary: How to turn them into events; None picks the built-in one that fits. When no
            vocabulary fits, the table has rows and no events.
        min_attempts: Attempts an event must occur in.
        min_tasks: Tasks an event must occur in.
        merge_jaccard: In (0, 1]; 1 merges only events that always occur together.

    Raises:
        BadInput: `merge_jaccard` is outside (0, 1].
    """
    if not 0 < merge_jaccard <= 1:
        raise BadInput("merge_jaccard in (0, 1]", got=str(merge_jaccard), where="build_table")
    scored = [each for each in attempts if each.outcome.is_scored]
    chosen = vocabulary if vocabulary is not None else choose_vocabulary(scored)
    rows = chosen.events(scored) if chosen is not None else [frozenset[str]()] * len(scored)
    tasks = _codes(each.task for each in scored)
    policies = _codes(each.policy for each in scored)
    names, present = _presence(rows)
    kept = _supported(present, tasks.codes, min_attempts=min_attempts, min_tasks=min_tasks)
    names, present = [names[i] for i in kept], present[:, kept]
    groups = _near_identical(names, present, merge_jaccard)
    columns = [group[0] for group in groups]
    phrases = [chosen.phrase(names[i]) for i in columns] if chosen is not None else []
    return EventTable(
        present=present[:, columns],
        failed=np.array([each.outcome is Outcome.FAILURE for each in scored], dtype=np.bool_),
        task=tasks.codes,
        policy=policies.codes,
        attempt_ids=tuple(each.id for each in scored),
        names=tuple(names[i] for i in columns),
        families=tuple(phrase.family for phrase in phrases),
        fault=np.array([phrase.is_fault for phrase in phrases], dtype=np.bool_),
        task_names=tasks.names,
        policy_names=policies.names,
        aliases=tuple(tuple(names[i] for i in group[1:]) for group in groups),
    )


class _Codes(NamedTuple):
    codes: NDArray[np.int64]
    names: tuple[str, ...]


def _codes(values: Iterable[str]) -> _Codes:
    """Number distinct strings in order of first appearance."""
    index: dict[str, int] = {}
    codes = [index.setdefault(value, len(index)) for value in values]
    return _Codes(np.array(codes, dtype=np.int64), tuple(index))


def _presence(rows: Sequence[frozenset[str]]) -> tuple[list[str], NDArray[np.bool_]]:
    names = sorted(frozenset().union(*rows), key=_simplicity)
    column = {name: i for i, name in enumerate(names)}
    present = np.zeros((len(rows), len(names)), dtype=np.bool_)
    for i, row in enumerate(rows):
        present[i, [column[name] for name in row]] = True
    return names, present


def _simplicity(name: str) -> tuple[int, str]:
    return (len(name), name)


def _supported(
    present: NDArray[np.bool_], task: NDArray[np.int64], *, min_attempts: int, min_tasks: int
) -> list[int]:
    """Return the columns that occur often enough and in enough tasks."""
    frequent = np.flatnonzero(present.sum(axis=0) >= max(min_attempts, 1))
    return [int(j) for j in frequent if len(np.unique(task[present[:, j]])) >= min_tasks]


def _near_identical(
    names: Sequence[str], present: NDArray[np.bool_], threshold: float
) -> list[list[int]]:
    """Group columns greedily: each kept column absorbs the later ones close to *it*.

    Names are already in order of simplicity. Comparing with the kept column only, instead of
    chaining, keeps every alias within the threshold of the name that stands for it.
    """
    as_numbers = present.astype(np.float32)
    both = as_numbers.T @ as_numbers
    count = np.diag(both).copy()
    close = both >= threshold * (count[:, None] + count[None, :] - both) - 1e-6
    free = np.ones(len(names), dtype=np.bool_)
    groups: list[list[int]] = []
    for i in range(len(names)):
        if free[i]:
            members = np.flatnonzero(close[i] & free)
            free[members] = False
            groups.append([i, *(int(j) for j in members if j != i)])
    return groups
