"""Losses kept as they were: one concrete lost attempt for each task, its last step the fatal one.

The concrete counterpart of a rule to avoid, as a demonstration is of a strategy. It says what lost
one attempt and not why: the step that would have been right often differs from it in one fact.
`mine_conditions` makes rules instead; this is for comparing the two forms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.lessons import Evidence, Lesson
from twiceshy.memory.contrast.conditions import verb_of
from twiceshy.memory.contrast.lessons import lesson_id

NAME = "losses"
"""Vocabulary of these lessons: not a pattern that a step could be checked against."""
MAX_IDS = 5


def find_losses(attempts: Sequence[Attempt], *, max_lessons: int | None = None) -> list[Lesson]:
    """Return at most one loss a task, those whose fatal step was most often fatal first.

    Of a task's lost attempts one with the commonest last action is taken, then the shortest. An
    attempt that ran out of steps has no fatal step and is left out, as are broken and unscored
    ones. The steps, with the facts of each, are in `extra["moves"]`.

    Args:
        attempts: Any attempts whose steps tell facts.
        max_lessons: How many to return; None returns one for every task with a loss.

    Example:
        >>> from twiceshy.attempts.types import Step, ToolCall, Verdict
        >>> cook = Step(role="assistant", text="cook onion with oven",
        ...             calls=(ToolCall(name="cook"),), facts=("food.cooked",))
        >>> lost = Attempt(task="t", verdict=Verdict(outcome=Outcome.FAILURE), steps=(cook,))
        >>> find_losses([lost])[0].action
        'cook onion with oven'
    """
    by_task: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        is_lost = attempt.outcome is Outcome.FAILURE and not attempt.truncated
        if is_lost and any(verb_of(step) is not None for step in attempt.steps):
            by_task.setdefault(attempt.task, []).append(attempt)
    found = [_loss(task, lost) for task, lost in by_task.items()]
    found.sort(key=lambda lesson: -lesson.evidence.n_for)
    return found[:max_lessons]


def _loss(task: str, lost: Sequence[Attempt]) -> Lesson:
    often = Counter(_fatal(each) for each in lost)
    best = min(lost, key=lambda each: (-often[_fatal(each)], len(each.steps), each.id))
    same = [each.id for each in lost if _fatal(each) == _fatal(best)]
    moves = [
        {"verb": verb_of(step), "facts": list(step.facts)}
        for step in best.steps
        if verb_of(step) is not None
    ]
    steps = tuple(step.text for step in best.steps if verb_of(step) is not None)
    pattern = f"loss: {task}"
    return Lesson(
        id=lesson_id("avoid", pattern, scope={}),
        kind="avoid",
        text=f"An attempt at this task was lost by its last step: {'; '.join(steps)}",
        pattern=pattern,
        vocabulary=NAME,
        family="loss",
        trigger=f"at tasks like: {best.prompt}" if best.prompt else "at this task or one like it",
        action=_fatal(best),
        evidence=Evidence(
            attempts_for=tuple(same[:MAX_IDS]), n_for=len(same), n_tasks=1, n_informative_tasks=0
        ),
        steps=steps,
        parents=(best.id,),
        extra={"moves": moves},
    )


def _fatal(attempt: Attempt) -> str:
    return next(step.text for step in reversed(attempt.steps) if verb_of(step) is not None)
