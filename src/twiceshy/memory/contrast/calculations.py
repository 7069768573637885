"""The vocabulary of worked calculations: what is computed, from what, and what the answer rests on.

Fits solutions in text with calculator annotations (`<<16-3=13>>`) or plain "16 - 3 = 13".
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median

from twiceshy.attempts.types import Attempt
from twiceshy.memory.contrast import calculations_kinds as kinds
from twiceshy.memory.contrast.calculations_arithmetic import OPERATIONS
from twiceshy.memory.contrast.calculations_solution import (
    Solution,
    number_words_in,
    numbers_in,
    read_solution,
)
from twiceshy.memory.contrast.vocabulary import Phrase

CUES = {
    "left": r"\bleft\b|\bremain",
    "total": r"\btotal\b|\baltogether\b|\bin all\b|\bcombined\b",
    "more": r"\bmore\b",
    "less": r"\bless\b|\bfewer\b",
    "each": r"\beach\b|\bper\b|\bapiece\b",
    "every": r"\bevery\b",
    "half": r"\bhalf\b|\bhalves\b",
    "twice": r"\btwice\b|\bdouble",
    "times": r"\btimes\b|\btriple",
    "percent": r"%|\bpercent",
    "a fraction": r"\b[0-9]+/[0-9]+\b|\bthirds?\b|\bquarters?\b|\bfifths?\b",
    "average": r"\baverage\b",
    "how many more": r"\bdifference\b|\bhow (?:much|many) (?:\w+ )?(?:more|less|fewer)\b",
    "another": r"\banother\b|\badditional\b|\bextra\b",
    "dozen": r"\bdozen",
    "spend, cost or pay": r"\bspen[dt]|\bcosts?\b|\bpa(?:y|id)\b",
    "sell, lose or give": r"\b(?:gives? away|gave|los[te])\b|\bsold\b|\bsells?\b|\b(?:eats?|ate)\b",
    "hours or days": r"\bminutes?\b|\bhours?\b|\bdays?\b|\bweeks?\b|\byears?\b",
}
"""Words in the question that may call for an operation, by the name the event carries."""

_CALENDAR = (7, 12, 24, 30, 31, 52, 60, 360, 365, 366, 3600)
_ROUND = (0, 1, 2, 3, 4, 10, 16, 36, 50, 100, 1000, 0.01, 0.05, 0.1, 0.25, 0.5)
FREE_NUMBERS = frozenset(map(float, _CALENDAR + _ROUND))
"""Numbers a step may bring in by itself: units of time, coins, percent, halves."""


class Calculations:
    """Events of worked calculations in text. See `calculations_kinds` for all."""

    name = "calculations"

    def accepts(self, attempts: Sequence[Attempt]) -> bool:
        """Whether at least half of the attempts compute something and hardly any calls a tool."""
        if not attempts:
            return False
        with_calls = sum(any(step.calls for step in each.steps) for each in attempts)
        if with_calls > len(attempts) / 10:
            return False
        computed = sum(bool(read_solution(each).calculations) for each in attempts)
        return computed >= len(attempts) / 2

    def events(self, attempts: Sequence[Attempt]) -> list[frozenset[str]]:
        """Return the events of each attempt; only step counts of siblings are looked at."""
        solutions = [read_solution(each) for each in attempts]
        counts: defaultdict[str, list[int]] = defaultdict(list)
        for attempt, solution in zip(attempts, solutions, strict=True):
            counts[attempt.task].append(len(solution.calculations))
        medians = {task: median(each) for task, each in counts.items() if len(each) > 1}
        return [
            frozenset(_events(solution, sibling_median=medians.get(attempt.task)))
            for attempt, solution in zip(attempts, solutions, strict=True)
        ]

    def phrase(self, event: str) -> Phrase:
        """Return the words for an event of this vocabulary.

        Example:
            >>> Calculations().phrase("never uses subtraction, the question says 'left'").instead
            "Check whether 'left' asks for subtraction"
        """
        return kinds.KINDS.phrase(event)


def _events(solution: Solution, *, sibling_median: float | None) -> Iterator[str]:
    yield from _dataflow(solution)
    yield from _answer(solution)
    yield from _range(solution)
    yield from _arithmetic(solution)
    yield from _steps(solution, sibling_median)
    yield from _operators(solution)


def _dataflow(solution: Solution) -> Iterator[str]:
    operands = _operands(solution)
    given = set(numbers_in(solution.question))
    unused = sum(not _is_used(number, operands) for number in given)
    if unused >= 1:
        yield kinds.UNUSED_ONE()
    if unused >= 2:
        yield kinds.UNUSED_TWO()
    if _hanging_result(solution):
        yield kinds.UNUSED_RESULT()
    known = given | set(number_words_in(solution.question)) | FREE_NUMBERS
    if _has_foreign_number(solution, known):
        yield kinds.FROM_NOWHERE()
    if "%" in solution.question and _plain_percent(solution.question, operands):
        yield kinds.PLAIN_PERCENT()


def _operands(solution: Solution) -> set[float]:
    return {n for c in solution.calculations if c.arithmetic for n in c.arithmetic.operands}


def _is_used(number: float, operands: set[float]) -> bool:
    """Whether the number, or the number as a percentage, of it or beyond it, is an operand."""
    share = number / 100
    forms = (number, share, 1 - share, 1 + share, 100 - number, 100 + number)
    return any(_same(form, operand) for form in forms for operand in operands)


def _same(first: float, second: float) -> bool:
    return abs(first - second) <= 1e-6 + 1e-4 * abs(first)


def _hanging_result(solution: Solution) -> bool:
    """Whether a result before the last step is neither an operand later nor the answer."""
    for index, step in enumerate(solution.calculations[:-1]):
        if step.result is None or (
            solution.answer is not None and _same(step.result, solution.answer)
        ):
            continue
        later = {
            number
            for after in solution.calculations[index + 1 :]
            if after.arithmetic
            for number in after.arithmetic.operands
        }
        if not _is_used(step.result, later):
            return True
    return False


def _has_foreign_number(solution: Solution, known: set[float]) -> bool:
    seen = set(known)
    for step in solution.calculations:
        for number in step.arithmetic.operands if step.arithmetic else ():
            if number not in seen and not any(_is_used(each, {number}) for each in seen):
                return True
        if step.result is not None:
            seen.add(step.result)
    return False


def _plain_percent(question: str, operands: set[float]) -> bool:
    percentages = [
        float(found) for found in re.findall(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)%", question)
    ]
    return 100.0 not in operands and any(
        not _is_share(number) and number in operands for number in percentages
    )


def _is_share(number: float) -> bool:
    return 0 < number < 1


def _answer(solution: Solution) -> Iterator[str]:
    answer, results = solution.answer, solution.results
    if answer is None:
        yield kinds.NO_ANSWER()
        return
    if results and not _same(answer, results[-1]):
        yield kinds.NOT_LAST()
    if not any(_same(answer, result) for result in results):
        yield kinds.NOT_COMPUTED()
    if any(_same(answer, number) for number in numbers_in(solution.question)):
        yield kinds.IS_GIVEN()
    if not answer.is_integer() and "/" not in solution.answer_text:  # 1/5 is meant to be one
        yield kinds.FRACTIONAL_ANSWER()
    if answer < 0:
        yield kinds.NEGATIVE_ANSWER()


def _range(solution: Solution) -> Iterator[str]:
    if any(result < 0 for result in solution.results):
        yield kinds.NEGATIVE()
    if any(not result.is_integer() for result in solution.results):
        yield kinds.FRACTIONAL()


def _arithmetic(solution: Solution) -> Iterator[str]:
    steps = solution.calculations
    if any(step.arithmetic is None for step in steps):
        yield kinds.MALFORMED()
    if any(step.is_wrong for step in steps):
        yield kinds.WRONG()
    texts = {"".join(step.text.split()) for step in steps}
    if len(texts) < len(steps):
        yield kinds.REPEATED()
    by_result = {(round(step.result, 6)) for step in steps if step.result is not None}
    if len(by_result) < len(texts) and len(texts) == len(solution.results):
        yield kinds.SAME_RESULT()


def _steps(solution: Solution, sibling_median: float | None) -> Iterator[str]:
    count, length = len(solution.calculations), len(solution.text)
    if count <= 1:
        yield kinds.AT_MOST_ONE()
    if count <= kinds.FEW_COUNT:
        yield kinds.FEW_STEPS()
    for many in (kinds.MANY_COUNT, kinds.VERY_MANY_COUNT):
        if count >= many:
            yield kinds.MANY_STEPS(k=str(many))
    if length < kinds.SHORT_TEXT:
        yield kinds.SHORT()
    if length > kinds.LONG_TEXT:
        yield kinds.LONG()
    if sibling_median is not None and count < sibling_median:
        yield kinds.FEWER()
    if sibling_median is not None and count > sibling_median:
        yield kinds.MORE()


def _operators(solution: Solution) -> Iterator[str]:
    if not solution.calculations:
        return
    used = {op for c in solution.calculations if c.arithmetic for op in c.arithmetic.operators}
    for sign in used:
        yield kinds.USES(operation=OPERATIONS[sign])
    if len(used) == 1:
        yield kinds.ONLY(operation=OPERATIONS[next(iter(used))])
    if len(used) == len(OPERATIONS):
        yield kinds.ALL_FOUR()
    for cue in _cues(solution.question):
        for sign, operation in OPERATIONS.items():
            if sign not in used:
                yield kinds.NEVER_WITH_CUE(operation=operation, cue=cue)


_COMPILED = {cue: re.compile(pattern, re.IGNORECASE) for cue, pattern in CUES.items()}


def _cues(question: str) -> list[str]:
    return [cue for cue, pattern in _COMPILED.items() if pattern.search(question)]
