"""What the model is asked: five little worlds, two options each, and a lesson told in eleven ways.

Every item has one right and one wrong option. The order in which the options stand, and which of
the two is right, are balanced. The same items are asked in every arm, so arms are paired.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

Arm = Literal[
    "none",
    "placebo",
    "positive",
    "failure",
    "never",
    "instead",
    "both",
    "positive_3_distractors",
    "failure_3_distractors",
    "instead_3_distractors",
    "penalty",
    "failure_penalty",
]
ARMS: tuple[Arm, ...] = get_args(Arm)
N_DISTRACTORS = 3
PENALTY_NATS = 4.0
"""Taken off the option that an `avoid` names, as the text-game agent does."""
Names = Literal["seen", "unseen"]


class World(NamedTuple):
    """One little world: how its task and its lessons are said."""

    name: str
    task: str
    good: str
    bad: str
    never: str
    instead: str
    prime: str
    """The beginning of the answer; the next word is the option."""
    options: tuple[str, ...]
    """Words that are one token after a space in the model's vocabulary."""


WORLDS: tuple[World, ...] = (
    World(
        "parcel",
        "Task: parcel {n}. Doors: {a} or {b}.",
        "parcel {n} went through at the {x} door.",
        "parcel {n} failed at the {x} door.",
        "never take parcel {n} to the {x} door.",
        "take parcel {n} to the {y} door instead of the {x} door.",
        "Answer: the",
        ("red", "blue", "green", "white", "black", "yellow", "orange", "brown"),
    ),
    World(
        "key",
        "Task: open box {n}. Keys: {a} or {b}.",
        "the {x} key opened box {n}.",
        "the {x} key did not open box {n}.",
        "never use the {x} key on box {n}.",
        "use the {y} key instead of the {x} key on box {n}.",
        "Answer: the",
        ("iron", "gold", "silver", "glass", "bone", "wood", "stone", "paper"),
    ),
    World(
        "dish",
        "Task: cook dish {n}. Places: {a} or {b}.",
        "dish {n} came out well from the {x}.",
        "dish {n} was burned in the {x}.",
        "never cook dish {n} in the {x}.",
        "cook dish {n} in the {y} instead of the {x}.",
        "Answer: in the",
        ("pot", "pan", "fire", "bowl", "cup", "tray", "basket", "box"),
    ),
    World(
        "ticket",
        "Task: send ticket {n}. Teams: {a} or {b}.",
        "ticket {n} was solved by the {x} team.",
        "ticket {n} was rejected by the {x} team.",
        "never send ticket {n} to the {x} team.",
        "send ticket {n} to the {y} team instead of the {x} team.",
        "Answer: to the",
        ("sales", "legal", "design", "support", "network", "security", "medical", "research"),
    ),
    World(
        "call",
        "Task: run job {n}. Tools: {a} or {b}.",
        "calling {x} for job {n} returned a result.",
        "calling {x} for job {n} raised an error.",
        "never call {x} for job {n}.",
        "call {y} instead of {x} for job {n}.",
        "Answer: call",
        ("search", "read", "list", "copy", "move", "find", "open", "send"),
    ),
)


class Item(NamedTuple):
    """One question."""

    world: World
    name: str
    first: str
    """The option that stands first."""
    second: str
    right: str
    wrong: str
    distractors: tuple[tuple[str, str, str], ...]
    """Other names, each with a right and a wrong option of its own."""

    @property
    def options(self) -> tuple[str, str]:
        """Both options, the right one first."""
        return self.right, self.wrong


def make_items(world: World, n: int, *, seed: int, names: Names = "unseen") -> list[Item]:
    """Return n items; seen and unseen ones share neither names nor option words."""
    rng = random.Random(f"{world.name}|{seed}|{names}")
    half = len(world.options) // 2
    words = world.options[:half] if names == "seen" else world.options[half:]
    letters = "ABCDEFGHJKLM" if names == "seen" else "NPQRSTUVWXYZ"
    found = []
    for i in range(n):
        codes = rng.sample([f"{c}{d}" for c in letters for d in range(2, 10)], 1 + N_DISTRACTORS)
        first, second = rng.sample(words, 2)
        right, wrong = (first, second) if i % 2 == 0 else (second, first)
        others = tuple((code, *rng.sample(words, 2)) for code in codes[1:])
        found.append(Item(world, codes[0], first, second, right, wrong, others))
    return found


def lesson_lines(item: Item, arm: Arm, *, rng: random.Random) -> list[str]:
    """Return the lessons that an arm shows for an item, in the order shown."""
    w, (other, good, bad) = item.world, item.distractors[0]
    told = {
        "positive": w.good.format(n=item.name, x=item.right),
        "failure": w.bad.format(n=item.name, x=item.wrong),
        "never": w.never.format(n=item.name, x=item.wrong),
        "instead": w.instead.format(n=item.name, x=item.wrong, y=item.right),
    }
    if arm == "placebo":
        return [w.bad.format(n=other, x=bad)]
    if arm == "both":
        return [told["positive"], told["failure"]]
    form = arm.removesuffix("_3_distractors").removesuffix("_penalty")
    lines = [told[form]] if form in told else []
    if arm.endswith("_3_distractors"):
        said = {"positive": w.good, "failure": w.bad, "instead": w.instead}[form]
        for other, good, bad in item.distractors:
            lines.append(said.format(n=other, x=good if form == "positive" else bad, y=good))
        rng.shuffle(lines)
    return lines


def prompt_of(item: Item, arm: Arm) -> str:
    """Return the prompt, up to the word that decides."""
    rng = random.Random(f"{item.world.name}|{item.name}|{item.first}|{arm}")
    lines = [f"Lesson: {line}" for line in lesson_lines(item, arm, rng=rng)]
    task = item.world.task.format(n=item.name, a=item.first, b=item.second)
    return "\n".join([*lines, task, item.world.prime])


def penalties(item: Item, arm: Arm) -> tuple[float, float]:
    """Return the nats taken off the right and the wrong option, structurally."""
    del item
    return (0.0, PENALTY_NATS) if arm in ("penalty", "failure_penalty") else (0.0, 0.0)


def all_items(n: int, *, seed: int, worlds: Sequence[World] = WORLDS) -> list[Item]:
    """Return n unseen items of each world."""
    return [item for world in worlds for item in make_items(world, n, seed=seed)]
