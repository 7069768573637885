"""The four sides of the comparison, and their sums task by task.

Everything the audit reports is a ratio of sums over tasks, so one product with bootstrap weights
gives a statistic and its draws at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from twiceshy.attempts.lexicons import Lexicon
from twiceshy.attempts.stated import logs_percentages
from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.errors import BadInput
from twiceshy.evidence.imitation.closure import MIN_TASKS, Draws
from twiceshy.evidence.imitation.style import Look, look_at, overlap
from twiceshy.evidence.stats.ranking import task_draws

Side = Literal["base", "student", "teacher", "resample"]
SIDES: tuple[Side, ...] = get_args(Side)


class Counts(NamedTuple):
    """What one side brought."""

    attempts: int
    tasks: int
    empty: int
    """Answers without a word: they have no style, but they have an outcome."""
    broken: int
    unscored: int


class Sides(NamedTuple):
    """The answers of each side by task."""

    looks: dict[Side, dict[str, list[Look]]]
    counts: dict[Side, Counts]
    tasks: tuple[str, ...]
    """Tasks that base, student and teacher (and a resample, where there is one) all answered."""
    n_left_out: int
    """Tasks that some side did not answer."""
    in_tokens: bool
    """Whether lengths are in tokens: every answer of every side logs them. In words otherwise."""

    def of(self, side: Side) -> dict[str, list[Look]]:
        """Return a side's answers by task; empty when there is no such side."""
        return self.looks.get(side, {})


def gather(
    attempts: Mapping[Side, Sequence[Attempt]],
    *,
    lexicon: Lexicon | None,
) -> Sides:
    """Return the sides' answers on the tasks they share.

    Raises:
        BadInput: A side is empty, or the sides share no task.
    """
    looks: dict[Side, dict[str, list[Look]]] = {}
    counts: dict[Side, Counts] = {}
    in_tokens = all(each.token_ids for own in attempts.values() for each in own)
    for side, own in attempts.items():
        if not own:
            raise BadInput("at least one attempt", got="none", where=side, fix="Give another file.")
        by_task: dict[str, list[Look]] = defaultdict(list)
        in_percent = logs_percentages(own)
        for attempt in own:
            by_task[attempt.task].append(
                look_at(attempt, lexicon=lexicon, in_tokens=in_tokens, in_percent=in_percent)
            )
        looks[side] = dict(by_task)
        counts[side] = _counted(own, by_task)
    everywhere = set.intersection(*(set(found) for found in looks.values()))
    anywhere = set().union(*looks.values())
    if not everywhere:
        raise BadInput(
            "tasks that every side answered",
            got="none in common",
            where=", ".join(looks),
            fix="The same task must have the same id in every file; --map task=COLUMN names it.",
        )
    ordered = tuple(task for task in looks["base"] if task in everywhere)
    return Sides(looks, counts, ordered, len(anywhere) - len(everywhere), in_tokens)


def _counted(own: Sequence[Attempt], by_task: Mapping[str, Sequence[Look]]) -> Counts:
    return Counts(
        attempts=len(own),
        tasks=len(by_task),
        empty=sum(not look.n_words for looks in by_task.values() for look in looks),
        broken=sum(each.outcome is Outcome.BROKEN for each in own),
        unscored=sum(each.outcome is Outcome.UNSCORED for each in own),
    )


class Sums:
    """Named columns of sums by task, and what bootstrap weights make of them.

    Args:
        tasks: One row each.
        n_draws: Bootstrap draws of whole tasks.
        seed: Of the bootstrap.
    """

    def __init__(self, tasks: Sequence[str], *, n_draws: int, seed: int) -> None:
        self.tasks = tasks
        drawn = task_draws(len(tasks), n_draws=n_draws, seed=seed)
        self._weights = np.concatenate([np.ones((1, len(tasks))), drawn])

    def total(self, column: Sequence[float] | np.ndarray) -> Draws:
        """Return the sum of a column over all tasks and over each draw, shape (1 + n_draws,)."""
        return self._weights @ np.asarray(column, dtype=float)

    def ratio(
        self, above: Sequence[float] | np.ndarray, below: Sequence[float] | np.ndarray
    ) -> Draws:
        """Return a ratio of sums; NaN where the lower one is 0."""
        sums = self.total(np.array([above, below], dtype=float).T)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(sums[:, 1] > 0, sums[:, 0] / sums[:, 1], np.nan)
        return _claimed(found, n_tasks=int(np.count_nonzero(below)))

    def mean(self, values: Sequence[float | None]) -> Draws:
        """Return the mean over tasks of those that are not None; NaN without any."""
        return self.ratio(
            [0.0 if value is None else value for value in values],
            [float(value is not None) for value in values],
        )

    def correlation(self, moments: Sequence[tuple[float, ...]]) -> Draws:
        """Return Pearson's r from rows of (n, Σx, Σy, Σx², Σy², Σxy).

        NaN without spread, and on fewer than three tasks, where it could only be 1 or −1.
        """
        n_tasks = sum(row[0] > 0 for row in moments)
        sums = self.total(np.array(moments, dtype=float).reshape(len(self.tasks), 6))
        n, x, y, xx, yy, xy = sums.T
        with np.errstate(divide="ignore", invalid="ignore"):
            mean_x, mean_y = x / n, y / n
            var_x, var_y = xx / n - mean_x**2, yy / n - mean_y**2
            r = (xy / n - mean_x * mean_y) / np.sqrt(var_x * var_y)
        flat = (var_x <= 1e-9 * (1 + mean_x**2)) | (var_y <= 1e-9 * (1 + mean_y**2))
        undefined = flat | ~np.isfinite(r) | (n_tasks < 3)
        return _claimed(np.where(undefined, np.nan, r), n_tasks=n_tasks)


def _claimed(found: Draws, *, n_tasks: int) -> Draws:
    """Return a statistic with its draws, or without them where too few tasks enter it."""
    if n_tasks < MIN_TASKS:
        found[1:] = np.nan
    return found


def pairs_with_teacher(sides: Sides, side: Side, task: str) -> list[tuple[Look, Look]]:
    """Return (candidate, teacher) answers at a task, empty ones left out.

    The j-th answer of a side meets the j-th of the teacher, counted round.
    """
    teacher = [look for look in sides.of("teacher")[task] if look.n_words]
    own = [look for look in sides.of(side).get(task, ()) if look.n_words]
    return [(look, teacher[j % len(teacher)]) for j, look in enumerate(own)] if teacher else []


class StyleMetric(NamedTuple):
    """How one metric of style is computed for a side."""

    name: str
    of: Callable[[Sides, Sums, Side], Draws]
    missing: str
    """Why it is undefined where it is so for every side."""
    may_fall: bool = False
    needs_lexicon: bool = False


def _given_teacher(has: Callable[[Look], bool | None]) -> Callable[[Sides, Sums, Side], Draws]:
    """Return the share of answers with a feature where the teacher's answer has it."""

    def measured(sides: Sides, sums: Sums, side: Side) -> Draws:
        above: list[float] = []
        below: list[float] = []
        for task in sums.tasks:
            pairs = pairs_with_teacher(sides, side, task)
            asked = [bool(has(own)) for own, teacher in pairs if has(teacher)]
            above.append(sum(asked) / max(1, len(pairs)))
            below.append(len(asked) / max(1, len(pairs)))
        return sums.ratio(above, below)

    return measured


def _overlaps(sides: Sides, sums: Sums, side: Side) -> Draws:
    values: list[float | None] = []
    for task in sums.tasks:
        pairs = pairs_with_teacher(sides, side, task)
        each = [overlap(own.words, teacher.words) for own, teacher in pairs]
        found = [value for value in each if value is not None]
        values.append(sum(found) / len(found) if found else None)
    return sums.mean(values)


def _lengths(sides: Sides, sums: Sums, side: Side) -> Draws:
    rows: list[tuple[float, ...]] = []
    for task in sums.tasks:
        pairs = pairs_with_teacher(sides, side, task)
        share = 1 / max(1, len(pairs))
        points = [(float(t.structure[0]), float(o.structure[0])) for o, t in pairs]
        moments = [(1.0, x, y, x * x, y * y, x * y) for x, y in points]
        rows.append(
            tuple(share * sum(column) for column in zip(*moments, strict=True)) or (0.0,) * 6
        )
    return sums.correlation(rows)


def _unhedged(sides: Sides, sums: Sums, side: Side) -> Draws:
    values: list[float | None] = []
    for task in sums.tasks:
        known = [
            look.is_hedged
            for look in sides.of(side).get(task, ())
            if look.n_words and look.is_hedged is not None
        ]
        values.append(sum(not hedged for hedged in known) / len(known) if known else None)
    return sums.mean(values)


STYLE_METRICS = (
    StyleMetric(
        "lists where the teacher lists",
        _given_teacher(lambda look: look.has_list),
        "the teacher never lists",
    ),
    StyleMetric(
        "summary where the teacher sums up",
        _given_teacher(lambda look: look.has_summary),
        "the teacher never sums up",
        needs_lexicon=True,
    ),
    StyleMetric("unigram overlap", _overlaps, "no answer has a word"),
    StyleMetric("correlation of lengths", _lengths, "lengths do not vary"),
    StyleMetric(
        "answers without a hedge", _unhedged, "no answer has a word", True, needs_lexicon=True
    ),
)
"""The five of Gudibande et al. (2305.15717, the table of similarity to a teacher's answer). There
tone was judged by a model; here it is whether the answer hedges."""


def accuracies(
    sides: Sides, sums: Sums, *, tasks: Collection[str] | None = None
) -> dict[Side, Draws]:
    """Return the accuracy of base, student and teacher over the tasks on which all have verdicts.

    Args:
        sides: The answers.
        sums: The weights.
        tasks: Only these; None: all.
    """
    asked: tuple[Side, ...] = ("base", "student", "teacher")
    rates = {side: [_rate(sides.of(side).get(task, ())) for task in sums.tasks] for side in asked}
    usable = [
        all(rates[side][i] is not None for side in asked) and (tasks is None or task in tasks)
        for i, task in enumerate(sums.tasks)
    ]
    return {
        side: sums.mean(
            [rate if ok else None for rate, ok in zip(rates[side], usable, strict=True)]
        )
        for side in asked
    }


def _rate(looks: Iterable[Look]) -> float | None:
    known = [look.is_right for look in looks if look.is_right is not None]
    return sum(known) / len(known) if known else None


class Tone(NamedTuple):
    """How sure a side sounds when it is wrong."""

    confident_wrong: Draws
    """P(wrong and confident), among answers with a verdict."""
    premium: Draws
    """P(confident | wrong) − P(confident | right)."""
    n_wrong: int
    n_right: int


def tone_of(
    sides: Sides,
    sums: Sums,
    side: Side,
    *,
    threshold: float,
    tasks: Collection[str] | None = None,
) -> Tone:
    """Return how sure a side sounds when wrong; NaN where nothing can be said.

    Args:
        sides: The answers.
        sums: The weights.
        side: Whose.
        threshold: Stated confidence from which an answer is confident.
        tasks: Only these; None: all.
    """
    rows: list[tuple[int, ...]] = []
    for task in sums.tasks:
        found: Counter[tuple[bool, bool]] = Counter()
        looks = sides.of(side).get(task, ()) if tasks is None or task in tasks else ()
        for look in looks:
            sure = look.is_confident(threshold) if look.n_words else None
            if look.is_right is not None and sure is not None:
                found[look.is_right, sure] += 1
        wrong, right = (found[right, True] + found[right, False] for right in (False, True))
        rows.append((found[False, True], wrong, found[True, True], right))
    wrong_sure, wrong, right_sure, right = np.array(rows, dtype=float).T
    return Tone(
        confident_wrong=sums.ratio(wrong_sure, wrong + right),
        premium=sums.ratio(wrong_sure, wrong) - sums.ratio(right_sure, right),
        n_wrong=round(float(wrong.sum())),
        n_right=round(float(right.sum())),
    )


def tone_change(sides: Sides, sums: Sums, *, threshold: float) -> Draws:
    """Return the confident-wrong rate of the student minus that of the base, at the same tasks."""
    both = {
        task
        for task in sums.tasks
        if all(_rate(sides.of(side).get(task, ())) is not None for side in ("base", "student"))
    }
    after, before = (
        tone_of(sides, sums, side, threshold=threshold, tasks=both).confident_wrong
        for side in ("student", "base")
    )
    return after - before
