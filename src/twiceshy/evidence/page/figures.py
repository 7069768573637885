"""Each figure of the page: two drawings (wide, narrow), a caption and the same as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from markupsafe import Markup

from twiceshy.attempts.types import Outcome
from twiceshy.evidence.page.frontier_plot import (
    MARKS,
    MAX_SINGLE,
    Slice,
    draw_frontier,
    in_order,
    sliced,
)
from twiceshy.evidence.page.plots import (
    Row,
    draw_null,
    draw_outcomes,
    draw_rows,
    null_histogram,
)
from twiceshy.evidence.page.svg import Labels, Words, inline_svg
from twiceshy.evidence.page.tables import Ids, TableView, table
from twiceshy.evidence.page.types import (
    FrontierPoint,
    HeldOut,
    Measure,
    OutcomeCount,
    Score,
    Trial,
)
from twiceshy.evidence.page.words import counted, interval, number, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDE, _NARROW = 720, 340
_TABLE_SLICES = 20
_NULL_BINS = 12


class FigureView(NamedTuple):
    """One figure, ready to print."""

    wide: Markup
    narrow: Markup
    caption: str
    table: TableView


def _figure(
    ids: Ids, draw: Callable[[int, Words], Figure], *, labels: Labels, data: TableView, caption: str
) -> FigureView:
    drawings = []
    for width in (_WIDE, _NARROW):
        words = Words()
        figure = draw(width, words)
        text = inline_svg(figure, prefix=ids.new("plot"), labels=labels, words=words)
        drawings.append(Markup(text))
    return FigureView(drawings[0], drawings[1], caption, data)


def outcome_figure(ids: Ids, counts: Sequence[OutcomeCount]) -> FigureView | None:
    """Return the outcome bar, or None when there is no attempt."""
    totals = {outcome: sum(c.n for c in counts if c.outcome is outcome) for outcome in Outcome}
    total = sum(totals.values())
    if total == 0:
        return None
    rows = [(c.outcome.value, c.reason or "—", c.n, f"{c.n / total:.1%}") for c in counts if c.n]
    said = ", ".join(f"{outcome.value} {number(n)}" for outcome, n in totals.items())
    return _figure(
        ids,
        lambda width, _: draw_outcomes(totals, width=width),
        labels=Labels("Attempts by outcome", f"{counted(total, 'attempt')}: {said}."),
        data=table(
            ids,
            "Attempts by outcome and reason",
            columns=("outcome", "reason", "attempts", "share of all attempts"),
            rows=rows,
        ),
        caption="Broken and unscored attempts enter no rate and teach nothing; they are counted.",
    )


def frontier_figure(ids: Ids, points: Sequence[FrontierPoint]) -> FigureView | None:
    """Return the frontier plot, or None when no group has a rate."""
    ordered = in_order(points)
    if not ordered:
        return None
    single = len(ordered) <= MAX_SINGLE
    caption = (
        "One mark a group, in order of solve rate; the lines are intervals."
        if single
        else "Groups in order of solve rate, averaged in slices; the band is the mean interval."
    )
    states = ", ".join(
        f"{sum(p.state == state for p in ordered):,} {mark.name}" for state, mark in MARKS.items()
    )
    return _figure(
        ids,
        lambda width, words: draw_frontier(ordered, width=width, words=words),
        labels=Labels(
            "Solve rate by group", f"{counted(len(ordered), 'group')} in order: {states}."
        ),
        data=_points_table(ids, ordered) if single else _slices_table(ids, ordered),
        caption=caption,
    )


def _points_table(ids: Ids, points: Sequence[FrontierPoint]) -> TableView:
    return table(
        ids,
        "Solve rate of each group",
        columns=("task", "policy", "n", "solve rate", "interval", "state"),
        rows=[
            (p.task, p.policy or "—", p.n, p.rate, interval(p.low, p.high), MARKS[p.state].name)
            for p in points
        ],
    )


def _slices_table(ids: Ids, points: Sequence[FrontierPoint]) -> TableView:
    def row(piece: Slice) -> tuple[str, float, str, str]:
        span = interval(piece.low, piece.high)
        ranks = f"{number(piece.first)} to {number(piece.last)}"
        return (ranks, piece.rate, span, MARKS[piece.state].name)

    return table(
        ids,
        "Solve rate by rank, in equal slices",
        columns=("groups by rank", "mean solve rate", "mean interval", "state of most"),
        rows=[row(piece) for piece in sliced(points, most=_TABLE_SLICES)],
    )


def null_figure(ids: Ids, held_out: HeldOut) -> FigureView | None:
    """Return the null distribution, or None when there was no shuffled run."""
    null = [value for value in held_out.null if np.isfinite(value)]
    if not null:
        return None
    heights, edges = null_histogram(null, bins=min(_NULL_BINS, len(null)))
    rows = [
        (f"{number(float(a))} to {number(float(b))}", int(n))
        for a, b, n in zip(edges, edges[1:], heights, strict=False)
    ]
    real = held_out.auc
    desc = (
        f"{counted(len(null), 'run')} on shuffled labels between {number(min(null))} and "
        f"{number(max(null))}; the real run scored {number(real.estimate)}."
    )
    return _figure(
        ids,
        lambda width, _: draw_null(null, real=real, width=width),
        labels=Labels("Shuffled runs and the real run", desc),
        data=table(ids, "Shuffled runs by score", columns=("score", "runs"), rows=rows),
        caption=(
            "Each shuffled run repeats the whole pipeline on labels shuffled within tasks. "
            "The dashed line is chance; the bar on top is the real run's interval."
        ),
    )


def scores_figure(ids: Ids, held_out: HeldOut) -> FigureView | None:
    """Return arms and baselines as rows, or None when there are none."""
    if not held_out.arms and not held_out.baselines:
        return None
    rows = [Row(score, "arm", _pooled(score)) for score in held_out.arms]
    rows += [Row(score, "baseline", _pooled(score)) for score in held_out.baselines]
    return _figure(
        ids,
        lambda width, words: draw_rows(
            rows, reference=0.5, axis="within-task AUC on held-out tasks", width=width, words=words
        ),
        labels=Labels("Arms and baselines", "; ".join(_said(row.measure) for row in rows) + "."),
        data=_scores_table(ids, [*held_out.arms, *held_out.baselines]),
        caption=(
            "Filled circles are mined arms, open squares are baselines; a cross is the pooled "
            f"score, which is never proof. Dashed is chance. {_sizes(rows)}"
        ),
    )


def _sizes(rows: Sequence[Row]) -> str:
    """Say how much the rows rest on."""
    sizes = sorted({(row.measure.n, row.measure.unit) for row in rows})
    listed = [f"{number(n)} {unit}" for n, unit in sizes[:1] + sizes[1:][-1:]]
    return f"n = {' to '.join(listed)}{'' if len(sizes) > 1 else ' each'}."


def _said(measure: Measure, *, sign: bool = False) -> str:
    form = signed if sign else number
    return f"{measure.name} {form(measure.estimate)} {interval(measure.low, measure.high)}"


def _scores_table(ids: Ids, scores: Sequence[Score]) -> TableView:
    def row(score: Score) -> tuple[str, float | None, str, str, str, str]:
        pooled = score.pooled
        beside = f"{number(pooled.estimate)} {interval(pooled.low, pooled.high)}" if pooled else "—"
        size = f"{number(score.n)} {score.unit}"
        warning = "yes" if disagrees(score) else ("no" if pooled else "—")
        return (score.name, score.estimate, interval(score.low, score.high), size, beside, warning)

    return table(
        ids,
        "Held-out scores, within task and pooled",
        columns=("score", "within-task AUC", "interval", "n", "pooled AUC", "sides differ"),
        rows=[row(score) for score in scores],
        note="Pooled scores mostly say which tasks are hard, even on held-out tasks.",
    )


def _pooled(score: Score) -> float | None:
    return score.pooled.estimate if score.pooled else None


def disagrees(score: Score) -> bool:
    """Whether the pooled score lies on the other side of chance than the within-task one."""
    pooled = _pooled(score)
    if pooled is None or score.estimate is None:
        return False
    return (pooled - 0.5) * (score.estimate - 0.5) < 0


def trial_figure(ids: Ids, trial: Trial) -> FigureView | None:
    """Return the arms of a trial as rows, or None when it has none."""
    if not trial.arms:
        return None
    rows = [Row(arm.difference, "baseline" if arm.is_placebo else "arm") for arm in trial.arms]
    return _figure(
        ids,
        lambda width, words: draw_rows(
            rows,
            reference=0.0,
            axis="paired difference in success rate",
            width=width,
            words=words,
            sign=True,
        ),
        labels=Labels(
            f"Arms against {trial.reference}",
            "; ".join(_said(row.measure, sign=True) for row in rows) + ".",
        ),
        data=_trial_table(ids, trial),
        caption=(
            "Filled circles are arms, open squares are placebos; dashed is no difference. "
            + _sizes(rows)
        ),
    )


def _trial_table(ids: Ids, trial: Trial) -> TableView:
    columns = (
        "arm",
        "difference",
        "interval",
        "n",
        "success rate",
        "wrong to right",
        "right to wrong",
    )
    return table(
        ids,
        f"Paired differences from {trial.reference}",
        columns=columns,
        rows=[
            (
                arm.difference.name + (" (placebo)" if arm.is_placebo else ""),
                signed(arm.difference.estimate),
                interval(arm.difference.low, arm.difference.high, sign=True),
                f"{number(arm.difference.n)} {arm.difference.unit}",
                f"{number(arm.rate.estimate)} {interval(arm.rate.low, arm.rate.high)}"
                if arm.rate
                else "—",
                arm.wrong_to_right,
                arm.right_to_wrong,
            )
            for arm in trial.arms
        ],
    )
