"""What of a lesson is searched for words, and how a query is put."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from twiceshy.lessons import TASK_TEXT, Lesson

_FUNCTION_WORDS = """
a about after again all also am an and any are as at be because been before being both but by can
could did do does doing done during each for from further had has have having he her here hers him
his how i if in into is it its itself just me more most my no nor not of off on once only or other
our out over own same she should so some such than that the their them then there these they this
those through to too under until up us very was we were what when where which while who whom why
will with would you your
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Function words. They tell tasks apart no better than chance and make up most of the postings."""
_WORD = re.compile(r"\w+")


class Wording(NamedTuple):
    """What of a lesson is searched, in three columns."""

    tasks: tuple[str, ...]
    triggers: tuple[str, ...]
    words: tuple[str, ...]


def wording(lesson: Lesson) -> Wording:
    """Return the tasks a lesson was learned at, when it applies, and what it says."""
    return Wording(
        tasks=(str(lesson.extra.get(TASK_TEXT, "")), *(pair.task for pair in lesson.contrast)),
        triggers=(lesson.trigger, lesson.family, *lesson.scope.values()),
        words=(lesson.text, lesson.action, lesson.instead, lesson.why, *lesson.steps),
    )


def indexed(found: Wording) -> tuple[str, str, str]:
    """Return the three columns as text without stop words, each part once.

    Example:
        >>> lesson = Lesson(id="x", kind="avoid", text="Do without guessing.", trigger="at the end")
        >>> indexed(wording(lesson))
        ('', 'end', 'without guessing')
    """
    return _kept(found.tasks), _kept(found.triggers), _kept(found.words)


def terms(query: str) -> list[str]:
    """Return the distinct words of a query that are worth searching for, in order.

    Example:
        >>> terms("What is the status of order_id 17, and of the order?")
        ['status', 'order_id', '17', 'order']
    """
    words = (word.lower() for word in _WORD.findall(query))
    return list(dict.fromkeys(word for word in words if word not in STOP_WORDS))


def _kept(parts: Iterable[str]) -> str:
    words = (word for part in dict.fromkeys(parts) for word in _WORD.findall(part))
    return " ".join(word for word in words if word.lower() not in STOP_WORDS)
