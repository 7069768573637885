"""What is true of a command just before it is given, as short literals without proper names.

"cook white onion with oven" may have the literals `food.cooked`, `tool is oven` and
`recipe says fried`. They name the *role* of a thing (food, tool, thing, place, door), never the
thing itself, so that what is learned about one onion can hold for a potato.

Only what holds is listed; that a literal is absent means that it does not hold (or, for the recipe,
that the agent has not read it yet). Everything about the recipe appears only once it was read.

How much is built in: the roles, and the comparison of a food's state with its line in the recipe
("recipe still wants fried"), were chosen by people who know the games.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from twiceshy.attempts.types import Step, ToolCall
from twiceshy.integrations.textworld.runner import (
    READ,
    Command,
    CookingGame,
    Fact,
    Preparation,
    Situation,
)

_PLAIN = ("raw", "uncut")
"""Preparations that need nothing done."""
HIDDEN = frozenset(
    ["used", "consumed", "cookable", "cuttable", *(f"ingredient_{i}" for i in range(1, 6))]
)
"""Bookkeeping of the game, and what every food shares."""


class Option(NamedTuple):
    """A command the agent may give now, with what is true of it."""

    command: Command
    roles: dict[str, str]
    """Role to name of thing: {"food": "carrot", "tool": "knife"}."""
    literals: frozenset[str]


class History(NamedTuple):
    """What the agent remembers of its own attempt."""

    commands: frozenset[str] = frozenset()
    acts: frozenset[tuple[str, str]] = frozenset()
    """Verb and first thing of the commands given."""

    def after(self, command: Command) -> History:
        """Return the memory with one more command."""
        act = (command.verb, command.things[0] if command.things else "")
        return History(self.commands | {command.text}, self.acts | {act})


def options(game: CookingGame, situation: Situation, *, history: History) -> list[Option]:
    """Return every admissible command with its literals, sorted by text.

    Args:
        game: The game.
        situation: Where the attempt stands.
        history: What was done so far in it.
    """
    view = _View.of(game, situation, was_read=READ in history.commands)
    return [_option(view, command, history=history) for command in game.commands(situation)]


def step_of(option: Option) -> Step:
    """Return the step that giving a command is: its verb as a call, its literals as facts."""
    call = ToolCall(name=option.command.verb, arguments=dict(option.roles))
    return Step(
        role="assistant",
        text=option.command.text,
        calls=(call,),
        facts=tuple(sorted(option.literals)),
    )


def walkthrough_literals(game: CookingGame) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the verb and the literals of each step of the game's own winning walkthrough.

    Steps that change nothing are left out, and those that open what is open already.
    """
    situation, history = game.start(), History()
    for text in game.walkthrough:
        choice = next(
            (o for o in options(game, situation, history=history) if o.command.text == text), None
        )
        if choice is not None:
            yield choice.command.verb, choice.literals
            situation = game.step(situation, text)
            history = history.after(choice.command)
    assert situation.ending == "won"


class _View(NamedTuple):
    """The facts, arranged for looking things up."""

    kinds: dict[str, str]
    unary: dict[str, frozenset[str]]
    wanted: dict[str, Preparation]
    """The recipe by food; empty until it was read."""
    was_read: bool

    @classmethod
    def of(cls, game: CookingGame, situation: Situation, *, was_read: bool) -> _View:
        unary: dict[str, set[str]] = {}
        for fact in game.facts(situation):
            if _is_visible(fact):
                unary.setdefault(fact.things[0], set()).add(fact.name)
        return cls(
            kinds=game.kinds,
            unary={name: frozenset(held) for name, held in unary.items()},
            wanted={each.food: each for each in game.recipe} if was_read else {},
            was_read=was_read,
        )

    def gaps(self, food: str) -> Iterator[str]:
        """Yield the preparations the recipe still wants of a food."""
        line = self.wanted.get(food)
        if line is not None:
            held = self.unary.get(food, frozenset())
            wanted = (line.cooking, line.cutting)
            yield from (each for each in wanted if each not in _PLAIN and each not in held)


def _is_visible(fact: Fact) -> bool:
    return len(fact.things) == 1 and fact.name not in HIDDEN


def _option(view: _View, command: Command, *, history: History) -> Option:
    roles = _roles(view, command)
    literals = set(_general(view, command, history=history))
    for role, name in roles.items():
        literals.update(_about(view, role=role, name=name))
    return Option(command, roles, frozenset(literals))


def _roles(view: _View, command: Command) -> dict[str, str]:
    roles: dict[str, str] = {}
    for i, name in enumerate(command.things):
        kind = view.kinds.get(name, "")
        if i > 0:
            role = "place" if command.verb in ("take", "put", "insert") else "tool"
        else:
            role = {"f": "food", "meal": "meal", "d": "door", "r": "room"}.get(kind, "thing")
        roles[role] = name
    return roles


def _general(view: _View, command: Command, *, history: History) -> Iterator[str]:
    if command.text in history.commands:
        yield "it was done before"
    if command.things and (command.verb, command.things[0]) in history.acts:
        yield "it was tried before"
    if view.was_read:
        yield "recipe is read"
        left = {gap for food in view.wanted for gap in view.gaps(food)}
        yield from (f"something is left to be {gap}" for gap in left)
        yield "something is left to prepare" if left else "nothing is left to prepare"


def _about(view: _View, *, role: str, name: str) -> Iterator[str]:
    if role in ("thing", "tool", "place"):
        yield f"{role} is {name if role != 'place' else _kind(view, name)}"
    for held in view.unary.get(name, ()):
        if role != "tool":
            yield f"{role}.{held}"
    if role == "food" and name in view.wanted:
        yield "food is in recipe"
        gaps = set(view.gaps(name))
        for want in (view.wanted[name].cooking, view.wanted[name].cutting):
            yield f"recipe says {want}"
            if want not in _PLAIN:
                yield f"recipe still wants {want}" if want in gaps else f"recipe has {want}"


def _kind(view: _View, name: str) -> str:
    return {"c": "container", "s": "supporter"}.get(view.kinds.get(name, ""), "other")
