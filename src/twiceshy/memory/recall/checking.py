"""Lessons as checks: was the mistake that an `avoid` names made at this step?

Telling an agent of a mistake can pull it towards it, so a lesson is also held against what the
agent does, or may do next: `check` for a step it took, `penalties` and `allowed` for options.

What can be checked, by vocabulary:

- `conditions`: a verb and literals that hold. Decided on one step that tells its facts. Whether the
  mistake was *open* at a step that did something else needs the other options with their facts.
- `toolcalls`: decided on a step and those before it, except for what only the end of a run decides
  (at most k calls, the last call, a mean length): those `check_end` decides.
- `calculations`: a worked solution is one step, so `check_end` decides, but for patterns that
  compare with other attempts at the task.
- Any other vocabulary, and lessons without a pattern: cannot be checked.

"Cannot be checked" is a result of its own. It never counts as complied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from twiceshy.attempts.types import Attempt, Outcome, Step
from twiceshy.attempts.types import Verdict as Judged
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson
from twiceshy.memory.bank.types import StepCheck
from twiceshy.memory.contrast import calculations_kinds, conditions
from twiceshy.memory.contrast.calculations import Calculations
from twiceshy.memory.recall.checking_calls import CallChecks

Verdict = Literal["not_triggered", "complied", "violated", "cannot_check"]
"""`not_triggered`: the trigger was not seen. `complied`: it was seen, and the bad action not taken.
`violated`: it was seen and the bad action taken."""

NATS = -4.0
"""Default penalty on an option's log-probability: the option becomes 50 times less likely."""


class Check(NamedTuple):
    """One step held against one lesson."""

    lesson_id: str
    verdict: Verdict
    why: str = ""
    """For `cannot_check`: what is missing."""

    def as_event(self, *, run_id: str, step: int) -> StepCheck | None:
        """Return the record for the bank; None unless the trigger was seen."""
        if self.verdict not in ("complied", "violated"):
            return None
        return StepCheck(
            run_id=run_id,
            lesson_id=self.lesson_id,
            step=step,
            took_bad_action=self.verdict == "violated",
        )


def check(
    step: Step,
    lessons: Iterable[Lesson],
    *,
    before: Sequence[Step] = (),
    options: Sequence[Step] | None = None,
) -> list[Check]:
    """Hold a step against every `avoid` among the lessons.

    Args:
        step: What the agent did, or a reply it got.
        lessons: Any lessons; those of other kinds are passed over.
        before: The steps before it, in order.
        options: What the agent could have done instead, with facts where there are any; lets a
            `conditions` lesson tell whether the mistake was open at all.

    Example:
        >>> from twiceshy.attempts.types import ToolCall
        >>> lesson = Lesson(id="x", kind="avoid", text="", vocabulary="conditions",
        ...                 pattern="cook | food.cooked")
        >>> burn = Step(role="assistant", calls=(ToolCall(name="cook"),), facts=("food.cooked",))
        >>> check(burn, [lesson])[0].verdict
        'violated'
    """
    avoided = [each for each in lessons if each.kind == "avoid"]
    calls = CallChecks([each for each in avoided if each.vocabulary == "toolcalls"])
    seen = calls.on_step(step, before=before)
    return [
        Check(lesson.id, *seen[lesson.id])
        if lesson.id in seen
        else Check(lesson.id, *_other(lesson, step, options))
        for lesson in avoided
    ]


def check_end(steps: Sequence[Step], lessons: Iterable[Lesson], *, prompt: str = "") -> list[Check]:
    """Hold a finished run against the `avoid` lessons that no single step decides.

    Those are lessons of `toolcalls` whose trigger is the whole run ("makes 10 or more calls"), or
    that a later step could have undone, and lessons of `calculations`. A lesson that `check` found
    violated at a step is not returned again.

    Args:
        steps: The whole run.
        lessons: Any lessons.
        prompt: The task in words; `calculations` compares with it.
    """
    avoided = [each for each in lessons if each.kind == "avoid"]
    calls = CallChecks([each for each in avoided if each.vocabulary == "toolcalls"])
    checks = [Check(each, *result) for each, result in calls.at_end(steps).items()]
    worked = [each for each in avoided if each.vocabulary == "calculations"]
    return [*checks, *_by_calculations(worked, steps, prompt)]


def _by_calculations(
    lessons: Sequence[Lesson], steps: Sequence[Step], prompt: str
) -> Iterator[Check]:
    if not lessons:
        return
    attempt = Attempt(
        task="", prompt=prompt, steps=tuple(steps), verdict=Judged(outcome=Outcome.UNSCORED)
    )
    shown = Calculations().events([attempt])[0]
    for lesson in lessons:
        if all(template.read(lesson.pattern) is None for template in calculations_kinds.KINDS):
            yield Check(lesson.id, "cannot_check", "the pattern is not one of this vocabulary")
        elif lesson.pattern in (calculations_kinds.FEWER(), calculations_kinds.MORE()):
            yield Check(lesson.id, "cannot_check", "other attempts at the task are needed")
        else:
            yield Check(lesson.id, "violated" if lesson.pattern in shown else "complied")


def _other(lesson: Lesson, step: Step, options: Sequence[Step] | None) -> tuple[Verdict, str]:
    if not lesson.pattern:
        return "cannot_check", "the lesson has no pattern"
    if lesson.vocabulary != conditions.NAME:
        return "cannot_check", f"the vocabulary {lesson.vocabulary!r} is not about steps"
    try:
        pattern = conditions.parse_pattern(lesson.pattern)
    except BadInput:
        return "cannot_check", "the pattern cannot be read"
    return _by_conditions(pattern, step, options)


def _by_conditions(
    pattern: conditions.Pattern, step: Step, options: Sequence[Step] | None
) -> tuple[Verdict, str]:
    verb = conditions.verb_of(step)
    if verb is None:
        return "not_triggered", ""
    if _is_blind(pattern, step):
        return "cannot_check", "the step tells no facts"
    if conditions.matches(pattern, step):
        return "violated", ""
    if not pattern.literals:
        return "complied", ""
    if options is not None and not any(_is_blind(pattern, each) for each in options):
        was_open = any(conditions.matches(pattern, each) for each in options)
        return ("complied" if was_open else "not_triggered"), ""
    if verb == pattern.verb:
        return "not_triggered", ""
    return "cannot_check", "whether the mistake was open is not told"


def _is_blind(pattern: conditions.Pattern, step: Step) -> bool:
    """Whether a step has the pattern's verb and does not tell the facts the pattern asks for."""
    return bool(pattern.literals) and not step.facts and conditions.verb_of(step) == pattern.verb


class Penalties(NamedTuple):
    """What lessons say against each option."""

    nats: tuple[float, ...]
    """To be added to each option's log-probability; 0 where nothing speaks against it."""
    against: tuple[tuple[str, ...], ...]
    """Ids of the lessons each option would violate."""
    cannot_check: Mapping[str, int]
    """How many options each lesson could not be held against; only lessons with some."""


def penalties(
    options: Sequence[Step],
    lessons: Iterable[Lesson],
    *,
    before: Sequence[Step] = (),
    nats: float = NATS,
) -> Penalties:
    """Return a penalty for each option that would violate an `avoid`.

    An option gets the penalty once, however many lessons it violates.

    Args:
        options: What the agent may do next, as the steps it would take.
        lessons: Any lessons.
        before: The steps so far.
        nats: The penalty, at most 0.

    Raises:
        BadInput: The penalty is positive.

    Example:
        >>> from twiceshy.attempts.types import ToolCall
        >>> lesson = Lesson(id="x", kind="avoid", text="", vocabulary="toolcalls",
        ...                 pattern="calls pay without check before it")
        >>> steps = [Step(role="assistant", calls=(ToolCall(name=n),)) for n in ("pay", "check")]
        >>> penalties(steps, [lesson]).nats
        (-4.0, 0.0)
    """
    if nats > 0:
        raise BadInput("a penalty of at most 0", got=str(nats), where="nats")
    avoided = [each for each in lessons if each.kind == "avoid"]
    held = [check(option, avoided, before=before, options=options) for option in options]
    against = tuple(
        tuple(each.lesson_id for each in checks if each.verdict == "violated") for checks in held
    )
    unknown = Counter(
        each.lesson_id for checks in held for each in checks if each.verdict == "cannot_check"
    )
    return Penalties(tuple(nats if each else 0.0 for each in against), against, unknown)


def allowed(
    options: Sequence[Step], lessons: Iterable[Lesson], *, before: Sequence[Step] = ()
) -> list[int]:
    """Return the places of the options that no `avoid` speaks against: a veto on the others.

    When every option is spoken against, all stay: an agent that can do nothing has not been helped.

    Example:
        >>> allowed([Step(role="assistant")], [])
        [0]
    """
    against = penalties(options, lessons, before=before).against
    free = [place for place, ids in enumerate(against) if not ids]
    return free or list(range(len(options)))
