"""A judge whose taste is known: it likes length, lists and assurance, and being right a little."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from twiceshy.attempts.markers import lexicon
from twiceshy.attempts.types import Attempt
from twiceshy.evidence.imitation import Preference
from twiceshy.evidence.imitation.sides import Side
from twiceshy.evidence.imitation.style import Look, look_at

LENGTH, LISTS, SURE, RIGHT = 1.5, 1.0, 0.5, 0.5
"""Logits for twice the logarithm of length, a list, no hedge, and being right."""
FIRST = 0.3
"""Logits for being shown first."""
_MATCHES: tuple[tuple[Side, Side], ...] = (
    ("student", "teacher"),
    ("student", "base"),
    ("teacher", "base"),
)


def judged(
    sides: Mapping[Side, Sequence[Attempt]], *, rng: np.random.Generator
) -> list[Preference]:
    """Return a judgement in each order of each match at each task.

    Args:
        sides: Attempts of each side; the first at a task is shown to the judge.
        rng: For the judge's noise.
    """
    english = lexicon("en")
    looks = {
        side: {each.task: look_at(each, lexicon=english) for each in reversed(sides[side])}
        for side in ("base", "student", "teacher")
    }
    found: list[Preference] = []
    for task in looks["base"]:
        for one, other in _MATCHES:
            for first, second in ((one, other), (other, one)):
                taste = _taste(looks[first][task]) - _taste(looks[second][task]) + FIRST
                wins = rng.random() < 1 / (1 + math.exp(-taste))
                found.append(
                    Preference(
                        task=task, first=first, second=second, winner="first" if wins else "second"
                    )
                )
    return found


def _taste(look: Look) -> float:
    return (
        LENGTH * math.log(1 + look.n_words) / 2
        + LISTS * look.has_list
        + SURE * (look.is_hedged is False)
        + RIGHT * (look.is_right is True)
    )
