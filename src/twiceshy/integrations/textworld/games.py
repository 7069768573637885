"""Cooking games by seed: their settings, their identity, and a folder that keeps them.

TextWorld generates the games. A game is stored as the JSON file that `textworld.Game.save` writes,
which is all `runner` needs; no compiled game is kept.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from twiceshy.errors import BadInput, missing_extra

if TYPE_CHECKING:
    from textworld import Game

GameSet = Literal[
    "train",
    "validation",
    "near",
    "more_food",
    "more_rooms",
    "new_tool",
    "only_ingredients",
    "only_rooms",
    "only_foods",
]

# (cook, cut): which kinds of preparation a game asks for. Doubled: most games ask for both.
_SKILLS = ((1, 1), (1, 1), (1, 0), (0, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRule:
    """What the games of one set have in common."""

    first_seed: int
    size: int
    """Number of games in the set."""
    n_ingredients: int
    n_rooms: int
    food_split: Literal["train", "test"]
    """TextWorld's own split of foods and preparations."""
    max_steps: int
    split: Literal["train", "test"]
    """Whether lessons may be mined from it."""
    about: str


SETS: dict[GameSet, SetRule] = {
    "train": SetRule(
        first_seed=1000,
        size=200,
        n_ingredients=2,
        n_rooms=1,
        food_split="train",
        max_steps=40,
        split="train",
        about="two ingredients, one room",
    ),
    "validation": SetRule(
        first_seed=1900,
        size=20,
        n_ingredients=2,
        n_rooms=1,
        food_split="train",
        max_steps=40,
        split="train",
        about="as train; for choosing settings",
    ),
    "near": SetRule(
        first_seed=5000,
        size=100,
        n_ingredients=2,
        n_rooms=1,
        food_split="train",
        max_steps=40,
        split="test",
        about="new games of the same kind",
    ),
    "more_food": SetRule(
        first_seed=7000,
        size=60,
        n_ingredients=4,
        n_rooms=1,
        food_split="test",
        max_steps=70,
        split="test",
        about="four ingredients, foods and preparations not met in training",
    ),
    "more_rooms": SetRule(
        first_seed=9000,
        size=40,
        n_ingredients=2,
        n_rooms=6,
        food_split="test",
        max_steps=70,
        split="test",
        about="six rooms with doors, foods and preparations not met in training",
    ),
    "new_tool": SetRule(
        first_seed=11000,
        size=40,
        n_ingredients=2,
        n_rooms=9,
        food_split="train",
        max_steps=100,
        split="test",
        about="nine rooms with a barbecue, a tool no training game has",
    ),
    "only_ingredients": SetRule(
        first_seed=13000,
        size=60,
        n_ingredients=4,
        n_rooms=1,
        food_split="train",
        max_steps=70,
        split="test",
        about="as train, but with four ingredients",
    ),
    "only_rooms": SetRule(
        first_seed=15000,
        size=60,
        n_ingredients=2,
        n_rooms=6,
        food_split="train",
        max_steps=70,
        split="test",
        about="as train, but with six rooms and doors",
    ),
    "only_foods": SetRule(
        first_seed=17000,
        size=60,
        n_ingredients=2,
        n_rooms=1,
        food_split="test",
        max_steps=40,
        split="test",
        about="as train, but with foods and preparations not met in training",
    ),
}


@dataclass(frozen=True, slots=True, order=True)
class GameId:
    """One game: the set it belongs to and its seed.

    Example:
        >>> str(GameId("near", 5003))
        'cooking/near/5003'
    """

    game_set: GameSet
    seed: int

    def __str__(self) -> str:
        return f"cooking/{self.game_set}/{self.seed}"

    @property
    def rule(self) -> SetRule:
        """The settings shared by the game's set."""
        return SETS[self.game_set]


def game_ids(game_set: GameSet, n: int | None = None) -> list[GameId]:
    """Return the first `n` games of a set (all of them for None).

    Raises:
        BadInput: The set is unknown, or has fewer than `n` games.

    Example:
        >>> [g.seed for g in game_ids("near", 3)]
        [5000, 5001, 5002]
    """
    if game_set not in SETS:
        raise BadInput(f"a game set ({', '.join(get_args(GameSet))})", got=str(game_set))
    rule = SETS[game_set]
    wanted = rule.size if n is None else n
    if not 1 <= wanted <= rule.size:
        raise BadInput(f"between 1 and {rule.size} games of {game_set!r}", got=str(wanted))
    return [GameId(game_set, rule.first_seed + i) for i in range(wanted)]


def parse_games(names: Iterable[str]) -> list[GameId]:
    """Read names such as "train", "near:20" or "cooking/train/1003" into games, in order.

    Raises:
        BadInput: A name is none of these.

    Example:
        >>> [str(g) for g in parse_games(["near:2", "cooking/train/1003"])]
        ['cooking/near/5000', 'cooking/near/5001', 'cooking/train/1003']
    """
    return [game for name in names for game in _parse_name(name)]


def _parse_name(name: str) -> Iterator[GameId]:
    try:
        if "/" not in name:
            game_set, _, count = name.partition(":")
            yield from game_ids(_known_set(game_set), int(count) if count else None)
            return
        _, game_set, seed = name.split("/")
        known = _known_set(game_set)
        offset = int(seed) - SETS[known].first_seed
        if not 0 <= offset < SETS[known].size:
            raise ValueError(seed)
        yield GameId(known, int(seed))
    except (ValueError, KeyError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(
            "a game set, a set with a count, or a game (train, near:20, cooking/train/1003)",
            got=repr(name),
            fix=f"The sets are {', '.join(SETS)}.",
        ) from error


def _known_set(name: str) -> GameSet:
    for known in SETS:
        if known == name:
            return known
    raise KeyError(name)


def settings_of(game: GameId) -> dict[str, Any]:
    """Return the settings TextWorld's cooking challenge makes this game from.

    Which skills a game asks for, and whether its containers start closed, is drawn from its seed.

    Example:
        >>> settings_of(GameId("train", 1003))["recipe_seed"]
        1003
    """
    rng = random.Random(game.seed)
    cook, cut = rng.choice(_SKILLS)
    starts_closed = rng.random() < 0.5
    rule = game.rule
    return {
        "recipe": rule.n_ingredients,
        "take": rule.n_ingredients,
        # Where there is a barbecue TextWorld fails to make games that ask for cutting alone.
        "cook": bool(cook) or rule.n_rooms >= 9,
        "cut": bool(cut),
        "open": starts_closed,
        "drop": False,
        "go": rule.n_rooms,
        "split": rule.food_split,
        "recipe_seed": game.seed,
    }


def default_cache() -> Path:
    """Return the folder games are kept in: `$XDG_CACHE_HOME/twiceshy/textworld`, or `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "twiceshy" / "textworld"


def ensure_game(game: GameId, cache: Path | None = None) -> Path:
    """Return the path of the game's JSON file, generating it when the cache lacks it.

    Generating takes seconds; it is written under a temporary name first, so that two processes may
    fill one cache.

    Raises:
        MissingExtra: textworld is not installed and the file is not in the cache.
    """
    folder = default_cache() if cache is None else cache
    path = folder / f"{game.game_set}-{game.seed}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.part")
        _generate(game).save(str(partial))
        partial.replace(path)
    return path


def _generate(game: GameId) -> Game:
    try:
        import textworld
        from textworld.challenges.tw_cooking import cooking
    except ImportError as error:
        raise missing_extra("generating TextWorld games", "textworld") from error
    options = textworld.GameOptions()
    options.seeds = game.seed
    with warnings.catch_warnings():
        # TextWorld plays its own walkthrough to check it, through an interpreter that warns of
        # every story file it has not met before.
        warnings.simplefilter("ignore")
        return cooking.make(settings_of(game), options)
