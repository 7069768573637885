"""Attempts of every arm: on validation games to choose settings, on test games to compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from twiceshy.integrations.textworld.agent import Played
from twiceshy.integrations.textworld.asymmetric.banks import bank_name, bank_path, read_bank
from twiceshy.integrations.textworld.asymmetric.plan import (
    ARMS,
    CELLS,
    DOSED,
    GRID,
    IN_DISTRIBUTION,
    PARTS,
    TRUTHS,
    Arm,
    Cell,
    Plan,
    Setting,
    Truth,
)
from twiceshy.integrations.textworld.asymmetric.players import Player, Softmax, Told
from twiceshy.integrations.textworld.games import GameId, GameSet, ensure_game
from twiceshy.integrations.textworld.literals import walkthrough_literals
from twiceshy.integrations.textworld.model_player import model_player
from twiceshy.integrations.textworld.runner import CookingGame, load_game
from twiceshy.lessons import Lesson
from twiceshy.memory.contrast.conditions import holds, parse_pattern

VALIDATION_SEED, TEST_SEED = 200, 100
"""First seeds; training uses those from 0."""
Dose = Literal["all", "games", "lessons"]
"""What is cut down: nothing, the training games learned from, or the lessons told."""
_LETTERS = {"won": "W", "lost": "L", "max_steps": "T"}


class Row(msgspec.Struct, frozen=True, array_like=True):
    """The attempts of one arm at one game with one bank."""

    arm: Arm
    dose: Dose
    amount: int
    """Games or lessons; 0 for all."""
    collection: int
    """-1 where no bank is used."""
    endings: str
    """One letter a seed: W(on), L(ost), T(imed out)."""
    n_steps: tuple[int, ...]
    """One for each seed."""


class TuneJob(msgspec.Struct, frozen=True, kw_only=True):
    """Try every setting of every cell on one validation game."""

    seed: int
    """Of the game."""
    plan: Plan
    folder: str
    cache: str | None

    @property
    def name(self) -> str:
        """Name of the job's files."""
        return f"tune-{self.seed}"


class TuneResult(msgspec.Struct, frozen=True, kw_only=True):
    """Endings of one validation game."""

    seed: int
    plan: Plan
    none: str
    """Endings without lessons, one letter a seed."""
    endings: dict[Cell, tuple[str, ...]]
    """For each setting of the grid, in its order: a letter for each bank and seed."""


class GameJob(msgspec.Struct, frozen=True, kw_only=True):
    """Play every arm at one test game."""

    game_set: GameSet
    seed: int
    plan: Plan
    settings: dict[Cell, Setting]
    folder: str
    cache: str | None
    model_url: str | None = None
    """An endpoint whose model plays instead of the stochastic agent."""
    model: str = ""

    @property
    def name(self) -> str:
        """Name of the job's files."""
        return f"test-{self.game_set}-{self.seed}"


class GameResult(msgspec.Struct, frozen=True, kw_only=True):
    """Endings of one test game."""

    game_set: GameSet
    seed: int
    plan: Plan
    settings: dict[Cell, Setting]
    model: str
    rows: tuple[Row, ...]
    needs_new_tool: bool
    """Whether the recipe asks for grilling."""
    n_walkthrough: int
    """Steps of the game's own winning walkthrough."""
    n_forbidden: tuple[int, ...]
    """Of those, steps that the rules of each collection forbid."""
    n_unread: int = 0
    """Answers of a language model that named no command; one was then drawn at random."""


def do_tune(job: TuneJob) -> TuneResult:
    """Play a validation game with every setting, every bank and every seed."""
    plan, folder = job.plan, Path(job.folder)
    id_ = GameId("validation", job.seed)
    game = load_game(ensure_game(id_, Path(job.cache) if job.cache else None))
    keys = [f"{id_}|{VALIDATION_SEED + k}" for k in range(plan.validation_seeds)]
    endings: dict[Cell, tuple[str, ...]] = {}
    for cell in CELLS:
        tried = []
        for setting in GRID[cell]:
            player = Softmax({cell: setting})
            tried.append(
                "".join(
                    _letters(_play(player, game, lessons=lessons, keys=keys, plan=plan))
                    for lessons in _banks_of(cell, setting, plan=plan, folder=folder)
                )
            )
        endings[cell] = tuple(tried)
    none = _letters(_play(Softmax({}), game, lessons=(), keys=keys, plan=plan))
    return TuneResult(seed=job.seed, plan=plan, none=none, endings=endings)


def _banks_of(
    cell: Cell, setting: Setting, *, plan: Plan, folder: Path
) -> Iterator[Sequence[Lesson]]:
    for collection in range(plan.n_collections):
        held = _held(
            str(folder),
            collection,
            n_games=plan.n_train_games,
            literals=_literals(cell, setting),
            truth="true",
        )
        yield held[cell]


def _literals(cell: Cell, setting: Setting) -> int:
    """Return which of the two banks of a collection a setting reads; concrete lessons are alike."""
    return setting.shape if cell.endswith("abstract") else 2


@cache
def _held(
    folder: str, collection: int, *, n_games: int, literals: int, truth: Truth
) -> dict[Cell, list[Lesson]]:
    name = bank_name(collection, n_games=n_games, literals=literals, truth=truth)
    return read_bank(bank_path(Path(folder), name))


def chosen_settings(results: Sequence[TuneResult]) -> dict[Cell, Setting]:
    """Return for each cell the setting with most wins; of equals the weaker, then the first."""
    chosen: dict[Cell, Setting] = {}
    for cell in CELLS:
        wins = [
            sum(each.endings[cell][place].count("W") for each in results)
            for place in range(len(GRID[cell]))
        ]
        best = max(range(len(wins)), key=lambda k: (wins[k], -GRID[cell][k].nats, -k))
        chosen[cell] = GRID[cell][best]
    return chosen


def do_test(job: GameJob) -> GameResult:
    """Play a test game in every arm and dose, with every bank and seed."""
    id_ = GameId(job.game_set, job.seed)
    game = load_game(ensure_game(id_, Path(job.cache) if job.cache else None))
    walk = list(walkthrough_literals(game))
    player, coin = _players(job)
    rows = tuple(_rows(job, game, name=str(id_), player=player, coin=coin))
    return GameResult(
        game_set=job.game_set,
        seed=job.seed,
        plan=job.plan,
        settings=job.settings,
        model=job.model,
        rows=rows,
        needs_new_tool=any(each.cooking == "grilled" for each in game.recipe),
        n_walkthrough=len(walk),
        n_forbidden=tuple(
            _n_forbidden(walk, _lessons("failure_abstract", collection, job=job))
            for collection in range(job.plan.n_collections)
        ),
        n_unread=player.n_unread,
    )


def _rows(
    job: GameJob, game: CookingGame, *, name: str, player: Player, coin: Player
) -> Iterator[Row]:
    keys = [f"{name}|{TEST_SEED + k}" for k in range(job.plan.seeds)]
    none = _play(player, game, lessons=(), keys=keys, plan=job.plan)
    yield _row("none", "all", 0, collection=-1, played=none)
    known: dict[tuple[bool, tuple[int, ...]], list[Played]] = {}
    for arm, dose, amount in conditions(job):
        for collection in range(job.plan.n_collections):
            lessons = _lessons(arm, collection, job=job, dose=dose, amount=amount)
            told = (arm == "coin_failure", tuple(map(id, lessons)))
            if not lessons:
                known[told] = none
            elif told not in known:
                who = coin if arm == "coin_failure" else player
                known[told] = _play(who, game, lessons=lessons, keys=keys, plan=job.plan)
            yield _row(arm, dose, amount, collection=collection, played=known[told])


def _players(job: GameJob) -> tuple[Player, Player]:
    if job.model_url is None:
        return Softmax(job.settings), Softmax(job.settings, coin=True)
    told = Told(model_player(job.model, url=job.model_url))
    return told, told


def conditions(job: GameJob) -> Iterator[tuple[Arm, Dose, int]]:
    """Yield the arms and doses that use a bank, at the game of a job."""
    for arm in ARMS:
        if arm != "none" and not (job.model_url is not None and arm == "coin_failure"):
            yield arm, "all", 0
    plan = job.plan
    if job.game_set == IN_DISTRIBUTION and GameId(IN_DISTRIBUTION, job.seed) in dose_games(plan):
        for arm in DOSED:
            yield from ((arm, "games", amount) for amount in plan.game_doses)
            yield from ((arm, "lessons", amount) for amount in plan.lesson_doses)


def dose_games(plan: Plan) -> list[GameId]:
    """Return the test games that are played with every dose."""
    games = [each for each in plan.test_games() if each.game_set == IN_DISTRIBUTION]
    return games[: plan.n_dose_games]


def _lessons(
    arm: Arm, collection: int, *, job: GameJob, dose: Dose = "all", amount: int = 0
) -> list[Lesson]:
    """Return what an arm tells, the strongest of each cell where only some are told."""
    told: list[Lesson] = []
    for cell in PARTS[arm]:
        held = _held(
            job.folder,
            collection,
            n_games=amount if dose == "games" else job.plan.n_train_games,
            literals=_literals(cell, job.settings[cell]),
            truth=TRUTHS.get(arm, "true"),
        )[cell]
        told += held[:amount] if dose == "lessons" else held
    return told


def _play(
    player: Player, game: CookingGame, *, lessons: Sequence[Lesson], keys: Sequence[str], plan: Plan
) -> list[Played]:
    return [player.play(game, lessons=lessons, key=key, max_steps=plan.max_steps) for key in keys]


def _row(arm: Arm, dose: Dose, amount: int, *, collection: int, played: Sequence[Played]) -> Row:
    steps = tuple(len(each.taken) for each in played)
    return Row(arm, dose, amount, collection, _letters(played), steps)


def _letters(played: Sequence[Played]) -> str:
    return "".join(_LETTERS[each.ending] for each in played)


def _n_forbidden(walk: Sequence[tuple[str, frozenset[str]]], lessons: Sequence[Lesson]) -> int:
    patterns = [parse_pattern(each.pattern) for each in lessons]
    return sum(any(holds(p, verb=verb, facts=facts) for p in patterns) for verb, facts in walk)
