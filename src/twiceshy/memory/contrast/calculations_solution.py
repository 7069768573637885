"""Find the calculations, the numbers and the answer in a worked solution."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import NamedTuple

from twiceshy.attempts.types import Attempt
from twiceshy.memory.contrast.calculations_arithmetic import (
    Arithmetic,
    is_close,
    parse_arithmetic,
    parse_number,
)

MAX_TEXT = 20_000
"""Characters of a solution that are read; longer ones are cut, from the start."""

_ANNOTATION = re.compile(r"<<([^<>]{1,400})>>")
_NUMBER = re.compile(r"-?\$?(?<![0-9.,])(?:[0-9](?:[0-9,]*[0-9])?(?:\.[0-9]+)?|\.[0-9]+)")
_LEADING_NUMBER = re.compile(r"\s*(-?\s*\$?\s*[0-9](?:[0-9,]*[0-9])?(?:\.[0-9]+)?)")
_OPERATOR_FOLLOWS = re.compile(r"\s*[-+*/×÷]\s*\(?\s*\$?[0-9]")
_PIECE = re.compile(r"(?:\$\s*)?[0-9](?:[0-9,]*[0-9])?(?:\.[0-9]+)?%?|[A-Za-z]+|[-+*/()×÷−]")
_VARIABLE = re.compile(r"(?<![A-Za-z])[b-zB-Z](?![A-Za-z'’])(?!\s*[$(]?\s*[0-9])")
"""A letter by itself that is not a multiplication sign: an equation, not a calculation."""
_FINAL = re.compile(
    r"(?:^|\n)\s*(?:####|A:|Answer:|\**Final answer:?\**|The (?:final )?answer is:?)\s*([^\n]+)",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\{([^{}]{1,80})\}")
_LATEX = ((r"\times", "*"), (r"\cdot", "*"), (r"\div", "/"), (r"\$", "$"), (r"\%", "%"))
_WORDS = {
    **{"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9},
    **{"ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30},
    **{"forty": 40, "fifty": 50, "sixty": 60, "hundred": 100, "dozen": 12},
    **{"twice": 2, "double": 2, "half": 2, "third": 3, "triple": 3, "thrice": 3, "quarter": 4},
}
_WORD = re.compile(rf"\b({'|'.join(_WORDS)})s?\b", re.IGNORECASE)


class Calculation(NamedTuple):
    """One computed step."""

    text: str
    """The expression as written, without its result."""
    arithmetic: Arithmetic | None
    """None when the expression is malformed."""
    stated: float | None
    """The result as written, when it is a number."""

    @property
    def result(self) -> float | None:
        """What later steps see: the stated result, else the computed one."""
        if self.stated is not None:
            return self.stated
        return self.arithmetic.value if self.arithmetic else None

    @property
    def is_wrong(self) -> bool:
        """Whether the stated result is not what the expression gives."""
        if self.arithmetic is None or self.arithmetic.value is None or self.stated is None:
            return False
        value = self.arithmetic.value
        as_percentage = "%" in self.text and is_close(value * 100, self.stated)
        return not (is_close(value, self.stated) or as_percentage)


class Solution(NamedTuple):
    """A worked solution, read."""

    question: str
    text: str
    calculations: tuple[Calculation, ...]
    answer: float | None
    """The final answer when it is a number."""
    answer_text: str = ""
    """The final answer as written."""

    @property
    def results(self) -> tuple[float, ...]:
        """The results of the calculations that have one, in order."""
        return tuple(c.result for c in self.calculations if c.result is not None)


def read_solution(attempt: Attempt) -> Solution:
    """Return the calculations and the answer of an attempt's text.

    The text is what the policy wrote in its steps, or the answer field when there are none. Where
    the text has `<<a+b=c>>` annotations only those count, otherwise plain "a + b = c".
    """
    written = "\n".join(s.text for s in attempt.steps if s.role == "assistant" and s.text)
    text = (written or attempt.answer or "")[:MAX_TEXT]
    annotated = tuple(
        annotated_calculation(found) for found in _ANNOTATION.findall(text) if "=" in found
    )
    return Solution(
        question=question_of(attempt),
        text=text,
        calculations=annotated or plain_calculations(text),
        answer=final_answer(text, attempt.answer),
        answer_text=answer_text(text, attempt.answer),
    )


def question_of(attempt: Attempt) -> str:
    """Return the task in words: the prompt, else the first user message, else the task's name."""
    asked = (s.text for s in attempt.steps if s.role == "user" and s.text)
    return (attempt.prompt or next(asked, "") or attempt.task)[:MAX_TEXT]


def annotated_calculation(inside: str) -> Calculation:
    """Read the inside of one `<<...=...>>`.

    Example:
        >>> annotated_calculation("16-3=13").is_wrong, annotated_calculation("2*2=5").is_wrong
        (False, True)
    """
    expression, _, stated = inside.rpartition("=")
    return Calculation(expression, parse_arithmetic(expression), parse_number(stated))


def plain_calculations(text: str) -> tuple[Calculation, ...]:
    """Find "a + b = c" in prose; words between the numbers (units) are passed over.

    Example:
        >>> [c.text for c in plain_calculations("She eats 3, so 16 eggs - 3 eggs = 13 eggs left.")]
        ['16 - 3']
    """
    for latex, plain in _LATEX:
        text = text.replace(latex, plain)
    return tuple(step for line in text.splitlines() for step in _in_line(line[:1000]))


def _in_line(line: str) -> list[Calculation]:
    found: list[Calculation] = []
    for left, right in pairwise(line.split("=")):
        expression = _longest_expression(left)
        if expression is not None:
            found.append(Calculation(expression, parse_arithmetic(expression), _stated(right)))
    return found


def _longest_expression(left: str) -> str | None:
    """Return the longest tail of the text before '=' that is arithmetic with an operator."""
    if _VARIABLE.search(left):
        return None
    pieces = [p for p in _PIECE.findall(left) if not p[0].isalpha() or p in ("x", "X")][-24:]
    for start in range(len(pieces)):
        if pieces[start][0].isdigit() or pieces[start][0] in "($.":
            tail = " ".join(pieces[start:])
            parsed = parse_arithmetic(tail)
            if parsed is not None and parsed.operators:
                return tail
    return None


def _stated(right: str) -> float | None:
    """Return the number right of '=', unless another expression follows there."""
    match = _LEADING_NUMBER.match(right)
    if match is None or _OPERATOR_FOLLOWS.match(right, match.end()):
        return None
    return parse_number(match[1])


def answer_text(text: str, answer: str | None) -> str:
    """Return what stands after the last answer marker, else the answer field; "" for neither."""
    marked = _FINAL.findall(text) or _BOXED.findall(text)
    source = marked[-1] if marked else answer if answer is not None and answer != text else ""
    return source if len(source) <= 80 else ""


def final_answer(text: str, answer: str | None) -> float | None:
    r"""Return the final answer as a number, from its marker or from the answer field.

    Example:
        >>> final_answer("so 6*7 = 42\nA: 42", None), final_answer("hm", "$1,200")
        (42.0, 1200.0)
    """
    source = answer_text(text, answer)
    whole = parse_number(source)
    numbers = numbers_in(source) if whole is None else [whole]
    return numbers[-1] if numbers else None


def numbers_in(text: str) -> list[float]:
    """Return the numbers written in digits, in order; a minus counts when no digit is before it.

    Example:
        >>> numbers_in("pays $1,200.50 for 3-4 of 10%")
        [1200.5, 3.0, 4.0, 10.0]
    """
    found: list[float] = []
    for match in _NUMBER.finditer(text):
        before = text[match.start() - 1 : match.start()]
        digits = match[0].lstrip("-") if before.isalnum() else match[0]
        value = float(digits.replace("$", "").replace(",", ""))
        if math.isfinite(value):
            found.append(value)
    return found


def number_words_in(text: str) -> list[float]:
    """Return the numbers written as words ("three", "twice", "half" as 2).

    Example:
        >>> number_words_in("Twice as many as three dozens")
        [2.0, 3.0, 12.0]
    """
    return [float(_WORDS[word.lower()]) for word in _WORD.findall(text)]
