"""Is the student preferred for what it says, or for how it says it?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.imitation.closure import NOTHING, Spread, rate_of
from twiceshy.evidence.imitation.judging import Battle, Hygiene, Preference, battles
from twiceshy.evidence.imitation.sides import SIDES, Side, Sides, Sums
from twiceshy.evidence.imitation.style import Look
from twiceshy.evidence.stats.preferences import (
    Strengths,
    StyleModel,
    WinRate,
    bradley_terry,
    length_controlled,
    style_differences,
    style_only,
)

STYLE_COLUMNS = ("length", "headers", "bold", "list items")
"""Columns held fixed, those of style control on Chatbot Arena."""
_COLUMNS = (0, 1, 2, 3)
"""Their places in `Look.structure`."""


class Gap(NamedTuple):
    """Preference against verification, student against teacher."""

    preferred: Spread
    """P(the judge puts the student level or above)."""
    verified: Spread
    """P(the student is right or the teacher is not)."""
    gap: Spread
    """The first minus the second; about 0 for a judge that sees what is right."""
    n: int


class Share(NamedTuple):
    """A share with its interval and what it rests on."""

    share: Spread
    n: int


class Preferred(NamedTuple):
    """All that the judgements say."""

    hygiene: Hygiene
    n_unusable: int
    """Battles about tasks or sides that have no answer here."""
    sides: tuple[Side, ...]
    """Contestants in the order of `raw` and `controlled`."""
    gap: Gap
    wrong_but_preferred: Share
    """P(the judge prefers the student | it is wrong and the other is right)."""
    raw: Strengths
    controlled: Strengths
    """With `columns` held fixed."""
    columns: tuple[str, ...]
    """Those of `STYLE_COLUMNS` that differ anywhere."""
    length_controlled: WinRate
    """Student against teacher."""
    style_model: StyleModel


class _Met(NamedTuple):
    """A battle with its two answers, the student first where it takes part."""

    task: str
    sides: tuple[Side, Side]
    score: float
    first: Look
    second: Look


def preferred(
    preferences: Sequence[Preference], *, sides: Sides, sums: Sums, seed: int
) -> Preferred:
    """Return preference against verification, and preference with style held fixed.

    Raises:
        BadInput: A judgement names a side that is none.
    """
    fought, hygiene = battles(preferences)
    met = [found for battle in fought if (found := _met(battle, sides)) is not None]
    taking_part = tuple(side for side in SIDES if any(side in each.sides for each in met))
    ours = [each for each in met if each.sides == ("student", "teacher")]
    place = {side: i for i, side in enumerate(taking_part)}
    codes = np.array([[place[s] for s in each.sides] for each in met], dtype=np.int64)
    score = np.array([each.score for each in met])
    style, columns = _style(met)
    tasks = np.array([each.task for each in met])
    pairs = codes.reshape(len(met), 2)
    lengths = np.array([e.first.structure[0] - e.second.structure[0] for e in ours], dtype=float)
    return Preferred(
        hygiene=hygiene,
        n_unusable=len(fought) - len(met),
        sides=taking_part,
        gap=_gap(ours, sums),
        wrong_but_preferred=_wrong_but_preferred(met, sums),
        raw=bradley_terry(pairs, score, clusters=tasks, seed=seed),
        controlled=bradley_terry(pairs, score, style=style, clusters=tasks, seed=seed),
        columns=columns,
        length_controlled=length_controlled(
            [each.score for each in ours],
            lengths,
            clusters=np.array([each.task for each in ours]),
            seed=seed,
        ),
        style_model=style_only(style, score, clusters=tasks, seed=seed),
    )


def _met(battle: Battle, sides: Sides) -> _Met | None:
    first, second = _side(battle.first, battle.task), _side(battle.second, battle.task)
    score = battle.score
    if SIDES.index(first) > SIDES.index(second):
        first, second, score = second, first, 1 - score
    if first == "base" and second == "student":
        first, second, score = second, first, 1 - score
    looks = [sides.of(side).get(battle.task) for side in (first, second)]
    if looks[0] is None or looks[1] is None:
        return None
    return _Met(battle.task, (first, second), score, looks[0][0], looks[1][0])


def _side(name: str, task: str) -> Side:
    for side in SIDES:
        if name == side:
            return side
    raise BadInput(
        f"a side: {', '.join(SIDES)}",
        got=repr(name),
        where=f"the judgement of {task}",
        fix="Name the sides by their role, not by the model's name.",
    )


def _style(met: Sequence[_Met]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    shape = (len(met), len(_COLUMNS))
    first, second = (
        np.array([[look.structure[k] for k in _COLUMNS] for look in looks], dtype=float)
        for looks in ([e.first for e in met], [e.second for e in met])
    )
    found = style_differences(first.reshape(shape), second.reshape(shape))
    differs = [bool(column.any()) for column in found.T]
    return found[:, differs], tuple(compress(STYLE_COLUMNS, differs))


def _gap(ours: Sequence[_Met], sums: Sums) -> Gap:
    judged = [e for e in ours if e.first.is_right is not None and e.second.is_right is not None]
    if not judged:
        return Gap(NOTHING, NOTHING, NOTHING, 0)
    level = _by_task(sums, [(e.task, float(e.score >= 0.5)) for e in judged])
    true = _by_task(
        sums, [(e.task, float(bool(e.first.is_right) or not e.second.is_right)) for e in judged]
    )
    first, second = sums.mean(level), sums.mean(true)
    return Gap(rate_of(first), rate_of(second), rate_of(first - second), len(judged))


def _wrong_but_preferred(met: Sequence[_Met], sums: Sums) -> Share:
    asked = [
        e
        for e in met
        if e.sides[0] == "student" and e.first.is_right is False and e.second.is_right is True
    ]
    totals: dict[str, list[float]] = {}
    for each in asked:
        totals.setdefault(each.task, []).append(float(each.score > 0.5))
    above = [sum(totals.get(task, ())) for task in sums.tasks]
    below = [float(len(totals.get(task, ()))) for task in sums.tasks]
    return Share(rate_of(sums.ratio(above, below)), len(asked))


def _by_task(sums: Sums, values: Sequence[tuple[str, float]]) -> list[float | None]:
    found: dict[str, list[float]] = {}
    for task, value in values:
        found.setdefault(task, []).append(value)
    return [sum(found[task]) / len(found[task]) if task in found else None for task in sums.tasks]
