"""How the agent uses lessons: as a penalty on what they forbid, as a pull towards what worked.

Lessons are consumed as patterns, never as prose: an `avoid` takes 4 nats off every command it
matches (a command 50 times less likely), a demonstration adds up to 4 nats to commands like its
steps. A language model obeys less than that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

from twiceshy.errors import BadInput
from twiceshy.integrations.textworld.agent import Advice, uniform
from twiceshy.integrations.textworld.literals import Option
from twiceshy.integrations.textworld.runner import CookingGame
from twiceshy.lessons import Lesson
from twiceshy.memory.contrast.conditions import Pattern, holds, parse_pattern
from twiceshy.memory.recall import situation_of

Arm = Literal["none", "placebo", "success_only", "failure_only", "both"]
ARMS: tuple[Arm, ...] = get_args(Arm)

AVOID_NATS = -4.0
DEMONSTRATION_NATS = 4.0
_ALIKE = 0.3
"""Jaccard index from which a command counts as having done a demonstration's step."""


class Avoidance:
    """Takes nats off commands that some `avoid` lesson matches."""

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        self._patterns: list[Pattern] = [parse_pattern(lesson.pattern) for lesson in lessons]

    def bonus(self, choices: Sequence[Option]) -> list[float]:
        """Return `AVOID_NATS` for commands that are advised against, else 0."""
        return [AVOID_NATS if self._is_forbidden(choice) else 0.0 for choice in choices]

    def _is_forbidden(self, choice: Option) -> bool:
        return any(
            holds(p, verb=choice.command.verb, facts=choice.literals) for p in self._patterns
        )

    def took(self, choice: Option) -> None:
        """Nothing to remember."""


class CoinAvoidance:
    """The placebo of `Avoidance`: the same verbs and nats at the same dose, triggered by a coin.

    Each lesson takes its nats off each command with its verb with the probability with which the
    lesson matched such steps in training, tossed anew for every command at every step. A fixed
    random pattern would be no placebo: a verb such as `prepare` is used in two situations only, and
    to forbid the other one forbids winning.
    """

    def __init__(self, lessons: Sequence[Lesson], *, key: str) -> None:
        self._doses = [
            (parse_pattern(each.pattern).verb, each.extra["n_steps"] / each.extra["n_verb_steps"])
            for each in lessons
        ]
        self._key, self._n_taken = key, 0

    def bonus(self, choices: Sequence[Option]) -> list[float]:
        """Return `AVOID_NATS` for commands the coin picked, else 0."""
        return [AVOID_NATS if self._is_picked(choice) else 0.0 for choice in choices]

    def _is_picked(self, choice: Option) -> bool:
        return any(
            uniform(f"{self._key}|coin {i}|{self._n_taken}|{choice.command.text}") < dose
            for i, (verb, dose) in enumerate(self._doses)
            if verb == choice.command.verb
        )

    def took(self, choice: Option) -> None:  # noqa: ARG002 - which one does not matter here
        """Go on to the next toss."""
        self._n_taken += 1


class _Demo(NamedTuple):
    """One step of a demonstration."""

    verb: str
    facts: frozenset[str]


class Imitation:
    """Pulls towards the steps of one demonstration, each of which is used up once it was followed.

    bonus = `DEMONSTRATION_NATS` · max over unused steps with the same verb of Jaccard(facts)²

    Until the recipe is read the shortest demonstration is followed, then the one whose recipe has
    the most words in common with it; its first steps, up to its own reading, count as done.

    Args:
        lessons: Demonstrations mined by `mine_conditions`; at least one.
        task: The task in words, with its recipe; looked at only once the recipe is read.
    """

    def __init__(self, lessons: Sequence[Lesson], *, task: str) -> None:
        self._lessons, self._task = lessons, task
        self._left = _steps(min(lessons, key=lambda each: (len(_steps(each)), each.id)))
        self._has_read = False

    def bonus(self, choices: Sequence[Option]) -> list[float]:
        """Return the pull towards each command, in nats."""
        if not self._has_read and any("recipe is read" in c.literals for c in choices):
            self._has_read = True
            best = max(
                self._lessons, key=lambda each: (_overlap(self._task, situation_of(each)), each.id)
            )
            self._left = _after_reading(_steps(best))
        return [DEMONSTRATION_NATS * self._closest(choice)[0] ** 2 for choice in choices]

    def took(self, choice: Option) -> None:
        """Use up the step the command is most like."""
        alike, step = self._closest(choice)
        if step is not None and alike >= _ALIKE:
            self._left.remove(step)

    def _closest(self, choice: Option) -> tuple[float, _Demo | None]:
        found: tuple[float, _Demo | None] = (0.0, None)
        for step in self._left:
            if step.verb == choice.command.verb:
                alike = _jaccard(step.facts, choice.literals)
                if alike > found[0]:
                    found = (alike, step)
        return found


def _steps(lesson: Lesson) -> list[_Demo]:
    return [_Demo(move["verb"], frozenset(move["facts"])) for move in lesson.extra["moves"]]


def _after_reading(steps: list[_Demo]) -> list[_Demo]:
    read = next((i for i, step in enumerate(steps) if "recipe is read" in step.facts), 0)
    return steps[read:]


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    union = len(first | second)
    return len(first & second) / union if union else 1.0


def _overlap(first: str, second: str) -> float:
    return _jaccard(_words(first), _words(second))


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", text.lower()))


def lessons_for(arm: Arm, lessons: Iterable[Lesson]) -> tuple[Lesson, ...]:
    """Return the lessons an arm uses, of those `mine_conditions` made.

    Raises:
        BadInput: The arm is unknown, or there is no lesson of a kind it needs.
    """
    if arm not in ARMS:
        raise BadInput(f"an arm ({', '.join(ARMS)})", got=repr(arm))
    usable = list(lessons)
    avoid = [each for each in usable if each.kind == "avoid" and "n_verb_steps" in each.extra]
    shown = [each for each in usable if each.kind == "demonstration" and "moves" in each.extra]
    needs = {
        "none": (),
        "placebo": (avoid,),
        "failure_only": (avoid,),
        "success_only": (shown,),
        "both": (avoid, shown),
    }[arm]
    if not all(needs):
        raise BadInput(
            f"lessons for the arm {arm!r}",
            got=f"{len(avoid)} to avoid and {len(shown)} demonstrations",
            fix="Mine them from attempts at the training games.",
        )
    return tuple(lesson for kind in needs for lesson in kind)


def advice_of(arm: Arm, lessons: Sequence[Lesson], *, game: CookingGame, key: str) -> list[Advice]:
    """Return fresh advice for one attempt.

    Args:
        arm: The arm.
        lessons: What `lessons_for` returned for it.
        game: The game to be played.
        key: Names the attempt's randomness.
    """
    avoid = [each for each in lessons if each.kind == "avoid"]
    shown = [each for each in lessons if each.kind == "demonstration"]
    if arm == "placebo":
        return [CoinAvoidance(avoid, key=key)]
    advice: list[Advice] = [Avoidance(avoid)] if avoid else []
    return [*advice, Imitation(shown, task=task_words(game))] if shown else advice


def task_words(game: CookingGame) -> str:
    """Return the task in words. The agent learns the recipe's part only by reading the cookbook."""
    return f"Cook the meal in the cookbook and eat it. The recipe: {'; '.join(game.directions)}."
