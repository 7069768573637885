"""What a student is trained on: a teacher's right traces, edited as the arm says, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from twiceshy.attempts import Attempt, Step
from twiceshy.distillation.check import check_gap, check_traces
from twiceshy.errors import BadInput
from twiceshy.studies.teacher_context.answers import Drawn, as_attempts, respond
from twiceshy.studies.teacher_context.plan import Arm, Size
from twiceshy.studies.teacher_context.pools import Pool, pool_of
from twiceshy.studies.teacher_context.problems import Problem, known
from twiceshy.studies.teacher_context.results import Taught
from twiceshy.studies.teacher_context.traces import (
    LEXICON,
    is_straight,
    markers_per_hundred,
    with_markers,
    without_markers,
)
from twiceshy.training.policy import TinyPolicy
from twiceshy.training.streams import generator

MARKED = 0.25
"""Share of steps that "maybe" is put before where markers are added."""


class Lesson(NamedTuple):
    """A right trace with what it answers."""

    problem: Problem
    told: list[str]
    """What the teacher was told."""
    words: list[str]
    attempt: Attempt


def lessons_of(
    base: TinyPolicy, arm: Arm, size: Size, *, seed: int, folder: Path
) -> tuple[list[Lesson], Taught]:
    """Return right traces of a teacher, edited as the arm says, and what they look like.

    Args:
        base: The teacher, when it is told something.
        arm: What it is told, and which of its traces are taken.
        size: How many.
        seed: Of problems and traces.
        folder: Where the base's own attempts are kept.

    Raises:
        BadInput: When no trace fits the arm, as can happen with a very small size.
    """
    pool = pool_of(base, arm, size, seed=seed, folder=folder)
    if not pool.problems:
        raise _nothing(arm)
    told = [
        known(problem, arm.rung, mistake=mistake)
        for problem, mistake in zip(pool.problems, pool.mistakes, strict=True)
    ]
    tries = 1 if arm.edit in ("", "unmarked", "marked") else 4
    drawn = respond(base, pool.problems, told=told, n_samples=tries, seed=seed, purpose="teach")
    attempts = as_attempts(drawn, policy=f"teacher {arm.rung}")
    found: list[Lesson] = []
    for i, (problem, words) in enumerate(zip(pool.problems, told, strict=True)):
        right = [j for j in range(tries * i, tries * (i + 1)) if drawn.right[j]]
        best = min(right, key=lambda j: len(drawn.words[j]), default=None)
        if best is None or (arm.edit == "matched" and not is_straight(problem, drawn.words[best])):
            continue
        found.append(Lesson(problem, words, drawn.words[best], attempts[best]))
    if not found:
        raise _nothing(arm)
    found = _edited(found[: size.n_traces], arm, seed=seed)
    return found, _taught(base, found, drawn, attempts, pool=pool, seed=seed)


def _nothing(arm: Arm) -> BadInput:
    return BadInput(
        "at least one right trace", got=f"none for {arm.name}", fix="Ask for more traces."
    )


def _taught(
    base: TinyPolicy,
    found: Sequence[Lesson],
    drawn: Drawn,
    attempts: Sequence[Attempt],
    *,
    pool: Pool,
    seed: int,
) -> Taught:
    """The gap is to new answers: those that chose the problems failed on purpose."""
    report = check_traces([each.attempt for each in found], pool.own, language=LEXICON)
    fresh = respond(base, pool.problems, n_samples=1, seed=seed, purpose="gap")
    gap = check_gap(as_attempts(fresh, policy="base"), attempts)
    words = [each.words for each in found]
    return Taught(
        n=len(found),
        accuracy=float(np.mean(drawn.right)),
        length=float(np.mean([len(each) for each in words])),
        markers=markers_per_hundred(words),
        gap=gap.numbers["gap"]["difference"],
        check={
            "ok": report.ok,
            "alarms": {alarm.name: alarm.severity for alarm in report.alarms},
            "signals": report.numbers["signals"],
        },
    )


def _edited(found: list[Lesson], arm: Arm, *, seed: int) -> list[Lesson]:
    if arm.edit in ("", "short", "matched"):
        return found
    rng = generator(seed, "edit")
    changed: list[Lesson] = []
    for each in found:
        if arm.edit == "marked":
            words = with_markers(each.words, MARKED, rng)
        else:
            words = without_markers(each.words)
        step = Step(role="assistant", text=" ".join(words))
        attempt = msgspec.structs.replace(each.attempt, steps=(step,), extra={})
        changed.append(each._replace(words=words, attempt=attempt))
    return changed
