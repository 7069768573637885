"""Who plays a stream, what it is told, and what is logged of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from twiceshy.attempts.types import Attempt, Step
from twiceshy.integrations.textworld.advice import advice_of
from twiceshy.integrations.textworld.agent import POLICY, Advice, Played, play
from twiceshy.integrations.textworld.collect import attempt_of
from twiceshy.integrations.textworld.games import GameId, ensure_game
from twiceshy.integrations.textworld.literals import Option, step_of
from twiceshy.integrations.textworld.model_player import (
    Briefing,
    ModelPlayed,
    model_player,
)
from twiceshy.integrations.textworld.runner import CookingGame, load_game
from twiceshy.lessons import Lesson
from twiceshy.memory.runs import Run

PULL = 4.0
"""Nats towards the next step of the attempt that is looked over, and away from its fatal one."""


@cache
def game_of(game_id: GameId, cache_folder: Path | None) -> CookingGame:
    """Return a loaded game; it remembers its states for all attempts of this process."""
    return load_game(ensure_game(game_id, cache_folder))


class Watched:
    """Tells a run what was done and what could have been done instead; adds nothing."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._choices: list[Step] = []

    def bonus(self, choices: Sequence[Option]) -> list[float]:
        """Return zeros, and remember what was offered."""
        self._choices = [step_of(each) for each in choices]
        return [0.0] * len(choices)

    def took(self, choice: Option) -> None:
        """Log the step."""
        self._run.step(step_of(choice), options=self._choices)


class LookOver:
    """Refinement: repeats the attempt before, but for the command that lost it.

    The next command of that attempt that is still to be repeated gets `PULL` nats, the one that
    lost it loses as many. An attempt that ran out of steps is not repeated.

    Args:
        previous: The attempt that is looked over, as it was played.
    """

    def __init__(self, previous: Attempt) -> None:
        texts = [step.text for step in previous.steps]
        self._fatal = texts.pop() if previous.ending == "lost" and texts else ""
        self._left = texts if previous.ending != "max_steps" else []

    def bonus(self, choices: Sequence[Option]) -> list[float]:
        """Return the pull towards each command, in nats."""
        offered = {each.command.text for each in choices}
        following = next((text for text in self._left if text in offered), None)
        pull = {self._fatal: -PULL}
        if following is not None and following != self._fatal:
            pull[following] = PULL
        return [pull.get(each.command.text, 0.0) for each in choices]

    def took(self, choice: Option) -> None:
        """Use up the step that was repeated, and those before it."""
        if choice.command.text in self._left:
            self._left = self._left[self._left.index(choice.command.text) + 1 :]


class StreamPlayer:
    """Plays one attempt at a game with what a bank told.

    Args:
        model: Name of a language model at `url`; "" plays the stochastic agent.
        url: Its endpoint.
        cache_folder: Folder of games; None for the default.
    """

    def __init__(self, *, model: str = "", url: str = "", cache_folder: Path | None = None) -> None:
        self._cache = cache_folder
        self._player = model_player(model, url=url, veto=True) if model else None

    def attempt(
        self,
        game_id: GameId,
        *,
        lessons: Sequence[Lesson],
        trial: int,
        told: str = "",
        run: Run | None = None,
        previous: Attempt | None = None,
        policy: str = POLICY,
    ) -> Attempt:
        """Return an attempt, judged by the game.

        Args:
            game_id: The game.
            lessons: Lessons in view.
            trial: Names the randomness: the same game, trial and lessons give the same attempt.
            told: The lessons as text, for a language model.
            run: Where steps are logged.
            previous: An attempt to look over.
            policy: The name it is recorded under.
        """
        game, key = game_of(game_id, self._cache), f"{game_id}|{trial}"
        limit = game_id.rule.max_steps
        if self._player is not None:
            avoid = tuple(each for each in lessons if each.kind == "avoid")
            briefing = Briefing(told + _looked_over(previous), avoid)
            played: Played | ModelPlayed = self._player.play(
                game, key=key, max_steps=limit, briefing=briefing
            )
            if run is not None:
                for option in played.taken:
                    run.step(step_of(option))
        else:
            played = _play(game_id, key, self._cache, lessons=lessons, run=run, previous=previous)
        return attempt_of(game_id, game, played=played, trial=trial, policy=policy)


def _play(
    game_id: GameId,
    key: str,
    folder: Path | None,
    *,
    lessons: Sequence[Lesson],
    run: Run | None,
    previous: Attempt | None,
) -> Played:
    if not lessons and run is None and previous is None:
        return _untold(game_id, key, folder)
    game = game_of(game_id, folder)
    advice: list[Advice] = advice_of("both", lessons, game=game, key=key)
    advice += [LookOver(previous)] if previous is not None else []
    advice += [Watched(run)] if run is not None else []
    return play(game, key=key, max_steps=game_id.rule.max_steps, advice=advice)


@cache
def _untold(game_id: GameId, key: str, folder: Path | None) -> Played:
    """Play without lessons: the same in every stream with these random numbers."""
    return play(game_of(game_id, folder), key=key, max_steps=game_id.rule.max_steps)


def _looked_over(previous: Attempt | None) -> str:
    """Return an attempt in words, for a model that is to look it over."""
    if previous is None:
        return ""
    done = ", ".join(step.text for step in previous.steps)
    return f"Your attempt before this one ended ({previous.ending}): {done}.\n"
