"""A language model as the player: it sees the scene and lessons, and picks a command by number.

Every arm that the stochastic agent plays can be played by a model. Lessons are then told in words,
as recall renders them for the task, and may be enforced besides: with `veto`, commands that an
`avoid` speaks against are not offered. What is lost against the stochastic agent is obedience.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import msgspec

from twiceshy.integrations.textworld.advice import Arm, lessons_for, task_words
from twiceshy.integrations.textworld.agent import uniform
from twiceshy.integrations.textworld.games import GameId
from twiceshy.integrations.textworld.literals import History, Option, options, step_of
from twiceshy.integrations.textworld.runner import READ, CookingGame
from twiceshy.integrations.textworld.scene import GOAL, scene
from twiceshy.lessons import Lesson, Status
from twiceshy.memory.bank import Add, Bank
from twiceshy.memory.recall import Wish, allowed, line_of, placebo_of, recall, render
from twiceshy.models import Completer, OpenAICompleter, ask

VERSION = 1
"""Of the prompt; it is part of the policy's name."""
SYSTEM = "You play a text game about cooking. Answer with the number of one command, nothing else."
MAX_TOKENS = 8
"""Tokens of an answer: a number."""
N_REMEMBERED = 12
"""Commands given before that the prompt names."""
TOLD = Wish(k=4, budget_tokens=800)
"""How lessons are recalled by default: some of each kind, two demonstrations at most fit."""
_NUMBER = re.compile(r"\d+")


class ModelPlayed(NamedTuple):
    """An attempt as a model played it."""

    taken: tuple[Option, ...]
    ending: str
    """"won", "lost" or "max_steps"."""
    n_unread: int = 0
    """Answers that named no command; a command was drawn at random for them."""
    n_vetoed: int = 0
    """Commands that were not offered because a lesson speaks against them."""

    @property
    def counts(self) -> dict[str, int]:
        """What is kept with the attempt."""
        return {"n_unread": self.n_unread, "n_vetoed": self.n_vetoed}


class Briefing(NamedTuple):
    """What a player is told before an attempt, and what it is held to."""

    text: str = ""
    """Lessons as rendered by recall; "" for none."""
    avoid: tuple[Lesson, ...] = ()
    """Lessons whose commands a `veto` leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlayer:
    """Plays cooking games by asking a language model for each command.

    Args:
        completer: The model; see `model_player` for one behind an endpoint.
        model: Its name, which becomes part of the policy's name.
        veto: Whether commands that an `avoid` in view speaks against are left out.

    Example:
        >>> from twiceshy.models import ScriptedCompleter
        >>> ModelPlayer(completer=ScriptedCompleter({}), model="tiny").policy
        'cook-tiny-1'
    """

    completer: Completer
    model: str
    veto: bool = False

    @property
    def policy(self) -> str:
        """The name that attempts are recorded under, without the arm."""
        return f"cook-{self.model}-{VERSION}{'+veto' if self.veto else ''}"

    def play(
        self, game: CookingGame, *, key: str, max_steps: int, briefing: Briefing | None = None
    ) -> ModelPlayed:
        """Play one attempt.

        Args:
            game: The game.
            key: Names the randomness of commands drawn for answers that cannot be read.
            max_steps: The step limit.
            briefing: Lessons; None for none.

        Raises:
            BadInput: The model cannot be reached. Nothing of the attempt is kept: it is neither a
                failure nor a success of the player.
        """
        known, situation, history = briefing or Briefing(), game.start(), History()
        taken: list[Option] = []
        n_unread = n_vetoed = 0
        while situation.ending is None and len(taken) < max_steps:
            offered = options(game, situation, history=history)
            choices = self._left(offered, known, before=taken)
            n_vetoed += len(offered) - len(choices)
            seen = scene(game, situation, was_read=READ in history.commands)
            answer = self._ask(prompt_of(seen, choices, told=known.text, before=taken))
            place = choice_of(answer, choices)
            n_unread += place is None
            if place is None:
                place = int(uniform(f"{key}|unread {len(taken)}") * len(choices))
            taken.append(choices[place])
            situation = game.step(situation, choices[place].command.text)
            history = history.after(choices[place].command)
        return ModelPlayed(tuple(taken), situation.ending or "max_steps", n_unread, n_vetoed)

    def _ask(self, prompt: str) -> str:
        """Put one question: the only place at which a model is called."""
        return ask(self.completer, prompt, system=SYSTEM, max_tokens=MAX_TOKENS)

    def _left(
        self, offered: Sequence[Option], known: Briefing, *, before: Sequence[Option]
    ) -> list[Option]:
        if not self.veto or not known.avoid:
            return list(offered)
        steps = [step_of(each) for each in offered]
        free = allowed(steps, known.avoid, before=[step_of(each) for each in before])
        return [offered[place] for place in free]


def prompt_of(
    seen: str, choices: Sequence[Option], *, told: str = "", before: Sequence[Option] = ()
) -> str:
    """Return the question for one command: lessons first, since they stay the same all the while.

    Args:
        seen: The scene.
        choices: The commands offered, at least one.
        told: Lessons, rendered.
        before: The commands given so far.
    """
    done = ", ".join(each.command.text for each in before[-N_REMEMBERED:]) or "nothing"
    numbered = "\n".join(f"{n}. {each.command.text}" for n, each in enumerate(choices, start=1))
    lessons = f"{told}\n" if told else ""
    return f"{lessons}{GOAL}\n{seen}\nDone so far: {done}.\n\nCommands:\n{numbered}\n\nNumber:"


def choice_of(answer: str, choices: Sequence[Option]) -> int | None:
    """Return the place of the command an answer names, by number or by its words; None if none.

    The first number counts, if it is one of the list. Without a number the longest command whose
    words occur counts.

    Example:
        >>> from twiceshy.integrations.textworld.runner import Command
        >>> named = [Option(Command(text, text.split()[0], ()), {}, frozenset())
        ...          for text in ("open fridge", "prepare meal")]
        >>> [choice_of(each, named) for each in ("2", "I would prepare meal.", "17", "Sure!")]
        [1, 1, None, None]
    """
    number = _NUMBER.search(answer)
    if number is not None:
        place = int(number.group()) - 1
        return place if 0 <= place < len(choices) else None
    said = " ".join(answer.lower().split())
    named = [at for at, each in enumerate(choices) if each.command.text in said]
    return max(named, key=lambda at: len(choices[at].command.text), default=None)


@dataclass(frozen=True)
class Briefings:
    """Briefs a player for one game after another, in one arm, by the recall of a bank.

    Args:
        arm: Which lessons are told. `placebo` tells placebos as long as the lessons of `both`, and
            enforces nothing.
        lessons: Where the arm's lessons are taken from; see `lessons_for`.
        wish: How they are recalled.

    Raises:
        BadInput: The arm is unknown, or there is no lesson of a kind it needs.
    """

    arm: Arm
    lessons: tuple[Lesson, ...] = ()
    wish: Wish = field(default=TOLD)

    def __post_init__(self) -> None:
        lessons_for(self._told_arm, self.lessons)

    def of(self, game_id: GameId, game: CookingGame) -> Briefing:
        """Return what a player of a game is told. The game's own attempts are held back."""
        if self.arm == "none":
            return Briefing()
        wish = replace(self.wish, task_id=str(game_id))
        found = recall(self._bank, task_words(game), **wish.keywords)
        if self.arm == "placebo":
            return Briefing(self._placebos(found.chosen, seed=game_id.seed))
        avoid = tuple(each for each in found.chosen if each.kind == "avoid")
        return Briefing(found.text, avoid)

    @property
    def _told_arm(self) -> Arm:
        return "both" if self.arm == "placebo" else self.arm

    @cached_property
    def _bank(self) -> Bank:
        bank = Bank.open(":memory:")
        told = lessons_for(self._told_arm, self.lessons)
        active = (msgspec.structs.replace(each, status=Status.ACTIVE) for each in told)
        bank.apply([Add(lesson=each) for each in active])
        return bank

    def _placebos(self, lessons: Sequence[Lesson], *, seed: int) -> str:
        told = [each for each in lessons if line_of(each, form=self.wish.form)]
        placebos = [placebo_of(each, told, seed, count=self.wish.count) for each in told]
        return render(placebos, budget_tokens=2 * self.wish.budget_tokens).text


def model_player(
    model: str, *, url: str | None = None, api_key: str | None = None, veto: bool = False
) -> ModelPlayer:
    """Return a player behind an OpenAI-compatible endpoint.

    Args:
        model: The model's name as the endpoint knows it.
        url: The endpoint, as http://HOST:PORT/v1. A local one needs no key.
        api_key: None reads the SDK's environment variable where there is no `url`.
        veto: Whether commands that an `avoid` in view speaks against are left out.

    Raises:
        MissingExtra: The `openai` extra is not installed.
    """
    key = api_key or ("none" if url else None)
    completer = OpenAICompleter(model, base_url=url, api_key=key)
    return ModelPlayer(completer=completer, model=model, veto=veto)
