"""The imitation study as a picture: closures over training, an arm a panel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from twiceshy.evidence.stats import Estimate, clustered_mean
from twiceshy.files import whole_file
from twiceshy.training.studies.imitating.report import Results, findings
from twiceshy.training.studies.imitating.runs import Figure, RunResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = (
    ("style", "style", "#b4502f", "-"),
    ("capability", "capability, all facts", "#2f6da8", "-"),
    ("inside", "capability inside the imitation data", "#2f6da8", "--"),
    ("outside", "capability outside", "#2f6da8", ":"),
)
_INK, _MUTED, _GRID = "#22262c", "#6b717a", "#e3e5e8"
_LINEAR = 5
"""Steps up to which the axis is linear; from there on it is logarithmic."""


def draw_imitation_curves(results: Results, path: Path) -> Path:
    """Write a PNG with a panel an arm: mean closures over seeds with Student's 95 % intervals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    n = max(1, len(results))
    drawing = Drawing(figsize=(3.3 * n, 4.1), dpi=130, layout="constrained")
    canvas = FigureCanvasAgg(drawing)
    panels = drawing.subplots(1, n, sharey=True, squeeze=False)[0]
    for axes, (arm, runs) in zip(panels, results.items(), strict=False):
        _draw_arm(axes, runs)
        axes.set_title(f"{arm}\n", fontsize=10.5, color=_INK)
        axes.annotate(
            f"audit: {findings(runs)}", (0.5, 1.02), xycoords="axes fraction", ha="center",
            fontsize=8.5, color=_MUTED,
        )  # fmt: skip
    panels[0].set_ylabel("share of the gap to the teacher closed", fontsize=9, color=_MUTED)
    handles = [
        panels[0].plot([], [], line, color=colour, label=label)[0]
        for _, label, colour, line in _LINES
    ]
    drawing.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    with whole_file(path) as part:
        canvas.print_png(str(part))
    return path


def _draw_arm(axes: Axes, runs: Sequence[RunResult]) -> None:
    steps = [point.step for point in runs[0].curve]
    for value in (0, 1):
        axes.axhline(value, color=_MUTED, linewidth=0.9, dashes=(3, 3))
    for field, _, colour, line in _LINES:
        found = [_mean(runs, field, place) for place in range(len(steps))]
        known = [(s, e.value) for s, e in zip(steps, found, strict=True) if e.value is not None]
        if not known:
            continue
        axes.plot([s for s, _ in known], [value for _, value in known], line, color=colour)
        spans = [
            (s, e.low, e.high)
            for s, e in zip(steps, found, strict=True)
            if e.low is not None and e.high is not None
        ]
        axes.fill_between(
            [s for s, _, _ in spans],
            [low for _, low, _ in spans],
            [high for _, _, high in spans],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
    axes.set_xscale("symlog", linthresh=_LINEAR)
    axes.set_xticks([0, 5, 20, 80, 300], ["0", "5", "20", "80", "300"])
    axes.minorticks_off()
    axes.set_xlabel("step", fontsize=9, color=_MUTED)
    axes.tick_params(length=0, labelsize=9, labelcolor=_MUTED)
    axes.grid(True, color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _mean(runs: Sequence[RunResult], field: str, place: int) -> Estimate:
    found = [getattr(run.curve[place], field) for run in runs]
    values = [each.value for each in found if isinstance(each, Figure) and each.value is not None]
    return clustered_mean(values)
