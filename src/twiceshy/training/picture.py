"""The picture of a run: pass@k over training, and the path in (pass@1, pass@k)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twiceshy.files import whole_file
from twiceshy.training.config import RunConfig
from twiceshy.training.loop import StepRecord
from twiceshy.training.starting import task_name
from twiceshy.training.summing_up import Moment, column, evaluations, path_k

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#2f6da8", "#3f8f5f", "#b4502f", "#7a4fa3", "#8a6d1f", "#555b66")
_GRID = "#e3e5e8"
_INK = "#22262c"
_MIN_SPAN = 0.05
_N_TICKS = 6


def draw_run(records: Sequence[StepRecord], *, config: RunConfig, path: Path) -> Path:
    """Write the picture as PNG and return its path.

    Left: unbiased pass@k over steps with 95 % intervals over prompts. Right: pass@1 against pass@64
    (or the largest k) from evaluation to evaluation, so that runs can be compared at equal pass@1.

    Args:
        records: Of `train`, evaluated at least once.
        config: The run.
        path: Where; replaced whole.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = evaluations(records)
    figure = Figure(figsize=(10, 4.4), dpi=130, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    _draw_over_steps(left, found, config=config)
    _draw_path(right, found, config=config)
    n_prompts, n_samples = config.evaluation.n_prompts, config.evaluation.n_samples
    figure.suptitle(
        f"{task_name(config.task)}, {config.objective.name}, seed {config.seed}: "
        f"{n_prompts} unseen prompts × {n_samples} responses",
        fontsize=11,
        color=_INK,
    )
    with whole_file(path) as part:
        canvas.print_png(str(part))
    return path


def _draw_over_steps(axes: Axes, found: Sequence[Moment], *, config: RunConfig) -> None:
    steps = [each.step for each in found]
    marker = "o" if len(found) < 40 else None
    for k, colour in zip(
        config.evaluation.ks, np.resize(_COLOURS, len(config.evaluation.ks)), strict=True
    ):
        value, low, high = column(found, k).T
        axes.fill_between(steps, low, high, color=str(colour), alpha=0.13, linewidth=0)
        axes.plot(steps, value, color=str(colour), marker=marker, markersize=3.5, label=f"pass@{k}")
    rollouts = config.rl.prompts_per_step * config.rl.group_size
    _dress(
        axes, x=f"step ({rollouts:,} rollouts each)", y="pass@k (probability), 95 % over prompts"
    )
    axes.set_ylim(0, 1.02)
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.11), ncols=6, frameon=False, fontsize=9)


def _draw_path(axes: Axes, found: Sequence[Moment], *, config: RunConfig) -> None:
    low_k, high_k = min(config.evaluation.ks), path_k(config)
    x, y = column(found, low_k)[:, 0], column(found, high_k)[:, 0]
    axes.plot(x, y, color=_COLOURS[0], marker="o", markersize=3.5, linewidth=1.2)
    axes.plot(x[:1], y[:1], marker="s", markersize=9, color=_INK, linestyle="none", label="before")
    if len(found) > 1:
        axes.plot(
            x[-1:],
            y[-1:],
            marker="D",
            markersize=9,
            color=_COLOURS[2],
            linestyle="none",
            label=f"after {found[-1].step} steps",
        )
    _dress(axes, x=f"pass@{low_k} (probability)", y=f"pass@{high_k} (probability)")
    for limits, values in ((axes.set_xlim, x), (axes.set_ylim, y)):
        limits(*_limits(values))
    axes.legend(loc="best", frameon=False, fontsize=9)


def _limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return limits round values that lie at least `_MIN_SPAN` apart: noise is to look small."""
    if np.isnan(values).all():
        return 0.0, 1.0
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    middle, span = (low + high) / 2, max(1.3 * (high - low), _MIN_SPAN)
    return middle - span / 2, middle + span / 2


def _dress(axes: Axes, *, x: str, y: str) -> None:
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.locator_params(axis="both", nbins=_N_TICKS)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
