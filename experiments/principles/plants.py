"""Principles of a known kind: what helps, and junk of four sorts. Each has a mistake of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, get_args

from office import DOORS, Office, rule

from twiceshy.lessons import Lesson
from twiceshy.principles import Example, Mistake, principle

Sort = Literal["true", "generic", "copied", "foreign", "harmful"]
SORTS: tuple[Sort, ...] = get_args(Sort)
WHAT: dict[Sort, str] = {
    "true": "an exception of this office, as it is",
    "generic": "advice that suits any question",
    "copied": "a training item with its answer",
    "foreign": "an exception of another office",
    "harmful": "the right door of a mistake, with the wrong cause",
}
GENERIC = (
    "Think carefully and check the answer before giving it.",
    "Read the question twice and make sure that nothing was left out.",
    "Break the problem into smaller steps and solve them one after the other.",
    "Stay calm and be precise, clear and complete.",
    "Consider every possibility before settling on one.",
    "When unsure, look at the question again from the beginning.",
    "Always be polite and give an answer that helps the reader.",
    "Avoid jumping to conclusions; let each step follow from the last.",
    "Pay attention to detail and verify each fact.",
    "State assumptions and keep the reasoning consistent throughout.",
)


class Plant(NamedTuple):
    """A principle whose worth is known."""

    sort: Sort
    lesson: Lesson


def plants(
    office: Office, mistakes: Sequence[Mistake], others: Sequence[Office], *, each: int, seed: int
) -> list[Plant]:
    """Return up to `each` plants of every sort; the mistakes are the executor's own.

    A plant hangs on a mistake that it could have come from. A true rule hangs on a mistake at an
    exception it covers; where the executor made none there, it is left out.
    """
    rng = random.Random(f"plants {office.name} {seed}")
    makers = {
        "true": _true(office, mistakes),
        "generic": [(text, rng.choice(mistakes)) for text in rng.sample(GENERIC, each)],
        "copied": _copied(mistakes, rng),
        "foreign": [(text, rng.choice(mistakes)) for text in _foreign(office, others)],
        "harmful": list(_harmful(office, mistakes)),
    }
    found: list[Plant] = []
    for sort in SORTS:
        made = dict(makers[sort])
        for text in rng.sample(sorted(made), min(each, len(made))):
            found.append(Plant(sort, planted(text, made[text])))
    return found


def planted(text: str, mistake: Mistake) -> Lesson:
    """Return a principle that claims to come from a mistake."""
    return principle(
        text,
        height="low",
        writer="plant",
        mistakes=[mistake],
        parents=[mistake.id],
        task=mistake.example.task,
    )


def words_of(asked: Example) -> list[str]:
    """Return size, colour and mark of a question."""
    return asked.question.rpartition("parcel: ")[2].rstrip("?.").split()[:3]


def _true(office: Office, mistakes: Sequence[Mistake]) -> list[tuple[str, Mistake]]:
    causes = ((office.mark, office.mark_door, 2), (office.colour, office.colour_door, 1))
    return [
        (rule(value, door), mistake)
        for value, door, place in causes
        for mistake in mistakes
        if words_of(mistake.example)[place] == value and mistake.example.answer == door
    ]


def _copied(mistakes: Sequence[Mistake], rng: random.Random) -> list[tuple[str, Mistake]]:
    forms = (
        "When the question says parcel: {0} {1} {2}, take {3}.",
        "A parcel: {0} {1} {2} goes to {3}.",
        "When it is a {0} {1} {2} parcel, take {3}.",
    )
    return [
        (rng.choice(forms).format(*words_of(each.example), each.example.answer), each)
        for each in mistakes
    ]


def _foreign(office: Office, others: Sequence[Office]) -> Iterator[str]:
    """Yield exceptions of other offices that are none of this one's."""
    own = {office.colour, office.mark}
    for other in others:
        for value, door in ((other.colour, other.colour_door), (other.mark, other.mark_door)):
            if value not in own:
                yield rule(value, door)


def _harmful(office: Office, mistakes: Sequence[Mistake]) -> Iterator[tuple[str, Mistake]]:
    """Yield rules that would have put a mistake right, by a value that is not the cause."""
    for mistake in mistakes:
        size, colour, mark = words_of(mistake.example)
        door = mistake.example.answer
        for value in (size, colour, mark):
            if value not in (office.colour, office.mark) and door in DOORS:
                yield rule(value, door), mistake
