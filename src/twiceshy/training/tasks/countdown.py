"""Countdown-4: make a target from four digits with + − ×, read from left to right.

Prompt `d d d d = t t :` (digits 1 to 9, sorted; target 1 to 99), response `d o d o d o d`. The
form is that of the Countdown task of reasoning benchmarks, cut down so that a tenth of a million
parameters can learn it: no brackets, no division, every digit exactly once.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.training.tasks.splits import choose_prompts, in_split
from twiceshy.training.tasks.types import (
    Demonstrations,
    Fault,
    Split,
    Tokens,
    Verdicts,
    fault_codes,
    verdicts_of,
)

_SYMBOLS = (*"0123456789", "+", "-", "*", "=", ":")
_PLUS, _EQUALS, _COLON = 10, 13, 14
_N_OPERATORS = 3


class Countdown(msgspec.Struct, frozen=True, kw_only=True, tag_field="name", tag="countdown"):
    """Countdown with four digits, as a task.

    Attributes:
        slips: Share of demonstrations whose expression is another random one on the same digits.
    """

    slips: float = 0.2

    @property
    def symbols(self) -> tuple[str, ...]:
        """Ten digits, three operators, `=` and `:`."""
        return _SYMBOLS

    @property
    def prompt_length(self) -> int:
        """Four digits, `=`, two digits of the target, `:`."""
        return 8

    @property
    def response_length(self) -> int:
        """Four digits and three operators."""
        return 7

    @property
    def end_token(self) -> int | None:
        """None: every response has seven tokens."""
        return None

    @property
    def guess_rate(self) -> float | None:
        """Not known."""
        return None

    def prompts(self, n: int, *, split: Split, seed: int) -> Tokens:
        """Return prompts drawn uniformly from the (digits, target) pairs with a solution."""
        return choose_prompts(_all_prompts(), n=n, split=split, seed=seed)

    def demonstrations(self, n: int, *, rng: np.random.Generator) -> Demonstrations:
        """Return random expressions, the target being their value, with the share of slips."""
        prompts, responses = _random_pairs(2 * n, rng)
        while len(prompts) < n:
            more = _random_pairs(2 * n, rng)
            prompts = np.concatenate([prompts, more[0]])
            responses = np.concatenate([responses, more[1]])
        prompts, responses = prompts[:n], responses[:n].copy()
        slipped = rng.random(n) < self.slips
        digits = rng.permuted(prompts[slipped, :4], axis=1)
        responses[slipped] = _expressions(digits, rng)
        return Demonstrations(prompts, responses)

    def verify(self, prompts: Tokens, responses: Tokens) -> Verdicts:
        """Right: the form, the given digits each once, and the target as value."""
        digits, operators = responses[:, ::2], responses[:, 1::2] - _PLUS
        formed = (digits < _PLUS).all(1) & ((operators >= 0) & (operators < _N_OPERATORS)).all(1)
        same = (np.sort(digits, axis=1) == prompts[:, :4]).all(1)
        value = _value(digits, operators)
        target = 10 * prompts[:, 5] + prompts[:, 6]
        faults = fault_codes(
            [
                (~formed, Fault.MALFORMED),
                (~same, Fault.WRONG_ITEMS),
                (value != target, Fault.WRONG_RESULT),
            ],
            n_rows=len(responses),
        )
        # Values are −729 to 6561: shifted, so that none is the mark of a missing answer.
        return verdicts_of(faults, answers=np.where(formed, value + 10_000, -1))


def _value(digits: NDArray[np.int64], operators: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each expression's value read from left to right, shape (n_rows,)."""
    value = digits[:, 0]
    for i in range(3):
        d, o = digits[:, i + 1], operators[:, i]
        value = np.select([o == 0, o == 1], [value + d, value - d], value * d)
    return value


def _prompts_of(digits: NDArray[np.int64], target: NDArray[np.int64]) -> Tokens:
    n = len(digits)
    equals, colon = np.full(n, _EQUALS), np.full(n, _COLON)
    columns = [*np.sort(digits, axis=1).T, equals, target // 10, target % 10, colon]
    return np.stack(columns, axis=1)


def _expressions(digits: NDArray[np.int64], rng: np.random.Generator) -> Tokens:
    responses = np.empty((len(digits), 7), dtype=np.int64)
    responses[:, ::2] = digits
    responses[:, 1::2] = _PLUS + rng.integers(0, _N_OPERATORS, size=(len(digits), 3))
    return responses


def _random_pairs(n: int, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
    """Return those of n random expressions that have a target in range and an sft prompt."""
    responses = _expressions(rng.integers(1, 10, size=(n, 4)), rng)
    value = _value(responses[:, ::2], responses[:, 1::2] - _PLUS)
    responses, value = responses[(value >= 1) & (value <= 99)], value[(value >= 1) & (value <= 99)]
    prompts = _prompts_of(responses[:, ::2], value)
    kept = in_split(prompts, "sft")
    return prompts[kept], responses[kept]


@lru_cache(maxsize=1)
def _all_prompts() -> Tokens:
    """Return every prompt that has a solution."""
    digits = np.array(list(product(range(1, 10), repeat=4)))
    found = []
    for operators in product(range(_N_OPERATORS), repeat=3):
        value = _value(digits, np.tile(operators, (len(digits), 1)))
        fits = (value >= 1) & (value <= 99)
        found.append(_prompts_of(digits[fits], value[fits]))
    return np.unique(np.concatenate(found), axis=0)
