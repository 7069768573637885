"""What the procedure costs: stated before the first call, counted after the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from twiceshy.principles.prompting import (
    high_level_prompt,
    low_level_prompt,
    question_prompt,
)
from twiceshy.principles.types import Example, Mistake

CHARACTERS_PER_TOKEN = 4
"""For estimates before the first call; English text and common tokenisers. Ours."""
PUBLISHED_CALLS = 34
"""Of LEAP with three examples, as published: 3 calls of 15 chains each, about 30 mistakes, 1."""


class Planned(NamedTuple):
    """Calls and tokens of a run, before it starts.

    calls = k·n + m + h,  0 ≤ m ≤ k·n,  h = 1 when m > 0, else 0

    with k examples, n chains an example (each a call of its own here; where one call returns n
    chains, as published, k·n becomes k), m mistakes with one principle each, and h condensing calls
    (`n_condensing` when it is done by groups).
    """

    n_examples: int
    n_chains: int
    fewest_calls: int
    most_calls: int
    as_published: tuple[int, int]
    """Fewest and most calls when one call returns all chains of an example."""
    most_prompt_tokens: int
    """Estimate: four characters a token, every chain wrong and as long as it may be."""
    most_completion_tokens: int

    @property
    def sentence(self) -> str:
        """The formula with its numbers, for people."""
        k, n = self.n_examples, self.n_chains
        return (
            f"Planned: {k}·{n} = {k * n} chains, one call a mistake, one to condense: "
            f"{self.fewest_calls} to {self.most_calls} calls (published: about "
            f"{PUBLISHED_CALLS}, with all chains of an example in one call; that way here "
            f"{self.as_published[0]} to {self.as_published[1]}), at most about "
            f"{self.most_prompt_tokens:,} prompt and {self.most_completion_tokens:,} answer tokens."
        )


def plan(
    examples: Sequence[Example], *, n_chains: int, chain_tokens: int, principle_tokens: int
) -> Planned:
    """Return what `leap` will ask at least and at most.

    Args:
        examples: The few-shot examples.
        n_chains: Chains an example.
        chain_tokens: Longest chain.
        principle_tokens: Longest principle, and longest condensed list.

    Example:
        >>> from twiceshy.principles import example
        >>> one = [example("2 + 3?", "5")]
        >>> plan(one, n_chains=15, chain_tokens=100, principle_tokens=50)[2:5]
        (15, 31, (1, 17))
    """
    k, chains = len(examples), len(examples) * n_chains
    asking = sum(_tokens(question_prompt(each)) for each in examples) * n_chains
    longest = "x" * (chain_tokens * CHARACTERS_PER_TOKEN)
    worst = [Mistake(id="", example=each, text=longest, answer="") for each in examples]
    writing = sum(_tokens(low_level_prompt(each)) for each in worst) * n_chains
    condensing = _tokens(high_level_prompt([])) + chains * principle_tokens
    return Planned(
        n_examples=k,
        n_chains=n_chains,
        fewest_calls=chains,
        most_calls=calls_of(k, n_chains=n_chains, n_mistakes=chains),
        as_published=(k, k + chains + 1),
        most_prompt_tokens=asking + writing + condensing,
        most_completion_tokens=chains * (chain_tokens + principle_tokens) + principle_tokens,
    )


def calls_of(n_examples: int, *, n_chains: int, n_mistakes: int, n_condensing: int = 1) -> int:
    """Return the calls of a run: k·n + m + h, h = 0 without a mistake.

    Example:
        >>> calls_of(3, n_chains=15, n_mistakes=30), calls_of(3, n_chains=15, n_mistakes=0)
        (76, 45)
    """
    return n_examples * n_chains + n_mistakes + (n_condensing if n_mistakes else 0)


def _tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)
