"""Metrics that need no model: read the final answer and compare it."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from twiceshy.attempts.answers import marked_answer, normalised
from twiceshy.attempts.types import Outcome
from twiceshy.principles.types import Example, Scored

Reader = Literal["marked", "number", "choice", "whole"]
"""Where the answer is looked for: after a mark ("Answer:", "####", a LaTeX box); the last number;
the last choice letter; the whole response. The first three look at the mark first."""

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_CHOICE = re.compile(r"\(([A-Z])\)|(?<![\w'’])([A-H])(?![\w'’])")


class AnswerMatch(msgspec.Struct, frozen=True, kw_only=True):
    r"""Whether the final answer equals the right one, both in the form of `attempts.answers`.

    Attributes:
        reader: Where the answer is looked for.

    Example:
        >>> from twiceshy.principles import example
        >>> metric, asked = AnswerMatch(), example("2 + 3?", "5")
        >>> metric(asked, "2 and 3 make 5.\nAnswer: 5").score, metric(asked, "Answer: 6").feedback
        (1.0, 'The answer 6 is wrong; 5 is right.')
        >>> metric(asked, "Let me think.").outcome.value, metric(asked, "Let me think.").score
        ('unscored', None)
    """

    reader: Reader = "marked"

    def __call__(self, example: Example, response: str, /) -> Scored:
        """Judge one response."""
        told = read_answer(response, reader=self.reader)
        if told is None:
            return Scored(outcome=Outcome.UNSCORED, feedback="No final answer could be read.")
        gold = read_answer(example.answer, reader=self.reader) or normalised(example.answer)
        right = told == gold
        return Scored(
            outcome=Outcome.SUCCESS if right else Outcome.FAILURE,
            score=float(right),
            feedback="" if right else f"The answer {told} is wrong; {example.answer} is right.",
            answer=told,
        )


def read_answer(text: str, *, reader: Reader = "marked") -> str | None:
    """Return the final answer in its normal form, or None when none can be read.

    Example:
        >>> read_answer("so 3 and then 1,200 in all", reader="number")
        '1200'
        >>> read_answer("It must be (C).", reader="choice"), read_answer("no idea")
        ('c', None)
    """
    marked = marked_answer(text)
    said = marked if marked is not None else text
    if reader == "whole":
        return normalised(text) or None
    if reader == "number":
        numbers = _NUMBER.findall(said)
        return normalised(numbers[-1]) if numbers else None
    if reader == "choice":
        letters = [first or second for first, second in _CHOICE.findall(said)]
        return normalised(letters[-1]) if letters else None
    return (normalised(marked) or None) if marked else None
