from __future__ import annotations

import random
from pathlib import Path

import pytest

from twiceshy.errors import BadInput
from twiceshy.integrations.textworld.games import GameId, ensure_game, game_ids
from twiceshy.integrations.textworld.runner import READ, CookingGame, Situation, load_game

textworld = pytest.importorskip("textworld", reason='needs pip install "twiceshy[textworld]"')

GAMES = [GameId("train", 1000), GameId("train", 1003), GameId("more_rooms", 9000)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("games")


@pytest.fixture(scope="module", params=GAMES, ids=str)
def path(request: pytest.FixtureRequest, folder: Path) -> Path:
    return ensure_game(request.param, folder)


def _stock(path: Path) -> textworld.Environment:
    from textworld.envs import TextWorldEnv

    infos = textworld.EnvInfos(admissible_commands=True, won=True, lost=True)
    env = TextWorldEnv(infos)
    env.load(str(path))
    return env


def _acts(command: str) -> bool:
    return command == READ or command.split()[0] not in ("look", "inventory", "examine")


def test_random_steps_match_the_stock_environment(path: Path) -> None:
    game, env, steps = load_game(path), _stock(path), 0
    for seed in range(4):
        rng = random.Random(seed)
        state, situation = env.reset(), game.start()
        while situation.ending is None and steps < 120 * (seed + 1):
            stock = [c for c in state["admissible_commands"] if _acts(c)]
            assert _texts(game, situation) == stock
            # Leaning towards what ends a game, so that losing is compared as well.
            risky = [c for c in stock if c.split()[0] in ("cook", "eat", "take", "prepare", "dice")]
            command = rng.choice(risky if risky and rng.random() < 0.6 else stock)
            state, _, _ = env.step(command)
            situation = game.step(situation, command)
            steps += 1
            assert (state["won"], state["lost"]) == (
                situation.ending == "won",
                situation.ending == "lost",
            ), command
    assert steps > 20


def _follow(game: CookingGame, commands: tuple[str, ...]) -> str | None:
    situation = game.start()
    for command in commands:
        # TextWorld's own walkthroughs open a container again that is open already.
        repeats = command.startswith("open ") and command not in _texts(game, situation)
        if _acts(command) and not repeats:
            situation = game.step(situation, command)
    return situation.ending


def _texts(game: CookingGame, situation: Situation) -> list[str]:
    return [c.text for c in game.commands(situation)]


def test_the_walkthrough_wins_and_preparing_early_loses(path: Path) -> None:
    game = load_game(path)
    assert _follow(game, game.walkthrough) == "won"
    needless = ("cook", "slice", "dice", "chop")
    hasty = tuple(c for c in game.walkthrough if c.split()[0] not in needless)
    early = hasty[: hasty.index("prepare meal") + 1]
    assert _follow(game, early) == "lost"
    env = _stock(path)
    env.reset()
    lost = [env.step(command)[0]["lost"] for command in early]
    assert lost[-1] is True


def test_a_finished_game_and_an_impossible_command_are_refused(path: Path) -> None:
    game = load_game(path)
    with pytest.raises(BadInput, match="admissible"):
        game.step(game.start(), "fly to the moon")
    over = game.start()._replace(ending="won")
    with pytest.raises(BadInput, match="goes on"):
        game.step(over, READ)


def test_a_game_is_the_same_from_the_same_seed(folder: Path, tmp_path: Path) -> None:
    game = game_ids("train", 1)[0]
    again = load_game(ensure_game(game, tmp_path))
    first = load_game(ensure_game(game, folder))
    assert (again.recipe, again.walkthrough) == (first.recipe, first.walkthrough)
    assert [f for f in again.facts(again.start()) if f.name == "in"]
