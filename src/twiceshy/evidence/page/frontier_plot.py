"""The frontier plot: solve rates in order, with intervals; states by colour and by shape.

Up to 60 groups are drawn one by one. Beyond that, groups sorted by rate are averaged in equal
slices (rate and both ends of the interval), with a strip below that names the state of each slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twiceshy.evidence.page.axes import SMALL, Box, add_axes, name_axis, rule_ticks
from twiceshy.evidence.page.svg import (
    FAIL,
    INK,
    MUTED,
    OTHER,
    PAPER,
    PASS,
    WASH,
    Words,
    new_figure,
)
from twiceshy.evidence.page.types import FrontierPoint, GroupState
from twiceshy.evidence.page.words import number, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_SINGLE = 60
_MAX_SLICES = 200
_MAX_NAMED = {True: 60, False: 12}
"""Names fit under so many points, on a wide and on a narrow page."""
_MAX_NAME = 18


class Mark(NamedTuple):
    """How a state is drawn and called."""

    name: str
    colour: str
    marker: str


MARKS: dict[GroupState, Mark] = {
    "all_wrong": Mark("all wrong", FAIL, "v"),
    "mixed": Mark("mixed", PASS, "o"),
    "all_right": Mark("all right", INK, "^"),
    "single": Mark("single attempt", OTHER, "D"),
    "unscored": Mark("unscored", OTHER, "x"),
}
_ORDER: dict[GroupState, int] = {
    "all_wrong": 0,
    "single": 1,
    "mixed": 2,
    "all_right": 3,
    "unscored": 4,
}


class Slice(NamedTuple):
    """Neighbouring groups in order of solve rate, averaged."""

    first: int
    """Rank of the first group in it, from 1."""
    last: int
    rate: float
    low: float | None
    high: float | None
    state: GroupState
    """Of most groups in it."""


def in_order(points: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    """Return the groups that have a rate, by rate, then interval, state and name."""
    rated = [point for point in points if point.rate is not None]
    return sorted(rated, key=_order)


def _order(point: FrontierPoint) -> tuple[float, int, float, str, str]:
    state = _ORDER[point.state] if point.rate != 1.0 else -_ORDER[point.state] % 4
    return (point.rate or 0.0, state, point.low or 0.0, point.task, point.policy)


def sliced(points: Sequence[FrontierPoint], *, most: int = _MAX_SLICES) -> list[Slice]:
    """Average groups in order into at most `most` slices of equal size."""
    edges = np.linspace(0, len(points), min(most, len(points)) + 1).round().astype(int)
    return [_slice(points[a:b], first=int(a) + 1) for a, b in pairwise(edges) if b > a]


def _slice(points: Sequence[FrontierPoint], *, first: int) -> Slice:
    states = [point.state for point in points]
    lows = [point.low for point in points if point.low is not None]
    highs = [point.high for point in points if point.high is not None]
    return Slice(
        first,
        first + len(points) - 1,
        float(np.mean([point.rate or 0.0 for point in points])),
        float(np.mean(lows)) if lows else None,
        float(np.mean(highs)) if highs else None,
        max(sorted(set(states)), key=states.count),
    )


def draw_frontier(points: Sequence[FrontierPoint], *, width: int, words: Words) -> Figure:
    """Draw the groups that have a rate, lowest first.

    Args:
        points: In the order of `in_order`; at least one.
        width: In CSS pixels.
        words: Takes the task names.
    """
    if len(points) > MAX_SINGLE:
        return _draw_slices(sliced(points), n=len(points), width=width)
    names = len(points) <= _MAX_NAMED[width > 500]
    below = _room_for_names(points) if names else 30
    figure = new_figure(width, 230 + below)
    axes = add_axes(figure, Box(36, 6, 26, below))
    _rate_axis(axes)
    _draw_points(axes, points)
    axes.set_xlim(-0.8, len(points) - 0.2)
    if names:
        _name_points(axes, points, words=words)
    else:
        name_axis(axes, "x", "groups, lowest solve rate first")
    return figure


def _rate_axis(axes: Axes) -> None:
    axes.set_ylim(-0.06, 1.06)
    rule_ticks(axes, "y", places=[0, 0.25, 0.5, 0.75, 1], texts=["0", "0.25", "0.50", "0.75", "1"])
    name_axis(axes, "y", "solve rate")


def _draw_points(axes: Axes, points: Sequence[FrontierPoint]) -> None:
    for state, mark in MARKS.items():
        own = [(i, p) for i, p in enumerate(points) if p.state == state and p.rate is not None]
        spans = [(i, p.low, p.high) for i, p in own if p.low is not None and p.high is not None]
        if spans:
            places, lows, highs = zip(*spans, strict=True)
            axes.vlines(places, lows, highs, color=mark.colour, linewidth=1.4, alpha=0.55)
        axes.plot(
            [i for i, _ in own],
            [p.rate or 0.0 for _, p in own],
            linestyle="none",
            color=mark.colour,
            marker=mark.marker,
            markersize=7,
            markerfacecolor=mark.colour,
            markeredgecolor=PAPER,
            markeredgewidth=0.8,
            clip_on=False,
        )


def _names(points: Sequence[FrontierPoint]) -> list[str]:
    several = len({point.policy for point in points}) > 1
    names = [f"{point.task} · {point.policy}" if several else point.task for point in points]
    return [shorten(name, _MAX_NAME) for name in names]


def _room_for_names(points: Sequence[FrontierPoint]) -> float:
    return 16 + 6.6 * max(len(name) for name in _names(points))


def _name_points(axes: Axes, points: Sequence[FrontierPoint], *, words: Words) -> None:
    for i, name in enumerate(_names(points)):
        axes.text(
            i,
            -0.1,
            words.token(name),
            rotation=90,
            rotation_mode="anchor",
            ha="right",
            va="center",
            fontsize=SMALL - 1,
            color=MUTED,
        )


def _draw_slices(slices: Sequence[Slice], *, n: int, width: int) -> Figure:
    figure = new_figure(width, 330)
    axes = add_axes(figure, Box(36, 10, 26, 78))
    strip = add_axes(figure, Box(36, 10, 330 - 68, 42))
    _rate_axis(axes)
    _draw_band(axes, slices)
    _draw_strip(strip, slices)
    for each in (axes, strip):
        each.set_xlim(0, n)
    ranks = [0, n // 4, n // 2, 3 * n // 4, n] if width > 500 else [0, n // 2, n]
    strip.set_xticks(ranks, [number(rank) for rank in ranks])
    strip.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED, pad=6)
    name_axis(strip, "x", "groups, lowest solve rate first")
    return figure


def _draw_band(axes: Axes, slices: Sequence[Slice]) -> None:
    edges = [slices[0].first - 1, *(piece.last for piece in slices)]
    whole = all(piece.low is not None and piece.high is not None for piece in slices)
    if whole:
        lows = [piece.low or 0.0 for piece in slices]
        highs = [piece.high or 0.0 for piece in slices]
        axes.fill_between(
            edges, [*lows, lows[-1]], [*highs, highs[-1]], step="post", color=WASH, linewidth=0
        )
    axes.stairs([piece.rate for piece in slices], edges, baseline=None, color=PASS, linewidth=2.2)


def _draw_strip(strip: Axes, slices: Sequence[Slice]) -> None:
    strip.set_ylim(0, 1)
    for state, run in groupby(slices, key=lambda piece: piece.state):
        pieces = list(run)
        start, end = pieces[0].first - 1, pieces[-1].last
        mark = MARKS[state]
        strip.fill_between([start, end], 0.42, 0.58, color=mark.colour, linewidth=0)
        strip.plot(
            [(start + end) / 2],
            [0.5],
            color=mark.colour,
            marker=mark.marker,
            markersize=12,
            markerfacecolor=mark.colour,
            markeredgecolor=PAPER,
            markeredgewidth=1.6,
        )
