"""TextWorld's cooking games: a light runner, a stochastic agent, lessons in use, attempts.

Needs `pip install "twiceshy[textworld]"` to generate or run games; importing this does not.
"""

from twiceshy.integrations.textworld.advice import ARMS, Arm
from twiceshy.integrations.textworld.agent import POLICY
from twiceshy.integrations.textworld.collect import (
    Collected,
    attempt_of,
    collect,
    collect_to_file,
    policy_name,
)
from twiceshy.integrations.textworld.games import (
    SETS,
    GameId,
    GameSet,
    ensure_game,
    game_ids,
    parse_games,
)
from twiceshy.integrations.textworld.model_player import (
    Briefing,
    Briefings,
    ModelPlayer,
    model_player,
)
from twiceshy.integrations.textworld.runner import CookingGame, load_game

__all__ = [
    "ARMS",
    "POLICY",
    "SETS",
    "Arm",
    "Briefing",
    "Briefings",
    "Collected",
    "CookingGame",
    "GameId",
    "GameSet",
    "ModelPlayer",
    "attempt_of",
    "collect",
    "collect_to_file",
    "ensure_game",
    "game_ids",
    "load_game",
    "model_player",
    "parse_games",
    "policy_name",
]
