"""Axes drawn by hand: quiet rules, sentinel colours, no text measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from twiceshy.evidence.page.svg import MUTED, RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL = 11.0
TEXT = 12.5
"""Font sizes in CSS pixels."""


class Box(NamedTuple):
    """Margins of a drawing, in CSS pixels."""

    left: float
    right: float
    top: float
    bottom: float


def add_axes(figure: Figure, box: Box) -> Axes:
    """Return axes without frame or ticks, that many pixels in from the figure's edges."""
    width, height = (float(side) * 72.0 for side in figure.get_size_inches())
    rectangle = (
        box.left / width,
        box.bottom / height,
        (width - box.left - box.right) / width,
        (height - box.top - box.bottom) / height,
    )
    axes = figure.add_axes(rectangle)
    axes.set_frame_on(False)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def rule_ticks(
    axes: Axes, side: Literal["x", "y"], *, places: Sequence[float], texts: Sequence[str]
) -> None:
    """Draw light rules across at `places`, each with its text outside the axes."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_ticks(list(places), list(texts))
    axis.set_tick_params(length=0, labelsize=SMALL, labelcolor=MUTED, pad=6)
    axis.grid(True, color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)


def name_axis(axes: Axes, side: Literal["x", "y"], text: str) -> None:
    """Write what an axis shows: x below its ticks, y level above them."""
    if side == "x":
        axes.set_xlabel(text, color=MUTED, fontsize=SMALL, labelpad=6)
    else:
        axes.annotate(
            text,
            (0, 1),
            xytext=(-30, 12),
            xycoords="axes fraction",
            textcoords="offset pixels",
            color=MUTED,
            fontsize=SMALL,
        )


def nice_ticks(low: float, high: float, *, target: int = 5) -> list[float]:
    """Return round places that lie within [low, high], about `target` of them.

    >>> nice_ticks(0.31, 0.78)
    [0.4, 0.5, 0.6, 0.7]
    """
    from matplotlib.ticker import MaxNLocator

    places = MaxNLocator(nbins=target, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    slack = 1e-9 * max(abs(low), abs(high), 1.0)
    return [round(float(x), 10) for x in places if low - slack <= x <= high + slack]
