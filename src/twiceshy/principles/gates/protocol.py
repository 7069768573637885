"""What a gate is: one method that says whether a principle may be told to one executor.

The contract:

1. A gate measures. It asks the executor, or reads the words, and compares; it takes no opinion.
2. It judges for the executor of its bench and for no other.
3. It answers yes, no, or *cannot tell* (None) with the reason and its numbers. Too few items, or
   nothing left to gain, is *cannot tell*; that is not a pass.
4. It sees train and validation. It never sees the locked test split.
5. It raises for nothing that the model says. What the endpoint did not answer leaves the pair, and
   so does what cannot be read: that is unscored, not wrong.
6. It refuses, for the reason `more_unread`, a block with which clearly more of the answers that it
   looks at cannot be read than without: what such a block breaks is not seen (`refusal`).
7. The same candidate and bench give the same verdict and the same calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats import sign_test
from twiceshy.lessons import Lesson
from twiceshy.principles.executor import Executor
from twiceshy.principles.lessons import mistakes_of
from twiceshy.principles.prompting import principle_block
from twiceshy.principles.types import Example, Mistake
from twiceshy.principles.unread import Sheet, Unread

ALPHA = 0.05
"""Error rate of every gate's test."""

Reason = Literal["more_unread"]
"""Why a gate refuses what it cannot measure: clearly more answers cannot be read with the block."""


class Candidate(NamedTuple):
    """What is judged: one principle, or a whole list of them."""

    lessons: tuple[Lesson, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """What the principles say."""
        return tuple(each.text for each in self.lessons)

    @property
    def block(self) -> str:
        """The principles as they are told."""
        return principle_block(self.texts)

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """The mistakes they come from, each once."""
        found = {each.id: each for lesson in self.lessons for each in mistakes_of(lesson)}
        return tuple(found.values())


class Bench(NamedTuple):
    """What gates measure with."""

    executor: Executor
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    foreign: tuple[tuple[str, ...], ...] = ()
    """Lists of principles learned on other tasks, for the test of specificity."""
    temperature: float = 0.7
    """Of resampling a mistake: the temperature at which it was made."""
    seed: int = 0

    def scores(
        self, block: str, *, step: str, items: Sequence[Example] | None = None
    ) -> NDArray[np.float64]:
        """Return greedy scores behind a block, by default on the validation items; NaN: none.

        An empty block is no block: the executor as it is.
        """
        return self.sheet(block, step=step, items=items).scores

    def sheet(self, block: str, *, step: str, items: Sequence[Example] | None = None) -> Sheet:
        """Return the same scores, and which answers could not be read."""
        asked = self.validation if items is None else items
        return self.executor.sheet(asked, step=step, block=block)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate says."""

    gate: str
    passed: bool | None
    """None: cannot tell."""
    why: str
    numbers: dict[str, Any] = {}
    reason: Reason | None = None
    """Set where it refuses although it could not measure."""


def refusal(gate: str, unread: Unread, *, numbers: dict[str, Any]) -> Verdict | None:
    """Return a gate's refusal of a block that makes answers unreadable; None where it does not.

    Args:
        gate: The gate's name.
        unread: The unread answers with the block against those without.
        numbers: What it measured, those counts among it.
    """
    if not unread.clearly_more:
        return None
    return Verdict(
        gate=gate,
        passed=False,
        why=f"clearly more answers cannot be read with it: {unread.told}",
        numbers=numbers,
        reason="more_unread",
    )


class Gate(Protocol):
    """Judges one candidate on one bench; the module's docstring is the contract."""

    name: ClassVar[str]
    """Its name in reports and step files."""

    def judge(self, candidate: Candidate, bench: Bench) -> Verdict:
        """Return the verdict."""
        ...


class Paired(NamedTuple):
    """One block against another on the same items."""

    gained: int
    """Items that score higher with the first."""
    lost: int
    n: int
    """Items with a score in both."""
    p: float
    """One-sided exact sign test that the first is better; 1 where nothing differs."""

    @property
    def told(self) -> str:
        """The numbers in words."""
        return f"+{self.gained} −{self.lost} of {self.n}, p = {self.p:.2g}"


def compare(first: NDArray[np.float64], second: NDArray[np.float64]) -> Paired:
    """Return how the first of two arms does against the second, item by item.

    Example:
        >>> compare(np.array([1, 1, 0, np.nan]), np.array([0, 0, 1, 1]))
        Paired(gained=2, lost=1, n=3, p=0.5)
    """
    both = ~(np.isnan(first) | np.isnan(second))
    d = first[both] - second[both]
    p = sign_test(d, alternative="greater").p
    return Paired(int((d > 0).sum()), int((d < 0).sum()), int(both.sum()), 1.0 if p is None else p)
