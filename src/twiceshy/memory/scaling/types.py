"""What an agent is asked, what it costs, and what comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

from twiceshy.attempts.types import Attempt, Verdict
from twiceshy.memory.writing.types import Proposal


class Request(NamedTuple):
    """One call of the agent."""

    task: str
    """Identity of the task, as in `Attempt.task`."""
    index: int
    """Which attempt at it, from 0."""
    seed: int
    """Differs with every index; for whatever is random in the agent."""
    note: str = ""
    """What to do with the attempt before this one; "" for a fresh start."""
    previous: Attempt | None = None
    """The attempt to look over; None for a fresh start."""


Agent = Callable[[Request], Attempt | Awaitable[Attempt]]
"""Makes one attempt, at once or by awaiting."""
Judge = Callable[[Attempt], Verdict | Awaitable[Verdict]]
"""Judges one attempt: a verifier, or a model."""
Prefer = Callable[[Attempt, Attempt], float | Awaitable[float | None] | None]
"""1 where the first is better, 0 where the second is, 0.5 for a draw, None for no opinion."""
Chosen = Literal["judge", "comparison", "coin", "nothing"]
"""What decided between attempts: a coin where judge or comparison left several, nothing where there
was none, or one attempt only."""


class Budget(NamedTuple):
    """What scaling costs, before it begins at most and after it in fact."""

    attempts: int
    judgements: int
    comparisons: int
    questions: int
    """Calls of the language model that writes lessons."""
    tokens: int | None
    """Tokens of the attempts that tell; None when none does, and before they are made."""
    n_tokens_unknown: int
    """Attempts that do not tell."""

    def __str__(self) -> str:
        tokens = "tokens unknown" if self.tokens is None else f"{self.tokens} tokens"
        missing = (
            f" ({self.n_tokens_unknown} attempts do not tell)" if self.tokens is not None else ""
        )
        return (
            f"{self.attempts} attempts, {self.judgements} judgements, {self.comparisons}"
            f" comparisons, {self.questions} questions to a model, {tokens}"
            f"{missing if self.n_tokens_unknown else ''}"
        )


class Scaled(NamedTuple):
    """What several attempts at one task came to; nothing has been stored."""

    attempts: tuple[Attempt, ...]
    """In order of index, broken ones included."""
    best: Attempt | None
    """None when nothing chose, or every attempt broke."""
    chosen_by: Chosen
    tied: tuple[str, ...]
    """Ids of the attempts between which a coin decided; empty without a tie."""
    proposal: Proposal
    """What they teach, from contrast among them."""
    planned: Budget
    """At most."""
    spent: Budget
    notes: tuple[str, ...] = ()
    """Of sequential scaling: what the agent said when it looked its attempts over."""
    flips_to_success: int = 0
    """Of sequential scaling: rounds that turned a failure into a success."""
    flips_to_failure: int = 0
    """Of sequential scaling: rounds that turned a success into a failure."""
