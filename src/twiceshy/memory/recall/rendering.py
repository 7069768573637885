"""Lessons as text for an agent: advice in a delimited block, within a budget, in a stable order.

Put it into a user-level message, not into the system prompt: it is what earlier attempts suggest,
and has no authority over the task. The same lessons give the same bytes whatever their scores were,
and a lesson that sorts last is added without a change to what stands before it, so that a cached
prefix stays valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson
from twiceshy.memory.contrast import conditions
from twiceshy.memory.contrast.lessons import sentence
from twiceshy.memory.contrast.vocabulary import Phrase
from twiceshy.memory.recall.texts import LEVELS, level_of

AvoidForm = Literal["instead", "positive", "negative"]
"""How an `avoid` is told. `instead`: do Y instead of X. `positive`: Y alone, X is not named.
`negative`: do not do X."""
TokenCounter: TypeAlias = Callable[[str], int]

OPENING = "<lessons>\nFrom earlier attempts at tasks like this. Advice, not orders: the task's own \
rules come first.\n"
CLOSING = "</lessons>\n"
_BREAKS_OUT = re.compile(r"<(?=\s*/?\s*lessons\b|\|)", re.IGNORECASE)
_BYTES_PER_TOKEN = 4.0


def estimate_tokens(text: str) -> int:
    """Return a rough count of tokens: one for every four bytes, rounded up.

    An estimate for when no tokenizer is at hand; pass the model's own counter to keep a budget
    exactly.

    Example:
        >>> estimate_tokens("do this instead of that")
        6
    """
    return int(-(-len(text.encode()) // _BYTES_PER_TOKEN))


class Rendered(NamedTuple):
    """Lessons as text."""

    text: str
    """"" when no lesson is in it."""
    n_tokens: int
    lessons: tuple[Lesson, ...]
    """Those in the text, in its order."""
    too_long: tuple[str, ...]
    """Ids of those left out because the budget was used up."""
    unspeakable: tuple[str, ...]
    """Ids of those with nothing to say in this form; they can still be checked."""
    repeated: tuple[str, ...] = ()
    """Ids of those that say word for word what one before them says."""


def render(
    lessons: Sequence[Lesson],
    *,
    budget_tokens: int,
    count: TokenCounter = estimate_tokens,
    form: AvoidForm = "instead",
    limit: int | None = None,
) -> Rendered:
    """Return lessons as a block of text within a budget.

    When not all fit, the earlier ones of `lessons` win; one that does not fit is skipped for a
    shorter one after it.

    Args:
        lessons: What to tell, the most important first.
        budget_tokens: Tokens of the whole block, delimiters included.
        count: Counts tokens; the default is an estimate.
        form: How an `avoid` is told.
        limit: Lessons told, at most; None for as many as fit.

    Raises:
        BadInput: The budget is not positive, or the form is unknown.

    Example:
        >>> lesson = Lesson(id="x", kind="avoid", text="", trigger="when food is cooked",
        ...                 action="cooking it again", instead="Eat it")
        >>> print(render([lesson], budget_tokens=100).text.splitlines()[2])
        - When food is cooked: eat it, instead of cooking it again.
    """
    if budget_tokens <= 0:
        raise BadInput("a budget of at least one token", got=str(budget_tokens))
    if form not in get_args(AvoidForm):
        raise BadInput(f"a form ({', '.join(get_args(AvoidForm))})", got=repr(form))
    told = {each.id: line_of(each, form=form) for each in lessons}
    kept: list[Lesson] = []
    too_long: list[str] = []
    repeated: list[str] = []
    for lesson in lessons:
        if not told[lesson.id] or (limit is not None and len(kept) == limit):
            continue
        if any(told[each.id] == told[lesson.id] for each in kept):
            repeated.append(lesson.id)
            continue
        tried = _block([*kept, lesson], told)
        if count(tried) <= budget_tokens:
            kept.append(lesson)
        else:
            too_long.append(lesson.id)
    text = _block(kept, told) if kept else ""
    return Rendered(
        text=text,
        n_tokens=count(text) if kept else 0,
        lessons=tuple(in_order(kept)),
        too_long=tuple(too_long),
        unspeakable=tuple(each for each, line in told.items() if not line),
        repeated=tuple(repeated),
    )


def in_order(lessons: Sequence[Lesson]) -> list[Lesson]:
    """Return lessons general first, then of the family, then of the task; then by id."""
    return sorted(lessons, key=lambda each: (LEVELS.index(level_of(each)), each.id))


def _block(lessons: Sequence[Lesson], told: dict[str, str]) -> str:
    lines = "".join(f"- {told[each.id]}\n" for each in in_order(lessons))
    return f"{OPENING}{lines}{CLOSING}"


def line_of(lesson: Lesson, *, form: AvoidForm = "instead") -> str:
    """Return a lesson as one line; "" when it has nothing to say in this form.

    An `avoid` without a known alternative has no positive half: in the forms `instead` and
    `positive` it is left to the checks, since a mistake named alone can pull a model towards it.
    """
    text = _avoid_line(lesson, form) if lesson.kind == "avoid" else lesson.text
    return _BREAKS_OUT.sub("‹", " ".join(text.split()))


def _avoid_line(lesson: Lesson, form: AvoidForm) -> str:
    if form == "negative":
        return _negative(lesson)
    if not lesson.instead:
        return ""
    if form == "positive":
        return _positive(lesson)
    if "instead" in lesson.text or not lesson.action:
        return lesson.text
    phrase = Phrase(trigger=lesson.trigger, action=lesson.action)
    return sentence(phrase, kind="avoid", instead=lesson.instead)


def _negative(lesson: Lesson) -> str:
    if not lesson.action:
        return lesson.text
    if lesson.vocabulary == conditions.NAME:
        return f"Do not use {lesson.action} {lesson.trigger}."
    phrase = Phrase(trigger=lesson.trigger, action=lesson.action)
    return sentence(phrase, kind="avoid", instead="")


def _positive(lesson: Lesson) -> str:
    body = lesson.instead.rstrip(".")
    if lesson.vocabulary == conditions.NAME:  # its alternative is another situation
        return f"Use {body}."
    if not lesson.trigger:
        return f"{body}."
    return f"{lesson.trigger[:1].upper()}{lesson.trigger[1:]}: {body[:1].lower()}{body[1:]}."
