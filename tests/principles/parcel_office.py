"""A model made of rules, for tests: an office whose parcels go to a door.

A parcel has a size, a colour and a mark. By default the size decides the door. In each office one
mark is an exception. The model knows the default and not the exception; it obeys every principle of
the form "when it is V, take D" whose V the parcel has, the last one first. Asked for a principle it
names the mark or, as often as `blunder` says, the colour.
"""

from __future__ import annotations

import random
import re

from twiceshy.models import Request, ScriptedCompleter
from twiceshy.principles.types import Example, example

SIZES = {"small": "north", "large": "south", "flat": "east", "long": "west"}
COLOURS = ("red", "blue", "green", "grey", "white")
MARKS = ("K", "M", "P", "R", "T", "W")
_RULE = re.compile(r"when it is (\w+), take (\w+)", re.I)
_ASKED = re.compile(r"Question:\nparcel: (\w+) (\w+) (\w+)")


def parcel(size: str, colour: str, mark: str, *, exception: str = "K", door: str = "up") -> Example:
    right = door if mark == exception else SIZES[size]
    return example(f"parcel: {size} {colour} {mark}", right, task=f"office {exception}")


def parcels(n: int, *, seed: int, exception: str = "K", door: str = "up") -> list[Example]:
    """Return different parcels, at random; about one in six is an exception."""
    every = [(s, c, m) for s in SIZES for c in COLOURS for m in MARKS]
    drawn = random.Random(seed).sample(every, n)
    return [parcel(*each, exception=exception, door=door) for each in drawn]


def office_model(*, blunder: float = 0.0, seed: int = 0, name: str = "clerk") -> ScriptedCompleter:
    """Return the model."""
    rng = random.Random(seed)

    def answer(request: Request) -> str:
        prompt = request.prompt
        size, colour, mark = _ASKED.findall(prompt)[-1] if _ASKED.search(prompt) else ("", "", "")
        if prompt.endswith("Condensed principles:"):
            texts = dict.fromkeys(re.findall(r"^- (.+)$", prompt, re.M))
            return "\n".join(f"- {text}" for text in list(texts)[:5])
        if prompt.endswith("Principle:"):
            door = re.findall(r"Answer: (\w+)", prompt)[-1]
            cause = colour if rng.random() < blunder else mark
            return f"When it is {cause}, take {door}."
        told = {value.lower(): door for value, door in _RULE.findall(prompt)}
        for value in (mark, colour, size):
            if value.lower() in told:
                return f"It is {value}.\nAnswer: {told[value.lower()]}"
        return f"It is {size}.\nAnswer: {SIZES[size]}"

    return ScriptedCompleter(answer, name=name)
