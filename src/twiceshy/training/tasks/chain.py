"""Chains of operations on a digit, with a token budget and with operators that cannot be learned.

Prompt: a digit, up to eight operators, padding, `=`. Response: the running values, `#`, the final
digit, end. The scratchpad is not graded, so a guess is right one time in ten. Two kinds are
over-hard: chains whose honest trace exceeds the budget (only skipping can pay), and chains of
hidden operators, fixed random permutations that no demonstration reveals (computing and guessing
both earn one in ten).
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.training.tasks.splits import gather_prompts, in_split
from twiceshy.training.tasks.types import (
    Demonstrations,
    Fault,
    Split,
    Tokens,
    Verdicts,
    fault_codes,
    response_mask,
    verdicts_of,
)

_ADD, _MULTIPLY, _HIDDEN, _PAD, _EQUALS, _ANSWER, _END = 10, 20, 30, 40, 41, 42, 43
_SLOTS, _BUDGET = 8, 8
_MAX_HONEST = 5
"""Operators whose running values, `#`, digit and end fit the budget."""
_PERMUTATION_SEED = 20260528


class ChainKind(StrEnum):
    """How long a chain is, and of which operators."""

    EASY = "easy"
    """One or two operators."""
    MEDIUM = "medium"
    """Three to five."""
    OVER_BUDGET = "over_budget"
    """Seven or eight: the honest trace does not fit."""
    UNLEARNABLE = "unlearnable"
    """Three to five hidden operators."""


_LENGTHS = {
    ChainKind.EASY: (1, 2),
    ChainKind.MEDIUM: (3, 5),
    ChainKind.OVER_BUDGET: (7, 8),
    ChainKind.UNLEARNABLE: (3, 5),
}


class Chain(msgspec.Struct, frozen=True, kw_only=True, tag_field="name", tag="chain"):
    """Modular chains as a task; the shares say which prompts `prompts` draws.

    Attributes:
        easy: Share of prompts of one or two operators.
        medium: Share of prompts of three to five.
        over_budget: Share of prompts of seven or eight.
        unlearnable: Share of prompts of three to five hidden operators.
        slips: Chance that a demonstrated value is a random digit, which then propagates.
        skips: Share of demonstrations that answer at once with a random digit.
    """

    easy: float = 0.0
    medium: float = 1.0
    over_budget: float = 0.0
    unlearnable: float = 0.0
    slips: float = 0.03
    skips: float = 0.1

    def __post_init__(self) -> None:
        shares = self.shares.values()
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise BadInput(
                "shares of easy, medium, over_budget and unlearnable that add up to 1",
                got=f"{sum(shares):g}",
                where="task",
                fix="medium is 1 unless given: set it too.",
            )

    @property
    def shares(self) -> dict[ChainKind, float]:
        """Share of each kind among the prompts."""
        return dict(
            zip(
                ChainKind, (self.easy, self.medium, self.over_budget, self.unlearnable), strict=True
            )
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """Ten digits, thirty operators, padding, `=`, `#` and the end."""
        operators = (f"{sign}{digit}" for sign in "+*@" for digit in range(10))
        return (*"0123456789", *operators, "_", "=", "#", "$")

    @property
    def prompt_length(self) -> int:
        """A digit, eight slots for operators, `=`."""
        return _SLOTS + 2

    @property
    def response_length(self) -> int:
        """The budget."""
        return _BUDGET

    @property
    def end_token(self) -> int | None:
        """The token after the final digit."""
        return _END

    @property
    def guess_rate(self) -> float | None:
        """One digit in ten."""
        return 0.1

    def prompts(self, n: int, *, split: Split, seed: int) -> Tokens:
        """Return different prompts with the task's shares of each kind, kinds in blocks."""
        parts = []
        ends = np.rint(np.cumsum(list(self.shares.values())) * n).astype(int)
        for kind, count in zip(self.shares, np.diff(ends, prepend=0), strict=True):
            draw = _Drawer(kind)
            parts.append(gather_prompts(draw, n=int(count), split=split, seed=seed))
        return np.concatenate(parts)

    def demonstrations(self, n: int, *, rng: np.random.Generator) -> Demonstrations:
        """Return traces: 70 % of one to five operators, 15 % hidden, 15 % cut by the budget."""
        prompts = _sft_prompts(n, rng)
        values = _slipped_values(prompts, slips=self.slips, rng=rng)
        responses = _traces(values, n_operators(prompts))
        skip = rng.random(n) < self.skips
        responses[skip] = _guesses(rng.integers(0, 10, size=int(skip.sum())))
        return Demonstrations(prompts, responses)

    def verify(self, prompts: Tokens, responses: Tokens) -> Verdicts:
        """Right: the first `#` is followed by the right digit and then the end."""
        n = len(responses)
        inside = response_mask(responses, _END)
        ended = ((responses == _END) & inside).any(1)
        marks = (responses == _ANSWER) & inside
        first = np.where(marks.any(1), marks.argmax(1), _BUDGET - 1)
        after = np.pad(responses, ((0, 0), (0, 2)), constant_values=_PAD)
        digit, then = after[np.arange(n), first + 1], after[np.arange(n), first + 2]
        formed = ended & marks.any(1) & (digit < 10) & (then == _END)
        n_values = (np.arange(_BUDGET) < first[:, None]) & (responses < 10)
        skipped = ended & marks.any(1) & (n_values.sum(1) < n_operators(prompts))
        wrong = digit != chain_values(prompts)[np.arange(n), n_operators(prompts) - 1]
        faults = fault_codes(
            [
                (~ended, Fault.TRUNCATED),
                (~formed, Fault.MALFORMED),
                (wrong & skipped, Fault.SKIPPED),
                (wrong, Fault.WRONG_RESULT),
            ],
            n_rows=n,
        )
        return verdicts_of(faults, answers=np.where(formed, digit, -1), skipped=skipped)


def n_operators(prompts: Tokens) -> NDArray[np.int64]:
    """Return how many operators each prompt has, shape (n_prompts,)."""
    return ((prompts[:, 1:-1] >= _ADD) & (prompts[:, 1:-1] < _PAD)).sum(1)


def chain_kinds(prompts: Tokens) -> list[ChainKind | None]:
    """Return each prompt's kind; None for the six-operator chains that no kind draws."""
    hidden = (prompts[:, 1] >= _HIDDEN) & (prompts[:, 1] < _PAD)
    kinds: list[ChainKind | None] = []
    for k, is_hidden in zip(n_operators(prompts), hidden, strict=True):
        shown = (ChainKind.EASY, ChainKind.MEDIUM, ChainKind.OVER_BUDGET)
        of = (ChainKind.UNLEARNABLE,) if is_hidden else shown
        kinds.append(
            next((kind for kind in of if _LENGTHS[kind][0] <= k <= _LENGTHS[kind][1]), None)
        )
    return kinds


def chain_values(prompts: Tokens) -> NDArray[np.int64]:
    """Return the true running values, shape (n_prompts, 8); unchanged at padding."""
    value = prompts[:, 0]
    columns: list[NDArray[np.int64]] = []
    for slot in range(1, _SLOTS + 1):
        value = _applied(value, prompts[:, slot])
        columns.append(value)
    return np.stack(columns, axis=1)


@lru_cache(maxsize=1)
def _permutations() -> NDArray[np.int64]:
    """Return the ten hidden operators, shape (10, 10): one permutation of the digits a row."""
    rng = np.random.default_rng(_PERMUTATION_SEED)
    return np.stack([rng.permutation(10) for _ in range(10)]).astype(np.int64)


def _applied(value: NDArray[np.int64], operator: NDArray[np.int64]) -> NDArray[np.int64]:
    d = operator % 10
    results = [(value + d) % 10, (value * d + d) % 10, _permutations()[d, value]]
    return np.select([operator < _MULTIPLY, operator < _HIDDEN, operator < _PAD], results, value)


class _Drawer(msgspec.Struct, frozen=True):
    """Draws random prompts of one kind."""

    kind: ChainKind

    def __call__(self, n: int, rng: np.random.Generator) -> Tokens:
        low, high = _LENGTHS[self.kind]
        return _random_prompts(
            rng.integers(low, high + 1, size=n), hidden=self.kind is ChainKind.UNLEARNABLE, rng=rng
        )


def _random_prompts(
    lengths: NDArray[np.int64], *, hidden: bool, rng: np.random.Generator
) -> Tokens:
    n = len(lengths)
    prompts = np.full((n, _SLOTS + 2), _PAD, dtype=np.int64)
    prompts[:, 0] = rng.integers(0, 10, size=n)
    low, high = (_HIDDEN, _PAD) if hidden else (_ADD, _HIDDEN)
    operators = rng.integers(low, high, size=(n, _SLOTS))
    used = np.arange(_SLOTS) < lengths[:, None]
    prompts[:, 1:-1] = np.where(used, operators, _PAD)
    prompts[:, -1] = _EQUALS
    return prompts


def _sft_prompts(n: int, rng: np.random.Generator) -> Tokens:
    """Return n sft prompts: 70 % of one to five operators, 15 % hidden, 15 % over budget."""
    found = np.zeros((0, _SLOTS + 2), dtype=np.int64)
    while len(found) < n:
        part = rng.choice(3, size=2 * n, p=(0.7, 0.15, 0.15))
        low, high = np.array([1, 3, 7])[part], np.array([_MAX_HONEST, 5, 8])[part]
        lengths = rng.integers(low, high + 1)
        shown = _random_prompts(lengths, hidden=False, rng=rng)
        hidden = _random_prompts(lengths, hidden=True, rng=rng)
        fresh = np.where((part == 1)[:, None], hidden, shown)
        found = np.concatenate([found, fresh[in_split(fresh, "sft")]])
    return found[:n]


def _slipped_values(
    prompts: Tokens, *, slips: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return running values with slips that propagate; random ones for hidden operators."""
    value = prompts[:, 0]
    columns: list[NDArray[np.int64]] = []
    for slot in range(1, _SLOTS + 1):
        operator = prompts[:, slot]
        hidden = (operator >= _HIDDEN) & (operator < _PAD)
        random = hidden | ((rng.random(len(prompts)) < slips) & (operator < _PAD))
        digits = rng.integers(0, 10, size=len(prompts))
        value = np.where(random, digits, _applied(value, operator))
        columns.append(value)
    return np.stack(columns, axis=1)


def _traces(values: NDArray[np.int64], lengths: NDArray[np.int64]) -> Tokens:
    """Return values, `#`, the last value and the end, cut to the budget."""
    n = len(values)
    full = np.full((n, _SLOTS + 3), _END, dtype=np.int64)
    full[:, :_SLOTS] = np.where(np.arange(_SLOTS) < lengths[:, None], values, _END)
    full[np.arange(n), lengths] = _ANSWER
    full[np.arange(n), lengths + 1] = values[np.arange(n), lengths - 1]
    return full[:, :_BUDGET]


def _guesses(digits: NDArray[np.int64]) -> Tokens:
    guesses = np.full((len(digits), _BUDGET), _END, dtype=np.int64)
    guesses[:, 0], guesses[:, 1] = _ANSWER, digits
    return guesses
