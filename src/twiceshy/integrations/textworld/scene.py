"""What a player of a cooking game sees, in words: the place it is in, and the recipe once read.

The light runner has no text of its own. This one tells what the stock games tell on arrival: what
lies in the room, in open containers, and what is carried, with the state of each food. Closed
containers keep their contents to themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from twiceshy.integrations.textworld.literals import HIDDEN
from twiceshy.integrations.textworld.runner import CookingGame, Situation

GOAL = "Read the cookbook, prepare the meal exactly as it says, and eat it."
_PLAYER, _BAG = "P", "I"
_STATES = frozenset(["open", "closed"])


def scene(game: CookingGame, situation: Situation, *, was_read: bool) -> str:
    """Return what the player sees, one line for each place.

    Args:
        game: The game.
        situation: Where the attempt stands.
        was_read: Whether the cookbook was read in this attempt.
    """
    seen = _Seen.of(game, situation)
    recipe = f"The recipe: {'; '.join(game.directions)}." if was_read else "The recipe: not read."
    return "\n".join([recipe, f"You are in the {seen.room}.", *seen.lines()])


class _Seen(NamedTuple):
    """The facts, arranged for telling."""

    room: str
    inside: dict[str, list[str]]
    """Place to the things in or on it; the room holds what lies on its floor."""
    states: dict[str, list[str]]

    @classmethod
    def of(cls, game: CookingGame, situation: Situation) -> _Seen:
        room = ""
        inside: dict[str, list[str]] = {}
        states: dict[str, list[str]] = {}
        for name, things in sorted(game.facts(situation)):
            if name == "at" and things[0] == _PLAYER:
                room = things[1]
            elif name in ("at", "in", "on") and things[1] in (*game.kinds, _BAG):
                inside.setdefault(things[1], []).append(things[0])
            elif len(things) == 1 and name not in HIDDEN:
                states.setdefault(things[0], []).append(name.replace("_", " "))
        return cls(room, inside, states)

    def lines(self) -> Iterator[str]:
        """Yield a line for each place with something to tell."""
        for thing in self.inside.get(self.room, ()):
            if "closed" in self.states.get(thing, ()):
                yield f"The {thing} is closed."
            elif thing in self.inside:
                yield f"At the {thing}: {self._told(thing)}."
            else:
                yield f"Here is: {self._with_state(thing)}."
        yield f"You carry: {self._told(_BAG) or 'nothing'}."

    def _told(self, place: str) -> str:
        return ", ".join(map(self._with_state, self.inside.get(place, ())))

    def _with_state(self, thing: str) -> str:
        states = [each for each in self.states.get(thing, ()) if each not in _STATES]
        return f"{thing} ({', '.join(states)})" if states else thing
