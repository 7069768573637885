"""What writing returns: edits, and everything that did not become one with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.types import Attempt
from twiceshy.lessons import Author
from twiceshy.memory.bank.types import Edit

Similarity = Callable[[Sequence[str], Sequence[str]], NDArray[np.floating]]
"""Cosines between two lists of texts, shape (n_first, n_second), in [-1, 1]."""
FamilyOf = Callable[[Attempt], str]
"""Family of an attempt's task; "" when it has none."""


class SetAside(StrEnum):
    """Why an attempt taught nothing."""

    BROKEN = "broken"
    UNSCORED = "unscored"
    HELD_OUT = "kept for testing"
    HELD_OUT_TASK = "its task is kept for testing"


class Reason(StrEnum):
    """Why a proposed lesson did not become an edit."""

    UNREADABLE = "the answer is not one JSON object of the asked shape"
    UNKNOWN_ATTEMPT = "names an attempt that was not shown"
    NOT_QUOTED = "a quote is not in the step it names"
    QUOTES_DATA = "a quote is of a tool, a user or a page, not of what the policy did"
    WRONG_SIDE = "its attempts did not end as such a lesson needs"
    NO_CONTRAST = "rests on failures without a success at the same task"
    REPEATED = "says what another proposal says"
    KNOWN = "says what a known lesson says"
    GONE = "was retired or quarantined before"
    OVER_CAP = "its family is full, of lessons with more evidence"
    OVER_LIMIT = "more new lessons than were asked for"


class Rejected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One proposal that was turned down."""

    reason: Reason
    author: Author
    text: str = ""
    """The lesson, or the opening of the answer."""
    detail: str = ""
    """What exactly was wrong, where there is more to say."""


class Contradiction(msgspec.Struct, frozen=True, kw_only=True):
    """Two lessons that cannot both be followed; both are kept until a person or a trial decides."""

    first: str
    second: str
    """Ids of the lessons."""
    because: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What asking a language model came to."""

    n_groups: int = 0
    """Prompts that were to be asked."""
    n_calls: int = 0
    n_items: int = 0
    """Items in readable answers."""
    n_accepted: int = 0
    n_characters: int = 0
    """Characters sent and received, all calls."""
    errors: tuple[str, ...] = ()
    """Why calls failed."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """Edits to a bank, not applied."""

    edits: tuple[Edit, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    n_attempts: int = 0
    """Attempts that were given."""
    n_learned_from: int = 0
    set_aside: dict[SetAside, int] = {}
    n_without_success: int = 0
    """Failed attempts at tasks without any success: counted, never a lesson by themselves."""
    n_candidates: int = 0
    """Lessons found, before they were held against each other and the bank."""
    asked: Asked = Asked()

    @property
    def numbers(self) -> dict[str, Any]:
        """The counts, as a report's numbers."""
        edits = Counter(type(each).__name__.lower() for each in self.edits)
        reasons = Counter(each.reason.value for each in self.rejected)
        return {
            "n_attempts": self.n_attempts,
            "n_learned_from": self.n_learned_from,
            "set_aside": {each.value: n for each, n in self.set_aside.items()},
            "n_without_success": self.n_without_success,
            "n_candidates": self.n_candidates,
            "edits": dict(edits),
            "rejected": dict(reasons),
            "n_contradictions": len(self.contradictions),
            "asked": msgspec.to_builtins(self.asked),
        }
