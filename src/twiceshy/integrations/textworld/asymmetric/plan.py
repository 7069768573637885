"""What the study does: cells, arms, settings to choose from, games and seeds. Fixed beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import msgspec

from twiceshy.integrations.textworld.games import GameId, GameSet, game_ids

Cell = Literal["success_concrete", "success_abstract", "failure_concrete", "failure_abstract"]
"""Source of a lesson and the form it is kept in."""
CELLS: tuple[Cell, ...] = get_args(Cell)

Arm = Literal[
    "none",
    "success_concrete",
    "success_abstract",
    "failure_concrete",
    "failure_abstract",
    "both",
    "permuted_success",
    "permuted_failure",
    "permuted_both",
    "matched_failure",
    "coin_failure",
]
"""`both`: demonstrations and rules to avoid. `permuted_…`: the same pipeline after outcomes were
permuted within tasks. `matched_failure`: as many rules as the true ones, the best of the permuted
outcomes, whether significant or not. `coin_failure`: the true rules' verbs and doses, triggered by
a coin."""
ARMS: tuple[Arm, ...] = get_args(Arm)
PARTS: dict[Arm, tuple[Cell, ...]] = {
    "none": (),
    "success_concrete": ("success_concrete",),
    "success_abstract": ("success_abstract",),
    "failure_concrete": ("failure_concrete",),
    "failure_abstract": ("failure_abstract",),
    "both": ("success_concrete", "failure_abstract"),
    "permuted_success": ("success_concrete",),
    "permuted_failure": ("failure_abstract",),
    "permuted_both": ("success_concrete", "failure_abstract"),
    "matched_failure": ("failure_abstract",),
    "coin_failure": ("failure_abstract",),
}
"""Which lessons each arm tells."""
DOSED: tuple[Arm, ...] = (*CELLS, "both")
"""Arms with a dose curve."""

Truth = Literal["true", "permuted", "matched"]
"""Which outcomes a bank was mined from; `matched` as for the arm."""
TRUTHS: dict[Arm, Truth] = {
    "permuted_success": "permuted",
    "permuted_failure": "permuted",
    "permuted_both": "permuted",
    "matched_failure": "matched",
}
"""Every other arm reads the true bank."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """How strongly the lessons of a cell act, and how broadly."""

    nats: float
    """Pull or push of a full match, above 0."""
    shape: int
    """Concrete: exponent of the likeness. Abstract: literals in a rule, at most."""


STRENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
SHAPES: dict[Cell, tuple[int, int]] = {
    "success_concrete": (2, 8),
    "success_abstract": (1, 2),
    "failure_concrete": (2, 8),
    "failure_abstract": (1, 2),
}
GRID: dict[Cell, tuple[Setting, ...]] = {
    cell: tuple(Setting(nats=nats, shape=shape) for shape in SHAPES[cell] for nats in STRENGTHS)
    for cell in CELLS
}
"""Ten settings for every cell, tried on the same validation games with the same seeds."""
IN_DISTRIBUTION: GameSet = "near"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of everything."""

    n_collections: int
    """Training collections: disjoint games, own banks."""
    n_train_games: int
    """Of each collection."""
    tries: int
    """Attempts at each training game."""
    n_validation: int
    validation_seeds: int
    sets: dict[GameSet, int]
    """Test games of each set; the one in distribution is `near`."""
    seeds: int
    """Attempts at each test game with each bank."""
    max_steps: int
    """Step limit of every validation and test attempt, whatever the set."""
    game_doses: tuple[int, ...]
    """Training games learned from, below all of them."""
    lesson_doses: tuple[int, ...]
    """Lessons of each cell told, below all of them."""
    n_dose_games: int
    """Test games in distribution with dose curves."""

    def train_games(self, collection: int) -> list[GameId]:
        """Return the training games of a collection."""
        every = game_ids("train", self.n_collections * self.n_train_games)
        return every[collection * self.n_train_games :][: self.n_train_games]

    @property
    def validation_games(self) -> list[GameId]:
        """The games settings are chosen on."""
        return game_ids("validation", self.n_validation) if self.n_validation else []

    def test_games(self) -> Iterator[GameId]:
        """Yield the test games in the order they are played: in turns over the sets."""
        columns = {each: game_ids(each, n) for each, n in self.sets.items()}
        for place in range(max(self.sets.values())):
            for games in columns.values():
                yield from games[place : place + 1]


def full_plan() -> Plan:
    """Return the plan of the committed result."""
    return Plan(
        n_collections=6,
        n_train_games=32,
        tries=8,
        n_validation=20,
        validation_seeds=4,
        sets={
            "near": 40,
            "only_ingredients": 24,
            "only_rooms": 24,
            "only_foods": 24,
            "new_tool": 30,
        },
        seeds=8,
        max_steps=70,
        game_doses=(4, 8, 16),
        lesson_doses=(1, 2, 4),
        n_dose_games=24,
    )


def quick_plan() -> Plan:
    """Return a part that ends within three minutes on two cores, for a look."""
    return Plan(
        n_collections=2,
        n_train_games=24,
        tries=8,
        n_validation=6,
        validation_seeds=3,
        sets={"near": 8, "only_ingredients": 4, "only_foods": 4},
        seeds=4,
        max_steps=70,
        game_doses=(8,),
        lesson_doses=(1,),
        n_dose_games=4,
    )


def told_plan() -> Plan:
    """Return the plan for a language model, whose attempts cost minutes: no tuning, no doses."""
    return Plan(
        n_collections=2,
        n_train_games=32,
        tries=8,
        n_validation=0,
        validation_seeds=0,
        sets={"near": 6, "only_ingredients": 4},
        seeds=2,
        max_steps=30,
        game_doses=(),
        lesson_doses=(),
        n_dose_games=0,
    )
