"""Who plays: anything that takes lessons and a game and returns an attempt as it was played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from twiceshy.integrations.textworld.model_player import TOLD, Briefing, ModelPlayer
from twiceshy.integrations.textworld.runner import CookingGame
from twiceshy.lessons import Lesson
from twiceshy.memory.bank import Add, Bank
from twiceshy.memory.contrast import losses
from twiceshy.memory.recall import recall


class Player(Protocol):
    """The seam between the lessons and whoever is to use them."""

    n_unread: int
    """Answers so far that named no command; always 0 for a player that is not a language model."""

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
        self.n_unread = 0

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


class Told:
    """A language model, which is told what recall finds among the lessons.

    Rules to avoid are told with their alternative; a loss has none, so an arm with losses is told
    in the form that names the mistake alone.

    Args:
        player: The model behind its endpoint.
    """

    def __init__(self, player: ModelPlayer) -> None:
        self._player = player
        self.n_unread = 0

    def play(
        self, game: CookingGame, *, lessons: Sequence[Lesson], key: str, max_steps: int
    ) -> Played:
        """Play one attempt; see `Player`.

        Raises:
            BadInput: The model cannot be reached.
        """
        briefing = self.briefing(game, lessons)
        played = self._player.play(game, key=key, max_steps=max_steps, briefing=briefing)
        self.n_unread += played.n_unread
        return Played(played.taken, played.ending)

    def briefing(self, game: CookingGame, lessons: Sequence[Lesson]) -> Briefing:
        """Return what the model is told of some lessons before a game."""
        if not lessons:
            return Briefing()
        has_losses = any(each.vocabulary == losses.NAME for each in lessons)
        wish = replace(TOLD, form="negative" if has_losses else "instead")
        with Bank.open(":memory:") as bank:
            bank.apply([Add(lesson=each) for each in lessons])
            return Briefing(recall(bank, task_words(game), **wish.keywords).text)
