"""Exact change: pay a sum with exactly R coins of four kinds.

Prompt: four different coins of 1 to 12, sorted, then the sum as one token. Response: R coins.
Many responses are right, so it shows whether training keeps more than one of them alive.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, combinations_with_replacement

import msgspec
import numpy as np

from twiceshy.errors import BadInput
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

_LARGEST = 12
_KINDS = 4


class Change(msgspec.Struct, frozen=True, kw_only=True, tag_field="name", tag="change"):
    """Exact change with a fixed number of coins, as a task.

    Token c − 1 is coin c; token 11 + s is the sum s.

    Attributes:
        n_coins: Coins a response must have.
        slips: Share of demonstrations with one coin replaced by a random one of the four.
    """

    n_coins: int = 6
    slips: float = 0.2

    def __post_init__(self) -> None:
        if not 1 <= self.n_coins <= 8:
            raise BadInput("n_coins of 1 to 8", got=str(self.n_coins), where="task.n_coins")

    @property
    def symbols(self) -> tuple[str, ...]:
        """Twelve coins, then every sum they can make."""
        coins = (str(coin) for coin in range(1, _LARGEST + 1))
        return (*coins, *(f"={total}" for total in range(1, _LARGEST * self.n_coins + 1)))

    @property
    def prompt_length(self) -> int:
        """Four coins and the sum."""
        return _KINDS + 1

    @property
    def response_length(self) -> int:
        """One token a coin."""
        return self.n_coins

    @property
    def end_token(self) -> int | None:
        """None: every response has as many tokens as coins."""
        return None

    @property
    def guess_rate(self) -> float | None:
        """Not known."""
        return None

    def prompts(self, n: int, *, split: Split, seed: int) -> Tokens:
        """Return prompts drawn uniformly from the (coins, sum) pairs that have a solution."""
        return choose_prompts(_all_prompts(self.n_coins), n=n, split=split, seed=seed)

    def demonstrations(self, n: int, *, rng: np.random.Generator) -> Demonstrations:
        """Return coins drawn with weights u², u uniform, and their sum, with the share of slips."""
        prompts, picks = _random_pairs(2 * n, self.n_coins, rng)
        while len(prompts) < n:
            more = _random_pairs(2 * n, self.n_coins, rng)
            prompts = np.concatenate([prompts, more[0]])
            picks = np.concatenate([picks, more[1]])
        prompts, picks = prompts[:n], picks[:n].copy()
        slipped = np.flatnonzero(rng.random(n) < self.slips)
        place = rng.integers(0, self.n_coins, size=len(slipped))
        kind = rng.integers(0, _KINDS, size=len(slipped))
        picks[slipped, place] = prompts[slipped, kind]
        return Demonstrations(prompts, picks)

    def verify(self, prompts: Tokens, responses: Tokens) -> Verdicts:
        """Right: only coins, only of the four kinds, and the exact sum."""
        formed = (responses < _LARGEST).all(1)
        given = (responses[:, :, None] == prompts[:, None, :_KINDS]).any(2).all(1)
        total = (responses + 1).sum(1)
        faults = fault_codes(
            [
                (~formed, Fault.MALFORMED),
                (~given, Fault.WRONG_ITEMS),
                (total != prompts[:, _KINDS] - _LARGEST + 1, Fault.WRONG_RESULT),
            ],
            n_rows=len(responses),
        )
        return verdicts_of(faults, answers=np.where(formed, total, -1))


def _prompts_of(coins: Tokens, total: Tokens) -> Tokens:
    """Return prompts from sorted coins (1 to 12) and sums."""
    return np.concatenate([coins - 1, (_LARGEST - 1 + total)[:, None]], axis=1)


def _random_pairs(n: int, n_coins: int, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
    """Return those of n random payments whose prompt is of the sft split."""
    kinds = np.argsort(rng.random((n, _LARGEST)), axis=1)[:, :_KINDS]
    coins = np.sort(kinds, axis=1).astype(np.int64) + 1
    weight = rng.random((n, _KINDS)) ** 2
    edges = np.cumsum(weight / weight.sum(1, keepdims=True), axis=1)[:, :-1]
    which = (rng.random((n, n_coins))[:, :, None] > edges[:, None, :]).sum(2)
    picked = np.take_along_axis(coins, which, axis=1)
    prompts = _prompts_of(coins, picked.sum(1))
    kept = in_split(prompts, "sft")
    return prompts[kept], picked[kept] - 1


@lru_cache(maxsize=4)
def _all_prompts(n_coins: int) -> Tokens:
    """Return every prompt that has a solution."""
    kinds = np.array(list(combinations(range(1, _LARGEST + 1), _KINDS)), dtype=np.int64)
    ways = np.array(list(combinations_with_replacement(range(_KINDS), n_coins)))
    totals = kinds[:, ways].sum(2)
    pairs = _prompts_of(np.repeat(kinds, len(ways), axis=0), totals.reshape(-1))
    return np.unique(pairs, axis=0)
