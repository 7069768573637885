"""What a language model may answer about a lesson, and why an answer is turned down.

A sentence is checked by rules alone, because the model has read excerpts of logs and may repeat
what it was told there. It must have the parts that the rule has, keep the rule's names, numbers and
negations, share its words, and hold nothing that comes from the excerpts. The rules err towards
turning down: the rule's own sentence is always there to fall back on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated

import msgspec

from twiceshy.lessons import Lesson
from twiceshy.memory.contrast.lessons import sentence
from twiceshy.memory.contrast.vocabulary import Phrase
from twiceshy.memory.words import (
    COMMAND,
    LINK,
    NEGATION,
    ORDER,
    names_in,
    occurs,
    runs_in,
    stems,
    unfenced,
)

LONGEST_FIELD = 160
"""Characters of one field of an answer."""
LONGEST_ANSWER = 4_000
"""Characters of a whole answer; longer ones are not parsed."""
COPIED_WORDS = 3
"""Words in a row that count as copied from a log, when one of them is foreign to the rule."""


class Reason(StrEnum):
    """Why a sentence, or a whole answer, was turned down."""

    NOT_JSON = "not one JSON object"
    WRONG_FIELDS = "a field is missing, unknown, empty, too long or of the wrong type"
    LEFT_OUT = "leaves out a part that the rule has"
    ADDED = "adds a trigger or an alternative that has no evidence"
    LINK = "holds a link"
    COMMAND = "holds a command or markup"
    ORDER = "gives orders beyond the lesson"
    COPIED = "copies the log"
    NEW_NAME = "names something that the rule does not"
    LOST_NAME = "loses a name, a number or a quoted word of the rule"
    TURNED = "gains or loses a negation"
    ELSEWHERE = "shares no word with the rule's action or alternative"
    UNCHANGED = "says what the rule says"


_Text = Annotated[str, msgspec.Meta(max_length=LONGEST_FIELD)]


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON object a model must answer with."""

    trigger: _Text = ""
    action: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_FIELD)]
    instead: _Text = ""
    why: _Text = ""
    condition: int | None = None
    """Number of the offered condition, from 1."""


def read_answer(text: str) -> Answer | Reason:
    """Return the answer in its fields, or why it cannot be used.

    A fence of the kind "```json" around the whole answer is taken off; text beside the object is
    not tolerated.

    Example:
        >>> read_answer('{"action": "guessing", "condition": 2}').condition
        2
        >>> read_answer('Sure! {"action": "guessing"}').value
        'not one JSON object'
        >>> read_answer('{"action": "guessing", "tool": "rm"}').name
        'WRONG_FIELDS'
    """
    if len(text) > LONGEST_ANSWER:
        return Reason.WRONG_FIELDS
    try:
        answer = msgspec.json.decode(unfenced(text), type=Answer)
    except msgspec.ValidationError as error:
        return Reason.NOT_JSON if "Expected `object`" in str(error) else Reason.WRONG_FIELDS
    except (msgspec.DecodeError, UnicodeEncodeError):
        return Reason.NOT_JSON
    return msgspec.structs.replace(
        answer,
        trigger=_tidy(_uncapitalised(answer.trigger)),
        action=_tidy(_uncapitalised(answer.action)),
        instead=_tidy(answer.instead),
        why=_tidy(answer.why),
    )


def _tidy(text: str) -> str:
    return " ".join(text.split()).rstrip(".:,; ")


def _uncapitalised(text: str) -> str:
    """Return the text with a small first letter where it opens with an ordinary word.

    Example:
        >>> _uncapitalised("When it rains"), _uncapitalised("HTTP calls"), _uncapitalised("'Cook'")
        ('when it rains', 'HTTP calls', "'Cook'")
    """
    return re.sub(r"\A\s*[A-Z](?=[a-z]*\b)", lambda found: found[0].lower(), text)


def words_of(answer: Answer, lesson: Lesson) -> str:
    """Return the answer as one sentence, in the shape of all lessons of its kind."""
    phrase = Phrase(trigger=answer.trigger, action=answer.action)
    return sentence(phrase, kind=lesson.kind, instead=answer.instead)


def objection(answer: Answer, lesson: Lesson) -> Reason | None:
    """Return why the answer's words must not stand for the lesson's, or None.

    Args:
        answer: What the model said.
        lesson: The rule's lesson, with the contrast pairs the model may have seen.
    """
    return next(_objections(answer, lesson), None)


def _objections(answer: Answer, lesson: Lesson) -> Iterator[Reason]:
    said = " \n ".join((answer.trigger, answer.action, answer.instead, answer.why))
    own = _own_words(lesson)
    yield from _parts(answer, lesson)
    yield from (reason for shape, reason in _FORBIDDEN if _new_match(shape, said, own=own))
    if _copies(said, own=own, logs=_logs(lesson)):
        yield Reason.COPIED
    if any(not occurs(each, own) for each in names_in(said)):
        yield Reason.NEW_NAME
    kept = " \n ".join((lesson.trigger, lesson.action, lesson.instead))
    if any(not occurs(each, said) for each in names_in(kept)):
        yield Reason.LOST_NAME
    for mine, theirs in ((answer.action, lesson.action), (answer.instead, lesson.instead)):
        if bool(NEGATION.search(mine)) != bool(NEGATION.search(theirs)):
            yield Reason.TURNED
        if stems(theirs) and not stems(mine) & stems(theirs):
            yield Reason.ELSEWHERE
    if words_of(answer, lesson) == lesson.text:
        yield Reason.UNCHANGED


def _parts(answer: Answer, lesson: Lesson) -> Iterator[Reason]:
    if not answer.action:
        yield Reason.WRONG_FIELDS
    for mine, theirs in ((answer.trigger, lesson.trigger), (answer.instead, lesson.instead)):
        if theirs and not mine:
            yield Reason.LEFT_OUT
        if mine and not theirs:
            yield Reason.ADDED


def _own_words(lesson: Lesson) -> str:
    parts = (lesson.text, lesson.pattern, lesson.trigger, lesson.action, lesson.instead, lesson.why)
    return " \n ".join(parts)


def _logs(lesson: Lesson) -> list[str]:
    return [
        text
        for pair in lesson.contrast
        for text in (pair.failure_text, pair.success_text, pair.task)
        if text
    ]


_FORBIDDEN = ((LINK, Reason.LINK), (COMMAND, Reason.COMMAND), (ORDER, Reason.ORDER))


def _new_match(shape: re.Pattern[str], text: str, *, own: str) -> bool:
    """Whether the text holds a match that is not in the rule's own words."""
    return any(not occurs(each.group(), own) for each in shape.finditer(text))


def _copies(text: str, *, own: str, logs: Sequence[str]) -> bool:
    """Whether a few words in a row come from a log, one of them with meaning and not the rule's."""
    runs = {run for log in logs for run in runs_in(log, length=COPIED_WORDS)}
    known = stems(own)
    return any(
        run in runs and stems(" ".join(run)) - known for run in runs_in(text, length=COPIED_WORDS)
    )
