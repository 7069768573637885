"""The three named contrasts, fixed beforehand, and every other comparison as an afterthought."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats import clustered_mean, crossed_bootstrap, holm
from twiceshy.integrations.textworld.asymmetric.plan import IN_DISTRIBUTION, Arm
from twiceshy.integrations.textworld.asymmetric.runs import Dose, GameResult, Row
from twiceshy.integrations.textworld.games import GameSet

Ending = Literal["won", "lost", "timed_out"]
ENDINGS: dict[Ending, str] = {"won": "W", "lost": "L", "timed_out": "T"}
"""Each ending with its letter in a row."""
DRAWS = 2000


class Condition(NamedTuple):
    """An arm with its dose."""

    arm: Arm
    dose: Dose = "all"
    amount: int = 0


class Compared(NamedTuple):
    """A rate or a difference of rates, in shares of attempts."""

    name: str
    value: float | None
    """None: some of its attempts are missing."""
    low: float | None
    high: float | None
    """95 % bootstrap over collections, games and seeds; not corrected."""
    low_t: float | None
    high_t: float | None
    """95 % by Student over the collections' values; no game variance in it."""
    n_collections: int
    n_games: int
    p: float | None = None
    """By the same bootstrap, two-sided; None outside the named contrasts."""
    p_holm: float | None = None


class Outcomes:
    """The attempts as arrays: one of shape (collections, games, seeds) for each set and condition.

    Args:
        tests: Results of test games.
        n_collections: How many banks each game was played with.
        keep: Which games count; None for all.
        max_steps: An attempt that went on longer counts as timed out; None for the limit it was
            played to.
    """

    def __init__(
        self,
        tests: Sequence[GameResult],
        *,
        n_collections: int,
        keep: Callable[[GameResult], bool] | None = None,
        max_steps: int | None = None,
    ) -> None:
        self.n_collections = n_collections
        self._letters: dict[tuple[GameSet, Condition], list[list[str]]] = {}
        for test in tests:
            if keep is None or keep(test):
                self._add(test, max_steps)

    def _add(self, test: GameResult, max_steps: int | None) -> None:
        by_condition: dict[Condition, list[str]] = {}
        for row in test.rows:
            condition = Condition(row.arm, row.dose, row.amount)
            by_condition.setdefault(condition, []).append(_cut(row, max_steps))
        for condition, letters in by_condition.items():
            spread = letters * self.n_collections if condition.arm == "none" else letters
            self._letters.setdefault((test.game_set, condition), []).append(spread)

    @property
    def sets(self) -> list[GameSet]:
        """The sets with at least one game, in order of appearance."""
        return list(dict.fromkeys(game_set for game_set, _ in self._letters))

    def conditions(self, game_set: GameSet) -> list[Condition]:
        """Return what was played in a set."""
        return [condition for each, condition in self._letters if each == game_set]

    def values(
        self, condition: Condition, game_set: GameSet, *, ending: Ending
    ) -> NDArray[np.float64]:
        """Return 1 where an attempt ended so: shape (collections, games, seeds)."""
        games = self._letters.get((game_set, condition), [])
        letter = ENDINGS[ending]
        flags = [[[each == letter for each in seeds] for seeds in game] for game in games]
        found = np.array(flags, dtype=float)
        return found.transpose(1, 0, 2) if games else np.zeros((self.n_collections, 0, 0))


def _cut(row: Row, max_steps: int | None) -> str:
    if max_steps is None:
        return row.endings
    pairs = zip(row.endings, row.n_steps, strict=True)
    return "".join(each if n <= max_steps else ENDINGS["timed_out"] for each, n in pairs)


def compare(
    outcomes: Outcomes,
    weights: Mapping[tuple[Condition, GameSet], float],
    *,
    name: str,
    ending: Ending = "won",
    tested: bool = False,
) -> Compared:
    """Return Σ weight · rate(condition, set) with its intervals.

    Within a set conditions are compared game by game: all have to have the same games.
    """
    blocks = []
    for game_set in dict.fromkeys(each for _, each in weights):
        parts = [
            weight * outcomes.values(condition, game_set, ending=ending)
            for (condition, each), weight in weights.items()
            if each == game_set
        ]
        if len({part.shape for part in parts}) > 1:
            parts = [np.zeros((outcomes.n_collections, 0, 0))]
        blocks.append(sum(parts[1:], start=parts[0]))
    found = crossed_bootstrap(blocks, weights=[1.0] * len(blocks), seed=0, draws=DRAWS)
    if found.value is None:
        return Compared(name, None, None, None, None, None, found.n_rows, found.n_columns)
    by_collection = sum(block.mean(axis=(1, 2)) for block in blocks)
    student = clustered_mean(by_collection)
    return Compared(
        name,
        value=found.value,
        low=found.low,
        high=found.high,
        low_t=student.low,
        high_t=student.high,
        n_collections=found.n_rows,
        n_games=found.n_columns,
        p=found.p if tested else None,
    )


def rate(
    outcomes: Outcomes, condition: Condition, game_set: GameSet, *, ending: Ending
) -> Compared:
    """Return the share of attempts that ended so."""
    name = f"{condition.arm}, {game_set}"
    return compare(outcomes, {(condition, game_set): 1.0}, name=name, ending=ending)


def difference(
    outcomes: Outcomes,
    after: Condition,
    before: Condition,
    *,
    sets: Iterable[GameSet],
    ending: Ending,
) -> Compared:
    """Return the rate after less the rate before, the mean over some sets."""
    chosen = list(sets)
    weights = {(after, each): 1 / len(chosen) for each in chosen}
    weights |= {(before, each): -1 / len(chosen) for each in chosen}
    return compare(outcomes, weights, name=f"{after.arm} − {before.arm}", ending=ending)


DEMONSTRATIONS, RULES = Condition("success_concrete"), Condition("failure_abstract")


def named_contrasts(outcomes: Outcomes) -> list[Compared]:
    """Return the three contrasts of the plan, with p-values adjusted by Holm."""
    sets = outcomes.sets
    other = [each for each in sets if each != IN_DISTRIBUTION]
    everywhere = [
        ("both − demonstrations", Condition("both"), DEMONSTRATIONS),
        ("rules − outcome-permuted placebo", RULES, Condition("permuted_failure")),
    ]
    found = [
        compare(
            outcomes,
            {(c, each): sign / len(sets) for c, sign in ((a, 1), (b, -1)) for each in sets},
            name=name,
            tested=True,
        )
        for name, a, b in everywhere
    ]
    found.append(
        compare(
            outcomes,
            travel_weights(RULES, DEMONSTRATIONS, other),
            name="(rules' gain OOD − ID) − (demonstrations' gain OOD − ID)",
            tested=True,
        )
    )
    adjusted = holm([np.nan if each.p is None else each.p for each in found])
    return [
        each._replace(p_holm=None if each.p is None else float(value))
        for each, value in zip(found, adjusted, strict=True)
    ]


def travel_weights(
    first: Condition, second: Condition, other: Sequence[GameSet]
) -> dict[tuple[Condition, GameSet], float]:
    """Return (gain of `first`, elsewhere − at home) − (that of `second`); `none` cancels."""
    weights: dict[tuple[Condition, GameSet], float] = {}
    for condition, sign in ((first, 1.0), (second, -1.0)):
        weights[condition, IN_DISTRIBUTION] = -sign
        weights |= {(condition, each): sign / len(other) for each in other}
    return weights


def form_by_source(
    outcomes: Outcomes, sets: Sequence[GameSet], *, ending: Ending = "won"
) -> Compared:
    """Return (failures abstract − concrete) − (successes abstract − concrete), mean over sets."""
    cells = {
        Condition("failure_abstract"): 1.0,
        Condition("failure_concrete"): -1.0,
        Condition("success_abstract"): -1.0,
        Condition("success_concrete"): 1.0,
    }
    weights = {(c, each): w / len(sets) for c, w in cells.items() for each in sets}
    return compare(outcomes, weights, name="source × form", ending=ending)
