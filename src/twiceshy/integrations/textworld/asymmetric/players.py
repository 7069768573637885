"""Who plays: anything that takes lessons and a game and returns an attempt as it was played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from twiceshy.integrations.textworld.advice import (
    CoinAvoidance,
    Imitation,
    Rules,
    Warnings,
    task_words,
)
from twiceshy.integrations.textworld.agent import Advice, Played, play
from twiceshy.integrations.textworld.asymmetric.banks import lessons_by_cell
from twiceshy.integrations.textworld.asymmetric.plan import Cell, Setting
from twiceshy.integrations.textworld.runner import CookingGame
from twiceshy.lessons import Lesson


class Player(Protocol):
    """The seam between the lessons and whoever is to use them."""

    def play(
        self, game: CookingGame, *, lessons: Sequence[Lesson], key: str, max_steps: int
    ) -> Played:
        """Play one attempt.

        Args:
            game: The game.
            lessons: What the player is told, the strongest first; none for the arm without.
            key: Names the attempt's randomness: two arms with one key are paired.
            max_steps: The step limit.
        """
        ...


class Softmax:
    """The stochastic agent, which uses lessons as pulls and pushes on its choices.

    Args:
        settings: Strength and shape by cell.
        coin: Whether a coin instead of their pattern triggers rules to avoid.
    """

    def __init__(self, settings: Mapping[Cell, Setting], *, coin: bool = False) -> None:
        self._settings, self._coin = settings, coin

    def play(
        self, game: CookingGame, *, lessons: Sequence[Lesson], key: str, max_steps: int
    ) -> Played:
        """Play one attempt; see `Player`."""
        advice = [
            self._advice(cell, held, game=game, key=key)
            for cell, held in lessons_by_cell(lessons).items()
            if held
        ]
        return play(game, key=key, max_steps=max_steps, advice=advice)

    def _advice(
        self, cell: Cell, lessons: Sequence[Lesson], *, game: CookingGame, key: str
    ) -> Advice:
        nats, shape = self._settings[cell].nats, self._settings[cell].shape
        if cell == "success_concrete":
            return Imitation(lessons, task=task_words(game), nats=nats, sharpness=shape)
        if cell == "success_abstract":
            return Rules(lessons, nats=nats)
        if cell == "failure_concrete":
            return Warnings(lessons, nats=-nats, sharpness=shape)
        if self._coin:
            return CoinAvoidance(lessons, key=key, nats=-nats)
        return Rules(lessons, nats=-nats)
