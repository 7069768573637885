"""Train, validation and a locked test split.

The proposer is handed `Splits.train`, the gates `Splits.validation`. The test examples are in a
closure of the lock, which gives out counts and nothing else: no question, no answer, no id of a
right or wrong one comes back, and every opening is on record.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.stats import PairedDifference, paired_difference
from twiceshy.principles.types import Example, distinct

Scorer = Callable[[Sequence[Example]], NDArray[np.float64]]
"""Returns the score of each example, NaN where there is none."""


class Tested(NamedTuple):
    """One arm against another on the locked split."""

    arm: str
    against: str
    difference: PairedDifference
    right_to_wrong: int
    wrong_to_right: int


class Locked:
    """Examples that can be measured on and not looked at.

    Args:
        examples: The test split.

    Example:
        >>> from twiceshy.principles import example
        >>> lock = Locked([example("2 + 3?", "5"), example("1 + 1?", "2")])
        >>> arms = {"none": lambda asked: np.zeros(len(asked)), "low": lambda asked: np.ones(2)}
        >>> lock.measure(arms, against="none")[0].difference.difference, lock.openings
        (1.0, ('none, low',))
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        held = tuple(examples)
        self.n = len(held)
        self._opened: list[str] = []

        def run(scorers: Mapping[str, Scorer]) -> dict[str, NDArray[np.float64]]:
            return {arm: scorer(held) for arm, scorer in scorers.items()}

        self._run = run

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return f"Locked({self.n} examples)"

    @property
    def openings(self) -> tuple[str, ...]:
        """The arms of every measurement so far. More than one is a reason for doubt."""
        return tuple(self._opened)

    def measure(self, arms: Mapping[str, Scorer], *, against: str) -> tuple[Tested, ...]:
        """Return every arm against one of them, paired by example.

        Args:
            arms: What scores the examples, by arm's name. It is handed the examples, and is to be
                an executor behind a finished prompt: whoever writes prompts has no way here.
            against: The arm the others are compared with.

        Raises:
            BadInput: `against` is none of the arms.
        """
        if against not in arms:
            raise BadInput(f"an arm among {', '.join(arms)}", got=repr(against), where="against")
        self._opened.append(", ".join(arms))
        scores = self._run(arms)
        base = scores.pop(against)
        return tuple(_tested(arm, against, base, found) for arm, found in scores.items())


class Splits(NamedTuple):
    """Which examples are for what."""

    train: tuple[Example, ...]
    """The few-shot examples on which mistakes are induced."""
    validation: tuple[Example, ...]
    """For the gates; never shown to the writer."""
    test: Locked


def split(
    examples: Sequence[Example], *, n_train: int = 3, test_share: float = 0.5, seed: int = 0
) -> Splits:
    """Deal examples into train, validation and test, at random.

    Where examples say `extra["split"]` ("train", "validation" or "test"), that is kept, and the
    first `n_train` of train, shuffled, are used.

    Args:
        examples: All of them, with different ids.
        n_train: Few-shot examples; three as in LEAP.
        test_share: Share of the others that is locked away.
        seed: Of the dealing.

    Raises:
        BadInput: There are too few, or two share an id.
    """
    order = list(distinct(examples))
    random.Random(seed).shuffle(order)
    declared = {each.extra.get("split") for each in order}
    if declared & {"train", "validation", "test"}:
        held = {
            name: [each for each in order if each.extra.get("split") == name]
            for name in ("train", "validation", "test")
        }
        train, validation, test = held["train"][:n_train], held["validation"], held["test"]
    else:
        train, rest = order[:n_train], order[n_train:]
        n_test = round(test_share * len(rest))
        test, validation = rest[:n_test], rest[n_test:]
    if len(train) < n_train:
        raise BadInput(f"at least {n_train} examples to learn from", got=str(len(train)))
    return Splits(tuple(train), tuple(validation), Locked(test))


def _tested(
    arm: str, against: str, base: NDArray[np.float64], found: NDArray[np.float64]
) -> Tested:
    return Tested(
        arm,
        against,
        paired_difference(base, found),
        right_to_wrong=int(((base > 0.5) & (found <= 0.5)).sum()),
        wrong_to_right=int(((base <= 0.5) & (found > 0.5)).sum()),
    )
