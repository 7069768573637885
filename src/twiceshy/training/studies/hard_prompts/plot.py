"""The study as pictures: curves over training by gate, and where every setting ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from twiceshy.evidence.stats import clustered_mean
from twiceshy.files import whole_file
from twiceshy.training.studies.hard_prompts.contrasts import MEDIUM_ONLY, Results, pool_words
from twiceshy.training.studies.hard_prompts.report import MEASURES, mean_of
from twiceshy.training.studies.hard_prompts.runs import GATES, HARD, Cell, RunResult
from twiceshy.training.tasks import ChainKind

COLOURS = {"none": "#b4502f", "naive_band": "#d99a2b", "frontier": "#2f6da8"}
LABELS = {"none": "no gate", "naive_band": "naive band", "frontier": "our gate"}
_CONTROL = "#8a8a8a"
_MARKS = {"grpo": "o", "rloo": "s", "nsr": "^", "luck_capped": "D"}


def draw_curves(results: Results, path: Path) -> None:
    """Write a PNG: accuracy, skipped computation and the over-hard share, over training (GRPO)."""
    figure = _figure(11, 6.2)
    panels = figure.subplots(len(HARD), 4, sharex=True)
    for row, kind in zip(panels, HARD, strict=True):
        for gate in GATES:
            runs = results.get(Cell(objective="grpo", gate=gate, kind=kind, share=0.9), {})
            _curves(row, list(runs.values()), colour=COLOURS[gate], label=LABELS[gate])
        control = list(results.get(MEDIUM_ONLY, {}).values())
        _curves(row[:3], control, colour=_CONTROL, label="medium prompts only, no gate")
        row[0].set_ylabel(f"90 % {kind.value.replace('_', ' ')}")
        for axes in row:
            axes.set_ylim(-0.03, 1.03)
            axes.grid(visible=True, alpha=0.25)
    titles = (
        "accuracy, medium",
        "accuracy, easy",
        "skipped computation",
        "over-hard among learned",
    )
    for axes, title in zip(panels[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    for axes in panels[-1]:
        axes.set_xlabel("step")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    _save(figure, path)


def draw_end_points(results: Results, path: Path) -> None:
    """Write a PNG: final errors on medium prompts by pool, objective and gate, log scale."""
    pools = [(HARD[0], 0.0), *((kind, share) for share in (0.5, 0.9) for kind in HARD)]
    figure = _figure(9.5, 4.6)
    axes = figure.subplots()
    for place, (kind, share) in enumerate(pools):
        shown = [
            cell
            for cell in results
            if (cell.kind, cell.share) == (kind, share) and cell.truncated_as == "as_judged"
        ]
        shown.sort(
            key=lambda cell: (list(_MARKS).index(cell.objective), list(GATES).index(cell.gate))
        )
        for cell, offset in zip(shown, np.linspace(-0.38, 0.38, max(2, len(shown))), strict=False):
            _dot(axes, results, cell, place + float(offset))
    axes.set_xticks(
        range(len(pools)),
        [pool_words(Cell(objective="grpo", gate="none", kind=k, share=s)) for k, s in pools],
    )
    axes.set_ylabel("share of wrong answers on medium prompts at the end")
    axes.set_yscale("log")
    axes.set_yticks(
        [0.02, 0.05, 0.1, 0.2, 0.5, 1.0], ["2 %", "5 %", "10 %", "20 %", "50 %", "100 %"]
    )
    axes.minorticks_off()
    axes.grid(visible=True, axis="y", alpha=0.25)
    for edge in range(1, len(pools)):
        axes.axvline(edge - 0.5, color="#dddddd", linewidth=0.8)
    _legend(figure, axes)
    _save(figure, path)


def _curves(row: Any, runs: list[RunResult], *, colour: str, label: str) -> None:
    """Draw the mean over seeds and Student's 95 % interval of each panel's measure."""
    if not runs:
        return
    steps = [point.step for point in runs[0].curve]
    columns = [
        [[getattr(point, name) for point in run.curve] for run in runs]
        for name in ("medium", "easy", "skip_rate")
    ]
    for axes, values in zip(row, columns, strict=False):
        _band(axes, steps, np.array(values), colour=colour, label=label)
    if len(row) > len(columns):
        shares = np.array([_running_share(run) for run in runs])
        _band(row[-1], range(1, shares.shape[1] + 1), shares, colour=colour, label=label)


def _running_share(run: RunResult) -> list[float]:
    """Return the over-hard share of all groups learned from up to each step; NaN before any."""
    learned, hard = np.cumsum(run.n_learned), np.cumsum(run.n_hard_learned)
    return np.divide(hard, learned, out=np.full(len(hard), np.nan), where=learned > 0).tolist()


def _band(axes: Any, steps: Any, values: Any, *, colour: str, label: str) -> None:
    known = [column[~np.isnan(column)] for column in values.T]
    found = [clustered_mean(column) for column in known]
    mean = [np.nan if each.value is None else each.value for each in found]
    low = [m if each.low is None else each.low for m, each in zip(mean, found, strict=True)]
    high = [m if each.high is None else each.high for m, each in zip(mean, found, strict=True)]
    axes.plot(list(steps), mean, color=colour, label=label, linewidth=1.6)
    axes.fill_between(list(steps), low, high, color=colour, alpha=0.18, linewidth=0)


def _dot(axes: Any, results: Results, cell: Cell, place: float) -> None:
    found = mean_of(results[cell], MEASURES[ChainKind.MEDIUM.value])
    if found.value is None:
        return
    if found.low is not None and found.high is not None:
        ends = [1 - found.low, max(1 - found.high, 0.01)]
        axes.plot([place, place], ends, color=COLOURS[cell.gate], linewidth=1.2)
    axes.plot(
        place, 1 - found.value, _MARKS[cell.objective], color=COLOURS[cell.gate], markersize=5.5
    )


def _legend(figure: Any, axes: Any) -> None:
    handles = [
        axes.plot([], [], "s", color=COLOURS[gate], label=LABELS[gate], markersize=8)[0]
        for gate in COLOURS
    ]
    names = {"luck_capped": "GRPO, luck-capped"}
    handles += [
        axes.plot([], [], mark, color="black", label=names.get(name, name.upper()), linestyle="")[0]
        for name, mark in _MARKS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> None:
    with whole_file(path) as part:
        figure.savefig(part, dpi=110)
