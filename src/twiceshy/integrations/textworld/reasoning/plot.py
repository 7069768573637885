"""The picture of the study: growth, gates, noise, endings, number recalled, scaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twiceshy.integrations.textworld.reasoning.plan import K
from twiceshy.integrations.textworld.reasoning.results import (
    PLAIN,
    Curve,
    Endings,
    Solved,
    endings_of,
    held_out_curves,
    solved_of,
)
from twiceshy.integrations.textworld.reasoning.streams import Stream

_GREY, _BLUE, _RED, _GREEN, _GOLD = "#6b7280", "#2f6da8", "#b4502f", "#3c8d5a", "#b08a1e"
_LINES: dict[str, dict[str, tuple[str, str, str]]] = {
    "What is remembered": {
        PLAIN: ("both", _BLUE, "-"),
        "success-append": ("successes", _GREEN, "-"),
        "failure-append": ("failures", _RED, "-"),
        "both-append-permuted": ("placebo", _GREY, ":"),
    },
    "Gate (both)": {
        PLAIN: ("none: appended", _BLUE, "-"),
        "both-lesson": ("each lesson's trial", _RED, "-"),
        "both-set": ("the set's trial", _GOLD, "-"),
    },
    "Labels flipped (both)": {
        PLAIN: ("0 %, appended", _BLUE, "-"),
        "both-append-flipped10": ("10 %, appended", _BLUE, "--"),
        "both-append-flipped30": ("30 %, appended", _BLUE, ":"),
        "both-set-flipped30": ("30 %, set's trial", _GOLD, ":"),
        "both-lesson-flipped30": ("30 %, lesson's trial", _RED, ":"),
    },
    "Equal cost, to learn (both)": {
        PLAIN: ("4 attempts at 12 games", _BLUE, "-"),
        "both-append-sequential": ("4, refining", _GOLD, "-"),
        "both-append-single": ("1 attempt at 48 games", _RED, "-"),
    },
}


def draw(streams: Sequence[Stream], path: Path, *, last: int) -> None:
    """Draw all panels into a PNG.

    Args:
        streams: The results.
        path: Where to write.
        last: The last round.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3)
    curves, found = held_out_curves(streams), endings_of(streams, last=last)
    for axes, (title, lines) in zip(panels.flat, _LINES.items(), strict=False):
        _growth(axes, curves, lines=lines, none=found.get("none"), title=title)
    _recalled(panels[1][1], found)
    _scaling(panels[1][2], solved_of(streams))
    figure.savefig(path, dpi=110)


def _growth(
    axes: Any,
    curves: Mapping[str, Curve],
    *,
    lines: Mapping[str, tuple[str, str, str]],
    none: Endings | None,
    title: str,
) -> None:
    if none is not None:
        axes.axhline(100 * none.share("W"), color="black", linewidth=1, label="no memory")
    for place, (arm, (label, colour, style)) in enumerate(lines.items()):
        curve = curves.get(arm)
        if curve is None:
            continue
        at = [each + 0.06 * (place - 1) for each in curve.rounds]
        axes.plot(at, curve.values, style, color=colour, marker="o", markersize=4, label=label)
        for x, low, high in zip(at, curve.low, curve.high, strict=True):
            if low is not None and high is not None:
                axes.plot([x, x], [low, high], color=colour, linewidth=1, alpha=0.5)
    axes.set_title(title)
    axes.set_xlabel("rounds of 48 attempts")
    axes.set_ylabel("held-out games won, %")
    _room_above(axes)
    axes.legend(fontsize=8, loc="upper center", ncols=2)


def _recalled(axes: Any, found: Mapping[str, Endings]) -> None:
    named = {K: PLAIN} | {int(n.split("=")[1]): n for n in found if n.startswith(f"{PLAIN} k=")}
    usable = {k: found[name] for k, name in sorted(named.items()) if name in found}
    places = range(len(usable))
    left = [0.0] * len(usable)
    for letter, label, colour in (
        ("W", "won", _BLUE),
        ("T", "timed out", "#c9ccd1"),
        ("L", "lost", _RED),
    ):
        shares = [100 * each.share(letter) for each in usable.values()]
        axes.bar(places, shares, bottom=left, color=colour, label=label)
        left = [a + b for a, b in zip(left, shares, strict=True)]
    axes.set_xticks(list(places), [str(k) for k in usable])
    axes.set_title("Lessons recalled (both, last bank)")
    axes.set_xlabel("at most")
    axes.set_ylabel("held-out games, %")
    _room_above(axes)
    axes.legend(fontsize=8, loc="upper center", ncols=3)


def _room_above(axes: Any) -> None:
    """Leave a band above 100 % for the legend."""
    axes.set_ylim(0, 130)
    axes.set_yticks(range(0, 101, 20))


def _scaling(axes: Any, solved: Mapping[str, Solved]) -> None:
    colours = {"none": _GREY, "memory": _BLUE}
    styles = {"parallel": "-", "sequential": "--"}
    for name, each in solved.items():
        memory, how = name.split()
        label = f"{'with' if memory == 'memory' else 'no'} memory, {how}"
        n = range(1, len(each.any_of) + 1)
        axes.plot(n, each.any_of, styles[how], color=colours[memory], label=label)
        axes.plot(
            [len(each.any_of) + 0.15],
            [each.chosen],
            "D",
            color=colours[memory],
            fillstyle="full" if how == "parallel" else "none",
            markersize=6,
        )
    axes.set_title("Equal cost, to solve: any success (lines),\nchosen by a 73 % judge (diamonds)")
    axes.set_xlabel("attempts at a game")
    axes.set_ylabel("games solved, %")
    axes.set_ylim(0, 100)
    axes.set_xticks([1, 2, 3, 4])
    axes.legend(fontsize=8, loc="lower right")
