"""A little world in which a stated rule decides the answer.

A parcel has a size, a colour and a mark, and goes to a door. The size decides by default, in all
offices alike. Each office has two exceptions of its own: one value of the colour and one of the
mark, each with a door. Nobody can know them without being told or having seen them.
"""

from __future__ import annotations

import itertools
import random
from typing import NamedTuple

from twiceshy.principles import Example, example

SIZES = ("tiny", "small", "middle", "large", "flat", "long")
COLOURS = ("red", "blue", "green", "grey", "white", "black")
MARKS = ("K", "M", "P", "R", "T", "W")
DOORS = ("north", "south", "east", "west", "upper", "lower")
DEFAULT = dict(zip(SIZES, ("east", "north", "lower", "west", "upper", "south"), strict=True))
IN_WORDS = (
    "Each parcel goes to one door. By default its size decides: "
    + ", ".join(f"{size} {door}" for size, door in DEFAULT.items())
    + ". This office has exceptions, by colour or mark. To which door does this parcel go?"
)
Parcel = tuple[str, str, str]
EVERY: tuple[Parcel, ...] = tuple(itertools.product(SIZES, COLOURS, MARKS))


class Office(NamedTuple):
    """A task: two exceptions to the default."""

    colour: str
    colour_door: str
    mark: str
    mark_door: str

    @property
    def name(self) -> str:
        """The task's name."""
        return f"office {self.colour}-{self.colour_door} {self.mark}-{self.mark_door}"

    @property
    def rules(self) -> tuple[str, str]:
        """What would have to be known."""
        return rule(self.colour, self.colour_door), rule(self.mark, self.mark_door)

    def door(self, parcel: Parcel) -> str:
        """The right door; the mark goes before the colour."""
        size, colour, mark = parcel
        if mark == self.mark:
            return self.mark_door
        return self.colour_door if colour == self.colour else DEFAULT[size]

    def examples(self, parcels: list[Parcel], *, told: bool = False) -> list[Example]:
        """Return parcels as questions with the right door.

        Args:
            parcels: What is asked.
            told: Say in the question what decides by default, for a model that was not taught it.
        """
        before = f"{IN_WORDS}\n" if told else ""
        return [
            example(f"{before}parcel: {' '.join(each)}", self.door(each), task=self.name)
            for each in parcels
        ]


def rule(value: str, door: str) -> str:
    """Return a rule in words."""
    return f"When it is {value}, take {door}."


def office_of(seed: int) -> Office:
    """Return an office; its two exceptions lead to different doors."""
    rng = random.Random(f"office {seed}")
    first, second = rng.sample(DOORS, 2)
    return Office(rng.choice(COLOURS), first, rng.choice(MARKS), second)


def dealt(office: Office, *, seed: int, n: int, told: bool = False) -> list[Example]:
    """Return `n` different questions of an office, in random order."""
    return office.examples(random.Random(f"parcels {seed}").sample(EVERY, n), told=told)
