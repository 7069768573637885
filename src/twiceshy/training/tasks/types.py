"""What a verifiable task is: encoded prompts, demonstrations, and a verifier that never guesses.

A task works on whole arrays of token ids. Prompts of one task have one length, and so have
responses; what comes after a response's end token is padding. Everything here is numpy, so that a
verifier can be used without torch.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twiceshy.errors import BadInput

Tokens = NDArray[np.int64]
"""Token ids, shape (n_rows, length)."""
Split = Literal["test", "train", "sft"]


class Fault(StrEnum):
    """Why a response is not a success."""

    NONE = "none"
    """It is one."""
    MALFORMED = "malformed"
    """Not of the form that was asked for."""
    WRONG_ITEMS = "wrong_items"
    """Well formed, but made of other digits or coins than those given."""
    WRONG_RESULT = "wrong_result"
    """The right items, the computation carried out, the wrong result."""
    SKIPPED = "skipped"
    """A wrong answer given without the computation."""
    TRUNCATED = "truncated"
    """The budget ended before the response did."""
    BROKEN = "broken"
    """The verifier failed, not the policy."""


FAULTS: tuple[Fault, ...] = tuple(Fault)
"""The order that codes in `Verdicts.faults` follow."""

NO_ANSWER = -1
"""In `Verdicts.answers`: the response gives no answer."""


class Verdicts(NamedTuple):
    """The verifier's word on each response; all columns of shape (n_rows,)."""

    labels: NDArray[np.int8]
    """+1 verified success, −1 verified failure, 0 abstain (broken)."""
    faults: NDArray[np.int8]
    """Codes into `FAULTS`."""
    answers: NDArray[np.int64]
    """The final answer as a number that is equal for equal answers, or `NO_ANSWER`."""
    skipped: NDArray[np.bool_]
    """Finished, right or wrong, with less computation written than the task asks for."""


class Demonstrations(NamedTuple):
    """Prompts with responses to imitate."""

    prompts: Tokens
    responses: Tokens


class Task(Protocol):
    """A source of prompts and a verifier. Implementations are frozen, and part of a config.

    Splits are by hash of the encoded prompt, so no prompt is ever in two of them.
    """

    @property
    def symbols(self) -> tuple[str, ...]:
        """The text of each token, by token id."""
        ...

    @property
    def prompt_length(self) -> int:
        """Tokens in every prompt."""
        ...

    @property
    def response_length(self) -> int:
        """The budget: tokens a response may have, its end token included."""
        ...

    @property
    def end_token(self) -> int | None:
        """The token that ends a response; None when all responses have the full length."""
        ...

    @property
    def guess_rate(self) -> float | None:
        """Chance that a well-formed guess is right; None: not known."""
        ...

    def prompts(self, n: int, *, split: Split, seed: int) -> Tokens:
        """Return n different prompts of a split, shape (n, prompt_length).

        Raises:
            BadInput: When the split does not hold that many.
        """
        ...

    def demonstrations(self, n: int, *, rng: np.random.Generator) -> Demonstrations:
        """Return fresh demonstrations on "sft" prompts, with the task's share of slips."""
        ...

    def verify(self, prompts: Tokens, responses: Tokens) -> Verdicts:
        """Judge each response, row by row."""
        ...


def encode(task: Task, text: str) -> list[int]:
    """Return the token ids of symbols separated by blanks.

    Raises:
        BadInput: When a symbol is not one of the task's.
    """
    ids = {symbol: i for i, symbol in enumerate(task.symbols)}
    unknown = [symbol for symbol in text.split() if symbol not in ids]
    if unknown:
        raise BadInput(f"symbols among {' '.join(task.symbols)}", got=" ".join(unknown))
    return [ids[symbol] for symbol in text.split()]


def decode(task: Task, tokens: NDArray[np.int64] | list[int]) -> str:
    """Return token ids as symbols separated by blanks; negative ids are padding."""
    return " ".join(task.symbols[int(token)] for token in tokens if token >= 0)


def response_mask(responses: Tokens, end_token: int | None) -> NDArray[np.bool_]:
    """Return which tokens belong to the response: up to and with its first end token.

    Example:
        >>> response_mask(np.array([[5, 9, 0], [5, 5, 5]]), 9).astype(int).tolist()
        [[1, 1, 0], [1, 1, 1]]
    """
    if end_token is None:
        return np.ones(responses.shape, dtype=np.bool_)
    ended = np.cumsum(responses == end_token, axis=1)
    return (ended == 0) | ((ended == 1) & (responses == end_token))


def fault_codes(conditions: list[tuple[ArrayLike, Fault]], *, n_rows: int) -> NDArray[np.int8]:
    """Return the code of the first fault whose condition holds, `Fault.NONE` where none does."""
    if not n_rows:
        return np.zeros(0, dtype=np.int8)
    rows = [np.asarray(condition, dtype=np.bool_) for condition, _ in conditions]
    codes = [FAULTS.index(fault) for _, fault in conditions]
    return np.select(rows, codes, FAULTS.index(Fault.NONE)).astype(np.int8)


def verdicts_of(
    faults: NDArray[np.int8],
    *,
    answers: NDArray[np.int64],
    skipped: NDArray[np.bool_] | None = None,
) -> Verdicts:
    """Return verdicts whose labels follow from the faults: none +1, broken 0, any other −1."""
    wrong = np.where(faults == FAULTS.index(Fault.NONE), 1, -1)
    labels = np.where(faults == FAULTS.index(Fault.BROKEN), 0, wrong).astype(np.int8)
    none_skipped = np.zeros(len(faults), dtype=np.bool_)
    return Verdicts(labels, faults, answers, none_skipped if skipped is None else skipped)
