"""What streams came to: endings by arm, seed and game, and the comparisons named beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats import (
    Flips,
    PairedDifference,
    flips,
    holm,
    paired_difference,
    permutation_test,
)
from twiceshy.integrations.textworld.reasoning.plan import CONTRASTS, Contrast, K
from twiceshy.integrations.textworld.reasoning.streams import Stream

ALPHA = 0.05
PLAIN = "both-append"


class Endings(NamedTuple):
    """How attempts ended: one row a seed, one column a held-out game."""

    seeds: tuple[int, ...]
    letters: NDArray[np.str_]
    """Shape (seeds, games): W, L or T."""
    n_steps: NDArray[np.int64]
    """Same shape."""

    def share(self, letter: str) -> float:
        """Return the share of attempts that ended so."""
        return float((self.letters == letter).mean())

    def of(self, seeds: Iterable[int], n_games: int) -> NDArray[np.bool_]:
        """Return which attempts were won, for some seeds and the first games."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return self.letters[rows, :n_games] == "W"


class Compared(NamedTuple):
    """One comparison."""

    contrast: Contrast
    over_games: PairedDifference
    over_seeds: PairedDifference
    losses: PairedDifference
    """Over games, of the share of attempts that were lost."""
    flips: Flips
    p: float | None
    holm_p: float | None

    @property
    def is_shown(self) -> bool:
        """Whether Holm's p is below .05 and both intervals leave out zero."""
        return (
            self.holm_p is not None
            and self.holm_p < ALPHA
            and _leaves_out_zero(self.over_games)
            and _leaves_out_zero(self.over_seeds)
        )


def _leaves_out_zero(found: PairedDifference) -> bool:
    if found.low is None or found.high is None:
        return False
    return found.low > 0 or found.high < 0


def endings_of(streams: Sequence[Stream], *, last: int) -> dict[str, Endings]:
    """Return every series that is compared, by name.

    An arm's name stands for its bank of the last round with the usual number of lessons; "ARM k=1"
    for another number; "memory parallel" for the attempts that a judge chose.

    Args:
        streams: Results.
        last: The last round.
    """
    rows: dict[str, list[tuple[int, str, tuple[int, ...]]]] = {}
    for each in streams:
        for test in each.tested:
            if test.after == last:
                name = each.arm if test.k == K else f"{each.arm} k={test.k}"
                rows.setdefault(name, []).append((each.seed, test.endings, test.n_steps))
        for chosen in each.scaled:
            rows.setdefault(chosen.name, []).append((each.seed, chosen.chosen, chosen.n_steps))
    return {name: _endings(found) for name, found in rows.items()}


def _endings(rows: list[tuple[int, str, tuple[int, ...]]]) -> Endings:
    rows = sorted(rows)
    return Endings(
        seeds=tuple(seed for seed, _, _ in rows),
        letters=np.array([list(letters) for _, letters, _ in rows]),
        n_steps=np.array([steps for _, _, steps in rows], dtype=np.int64),
    )


def compare(found: Mapping[str, Endings]) -> list[Compared]:
    """Make the comparisons that the results allow, corrected over all of those."""
    made = [
        _compare(each, found[each.first], found[each.second])
        for each in CONTRASTS
        if each.first in found and each.second in found
    ]
    made = [each for each in made if each.over_games.n_tasks]
    adjusted = holm([1.0 if each.p is None else each.p for each in made])
    return [each._replace(holm_p=float(p)) for each, p in zip(made, adjusted, strict=True)]


def _compare(contrast: Contrast, first: Endings, second: Endings) -> Compared:
    seeds = [seed for seed in first.seeds if seed in second.seeds]
    n_games = min(first.letters.shape[1], second.letters.shape[1])
    won, before = first.of(seeds, n_games), second.of(seeds, n_games)
    by_game = won.mean(axis=0) - before.mean(axis=0)
    n = np.full(n_games, len(seeds))
    return Compared(
        contrast=contrast,
        over_games=paired_difference(before.mean(axis=0), won.mean(axis=0)),
        over_seeds=paired_difference(before.mean(axis=1), won.mean(axis=1)),
        losses=paired_difference(_lost(second, seeds, n_games), _lost(first, seeds, n_games)),
        flips=flips(before_c=before.sum(axis=0), before_n=n, after_c=won.sum(axis=0), after_n=n),
        p=permutation_test(by_game, seed=0).p,
        holm_p=None,
    )


def _lost(found: Endings, seeds: Iterable[int], n_games: int) -> NDArray[np.float64]:
    rows = [found.seeds.index(seed) for seed in seeds]
    return (found.letters[rows, :n_games] == "L").mean(axis=0)


class Curve(NamedTuple):
    """Success over rounds, a mean over seeds; points in per cent."""

    rounds: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float | None, ...]
    """Ends of Student's interval over seeds; None with one seed."""
    high: tuple[float | None, ...]
    n_seeds: int


def held_out_curves(streams: Sequence[Stream]) -> dict[str, Curve]:
    """Return held-out success of each arm after each tested round."""
    points: dict[str, dict[int, list[float]]] = {}
    for each in streams:
        for test in each.tested:
            if test.k == K:
                share = 100 * test.endings.count("W") / len(test.endings)
                points.setdefault(each.arm, {}).setdefault(test.after, []).append(share)
    return {arm: _curve(found) for arm, found in points.items()}


def online_curves(streams: Sequence[Stream]) -> dict[str, Curve]:
    """Return true success of each arm's own attempts in each round, hold-outs included."""
    points: dict[str, dict[int, list[float]]] = {}
    for each in streams:
        for number, one in enumerate(each.rounds, start=1):
            share = 100 * one.endings.count("W") / len(one.endings)
            points.setdefault(each.arm, {}).setdefault(number, []).append(share)
    return {arm: _curve(found) for arm, found in points.items()}


def _curve(points: Mapping[int, Sequence[float]]) -> Curve:
    rounds = tuple(sorted(points))
    found = [paired_difference(np.zeros(len(points[at])), points[at]) for at in rounds]
    return Curve(
        rounds=rounds,
        values=tuple(float(np.mean(points[at])) for at in rounds),
        low=tuple(each.low for each in found),
        high=tuple(each.high for each in found),
        n_seeds=max(map(len, points.values())),
    )


class Solved(NamedTuple):
    """What several attempts at a game are worth, in per cent of games, over all seeds."""

    any_of: tuple[float, ...]
    """Games with a success among the first 1, 2, … attempts."""
    last_of: tuple[float, ...]
    """Games whose attempt of that number succeeded."""
    chosen: float
    """Games whose attempt that the judge chose succeeded."""
    n_steps: float
    """Mean steps a game, all attempts together."""
    n_games: int


def solved_of(streams: Sequence[Stream]) -> dict[str, Solved]:
    """Return what scaling came to, by its name."""
    found: dict[str, list[tuple[str, str, int]]] = {}
    for each in streams:
        for one in each.scaled:
            rows = zip(one.endings, one.chosen, one.n_steps, strict=True)
            found.setdefault(one.name, []).extend(rows)
    return {name: _solved(rows) for name, rows in found.items()}


def _solved(rows: Sequence[tuple[str, str, int]]) -> Solved:
    won = np.array([[letter == "W" for letter in endings] for endings, _, _ in rows])
    return Solved(
        any_of=tuple(100 * float(each) for each in np.maximum.accumulate(won, axis=1).mean(axis=0)),
        last_of=tuple(100 * float(each) for each in won.mean(axis=0)),
        chosen=100 * float(np.mean([chosen == "W" for _, chosen, _ in rows])),
        n_steps=float(np.mean([steps for _, _, steps in rows])),
        n_games=len(rows),
    )
