"""What completions cost: calls, tokens and, at a price, money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from twiceshy.models.types import Completion


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Price of a million tokens, in any currency."""

    prompt: float
    completion: float


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What completions took, in all."""

    n_requests: int = 0
    n_calls: int = 0
    """Times something was sent, further tries included."""
    n_cached: int = 0
    """Requests answered without a call."""
    n_failed: Mapping[str, int] = {}
    """Requests that gave no text to use, by how they ended."""
    prompt_tokens: int = 0
    """Sent, as far as the endpoint said."""
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Of both kinds, in answers that were not paid for again."""
    n_tokens_unknown: int = 0
    """Answers whose tokens the endpoint did not tell."""

    def cost(self, price: Price) -> float | None:
        """Return the price of the tokens sent; None when the tokens of an answer are unknown.

        Example:
            >>> Usage(prompt_tokens=2_000_000, completion_tokens=500_000).cost(
            ...     Price(prompt=1.0, completion=4.0)
            ... )
            4.0
        """
        if self.n_tokens_unknown:
            return None
        millions = self.prompt_tokens * price.prompt + self.completion_tokens * price.completion
        return millions / 1e6

    def __add__(self, other: Usage) -> Usage:
        failed = Counter(self.n_failed)
        failed.update(other.n_failed)
        summed = {
            name: getattr(self, name) + getattr(other, name)
            for name in self.__struct_fields__
            if name != "n_failed"
        }
        return Usage(**summed, n_failed=dict(failed))

    def __str__(self) -> str:
        failed = ", ".join(f"{n} {name}" for name, n in sorted(self.n_failed.items()))
        tokens = f"{self.prompt_tokens:,} + {self.completion_tokens:,} tokens"
        unknown = f" ({self.n_tokens_unknown} answers uncounted)" if self.n_tokens_unknown else ""
        return (
            f"{self.n_requests:,} requests, {self.n_calls:,} calls ({self.n_cached:,} cached), "
            f"{tokens}{unknown}{f'; without text: {failed}' if failed else ''}"
        )


def usage_of(completions: Iterable[Completion]) -> Usage:
    """Return what these completions took.

    Example:
        >>> one = Completion(text="Yes", prompt_tokens=5, completion_tokens=1)
        >>> again = msgspec.structs.replace(one, cached=True, n_tries=0)
        >>> print(usage_of([one, again, Completion(text="", finish="timeout", n_tries=3)]))
        3 requests, 4 calls (1 cached), 5 + 1 tokens; without text: 1 timeout
    """
    held = list(completions)
    sent = [each for each in held if not each.cached]
    return Usage(
        n_requests=len(held),
        n_calls=sum(each.n_tries for each in held),
        n_cached=len(held) - len(sent),
        n_failed=Counter[str](each.finish for each in held if not each.ok),
        prompt_tokens=sum(each.prompt_tokens or 0 for each in sent),
        completion_tokens=sum(each.completion_tokens or 0 for each in sent),
        cached_tokens=sum(_tokens(each) for each in held if each.cached),
        n_tokens_unknown=sum(
            each.answered and None in (each.prompt_tokens, each.completion_tokens) for each in sent
        ),
    )


def _tokens(completion: Completion) -> int:
    return (completion.prompt_tokens or 0) + (completion.completion_tokens or 0)
