"""The study as a picture: accuracy and markers over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from twiceshy.files import whole_file
from twiceshy.studies.teacher_context.comparing import Measure, Runs, arms_of, series
from twiceshy.studies.teacher_context.plan import BY_NAME, Arm, Edit
from twiceshy.studies.teacher_context.problems import HARD, TRAINED, Rung

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS: Mapping[Rung, str] = {
    "none": "#333333",
    "critique": "#1b7837",
    "hint": "#5aae61",
    "solution": "#b2182b",
}
_MARKS: Mapping[Edit, str] = {"": "o", "short": "v", "unmarked": "x", "marked": "+", "matched": "d"}
_PANELS: tuple[tuple[str, Measure, str], ...] = (
    (TRAINED, "accuracy", "accuracy, in domain"),
    (HARD, "accuracy", "accuracy, deeper and misleading cues"),
    (HARD, "markers", "markers a 100 words, deeper and misleading cues"),
)


def draw_teacher_context(runs: Runs, path: Path, *, epochs: Sequence[int]) -> Path:
    """Write a PNG: accuracy in domain and on the hardest problems, and markers there.

    Bands are 95 % intervals over seeds (normal), for arms whose traces are not edited.

    Args:
        runs: Finished runs; an arm without any is left out.
        path: Where the picture goes.
        epochs: When students were evaluated.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 5.2), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(_PANELS), squeeze=False)[0]
    for axes, (domain, of, title) in zip(panels, _PANELS, strict=True):
        for arm in arms_of(runs):
            values = np.array([series(runs, arm, domain=domain, epoch=e, of=of) for e in epochs])
            _draw_arm(axes, BY_NAME[arm], epochs=epochs, values=values)
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("epochs over the traces")
        axes.grid(alpha=0.25)
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    with whole_file(path) as part:
        canvas.print_png(str(part))
    return path


def _draw_arm(axes: Axes, arm: Arm, *, epochs: Sequence[int], values: np.ndarray) -> None:
    """Draw means over seeds; values has a row an epoch and a column a seed."""
    style = ":" if arm.kind == "on-policy" else "--" if arm.edit else "-"
    marker = "s" if arm.rate else _MARKS[arm.edit]
    colour, mean = _COLOURS[arm.rung], values.mean(1)
    axes.plot(epochs, mean, style, marker=marker, color=colour, label=arm.name, ms=5)
    if values.shape[1] > 1 and not arm.edit:
        half = 1.96 * values.std(1, ddof=1) / np.sqrt(values.shape[1])
        axes.fill_between(epochs, mean - half, mean + half, color=colour, alpha=0.12)
