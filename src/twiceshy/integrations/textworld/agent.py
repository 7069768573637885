"""A stochastic agent for cooking games: a hand-set prior over commands, softmax, no learning.

The prior knows the goal, reading the recipe, fetching and cutting; it is weak where the games
punish most, at the stove and the oven. Its weights were set on training games only, so that it
succeeds some of the time and fails in more than one way.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from twiceshy.integrations.textworld.literals import History, Option, options
from twiceshy.integrations.textworld.runner import Command, CookingGame
from twiceshy.memory.contrast.conditions import Pattern, holds, parse_pattern

POLICY = "cook-softmax-1"
"""Name and version of the agent; the version changes whenever its prior does."""
TEMPERATURE = 0.5


class Leaning(NamedTuple):
    """An addition to the score of the commands a pattern holds for."""

    pattern: Pattern
    value: float


def _leanings() -> tuple[Leaning, ...]:
    table: dict[str, float] = {
        "examine | not recipe is read": 1.5,
        "examine | recipe is read": -1.5,
        "take | food is in recipe": 1.5,
        "take | thing is knife": 0.8,
        "cook | food is in recipe": 1.0,
        "cook | recipe says raw": -1.5,
        "cook | not recipe is read": -2.0,
        "prepare": -0.8,
        "eat | not meal.edible": -2.0,
        "eat | meal.edible": 3.0,
        "drink": -2.0,
        "put": -0.8,
        "insert": -0.8,
        "drop": -0.8,
        "close": -0.8,
    }
    for verb, cut in (("chop", "chopped"), ("slice", "sliced"), ("dice", "diced")):
        table[f"{verb} | recipe still wants {cut}"] = 2.0
        table[f"{verb} | food is in recipe & not recipe still wants {cut}"] = -1.0
        table[f"{verb} | not recipe is read"] = -1.0
    for done, right, wrong in (("fried", "stove", "oven"), ("roasted", "oven", "stove")):
        table[f"cook | recipe has {done}"] = -1.2
        table[f"cook | recipe still wants {done} & tool is {right}"] = 0.4
        table[f"cook | recipe still wants {done} & tool is {wrong}"] = -0.4
    return tuple(Leaning(parse_pattern(text), value) for text, value in table.items())


PRIOR = _leanings()
_AGAIN = {"it was tried before": -3.0, "it was done before": -1.0}


def prior(option: Option) -> float:
    """Return the score of a command before any lesson; differences matter, in units of reward."""
    return _score(option.command.verb, option.literals)


@lru_cache(maxsize=100_000)
def _score(verb: str, held: frozenset[str]) -> float:
    score = sum(each.value for each in PRIOR if holds(each.pattern, verb=verb, facts=held))
    return score + sum(value for literal, value in _AGAIN.items() if literal in held)


class Advice(Protocol):
    """What a lesson-using agent adds to its prior. Made anew for each attempt."""

    def bonus(self, choices: Sequence[Option]) -> list[float]:
        """Return what to add to each command's logit, in nats."""
        ...

    def took(self, choice: Option) -> None:
        """Learn which command was given."""
        ...


class Played(NamedTuple):
    """An attempt as it was played."""

    taken: tuple[Option, ...]
    ending: str
    """"won", "lost" or "max_steps"."""


def play(game: CookingGame, *, key: str, max_steps: int, advice: Sequence[Advice] = ()) -> Played:
    """Play one attempt.

    A command is drawn from softmax(prior / temperature + advice) by adding Gumbel noise. The noise
    of a command is a function of (`key`, step, command) alone, so two arms with one key make the
    same choices until their advice differs (common random numbers).

    Args:
        game: The game.
        key: Names the randomness; the same key, game and advice give the same attempt.
        max_steps: The step limit.
        advice: Lessons in use; their bonuses add up.
    """
    situation, history = game.start(), History()
    taken: list[Option] = []
    while situation.ending is None and len(taken) < max_steps:
        choices = options(game, situation, history=history)
        chosen = _choose(choices, advice, key=f"{key}|{len(taken)}")
        taken.append(chosen)
        situation = game.step(situation, chosen.command.text)
        history = history.after(chosen.command)
    return Played(tuple(taken), situation.ending or "max_steps")


def _choose(choices: Sequence[Option], advice: Sequence[Advice], *, key: str) -> Option:
    logits = [prior(choice) / TEMPERATURE for choice in choices]
    for each in advice:
        logits = [a + b for a, b in zip(logits, each.bonus(choices), strict=True)]
    noisy = [x + _gumbel(key, o.command) for x, o in zip(logits, choices, strict=True)]
    chosen = choices[max(range(len(choices)), key=noisy.__getitem__)]
    for each in advice:
        each.took(chosen)
    return chosen


def _gumbel(key: str, command: Command) -> float:
    return -math.log(-math.log(uniform(f"{key}|{command.text}")))


def uniform(key: str) -> float:
    """Return a number in (0, 1) that looks random and depends on the key alone.

    Example:
        >>> uniform("a") == uniform("a") != uniform("b")
        True
    """
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) / (2**64 + 1)
