"""The study as a picture: every arm's walk through the plane of pass@1 and coverage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twiceshy.files import whole_file
from twiceshy.training.studies.negative.contrasts import Runs, arm_curve
from twiceshy.training.studies.negative.curves import Curve
from twiceshy.training.studies.negative.plan import Plan, Setting

COLOURS = {
    "psr": "#2f6da8",
    "nsr": "#b4502f",
    "w_reinforce": "#d99a2b",
    "reinforce": "#8a8a8a",
    "grpo": "#2e8b57",
    "dr_grpo": "#77b255",
    "maxrl": "#7b4fa3",
    "ngrpo": "#17a2a2",
    "pass_at_k": "#d0518b",
}
_N_COLUMNS = 4


def draw_curves(plan: Plan, runs: Runs, path: Path) -> None:
    """Write a PNG with one panel a setting: mean over seeds, one marker an evaluation.

    Settings without any run are left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings = [s for s in plan.settings if _arms(plan, runs, s)]
    n_rows = max(1, -(-len(settings) // _N_COLUMNS))
    n_columns = min(_N_COLUMNS, max(1, len(settings)))
    figure = Figure(figsize=(3.9 * n_columns, 3.5 * n_rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = np.atleast_1d(figure.subplots(n_rows, n_columns)).flatten()
    handles: dict[str, Any] = {}
    for axes, setting in zip(panels, settings, strict=False):
        handles |= _panel(axes, plan, runs, setting)
    for axes in panels[len(settings) :]:
        axes.set_visible(False)
    order = [name for name in COLOURS if name in handles]
    labels = [name.replace("_", " ") for name in order]
    figure.legend(
        [handles[name] for name in order], labels, loc="outside lower center", ncols=len(order) or 1
    )
    with whole_file(path) as part:
        figure.savefig(part, dpi=110)


def _panel(axes: Any, plan: Plan, runs: Runs, setting: Setting) -> dict[str, Any]:
    """Draw one setting; return a handle an objective."""
    handles: dict[str, Any] = {}
    arms = _arms(plan, runs, setting)
    for objective, curves in arms.items():
        x, y = mean_walk(list(curves.values()))
        (line,) = axes.plot(x, y, "o-", ms=3, lw=1.3, color=COLOURS[objective])
        axes.plot(x[0], y[0], "s", ms=6, color="black")
        handles[objective] = line
    n_seeds = len(next(iter(arms.values())))
    title = setting.name.replace(", ", ",\n", 1).replace(", no ratio", ",\nno ratio")
    axes.set_title(f"{title} ({n_seeds} seed{'s' * (n_seeds != 1)})", fontsize=9)
    axes.set_xlabel("pass@1")
    outcome = setting.outcome
    units = {"distinct": "distinct right of 64", "entropy": "entropy, nats a token"}
    axes.set_ylabel(units.get(outcome, outcome))
    axes.grid(alpha=0.25)
    return handles


def _arms(plan: Plan, runs: Runs, setting: Setting) -> dict[str, dict[int, Curve]]:
    """Return the curves of each arm by seed, for the seeds that all arms shown have.

    An arm with less than half as many seeds as the fullest is not shown yet.
    """
    found: dict[str, dict[int, Curve]] = {}
    for objective in setting.objectives:
        arm, outcome = (setting.name, objective), setting.outcome
        curves = {
            s: arm_curve(plan, runs, arm, seed=s, outcome=outcome) for s in range(plan.n_seeds)
        }
        found[objective] = {s: curve for s, curve in curves.items() if curve is not None}
    most = max(map(len, found.values()), default=0)
    shown = {name: curves for name, curves in found.items() if 2 * len(curves) >= max(most, 1)}
    shared = set.intersection(*(set(curves) for curves in shown.values())) if shown else set()
    return {
        name: {seed: curves[seed] for seed in sorted(shared)}
        for name, curves in shown.items()
        if shared
    }


def mean_walk(curves: Sequence[Curve]) -> tuple[list[float], list[float]]:
    """Return mean pass@1 and mean outcome at each evaluation that all curves have."""
    n = min(len(curve.rollouts) for curve in curves)
    x = np.mean([curve.pass_at_1[:n] for curve in curves], axis=0)
    y = np.mean([curve.outcome[:n] for curve in curves], axis=0)
    return x.tolist(), y.tolist()
