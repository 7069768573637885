"""One run: a student taught as its arm says, asked without help along the way.

A teacher is the base itself with something told. A student is the base, trained on a teacher's
right traces (or, "on-policy", on the teacher's distributions over the student's own traces).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from twiceshy.distillation.check import Policies, collapse_alarm
from twiceshy.studies.teacher_context.answers import Drawn, as_attempts, draw_problems, respond
from twiceshy.studies.teacher_context.base import read_base
from twiceshy.studies.teacher_context.lessons import lessons_of
from twiceshy.studies.teacher_context.plan import BY_NAME, Job, Size
from twiceshy.studies.teacher_context.problems import DOMAINS, HARD, TRAINED
from twiceshy.studies.teacher_context.results import Done, Point
from twiceshy.studies.teacher_context.teaching import Student
from twiceshy.studies.teacher_context.traces import LEXICON, markers_per_hundred
from twiceshy.training.policy import TinyPolicy

FORKS = 0.2
"""Share of the base's positions in domain that count as forks: those of the highest entropy."""


def do_run(job: Job, *, folder: Path) -> Done:
    """Train and evaluate one student.

    Args:
        job: Arm, seed and size.
        folder: Where the base's own attempts are kept for other runs of the seed.
    """
    torch.set_num_threads(1)
    arm, size, seed = BY_NAME[job.arm], job.size, job.seed
    base = read_base()
    lessons, taught = lessons_of(base, arm, size, seed=seed, folder=folder)
    before = _asked(base, size, seed=seed)
    entropies = np.concatenate([np.array(row) for row in before[TRAINED].entropies])
    threshold = float(np.quantile(entropies, 1 - FORKS))
    points = _points(before, size, epoch=0, threshold=threshold)
    student = Student(read_base(), teacher=base, arm=arm, size=size, seed=seed)
    after = before
    for epoch in range(1, max(size.epochs) + 1):
        student.learn(lessons, epoch=epoch)
        if epoch in size.epochs:
            after = _asked(student.policy, size, seed=seed)
            points += _points(after, size, epoch=epoch, threshold=threshold)
    return Done(points=tuple(points), taught=taught, alarm=_alarm(before, after))


def _asked(policy: TinyPolicy, size: Size, *, seed: int) -> dict[str, Drawn]:
    """Return what a policy says without help, by domain; the same problems at each moment."""
    return {
        domain: respond(
            policy,
            draw_problems(domain, size.n_eval, seed=seed, purpose="evaluate"),
            n_samples=size.n_samples,
            seed=seed,
            purpose=f"evaluate {domain}",
        )
        for domain in DOMAINS
    }


def _points(said: Mapping[str, Drawn], size: Size, *, epoch: int, threshold: float) -> list[Point]:
    points: list[Point] = []
    for domain, drawn in said.items():
        rates = np.array(drawn.right, dtype=float).reshape(-1, size.n_samples).mean(1)
        entropies = np.concatenate([np.array(row) for row in drawn.entropies])
        points.append(
            Point(
                epoch=epoch,
                domain=domain,
                accuracy=float(rates.mean()),
                length=float(np.mean([len(words) for words in drawn.words])),
                markers=markers_per_hundred(drawn.words),
                forks=float((entropies > threshold).mean()),
                right=tuple(rates.tolist()),
            )
        )
    return points


def _alarm(before: Mapping[str, Drawn], after: Mapping[str, Drawn]) -> dict[str, Any]:
    """Return what the library's alarm says after training."""
    report = collapse_alarm(
        Policies(
            base=tuple(as_attempts(before[TRAINED], policy="base")),
            student=tuple(as_attempts(after[TRAINED], policy="student")),
            base_elsewhere=tuple(as_attempts(before[HARD], policy="base")),
            student_elsewhere=tuple(as_attempts(after[HARD], policy="student")),
        ),
        language=LEXICON,
    )
    return {"ok": report.ok, **report.numbers}
