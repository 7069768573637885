"""The tables of the reports of `learn` and `prove_lessons`."""

from __future__ import annotations

from collections.abc import Sequence

from twiceshy.evidence.held_out import Arm, HeldOut
from twiceshy.evidence.report import Table
from twiceshy.evidence.stats.ranking import Auc
from twiceshy.lessons import Lesson
from twiceshy.memory.contrast.mining import Mined
from twiceshy.memory.contrast.pooled import PooledMining

_SHOWN = 20
"""Rows of a table of patterns or lessons."""


def lesson_table(lessons: Sequence[Lesson]) -> Table:
    """Show the lessons, demonstrations left out, in the order given."""
    mined = [each for each in lessons if each.kind != "demonstration"]
    hidden = f"{len(mined) - _SHOWN} more are not shown. " if len(mined) > _SHOWN else ""
    return Table(
        title="Lessons",
        columns=(
            "level",
            "kind",
            "lesson",
            "informative tasks",
            "for",
            "against",
            "pooled",
            "within task",
            "held out",
            "q",
            "selected",
        ),
        rows=tuple(_lesson_row(each) for each in mined[:_SHOWN]),
        note=f"{hidden}Effects are differences in P(failure). Held out: over the tasks left out"
        " whenever the pattern was selected from the others; one that is always selected is thus"
        " measured on every task, and equals the mined effect unless the log keeps test tasks"
        " apart. q is adjusted for the search, intervals are not. Prediction is not benefit: only a"
        " randomised trial says whether telling the agent helps.",
    )


def _lesson_row(lesson: Lesson) -> tuple[str | int | float | None, ...]:
    evidence = lesson.evidence
    pooled, within, held_out = evidence.pooled, evidence.within_task, evidence.held_out
    return (
        lesson.level.value,
        lesson.kind,
        lesson.text,
        evidence.n_informative_tasks,
        evidence.n_for,
        evidence.n_against,
        None if pooled is None else pooled.estimate,
        None if within is None else within.estimate,
        None if held_out is None else held_out.estimate,
        None if within is None else within.q_value,
        evidence.selection_frequency,
    )


def pattern_table(mined: Mined) -> Table:
    """Show the patterns with the smallest p-values within tasks."""
    tested = [each for each in mined.patterns if each.within.p_value is not None]
    tested.sort(key=lambda each: (each.within.p_value or 0.0, each.name))
    return Table(
        title="Strongest patterns within tasks",
        columns=(
            "pattern",
            "attempts",
            "informative tasks",
            "P(fail) with",
            "P(fail) without",
            "pooled",
            "within task",
            "low",
            "high",
            "p",
            "q",
            "signs differ",
        ),
        rows=tuple(
            (
                each.name,
                each.n_attempts,
                each.n_informative,
                each.failure_rate_with,
                each.failure_rate_without,
                each.pooled.estimate,
                each.within.estimate,
                each.within.low,
                each.within.high,
                each.within.p_value,
                each.within.q_value,
                each.signs_differ,
            )
            for each in tested[:_SHOWN]
        ),
        note=f"{mined.n_tested} of {len(mined.patterns)} patterns vary in at least"
        f" {mined.min_informative} mixed tasks and were tested"
        + (
            " exactly, stratified by task, and with errors clustered by task; p is the larger."
            if mined.method == "exact"
            else " with errors clustered by task, adjusted for policy."
        )
        + f" q is adjusted for all {mined.n_tested}. Intervals are not, and the rows are the"
        " strongest of the search: expect smaller effects on new tasks.",
    )


def reversal_tables(pooled: PooledMining) -> tuple[Table, ...]:
    """Show the patterns that pooling turns round; no table when there is none."""
    if not pooled.reversed:
        return ()
    table = Table(
        title="Where pooling all attempts teaches the opposite",
        columns=("pattern", "pooled", "low", "high", "within task", "low", "high"),
        rows=tuple(
            (
                each.name,
                each.pooled.estimate,
                each.pooled.low,
                each.pooled.high,
                each.within.estimate,
                each.within.low,
                each.within.high,
            )
            for each in pooled.reversed
        ),
        note="Both intervals exclude zero, on opposite sides.",
    )
    return (table,)


def arm_table(held_out: HeldOut) -> Table:
    """Show how each arm and each label-free score ranks unseen attempts."""
    rows = [
        (
            name,
            None if arm.held_out.within.value is None else arm.n_selected,
            *_cells(arm.held_out.within),
            *_point(arm.held_out.adjusted),
            *_point(arm.held_out.overall),
            *_null_cells(arm),
        )
        for name, arm in held_out.arms.items()
    ]
    rows += [
        (
            name,
            None,
            *_cells(each.held_out.within),
            *_point(each.held_out.adjusted),
            *_point(each.held_out.overall),
            None,
            None,
            None,
        )
        for name, each in held_out.baselines.items()
    ]
    return Table(
        title="Ranking failures above successes on unseen tasks",
        columns=(
            "score",
            "patterns",
            "within-task AUC",
            "low",
            "high",
            "adjusted for policy",
            "overall AUC",
            "null p",
            "null mean",
            "placebo mean",
        ),
        rows=tuple(rows),
        note="Read the within-task AUC: overall, knowing which tasks are hard is enough. Null:"
        " everything re-run on labels shuffled within tasks, ranked by the AUC adjusted for policy"
        " where there are several. Placebo: mined on shuffled labels, tested on true ones."
        " Intervals take what was mined as given; the rank among shuffled runs does not. p is for"
        " each arm by itself, and the verdict is about the first. Scores below the arms need no"
        " labels.",
    )


def _cells(area: Auc) -> tuple[float | None, float | None, float | None]:
    return (area.value, area.low, area.high)


def _point(area: Auc | None) -> tuple[float | None]:
    return (None if area is None else area.value,)


def _null_cells(arm: Arm) -> tuple[float | None, float | None, float | None]:
    several = arm.held_out.adjusted is not None
    null = arm.null_adjusted if several else arm.null
    placebo = arm.placebo_adjusted if several else arm.placebo
    return (
        None if null is None else null.p_value,
        None if null is None else null.mean,
        None if placebo is None else placebo.mean,
    )


def transfer_table(arm: Arm) -> Table:
    """Show the usually selected patterns on held-out tasks."""
    found = sorted(
        arm.transfers, key=lambda each: (-each.selection_frequency, -abs(each.mean_weight))
    )
    return Table(
        title="Selected patterns on the tasks they were not selected from",
        columns=(
            "pattern",
            "selected",
            "held-out effect",
            "low",
            "high",
            "pooled lift",
            "signs differ",
        ),
        rows=tuple(
            (
                each.name,
                each.selection_frequency,
                each.held_out.estimate,
                each.held_out.low,
                each.held_out.high,
                each.pooled_lift,
                each.signs_differ,
            )
            for each in found[:_SHOWN]
            if each.is_usual
        ),
        note="Measured over the tasks left out whenever the pattern was selected; one that is"
        " selected every time is measured on all of them. Patterns selected in fewer than half of"
        " the training sets are left out: they are selected just when the tasks left out speak"
        " against them.",
    )
