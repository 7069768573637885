"""Asking a language model what attempts teach; what it answers is data until it passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

from twiceshy.lessons import Lesson
from twiceshy.memory.writing.answers import (
    Item,
    Objection,
    lesson_of,
    most_items,
    objection,
    read_items,
)
from twiceshy.memory.writing.screening import Sides
from twiceshy.memory.writing.showing import Shown, prompt_text, show
from twiceshy.memory.writing.types import Asked, Reason, Rejected
from twiceshy.models import Completer, ask

Extraction = Literal["contrast", "each"]
"""One question for a task with both outcomes, or one for every attempt as ReasoningBank asks."""
MAX_CALLS = 2
"""Calls for one question: once, and once more when nothing of the answer could be used."""
MAX_FAILED_CALLS = 2
"""Failed calls in a row after which the model is left alone."""
MAX_TOKENS = 900
"""Tokens of an answer."""
MAX_SIDE = 3
"""Attempts of each side that a group's question shows."""


class Told(NamedTuple):
    """What a model told."""

    lessons: tuple[Lesson, ...]
    rejected: tuple[Rejected, ...]
    asked: Asked


class _Heard(NamedTuple):
    lessons: list[Lesson]
    rejected: list[Rejected]
    n_calls: int
    n_items: int
    n_characters: int
    error: str | None


def extract(
    sides: Mapping[str, Sides],
    *,
    completer: Completer,
    extraction: Extraction = "contrast",
    max_questions: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Told:
    """Ask about attempts by task: those with both outcomes first, those without success never.

    A model that fails costs nothing but its own lessons: the failure is told in `Asked.errors`.

    Args:
        sides: Scored attempts by task.
        completer: The model.
        extraction: One question for a whole group, or one for every attempt.
        max_questions: Questions at most; None asks all.
        progress: Called with (questions done, questions in all).
    """
    questions = list(_questions(sides, extraction))[:max_questions]
    heard = list(_ask_each(questions, completer=completer, progress=progress))
    lessons = [lesson for one in heard for lesson in one.lessons]
    return Told(
        lessons=tuple(lessons),
        rejected=tuple(each for one in heard for each in one.rejected),
        asked=Asked(
            n_groups=len(questions),
            n_calls=sum(one.n_calls for one in heard),
            n_items=sum(one.n_items for one in heard),
            n_accepted=len(lessons),
            n_characters=sum(one.n_characters for one in heard),
            errors=tuple(one.error for one in heard if one.error is not None),
        ),
    )


def _questions(sides: Mapping[str, Sides], extraction: Extraction) -> Iterator[Shown]:
    solved = [each for each in sides.values() if each.passed]
    for side in sorted(solved, key=lambda each: not each.failed):
        if extraction == "each":
            yield from (show([each], [], question="success") for each in side.passed)
            yield from (show(side.passed[:1], [each], question="failure") for each in side.failed)
        elif side.failed:
            yield show(side.passed[:MAX_SIDE], side.failed[:MAX_SIDE], question="contrast")
        else:
            yield show(side.passed[:1], [], question="success")


def _ask_each(
    questions: list[Shown],
    *,
    completer: Completer,
    progress: Callable[[int, int], None] | None,
) -> Iterator[_Heard]:
    n_failed = 0
    for done, shown in enumerate(questions, start=1):
        heard = _ask(shown, completer)
        yield heard
        if progress is not None:
            progress(done, len(questions))
        n_failed = n_failed + 1 if heard.error is not None else 0
        if n_failed >= MAX_FAILED_CALLS:
            return


def _ask(shown: Shown, completer: Completer) -> _Heard:
    """Ask, and once more with the objection when nothing of the answer could be used."""
    prompt, system = shown.prompt, prompt_text("system")
    rejected: list[Rejected] = []
    n_items = n_characters = 0
    for n_calls in range(1, MAX_CALLS + 1):
        again = f"An earlier answer was turned down: {rejected[-1].reason}.\n\n" if rejected else ""
        try:
            text = ask(completer, again + prompt, system=system, max_tokens=MAX_TOKENS)
        except Exception as error:  # noqa: BLE001  # a model must not cost the attempts
            told = f"{type(error).__name__}: {error}"[:300]
            return _Heard([], rejected, n_calls, n_items, n_characters, told)
        n_characters += len(again) + len(prompt) + len(system) + len(text)
        items = read_items(text, most=most_items(shown))
        n_items += len(items or ())
        kept, turned_down = _judge(items, shown, text=text)
        rejected += turned_down
        if kept or items == ():
            return _Heard(kept, rejected, n_calls, n_items, n_characters, None)
    return _Heard([], rejected, MAX_CALLS, n_items, n_characters, None)


def _judge(
    items: tuple[Item, ...] | None, shown: Shown, *, text: str
) -> tuple[list[Lesson], list[Rejected]]:
    if items is None:
        return [], [Rejected(reason=Reason.UNREADABLE, author="model", text=text[:200])]
    against = [objection(each, shown) for each in items]
    kept = [lesson_of(each, shown) for each, why in zip(items, against, strict=True) if why is None]
    turned_down = [
        _rejected(each, why) for each, why in zip(items, against, strict=True) if why is not None
    ]
    return kept, turned_down


def _rejected(item: Item, why: Objection) -> Rejected:
    text = f"{item.trigger}: {item.action}".removeprefix(": ")
    return Rejected(reason=why.reason, author="model", text=text, detail=why.detail)
