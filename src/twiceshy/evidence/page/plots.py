"""The other plots: outcomes, the null distribution, and estimates with intervals in rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.types import Outcome
from twiceshy.evidence.page.axes import (
    SMALL,
    TEXT,
    Box,
    add_axes,
    name_axis,
    nice_ticks,
    rule_ticks,
)
from twiceshy.evidence.page.svg import (
    FAIL_AREA,
    INK,
    MUTED,
    OTHER,
    PAPER,
    PASS,
    PASS_AREA,
    WASH,
    Words,
    new_figure,
)
from twiceshy.evidence.page.types import Measure
from twiceshy.evidence.page.words import interval, number, shorten, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OUTCOMES: dict[Outcome, tuple[str, str]] = {
    Outcome.FAILURE: (FAIL_AREA, ""),
    Outcome.SUCCESS: (PASS_AREA, ""),
    Outcome.BROKEN: (PAPER, "//"),
    Outcome.UNSCORED: (WASH, ""),
}
"""Fill and hatch, in the order of the bar."""
_NARROWEST_BIN = 0.01
"""Width in AUC of the bin of runs that all scored the same."""


class Row(NamedTuple):
    """One line of a plot of estimates."""

    measure: Measure
    kind: Literal["arm", "baseline"]
    pooled: float | None = None
    """Drawn as a cross."""


def draw_outcomes(counts: dict[Outcome, int], *, width: int) -> Figure:
    """Draw one bar of all attempts; `counts` has at least one attempt."""
    figure = new_figure(width, 54)
    axes = add_axes(figure, Box(1, 1, 24, 1))
    total = sum(counts.values())
    axes.set_xlim(0, total)
    axes.set_ylim(0, 1)
    left = 0
    for outcome, (colour, hatch) in _OUTCOMES.items():
        n = counts.get(outcome, 0)
        if n == 0:
            continue
        edge = colour if outcome.is_scored else OTHER
        axes.barh(0.5, n, left=left, height=1, color=colour, hatch=hatch, edgecolor=edge)
        if n / total * width > 9 * len(f"{outcome.value} {n:,}"):
            axes.text(left, 1.16, f"{outcome.value} {n:,}", fontsize=TEXT, color=INK, va="bottom")
        left += n
        axes.axvline(left, color=PAPER, linewidth=2)
    return figure


def draw_null(null: Sequence[float], *, real: Measure, width: int) -> Figure:
    """Draw the scores of the runs on shuffled labels, with the real run marked."""
    figure = new_figure(width, 250)
    axes = add_axes(figure, Box(36, 14, 52, 48))
    finite = [value for value in (real.estimate, real.low, real.high) if value is not None]
    low, high = min(*null, *finite, 0.45), max(*null, *finite, 0.55)
    pad = 0.04 * (high - low)
    heights, edges = null_histogram(null, bins=_n_bins(null, low=low, high=high))
    top = float(heights.max())
    axes.stairs(heights, edges, fill=True, facecolor=WASH, edgecolor=MUTED, linewidth=1)
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(0, top * 1.05)
    places = nice_ticks(low, high, target=6 if width > 500 else 4)
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED, pad=6)
    rule_ticks(axes, "y", places=_whole_ticks(top), texts=[str(t) for t in _whole_ticks(top)])
    name_axis(axes, "x", "within-task AUC on held-out tasks")
    name_axis(axes, "y", "shuffled runs")
    axes.axvline(0.5, color=MUTED, linewidth=1.2, dashes=(3, 3))
    _mark_real(axes, real, top=top)
    return figure


def null_histogram(
    null: Sequence[float], *, bins: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return heights and edges; runs that all scored the same get one narrow bin of their own.

    Example:
        >>> heights, edges = null_histogram([0.5, 0.5], bins=5)
        >>> heights.tolist(), edges.round(3).tolist()
        ([2], [0.495, 0.505])
    """
    low, high = min(null), max(null)
    if high - low < _NARROWEST_BIN:
        middle = (low + high) / 2
        ends = (middle - _NARROWEST_BIN / 2, middle + _NARROWEST_BIN / 2)
        return np.histogram(null, bins=1, range=ends)
    return np.histogram(null, bins=bins)


def _n_bins(null: Sequence[float], *, low: float, high: float) -> int:
    """Bins about a fiftieth of the axis wide, and no more than the runs can fill."""
    share = (max(null) - min(null)) / (high - low)
    return max(1, min(round(50 * share), 4 + len(null) // 4, 30))


def _whole_ticks(top: float) -> list[int]:
    return sorted({int(place) for place in nice_ticks(0, top, target=3) if place == int(place)})


def _mark_real(axes: Axes, real: Measure, *, top: float) -> None:
    if real.estimate is None:
        return
    axes.axvline(real.estimate, color=PASS, linewidth=2.4)
    if real.low is not None and real.high is not None:
        axes.hlines(top * 1.05, real.low, real.high, color=PASS, linewidth=5, clip_on=False)
    middle = float(np.mean(axes.get_xlim()))
    axes.annotate(
        f"real run {number(real.estimate)}",
        (real.estimate, top * 1.05),
        xytext=(0, 10),
        textcoords="offset pixels",
        ha="right" if real.estimate > middle else "left",
        fontsize=TEXT,
        fontweight="bold",
        color=PASS,
        annotation_clip=False,
    )


def draw_rows(
    rows: Sequence[Row],
    *,
    reference: float,
    axis: str,
    width: int,
    words: Words,
    sign: bool = False,
) -> Figure:
    """Draw estimates with their intervals, one a row, against a reference line.

    Args:
        rows: At least one; those without an estimate are named as undefined.
        reference: Where there is nothing to see: 0.5 for an AUC, 0 for a difference.
        axis: What the numbers are.
        width: In CSS pixels; below 500 the name stands above its row.
        words: Takes the names.
        sign: Whether to print a plus sign.
    """
    wide = width > 500
    pitch, box = (34, Box(250, 190, 8, 48)) if wide else (54, Box(12, 12, 16, 48))
    figure = new_figure(width, len(rows) * pitch + box.top + box.bottom)
    axes = add_axes(figure, box)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    low, high = _span(rows, reference=reference)
    axes.set_xlim(low, high)
    places = nice_ticks(low, high, target=5 if wide else 4)
    form = signed if sign else number
    rule_ticks(axes, "x", places=places, texts=[_short(form(place)) for place in places])
    name_axis(axes, "x", axis)
    axes.axvline(reference, color=MUTED, linewidth=1.2, dashes=(3, 3))
    for i, row in enumerate(rows):
        _draw_row(axes, row, place=float(i), wide=wide, words=words, sign=sign)
    return figure


def _span(rows: Sequence[Row], *, reference: float) -> tuple[float, float]:
    measures = [row.measure for row in rows]
    values = [v for m in measures for v in (m.estimate, m.low, m.high) if v is not None]
    values += [row.pooled for row in rows if row.pooled is not None]
    low, high = min([*values, reference]), max([*values, reference])
    pad = 0.06 * (high - low) or 0.05
    return low - pad, high + pad


def _short(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _draw_row(axes: Axes, row: Row, *, place: float, wide: bool, words: Words, sign: bool) -> None:
    measure = row.measure
    is_arm = row.kind == "arm"
    colour = PASS if is_arm else OTHER
    y = place if wide else place + 0.22
    if row.pooled is not None:
        axes.plot([row.pooled], [y], marker="x", markersize=7, color=MUTED, markeredgewidth=1.6)
    if measure.low is not None and measure.high is not None:
        axes.hlines(y, measure.low, measure.high, color=colour, linewidth=2.4)
    if measure.estimate is not None:
        axes.plot(
            [measure.estimate],
            [y],
            color=colour,
            marker="o" if is_arm else "s",
            markersize=8,
            markerfacecolor=colour if is_arm else PAPER,
            markeredgecolor=colour,
            markeredgewidth=1.8,
        )
    _write_row(axes, row, place=place, wide=wide, words=words, sign=sign)


def _write_row(axes: Axes, row: Row, *, place: float, wide: bool, words: Words, sign: bool) -> None:
    measure = row.measure
    form = signed if sign else number
    span = interval(measure.low, measure.high, sign=sign)
    figures = "undefined" if measure.estimate is None else f"{form(measure.estimate)} {span}"
    name = words.token(shorten(measure.name, 34 if wide else 24))
    y, lift, out = (place, 0, 12) if wide else (place - 0.12, 0, 0)
    for x, shift, align, text in (
        (0, -out, "right" if wide else "left", name),
        (1, out, "left" if wide else "right", figures),
    ):
        axes.annotate(
            text,
            (x, y),
            xytext=(shift, lift),
            xycoords=("axes fraction", "data"),
            textcoords="offset pixels",
            ha=align,
            va="center",
            fontsize=TEXT if wide else SMALL + 0.5,
            color=INK,
            annotation_clip=False,
        )
