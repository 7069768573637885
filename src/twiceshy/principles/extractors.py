"""Reading the same answers in several ways: did the prompt move the score, or the reading of it?

A block before a question changes what an answer looks like. Where the reader looks for a mark, an
arm that writes the mark more often scores higher with not one more question understood.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from twiceshy.attempts.answers import normalised
from twiceshy.attempts.types import Outcome
from twiceshy.principles.metrics import AnswerMatch, Reader, read_answer
from twiceshy.principles.types import Example, Metric, Scored

Extractor = Literal["as given", "strict", "marked", "lenient"]
"""The metric of the proof, unread answers left out; the same with unread answers as wrong; marked
answers only, any other as wrong; whatever can be taken for an answer, unread ones left out."""

_LETTER = re.compile(r"\(?[A-H]\)?")


class Lenient:
    """Takes the marked answer, else the last number or letter, else the last line with words.

    A number is looked for where the right answer is one, and so on: this reader knows the right
    answer's kind, and finds right answers by accident more often than others do. It is for
    comparing arms and not for reporting a score.

    Example:
        >>> from twiceshy.principles import example
        >>> Lenient()(example("2 + 3?", "5"), "I think it is 5").right
        True
        >>> Lenient()(example("Where?", "in Paris"), "It is in Paris!").right
        True
    """

    def __call__(self, example: Example, response: str, /) -> Scored:
        """Judge one response."""
        gold = normalised(example.answer)
        reader = _reader_for(example.answer)
        if reader is not None:
            return AnswerMatch(reader=reader)(example, response)
        said = read_answer(response) or _last_line(response)
        if not said:
            return Scored(outcome=Outcome.UNSCORED)
        right = re.search(rf"(?<!\w){re.escape(gold)}(?!\w)", said) is not None
        outcome = Outcome.SUCCESS if right else Outcome.FAILURE
        return Scored(outcome=outcome, score=float(right), answer=gold if right else said)


class Reading(NamedTuple):
    """A way to read answers."""

    metric: Metric
    unread_is_wrong: bool


def extractors(metric: Metric) -> dict[Extractor, Reading]:
    """Return the ways to read an answer, the proof's own first.

    Where the proof's own metric is no `AnswerMatch` its answers cannot be read in another way, and
    only its unread ones can be counted in two. "marked" is there where it is not "strict" already.
    """
    own: dict[Extractor, Reading] = {
        "as given": Reading(metric, unread_is_wrong=False),
        "strict": Reading(metric, unread_is_wrong=True),
    }
    if not isinstance(metric, AnswerMatch):
        return own
    if metric.reader != "marked":
        own["marked"] = Reading(AnswerMatch(reader="marked"), unread_is_wrong=True)
    return {**own, "lenient": Reading(Lenient(), unread_is_wrong=False)}


def _reader_for(answer: str) -> Reader | None:
    if re.fullmatch(r"-?\d+(?:\.\d+)?", normalised(answer)):
        return "number"
    return "choice" if _LETTER.fullmatch(answer.strip()) else None


def _last_line(text: str) -> str:
    return next((normalised(each) for each in reversed(text.splitlines()) if each.strip()), "")
