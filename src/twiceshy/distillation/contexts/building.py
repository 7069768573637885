"""From a group of attempts to what a teacher may see about one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from twiceshy.attempts import Attempt, Group, Outcome
from twiceshy.distillation.contexts.failing_step import (
    FailingStep,
    failing_step,
    policy_steps,
)
from twiceshy.distillation.contexts.thinking import (
    solution_of,
    trace_of,
    without_thinking,
    written,
)
from twiceshy.distillation.contexts.types import Material, NoContext, Rung, TeacherContext
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson, Status

MAX_LESSONS = 8
"""Most skill–mistake pairs shown at once, as SGSD retrieves."""


_UNUSED = (Status.RETIRED, Status.QUARANTINED)


class _Case(NamedTuple):
    attempt: Attempt
    right: tuple[Attempt, ...]
    """Right siblings, never the attempt itself."""
    material: Material


class _Text(NamedTuple):
    parts: tuple[tuple[str, str], ...]
    """Words of ours, then what is shown: only the latter can give an answer away."""
    sources: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "\n".join(lead + shown for lead, shown in self.parts)

    @property
    def shown(self) -> str:
        return "\n".join(shown for _, shown in self.parts)


def teacher_context(
    rung: Rung, attempt: Attempt, *, group: Group, material: Material | None = None
) -> TeacherContext | NoContext:
    r"""Return what a teacher on this rung sees about an attempt, or why there is nothing to see.

    Args:
        rung: How much to show.
        attempt: The student's attempt; one of the group's.
        group: All attempts at its task by its policy. Right siblings give answers and solutions
            where the material has none; an attempt is never shown its own success.
        material: What else is known.

    Raises:
        BadInput: If the rung is unknown, or the attempt is at another task than the group.

    Example:
        >>> from twiceshy.attempts import Step, Verdict
        >>> right = Attempt(task="t", id="a", answer="5", verdict=Verdict(outcome=Outcome.SUCCESS),
        ...                 steps=(Step(role="assistant", text="<think>2, 3</think>It is 5."),))
        >>> wrong = Attempt(task="t", id="b", verdict=Verdict(outcome=Outcome.FAILURE))
        >>> group = Group("t", "unknown", (right, wrong))
        >>> context = teacher_context(Rung.SOLUTION_WITHOUT_THINKING, wrong, group=group)
        >>> context.text, context.sources, context.reveals_answer
        ('A right solution:\nIt is 5.', ('a',), True)
        >>> teacher_context(Rung.CRITIQUE, right, group=group).why
        'only a failure can be criticised; this is a success'
    """
    rung = _rung(rung)
    if attempt.task != group.task:
        raise BadInput(f"an attempt at {group.task!r}", got=repr(attempt.task), where="attempt")
    siblings = (each for each in group.attempts if each.id != attempt.id)
    right = tuple(each for each in siblings if each.outcome is Outcome.SUCCESS)
    case = _Case(attempt, right, material or Material())
    made = _BUILDERS[rung](case)
    if isinstance(made, str):
        return NoContext(rung=rung, task=attempt.task, attempt=attempt.id, why=made)
    return TeacherContext(
        rung=rung,
        task=attempt.task,
        attempt=attempt.id,
        text=made.text,
        sources=made.sources,
        reveals_answer=_reveals(made.shown, _answer(case)),
    )


def ladder(
    groups: Iterable[Group],
    *,
    rungs: Iterable[Rung] = tuple(Rung),
    material: Material | None = None,
) -> Iterator[TeacherContext | NoContext]:
    """Yield each rung's context for every scored attempt of the groups, attempt by attempt.

    Broken and unscored attempts have none: what was not judged cannot be taught from.

    Raises:
        BadInput: If a rung is unknown.
    """
    wanted = tuple(_rung(each) for each in rungs)
    for group in groups:
        for attempt in group.attempts:
            if attempt.outcome.is_scored:
                for rung in wanted:
                    yield teacher_context(rung, attempt, group=group, material=material)


def _rung(name: str) -> Rung:
    try:
        return Rung(name)
    except ValueError as error:
        raise BadInput(f"one of {', '.join(Rung)}", got=repr(name), where="rung") from error


def _none(case: _Case) -> _Text | str:  # noqa: ARG001
    return _Text(())


def _hint(case: _Case) -> _Text | str:
    hint = case.material.hints.get(case.attempt.task)
    return _Text((("A hint:\n", hint),)) if hint else "no hint is known for this task"


def _critique(case: _Case) -> _Text | str:
    attempt = case.attempt
    refusal = _unless_failed(attempt)
    if refusal:
        return refusal
    told = case.material.failing_steps.get(attempt.id)
    if told is not None and told not in policy_steps(attempt):
        return "the step that was named as the failing one is no step of the policy"
    found = failing_step(attempt, right=case.right, told=told)
    words = case.material.critiques.get(attempt.id, "")
    if found is None:
        return _Text(_criticised(attempt, None, words)) if words else _NOT_LOCATED
    sources = tuple(each for each in (attempt.id, found.sibling) if each)
    return _Text(_criticised(attempt, found, words), sources)


_NOT_LOCATED = (
    "the failing step is not known: no error is logged and no right sibling shares a beginning"
)


def _criticised(
    attempt: Attempt, found: FailingStep | None, words: str
) -> tuple[tuple[str, str], ...]:
    parts = [("An earlier attempt at this failed.", "")]
    if found is not None:
        step = written(attempt.steps[found.index], thinking=False)
        parts.append(("It went wrong here:\n", step))
        if found.reply:
            parts.append(("The reply was:\n", found.reply))
        if found.instead and not words:
            parts.append(("An attempt that succeeded did this there instead:\n", found.instead))
    if words:
        parts.append(("", words))
    return tuple(parts)


def _skill_mistake(case: _Case) -> _Text | str:
    known = case.material.lessons.get(case.attempt.task, ())
    if not known:
        return "no lesson is known for this task"
    lessons = [each for each in known if each.status not in _UNUSED][:MAX_LESSONS]
    if not lessons:
        return "every lesson known for this task is retired or quarantined"
    pairs = "\n".join(f"- {_pair(lesson)}" for lesson in lessons)
    lead = "From earlier attempts at tasks like this:\n"
    return _Text(((lead, pairs),), tuple(x.id for x in lessons))


def _pair(lesson: Lesson) -> str:
    """The skill, then the mistake it is set against; a lesson without a mistake is its text."""
    when = f"When {lesson.trigger}: " if lesson.trigger else ""
    if not lesson.action:
        return lesson.text
    skill = f"{when}{_sentence(lesson.instead)} " if lesson.instead else when
    mistake = f"Common mistake: {_sentence(lesson.action)}"
    return f"{skill}{mistake} {lesson.why}".rstrip()


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _answer_alone(case: _Case) -> _Text | str:
    answer = _answer(case)
    if answer is None:
        return "no reference answer is known and no right sibling gives one"
    given = _given(case.material.answers, case)
    source = () if given is not None else (_first_answering(case),)
    return _Text((("The right answer is: ", answer),), source)


def _solution_without_thinking(case: _Case) -> _Text | str:
    return _solution(case, without_thinking, solution_of)


def _full_solution(case: _Case) -> _Text | str:
    return _solution(case, str.strip, trace_of)


def _solution(
    case: _Case, of_text: Callable[[str], str], of_attempt: Callable[[Attempt], str]
) -> _Text | str:
    given = _given(case.material.solutions, case)
    if given is not None:
        known = [(of_text(given), ())]
    else:
        known = [(of_attempt(each), (each.id,)) for each in case.right]
    if not known:
        return "no solution is known and no other attempt at this task succeeded"
    for text, sources in known:
        if text.strip():
            return _Text((("A right solution:\n", text),), sources)
    return _EMPTY[of_attempt]


_EMPTY: Mapping[Callable[[Attempt], str], str] = {
    trace_of: "every right attempt at this task is empty",
    solution_of: "the solution is empty once its deliberation is taken out",
}


def _given(known: Mapping[str, str], case: _Case) -> str | None:
    """What the material says about the task; blank says nothing."""
    text = known.get(case.attempt.task)
    return text if text is not None and text.strip() else None


def _verifier_output(case: _Case) -> _Text | str:
    refusal = _unless_failed(case.attempt)
    if refusal:
        return refusal
    evidence = case.attempt.verdict.evidence
    if not evidence:
        return "the verdict carries no evidence"
    lead = "An earlier attempt at this failed. The checker said:\n"
    return _Text(((lead, evidence),), (case.attempt.id,))


def _unless_failed(attempt: Attempt) -> str:
    if attempt.outcome is Outcome.FAILURE:
        return ""
    return f"only a failure can be criticised; this is {_A[attempt.outcome]}"


_A = {
    Outcome.SUCCESS: "a success",
    Outcome.BROKEN: "a broken attempt",
    Outcome.UNSCORED: "an unscored attempt",
}


def _answer(case: _Case) -> str | None:
    given = _given(case.material.answers, case)
    return given if given is not None else next((x.answer for x in case.right if x.answer), None)


def _first_answering(case: _Case) -> str:
    return next(each.id for each in case.right if each.answer)


def _reveals(text: str, answer: str | None) -> bool | None:
    """Whether the answer stands in the text as words of its own; None without an answer.

    5 does not stand in 15, 5.5 or 0.5. In doubt it does, as A does in "A way".
    """
    if answer is None or not answer.strip():
        return None
    alone = rf"(?<!\w)(?<!\d\.){re.escape(answer.strip())}(?!\w)(?!\.\d)"
    return re.search(alone, text) is not None


_BUILDERS: Mapping[Rung, Callable[[_Case], _Text | str]] = {
    Rung.NONE: _none,
    Rung.HINT: _hint,
    Rung.CRITIQUE: _critique,
    Rung.SKILL_MISTAKE: _skill_mistake,
    Rung.ANSWER: _answer_alone,
    Rung.SOLUTION_WITHOUT_THINKING: _solution_without_thinking,
    Rung.SOLUTION: _full_solution,
    Rung.VERIFIER_OUTPUT: _verifier_output,
}
