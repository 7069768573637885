"""A world of tasks, lessons with known effects, and runs; all banks of a chunk at once."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.memory.trials.log import PSEUDO_RUNS

N_RUNS, N_TASKS, N_FAMILIES, MAX_DECISIONS = 12000, 40, 4, 2000
KINDS = {"helpful": slice(0, 2), "harmless": slice(2, 4), "harmful": slice(4, 6)}
N_LESSONS = 6
HOLD_OUT = 0.1
Where = Literal["hard", "easy", "mixed"]
Floats = NDArray[np.float64]


class Setting(NamedTuple):
    """One kind of world."""

    name: str
    delta: float
    """Effect on P(success) of a helpful lesson; a harmful one has minus that."""
    recalled_on: tuple[Where, Where, Where]
    """Tasks for which helpful, harmless and harmful lessons are recalled; mixed: one each."""
    words: float = 0.0
    """Effect of any text, lesson or placebo."""
    flipped: float = 0.0
    """Share of verdicts that the judge gets wrong."""
    shown: float = 0.5
    withheld: float = 0.25


class Sequences(NamedTuple):
    """Decisions of each lesson in order, padded; shape (MAX_DECISIONS, banks, lessons)."""

    arm: NDArray[np.int8]
    """0 shown, 1 withheld, 2 placebo, −1 past the end."""
    success: NDArray[np.bool_]
    expected: Floats
    truth: Floats
    """P(success) with the lesson minus without, shape (banks, lessons)."""
    overall: Floats
    """Success rate of all runs of the bank, shape (banks, 1)."""
    setting: Setting


class Runs(NamedTuple):
    """What happened, before it is sorted by lesson."""

    task: NDArray[np.int64]
    """Shape (runs, banks)."""
    held_out: NDArray[np.bool_]
    recalled: NDArray[np.bool_]
    """Shape (runs, banks, lessons)."""
    arm: NDArray[np.int8]
    success: NDArray[np.bool_]
    expected: Floats


def simulate(
    setting: Setting, banks: int, *, rng: np.random.Generator, always_shown: bool = False
) -> Sequences:
    runs = simulate_runs(setting, banks, rng=rng, always_shown=always_shown)
    return by_lesson(runs, setting)


def simulate_runs(
    setting: Setting,
    banks: int,
    *,
    rng: np.random.Generator,
    always_shown: bool = False,
    n_runs: int = N_RUNS,
) -> Runs:
    most = 2 * max(setting.delta, 0.1)
    rates = most + (1 - 2 * most - 2 * setting.words) * rng.beta(0.5, 0.5, (banks, N_TASKS))
    task = rng.integers(0, N_TASKS, (n_runs, banks))
    rate = rates[np.arange(banks), task]
    recalled = recall(setting, rate, rng=rng)
    held_out = (
        np.zeros((n_runs, banks), bool) if always_shown else rng.random(task.shape) < HOLD_OUT
    )
    coin = rng.random(recalled.shape)
    arm = np.where(coin < setting.shown, 0, np.where(coin < setting.shown + setting.withheld, 1, 2))
    arm = np.zeros_like(arm) if always_shown else arm
    dealt = recalled & ~held_out[..., None]
    p = rate + (dealt & (arm == 0)) @ effects(setting)
    p += setting.words * (dealt & (arm != 1)).sum(axis=-1)
    success = rng.random(p.shape) < p
    success ^= rng.random(p.shape) < setting.flipped
    expected = expectations(task, success)
    return Runs(task, held_out, recalled, arm.astype(np.int8), success, expected)


def effects(setting: Setting) -> Floats:
    return setting.delta * np.array([1.0, 1.0, 0.0, 0.0, -1.0, -1.0])


def recall(setting: Setting, rate: Floats, *, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Two lessons or none for each run, by how hard its task is (Gumbel top two)."""
    fit = {"hard": (1 - rate) ** 3, "easy": rate**3}
    wanted = [
        ("hard" if place == 0 else "easy") if where == "mixed" else where
        for where in setting.recalled_on
        for place in range(2)
    ]
    weights = np.stack([fit[where] for where in wanted], axis=-1)
    keys = np.log(weights) + rng.gumbel(size=weights.shape)
    second = np.partition(keys, -2, axis=-1)[..., -2]
    any_found = rng.random(rate.shape) < 1.5 * weights.max(axis=-1) + 0.1
    return (keys >= second[..., None]) & any_found[..., None]


def expectations(task: NDArray[np.int64], success: NDArray[np.bool_]) -> Floats:
    """What `Difficulty` foresees, for all banks at once; shape (runs, banks)."""
    n_runs, banks = task.shape
    row, family = np.arange(banks), task % N_FAMILIES
    by_task, by_family = np.zeros((2, banks, N_TASKS)), np.zeros((2, banks, N_FAMILIES))
    total, found = np.zeros(banks), np.empty((n_runs, banks))
    for n in range(n_runs):
        every = (total + 1) / (n + 2)
        s, tried = by_family[:, row, family[n]]
        middle = (s + PSEUDO_RUNS * every) / (tried + PSEUDO_RUNS)
        s, tried = by_task[:, row, task[n]]
        found[n] = (s + PSEUDO_RUNS * middle) / (tried + PSEUDO_RUNS)
        total += success[n]
        by_task[0, row, task[n]] += success[n]
        by_task[1, row, task[n]] += 1
        by_family[0, row, family[n]] += success[n]
        by_family[1, row, family[n]] += 1
    return found


def by_lesson(runs: Runs, setting: Setting) -> Sequences:
    dealt = runs.recalled & ~runs.held_out[..., None]
    place = np.cumsum(dealt, axis=0) - 1
    keep = dealt & (place < MAX_DECISIONS)
    run, bank, lesson = np.nonzero(keep)
    at = place[run, bank, lesson], bank, lesson
    shape = (MAX_DECISIONS, *dealt.shape[1:])
    arm, success = np.full(shape, -1, np.int8), np.zeros(shape, bool)
    expected = np.zeros(shape)
    arm[at] = runs.arm[run, bank, lesson]
    success[at] = runs.success[run, bank]
    expected[at] = runs.expected[run, bank]
    kept = (1 - 2 * setting.flipped) * (effects(setting) + setting.words)
    truth = np.broadcast_to(kept, shape[1:]).copy()
    return Sequences(arm, success, expected, truth, runs.success.mean(axis=0)[:, None], setting)
