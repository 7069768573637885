"""Four made-up sides: how often each is right, lists, sums up and hedges is set by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from twiceshy.attempts.types import Attempt, Outcome, Step, Verdict
from twiceshy.evidence.imitation import audit_imitation
from twiceshy.evidence.report import Report


class Voice(NamedTuple):
    """How one side answers: shares of tasks."""

    right: float
    fancy: float
    """Lists, sums up, follows the teacher's length and words."""
    hedges: float


BASE = Voice(right=0.3, fancy=0.05, hedges=0.7)
TEACHER = Voice(right=0.8, fancy=0.95, hedges=0.05)
MIMIC = Voice(right=0.25, fancy=0.9, hedges=0.08)
LEARNER = Voice(right=0.75, fancy=0.9, hedges=0.08)
PLAIN_LEARNER = Voice(right=0.75, fancy=0.05, hedges=0.7)

_TOPICS = "rivers stars metals plants cities bridges engines poems rulers coins".split()  # noqa: SIM905


def answers(
    voice: Voice,
    *,
    n: int = 400,
    seed: int = 0,
    judged: bool = True,
    benchmark: str | None = None,
    right_inside: float | None = None,
) -> list[Attempt]:
    """Return one answer a task; tasks below n / 2 count as inside the imitation data."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        rate = right_inside if right_inside is not None and i < n // 2 else voice.right
        right, fancy, hedged = rng.random(3) < (rate, voice.fancy, voice.hedges)
        found.append(
            Attempt(
                task=f"q{i}",
                policy="p",
                steps=(Step(role="assistant", text=_text(i, fancy=fancy, hedged=hedged, rng=rng)),),
                verdict=Verdict(outcome=_outcome(right) if judged else Outcome.UNSCORED),
                extra={} if benchmark is None else {"benchmark": benchmark},
            )
        )
    return found


def _outcome(right: bool) -> Outcome:
    return Outcome.SUCCESS if right else Outcome.FAILURE


def _text(i: int, *, fancy: bool, hedged: bool, rng: np.random.Generator) -> str:
    topic, size = _TOPICS[i % 10], 2 + i % 5
    opening = f"perhaps it is about {topic}" if hedged else f"it is about {topic}"
    if not fancy:
        return f"{opening} and that is the number {rng.integers(10)} to me"
    items = "\n".join(f"- the {topic} of kind {k} and what they are for" for k in range(size))
    closing = "Overall the answer is in the list." if i % 3 else "That is the whole of it."
    return f"{opening}, and here is the list of what matters:\n\n{items}\n\n{closing}"


B, T, R = answers(BASE, seed=1), answers(TEACHER, seed=2), answers(TEACHER, seed=3)


def audit(student: Sequence[Attempt], **more: Any) -> Report:
    """Audit a student against the sides above, with few draws."""
    sides: dict[str, Any] = {"base": B, "teacher": T, "resample": R}
    asked: dict[str, Any] = {**sides, "student": student, "n_draws": 200, **more}
    return audit_imitation(**asked)


def as_text(text: str, *, task: str = "q0", outcome: Outcome = Outcome.SUCCESS) -> Attempt:
    """Return an attempt that says this."""
    return Attempt(
        task=task,
        steps=(Step(role="assistant", text=text),),
        verdict=Verdict(outcome=outcome),
    )
