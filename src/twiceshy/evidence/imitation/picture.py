"""The imitation audit as one picture: closures against each other, tone, and preference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NamedTuple

from twiceshy.evidence.report import Report
from twiceshy.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE, _CAPABILITY, _INK, _MUTED, _GRID = "#b4502f", "#2f6da8", "#22262c", "#6b717a", "#e3e5e8"
_SIDES = ("base", "student", "teacher", "resample")
_SHOWN = {"resample": "teacher again"}
_MAX_NOTE = 48
_WIDEST = 3.0
"""Closures further out are cut, with the figure written beside."""


class _Line(NamedTuple):
    name: str
    found: Mapping[str, float | None]
    colour: str
    note: str = ""
    is_mean: bool = False


def draw_imitation(report: Report, path: Path) -> Path:
    """Write the picture of an imitation audit as PNG and return its path.

    Left: every closure with its interval, 0 the base and 1 the teacher. Right: accuracy and how
    often each side is wrong and sure of it; with a judge also strength raw and at equal style.

    Args:
        report: Of `audit_imitation`.
        path: Where; replaced whole.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    numbers = report.numbers
    lines = _lines(numbers)
    has_judge = bool(numbers["preference"] and numbers["preference"]["strength"])
    height = max(4.2, 1.6 + 0.36 * len(lines))
    figure = Figure(figsize=(13 if has_judge else 10.4, height), dpi=130, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    ratios = (1.55, 1, 1) if has_judge else (1.55, 1)
    axes = figure.subplots(1, len(ratios), width_ratios=ratios)
    _draw_closures(axes[0], lines)
    _draw_tone(axes[1], numbers)
    if has_judge:
        _draw_preference(axes[2], numbers["preference"])
    title = report.summary[0] if len(report.summary[0]) < 130 else report.summary[0].split(":")[0]
    figure.suptitle(title, fontsize=11.5, color=_INK)
    with whole_file(path) as part:
        canvas.print_png(str(part))
    return path


def _lines(numbers: Mapping[str, Any]) -> list[_Line]:
    style = numbers["style_closure"].items()
    capability = list(numbers["capability_closure"].items())
    if numbers["coverage"] is not None:
        capability += [
            (f"{name} the imitation data", numbers["coverage"][name])
            for name in ("inside", "outside")
        ]
    lines = [_line(name, each, _STYLE) for name, each in style]
    lines.append(_Line("mean of style", numbers["mean_style_closure"], _STYLE, is_mean=True))
    lines += [_line(name, each, _CAPABILITY) for name, each in capability]
    mean = numbers["mean_capability_closure"]
    lines.append(_Line("mean of capability", mean, _CAPABILITY, is_mean=True))
    return lines


def _line(name: str, each: Mapping[str, Any], colour: str) -> _Line:
    return _Line(name, each["closure"], colour, each["undefined_because"] or "")


def _draw_closures(axes: Axes, lines: Sequence[_Line]) -> None:
    _tidy(axes)
    for value, text in ((0, "base"), (1, "teacher")):
        axes.axvline(value, color=_MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
        axes.annotate(
            text, (value, 1), xycoords=("data", "axes fraction"), xytext=(0, 4),
            textcoords="offset points", ha="center", fontsize=9, color=_MUTED,
        )  # fmt: skip
    for place, line in enumerate(lines):
        _draw_line(axes, line, place=place)
    axes.set_yticks(range(len(lines)), [_plain(line.name) for line in lines], fontsize=9)
    for label, line in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_color(line.colour)
        label.set_fontweight("bold" if line.is_mean else "normal")
    axes.set_ylim(len(lines) - 0.4, -0.6)
    low, high = _span(lines)
    axes.set_xlim(low, high)
    axes.set_xlabel("share of the gap to the teacher closed", fontsize=9, color=_MUTED)


def _draw_line(axes: Axes, line: _Line, *, place: int) -> None:
    value, low, high = (line.found[key] for key in ("value", "low", "high"))
    if value is None:
        why = f"undefined: {line.note}" if line.note else "undefined"
        axes.text(
            0.03, place, shorten(why, _MAX_NOTE, placeholder=" …"), fontsize=8.5, color=_MUTED,
            va="center", style="italic", bbox={"facecolor": "white", "linewidth": 0, "pad": 1},
        )  # fmt: skip
        return
    if low is not None and high is not None:
        axes.hlines(place, low, high, color=line.colour, linewidth=3 if line.is_mean else 1.8)
    axes.plot(
        [value], [place], marker="D" if line.is_mean else "o", color=line.colour,
        markersize=7.5 if line.is_mean else 6, zorder=3, clip_on=True,
    )  # fmt: skip


def _span(lines: Sequence[_Line]) -> tuple[float, float]:
    known = [
        value
        for line in lines
        for value in (line.found["value"], line.found["low"], line.found["high"])
        if value is not None
    ]
    low, high = min([-0.25, *known]), max([1.2, *known])
    return max(low - 0.05, -_WIDEST), min(high + 0.05, _WIDEST)


def _draw_tone(axes: Axes, numbers: Mapping[str, Any]) -> None:
    _tidy(axes)
    sides = [side for side in _SIDES if side in numbers["sure_and_wrong"]]
    axes.set_yticks(range(len(sides)), [_SHOWN.get(s, s) for s in sides], fontsize=9, color=_INK)
    axes.set_ylim(len(sides) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of answers with a verdict", fontsize=9, color=_MUTED)
    axes.set_title("right, and wrong but sure", fontsize=10, color=_INK)
    for place, side in enumerate(sides):
        own = numbers["sure_and_wrong"][side]
        n = own["n_right"] + own["n_wrong"]
        rate = own["confident_wrong"]["value"]
        if not n or rate is None:
            axes.text(0.03, place, "undefined", fontsize=8.5, color=_MUTED, style="italic")
            continue
        right = own["n_right"] / n
        unsure = 1 - right - rate
        axes.barh(place, right, height=0.52, color=_CAPABILITY)
        axes.barh(place, max(0.0, unsure), left=right, height=0.52, color=_GRID)
        axes.barh(place, rate, left=right + unsure, height=0.52, color=_STYLE)
    for text, colour in (("right", _CAPABILITY), ("wrong, hedged", _GRID), ("wrong, sure", _STYLE)):
        axes.barh(0, 0, color=colour, label=text)
    axes.legend(
        fontsize=8.5, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.14),
        handlelength=1, columnspacing=1,
    )  # fmt: skip


def _draw_preference(axes: Axes, found: Mapping[str, Any]) -> None:
    _tidy(axes)
    sides = list(found["strength"])
    kinds = (
        ("strength", "as judged", _STYLE, -0.14),
        ("strength_style_held_fixed", "style held fixed", _CAPABILITY, 0.14),
    )
    for key, text, colour, shift in kinds:
        axes.plot([], [], "o", color=colour, label=text)
        for place, side in enumerate(sides):
            each = found[key][side]
            if each["low"] is not None:
                axes.hlines(place + shift, each["low"], each["high"], color=colour, linewidth=1.8)
            axes.plot([each["value"]], [place + shift], "o", color=colour, markersize=6)
    axes.axvline(0, color=_MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
    axes.set_yticks(range(len(sides)), [_SHOWN.get(s, s) for s in sides], fontsize=9, color=_INK)
    axes.set_ylim(len(sides) - 0.4, -0.6)
    axes.set_xlabel("Bradley-Terry strength, logits", fontsize=9, color=_MUTED)
    axes.set_title("whom the judge prefers", fontsize=10, color=_INK)
    axes.legend(
        fontsize=8.5, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.14),
        handlelength=1,
    )  # fmt: skip


def _tidy(axes: Axes) -> None:
    axes.grid(True, axis="x", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, labelcolor=_MUTED)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)


def _plain(name: str) -> str:
    """Return a name from a log in a form that matplotlib writes as it is."""
    return name[:40].replace("$", r"\$")
