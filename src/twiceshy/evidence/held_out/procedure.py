"""`prove`: mine on some tasks, test on others, beside baselines, placebos and a null."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.held_out.checkpoint import NullRun, append_run, finished_runs, run_key
from twiceshy.evidence.held_out.measure import Ruler, Validity
from twiceshy.evidence.held_out.runs import (
    Miner,
    Run,
    declared_folds,
    folds_by_task,
    mine_and_score,
    shuffled_within_tasks,
)
from twiceshy.evidence.held_out.transfer import Lift, Transfer, mean_lift, transfers
from twiceshy.evidence.held_out.verdict import NeededTasks, holds, needed_tasks, verdict
from twiceshy.evidence.stats.ranking import Auc
from twiceshy.evidence.tables import EventTable

_SPLITS_BY_CELLS = ((100_000, 10), (700_000, 5), (2_000_000, 2))
"""Attempts times events up to which so many splits are made; beyond, one."""


class NullRank(NamedTuple):
    """A real run among single runs of the same procedure on shuffled labels."""

    n: int
    mean: float
    low: float
    """2.5 % point of the runs."""
    high: float
    p_value: float
    """(1 + runs at least as high) / (1 + runs), one-sided."""
    runs: tuple[float, ...]
    """The shuffled runs, one number each."""


class Spread(NamedTuple):
    """How single runs spread."""

    n: int
    mean: float
    low: float
    """2.5 % point of the runs."""
    high: float


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of choosing lessons, on held-out tasks."""

    name: str
    held_out: Validity
    null: NullRank | None
    """Of the within-task AUC. None without null runs and for naive arms: shuffling within tasks
    keeps task difficulty, so it is no null for a miner that feeds on difficulty."""
    null_adjusted: NullRank | None
    placebo: Spread | None
    """Within-task AUC when mined on shuffled and tested on true labels, over single runs."""
    placebo_adjusted: Spread | None
    n_selected: float
    """Events with a weight, mean over training sets."""
    share_empty: float
    """Share of training sets in which nothing was selected."""
    lift: Lift
    transfers: tuple[Transfer, ...]
    """Every pattern ever selected, with its selection frequency and held-out effect."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A score that needs no labels."""

    name: str
    held_out: Validity


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The result of `prove`."""

    primary: str
    arms: dict[str, Arm]
    baselines: dict[str, Baseline]
    n_attempts: int
    n_tasks: int
    n_mixed_tasks: int
    """Among the tasks that were mined from."""
    n_pairs: int
    folds: int
    """1 when the log itself declared which tasks to test on."""
    n_splits: int
    n_test_tasks: int
    n_null: int
    seed: int
    needed: tuple[NeededTasks, ...]
    """Mixed tasks that finding one pattern takes, for a strong and a medium one."""
    verdict: tuple[str, ...]

    @property
    def holds(self) -> bool | None:
        """Whether the main arm holds on unseen tasks; None when the data cannot tell."""
        return holds(self.main, self.n_mixed_tasks)

    @property
    def main(self) -> Arm:
        """The arm the verdict is about."""
        return self.arms[self.primary]


@dataclass(frozen=True, slots=True)
class _Setting:
    table: EventTable
    miners: Mapping[str, Miner]
    fold: NDArray[np.int64]
    ruler: Ruler
    seed: int

    def key(self, configuration: str) -> str:
        """Return the checkpoint's key: all that a null run depends on."""
        dealt = hashlib.sha256(self.fold.tobytes()).hexdigest()
        return run_key(self.table, f"{configuration}|{sorted(self.miners)}|{dealt}|{self.seed}")


def prove(
    table: EventTable,
    miners: Mapping[str, Miner],
    *,
    folds: int = 5,
    n_splits: int | None = None,
    declared: NDArray[np.bool_] | None = None,
    n_null: int = 100,
    seed: int = 0,
    scores: Mapping[str, NDArray[np.float64]] | None = None,
    naive: frozenset[str] = frozenset(),
    configuration: str = "",
    n_draws: int = 1000,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> HeldOut:
    """Test whether what miners learn on some tasks ranks the attempts at other tasks.

    Tasks are dealt into folds; weights come from the training folds alone; an attempt's score is
    the sum of the weights of its events. Null: labels are shuffled within tasks and *everything* is
    run again, training and test; the real run is ranked among those single runs. Never average
    shuffled runs and bootstrap the difference: an average has lost the luck a real run still has.
    Shuffling within tasks also breaks the link between policy and outcome; read the
    policy-adjusted ranking when several policies made the attempts.

    Args:
        table: Events of scored attempts.
        miners: Arms by name; the first is the one the verdict is about. At least one.
        folds: Parts the tasks are dealt into; fewer when there are fewer tasks.
        n_splits: Times the dealing is repeated; None takes 10 to 1 by the size of the table.
        declared: bool, shape (n_attempts,). True for the attempts to test on, when the log itself
            keeps tasks apart; then nothing is dealt, and everything is mined on the others.
        n_null: Runs on shuffled labels; at least 100 for a p-value worth printing.
        seed: Seed of folds, shuffles and bootstrap.
        scores: More scores that need no label, each of shape (n_attempts,), higher for failure.
        naive: Arms whose null is not valid because they use task difficulty.
        configuration: Names the miners' settings; part of the checkpoint's key.
        n_draws: Bootstrap draws over tasks.
        checkpoint: File for finished null runs; runs found there are not repeated.
        progress: Called with (steps done, steps in all).

    Raises:
        BadInput: When no miner is given, `folds` is below 2, a score has the wrong shape, or a task
            is declared to be on both sides.
    """
    _check(table, miners, folds=folds, scores=scores or {})
    fold = _folds(table, declared, folds=folds, n_splits=n_splits, seed=seed)
    setting = _Setting(table, miners, fold, Ruler(table, fold=fold, seed=seed), seed)
    real = _mine(setting, table.failed)
    tick = progress or _silent
    tick(1, n_null + 1)
    key = setting.key(configuration)
    null = _null_runs(setting, n_null=n_null, key=key, checkpoint=checkpoint, tick=tick)
    arms = {
        name: _arm(setting, name, run=real[name], null=null, naive=naive, n_draws=n_draws)
        for name in miners
    }
    baselines = _baselines(setting, scores or {}, n_draws=n_draws)
    mixed, pairs = _contrast(table, mined_from=declared is None or ~declared)
    needed = needed_tasks(table, n_searched=table.present.shape[1], seed=seed)
    primary = next(iter(miners))
    return HeldOut(
        primary=primary,
        arms=arms,
        baselines={each.name: each for each in baselines},
        n_attempts=table.failed.size,
        n_tasks=np.unique(table.task).size,
        n_mixed_tasks=mixed,
        n_pairs=pairs,
        folds=int(fold.max(initial=0)) + 1,
        n_splits=fold.shape[0],
        n_test_tasks=np.unique(table.task[(fold >= 0).any(axis=0)]).size,
        n_null=len(null),
        seed=seed,
        needed=needed,
        verdict=verdict(arms[primary], baselines=baselines, n_mixed=mixed, needed=needed),
    )


def _check(
    table: EventTable,
    miners: Mapping[str, Miner],
    *,
    folds: int,
    scores: Mapping[str, NDArray[np.float64]],
) -> None:
    if not miners:
        raise BadInput("at least one miner", got="none", where="prove")
    if folds < 2:
        raise BadInput("folds >= 2", got=str(folds), where="prove")
    for name, values in scores.items():
        if values.shape != table.failed.shape:
            raise BadInput(
                f"one score per attempt {table.failed.shape}",
                got=str(values.shape),
                where=f"scores[{name!r}]",
            )


def _folds(
    table: EventTable,
    declared: NDArray[np.bool_] | None,
    *,
    folds: int,
    n_splits: int | None,
    seed: int,
) -> NDArray[np.int64]:
    """Return the fold of each attempt in each split: as declared, else dealt by task."""
    if declared is not None:
        return declared_folds(table, declared)
    n_folds = max(1, min(folds, np.unique(table.task).size))
    n_splits = n_splits or _usual_splits(table)
    return folds_by_task(table.task, n_folds=n_folds, n_splits=n_splits, seed=seed)


def _usual_splits(table: EventTable) -> int:
    return next((n for cells, n in _SPLITS_BY_CELLS if table.present.size <= cells), 1)


def _silent(done: int, total: int, /) -> None:
    del done, total


def _mine(setting: _Setting, labels: NDArray[np.bool_]) -> dict[str, Run]:
    return mine_and_score(setting.table, setting.miners, fold=setting.fold, labels=labels)


def _null_runs(
    setting: _Setting,
    *,
    n_null: int,
    key: str,
    checkpoint: Path | None,
    tick: Callable[[int, int], None],
) -> list[NullRun]:
    finished = finished_runs(checkpoint, key)
    runs: list[NullRun] = []
    for index in range(n_null):
        run = finished.get(index)
        if run is None:
            run = _null_run(setting, index, key=key)
            append_run(checkpoint, run)
        runs.append(run)
        tick(index + 2, n_null + 1)
    return runs


def _null_run(setting: _Setting, index: int, *, key: str) -> NullRun:
    table = setting.table
    rng = np.random.default_rng([setting.seed, 1, index])
    labels = shuffled_within_tasks(table.failed, task=table.task, rng=rng)
    runs = _mine(setting, labels)
    null = {name: setting.ruler.point(run.scores, labels) for name, run in runs.items()}
    placebo = {name: setting.ruler.point(run.scores, table.failed) for name, run in runs.items()}
    return NullRun(
        key=key,
        run=index,
        within={name: point.within for name, point in null.items()},
        adjusted={name: point.adjusted for name, point in null.items()},
        placebo={name: point.within for name, point in placebo.items()},
        placebo_adjusted={name: point.adjusted for name, point in placebo.items()},
        n_selected={name: run.n_selected for name, run in runs.items()},
    )


def _arm(
    setting: _Setting,
    name: str,
    *,
    run: Run,
    null: list[NullRun],
    naive: frozenset[str],
    n_draws: int,
) -> Arm:
    table = setting.table
    held_out = setting.ruler.validity(run.scores, table.failed, n_draws=n_draws)
    moved = transfers(table, fold=setting.fold, weights=run.weights)
    ranked = null if name not in naive else null[:0]
    return Arm(
        name=name,
        held_out=held_out,
        null=_rank(held_out.within, [each.within[name] for each in ranked]),
        null_adjusted=_rank(held_out.adjusted, [each.adjusted[name] for each in ranked]),
        placebo=_spread([each.placebo[name] for each in null]),
        placebo_adjusted=_spread([each.placebo_adjusted[name] for each in null]),
        n_selected=run.n_selected,
        share_empty=run.share_empty,
        lift=mean_lift(moved),
        transfers=moved,
    )


def _rank(real: Auc | None, null: list[float | None]) -> NullRank | None:
    spread = _spread(null)
    if real is None or real.value is None or spread is None:
        return None
    runs = tuple(each for each in null if each is not None)
    reached = sum(each >= real.value for each in runs)
    return NullRank(*spread, (1 + reached) / (1 + spread.n), runs)


def _spread(values: list[float | None]) -> Spread | None:
    known = np.array([each for each in values if each is not None])
    if known.size == 0:
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return Spread(known.size, float(known.mean()), float(low), float(high))


def _baselines(
    setting: _Setting, scores: Mapping[str, NDArray[np.float64]], *, n_draws: int
) -> list[Baseline]:
    table = setting.table
    named: dict[str, NDArray[np.float64]] = {}
    if table.fault.any():
        named["hand_checks"] = table.present[:, table.fault].sum(axis=1).astype(np.float64)
    if table.present.size:
        named["oddness"] = oddness(table.present)
    named |= {name: values.astype(np.float64) for name, values in scores.items()}
    repeated = (setting.fold.shape[0], 1)
    return [
        Baseline(
            name, setting.ruler.validity(np.tile(value, repeated), table.failed, n_draws=n_draws)
        )
        for name, value in named.items()
    ]


def oddness(present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How unusual each attempt's events are: -log likelihood under independent events, in nats.

    Uses no label. The rates are those of all attempts.

    Args:
        present: bool, shape (n_attempts, n_events).

    Example:
        >>> oddness(np.array([[True], [False], [False], [False]])).round(3).tolist()
        [1.386, 0.288, 0.288, 0.288]
    """
    rate = present.mean(axis=0)
    tiny = np.finfo(np.float64).tiny
    shown, absent = np.log(np.maximum(rate, tiny)), np.log(np.maximum(1.0 - rate, tiny))
    return np.round(-(present @ shown + ~present @ absent), 9)


def _contrast(table: EventTable, *, mined_from: NDArray[np.bool_] | bool) -> tuple[int, int]:
    if table.failed.size == 0:
        return 0, 0
    counted = np.broadcast_to(mined_from, table.failed.shape).astype(np.float64)
    failures = np.bincount(table.task, weights=table.failed * counted)
    pairs = failures * (np.bincount(table.task, weights=counted) - failures)
    return int((pairs > 0).sum()), int(pairs.sum())
