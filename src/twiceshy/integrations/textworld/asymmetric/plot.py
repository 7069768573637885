"""The study as a picture: doses and strengths as whole curves, and how attempts end in each set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twiceshy.files import whole_file
from twiceshy.integrations.textworld.asymmetric.contrasts import (
    Compared,
    Condition,
    Ending,
    Outcomes,
    rate,
)
from twiceshy.integrations.textworld.asymmetric.plan import (
    CELLS,
    DOSED,
    GRID,
    IN_DISTRIBUTION,
    STRENGTHS,
    Arm,
    Plan,
)
from twiceshy.integrations.textworld.asymmetric.runs import Dose, GameResult, dose_games

if TYPE_CHECKING:
    from twiceshy.integrations.textworld.asymmetric_memory import Results

COLOURS: dict[Arm, str] = {
    "none": "#8a8a8a",
    "success_concrete": "#2f6da8",
    "success_abstract": "#79b0dd",
    "failure_concrete": "#e0a08a",
    "failure_abstract": "#b4502f",
    "both": "#222222",
}
LABELS: dict[Arm, str] = {
    "none": "none",
    "success_concrete": "successes, concrete (demonstrations)",
    "success_abstract": "successes, abstract (strategies)",
    "failure_concrete": "failures, concrete (losses)",
    "failure_abstract": "failures, abstract (rules)",
    "both": "both (demonstrations and rules)",
}
SHORT: dict[Arm, str] = {
    "none": "none",
    "permuted_failure": "rules, permuted",
    "coin_failure": "rules, by a coin",
    "matched_failure": "rules, permuted, no test",
    "permuted_success": "demos, permuted",
    "permuted_both": "both, permuted",
    "success_concrete": "demonstrations",
    "success_abstract": "strategies",
    "failure_concrete": "losses",
    "failure_abstract": "rules",
    "both": "both",
}
_ENDINGS: dict[Ending, str] = {"won": "#2f6da8", "timed_out": "#c9ccd1", "lost": "#b4502f"}


def draw(found: Results, path: Path) -> None:
    """Write a PNG: three curves of wins and losses, then the endings by arm in each set."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    outcomes = Outcomes(found.tests, n_collections=found.plan.n_collections)
    figure = Figure(figsize=(13, 11.5), layout="constrained")
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(2, 1, height_ratios=(7, 5))
    curves, bars = parts
    grid = curves.subplots(2, 3, sharey="row", sharex="col")
    dosed = Outcomes(
        found.tests, n_collections=found.plan.n_collections, keep=_is_dosed(found.plan)
    )
    shown: tuple[Ending, ...] = ("won", "lost")
    for row, ending in zip(grid, shown, strict=True):
        _doses(row[0], dosed, found.plan, dose="games", ending=ending)
        _doses(row[1], dosed, found.plan, dose="lessons", ending=ending)
        _strengths(row[2], found, ending=ending)
        row[0].set_ylabel(f"{ending}, % of attempts")
    titles = ("training games learned from", "lessons of each kind told", "strength, nats")
    where = ("test games of `near`", "test games of `near`", "validation games")
    for column, (title, place) in enumerate(zip(titles, where, strict=True)):
        grid[0][column].set_title(f"{title}\n({place})", fontsize=10)
        grid[1][column].set_xlabel(title)
    handles, labels = grid[0][0].get_legend_handles_labels()
    curves.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    panels = np.atleast_1d(bars.subplots(1, max(len(outcomes.sets), 1), sharey=True))
    for axes, game_set in zip(panels, outcomes.sets, strict=False):
        _endings(axes, outcomes, game_set)
    bars.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9
    )
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=110, format="png")


def _is_dosed(plan: Plan) -> Callable[[GameResult], bool]:
    seeds = {each.seed for each in dose_games(plan)}

    def is_dosed(test: GameResult) -> bool:
        return test.game_set == IN_DISTRIBUTION and test.seed in seeds

    return is_dosed


def _doses(axes: Any, outcomes: Outcomes, plan: Plan, *, dose: Dose, ending: Ending) -> None:
    amounts = plan.game_doses if dose == "games" else plan.lesson_doses
    for arm in DOSED:
        found = [_rate(outcomes, Condition(arm, dose, amount), ending) for amount in amounts]
        found.append(_rate(outcomes, Condition(arm), ending))
        _curve(axes, range(len(found)), found, arm=arm)
    none = _rate(outcomes, Condition("none"), ending)
    if none.value is not None:
        axes.axhline(100 * none.value, color=COLOURS["none"], ls="--", label=LABELS["none"])
    every = str(plan.n_train_games) if dose == "games" else "all"
    axes.set_xticks(range(len(amounts) + 1), [*map(str, amounts), every])
    axes.set_ylim(0, 100)
    axes.grid(visible=True, alpha=0.25)


def _rate(outcomes: Outcomes, condition: Condition, ending: Ending) -> Compared:
    return rate(outcomes, condition, IN_DISTRIBUTION, ending=ending)


def _curve(axes: Any, places: range, found: list[Compared], *, arm: Arm) -> None:
    told = [(x, each) for x, each in zip(places, found, strict=True) if each.value is not None]
    x = [place for place, _ in told]
    values = [100 * (each.value or 0.0) for _, each in told]
    axes.plot(x, values, marker="o", ms=4, color=COLOURS[arm], label=LABELS[arm])
    spans = [(p, e.low, e.high) for p, e in told if e.low is not None and e.high is not None]
    if spans:
        axes.fill_between(
            [place for place, _, _ in spans],
            [100 * low for _, low, _ in spans],
            [100 * high for _, _, high in spans],
            color=COLOURS[arm],
            alpha=0.12,
            lw=0,
        )


def _strengths(axes: Any, found: Results, *, ending: Ending) -> None:
    """Draw the chosen shape of each cell as a line, the other one dotted."""
    letter = {"won": "W", "lost": "L", "timed_out": "T"}[ending]
    for cell in CELLS:
        for shape in sorted({each.shape for each in GRID[cell]}):
            shares = []
            for place, setting in enumerate(GRID[cell]):
                letters = "".join(each.endings[cell][place] for each in found.tuning)
                if setting.shape == shape and letters:
                    shares.append(100 * letters.count(letter) / len(letters))
            if shares:
                is_chosen = shape == found.settings[cell].shape
                style = {"ls": "-", "marker": "o", "ms": 4} if is_chosen else {"ls": ":"}
                axes.plot(range(len(STRENGTHS)), shares, color=COLOURS[cell], **style)
    axes.set_xticks(range(len(STRENGTHS)), [f"{each:g}" for each in STRENGTHS])
    axes.grid(visible=True, alpha=0.25)


def _endings(axes: Any, outcomes: Outcomes, game_set: Any) -> None:
    arms = [arm for arm in SHORT if Condition(arm) in outcomes.conditions(game_set)]
    for place, arm in enumerate(reversed(arms)):
        left = 0.0
        for ending, colour in _ENDINGS.items():
            share = 100 * float(outcomes.values(Condition(arm), game_set, ending=ending).mean())
            label = ending.replace("_", " ") if place == 0 else None
            axes.barh(place, share, left=left, color=colour, label=label)
            left += share
        won = rate(outcomes, Condition(arm), game_set, ending="won")
        if won.low is not None and won.high is not None:
            axes.plot([100 * won.low, 100 * won.high], [place, place], color="black", lw=1.2)
    axes.set_yticks(range(len(arms)), [SHORT[arm] for arm in reversed(arms)], fontsize=9)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of attempts")
    n_games = outcomes.values(Condition("none"), game_set, ending="won").shape[1]
    axes.set_title(f"{game_set}, {n_games} games", fontsize=10)
