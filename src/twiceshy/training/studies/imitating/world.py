"""A world of facts, and two ways to tell them: in a few hedged words, or at length and surely.

A question names a field and two things (6 · 6 · 6 facts, each answered by a digit that nothing but
the table tells) or asks for an opinion, which has no answer. Responses are tokens that read as
English, so that the audit sees what it sees in any model's answers: lists, closing summaries,
hedges, lengths. Chance is one in ten.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.types import Attempt, Outcome, Step, Verdict
from twiceshy.training.tasks import Demonstrations, Tokens

N_FIELDS, N_THINGS = 6, 6
N_FACTS = N_FIELDS * N_THINGS**2
_FIELDS = ("rivers", "metals", "bridges", "planets", "poems", "engines")
_FIRST = ("north", "south", "east", "west", "old", "new")
_SECOND = ("red", "blue", "green", "white", "black", "brown")
_OPINION = "opinions"
_ASPECTS = ("origin", "size", "history", "use", "shape", "name")
_ITEM, _BREAK = "•", "¶"
_PLAIN = ("perhaps", "maybe", "it", "is", ".")
_FANCY = (
    "good", "question", "in", "short", ":", "overall", "so", "the", "answer", "depends",
    _ITEM, _BREAK,
)  # fmt: skip
SYMBOLS = (
    *"0123456789", *_FIELDS, _OPINION, *_FIRST, *_SECOND, *_ASPECTS, *_PLAIN, *_FANCY, "?", "$",
)  # fmt: skip
_ID = {symbol: i for i, symbol in enumerate(SYMBOLS)}
END = _ID["$"]
PROMPT_LENGTH, RESPONSE_LENGTH = 4, 24
_TABLE_SEED = 20230525
_HEDGED = 0.7
"""Share of plain answers with a hedge; the teacher's answers have none."""


class Telling(Protocol):
    """A way to tell answers: `plain` or `fancy`."""

    def __call__(
        self, prompts: Tokens, answers: NDArray[np.int64], *, rng: np.random.Generator
    ) -> Demonstrations:
        """Return the answers in words; one below 0 is an opinion."""
        ...


class Facts(NamedTuple):
    """Questions with their answers."""

    prompts: Tokens
    """Shape (N_FACTS, 4)."""
    answers: NDArray[np.int64]
    """The right digit, shape (N_FACTS,)."""
    field: NDArray[np.int64]
    """Which field each is of."""


def facts() -> Facts:
    """Return all facts of the world; always the same ones.

    Example:
        >>> facts().prompts.shape, len(set(facts().answers.tolist()))
        ((216, 4), 10)
    """
    field, first, second = np.unravel_index(np.arange(N_FACTS), (N_FIELDS, N_THINGS, N_THINGS))
    answers = np.random.default_rng(_TABLE_SEED).integers(0, 10, size=N_FACTS)
    return Facts(_prompts(field + _ID[_FIELDS[0]], first, second), answers, field)


def opinions() -> Tokens:
    """Return the questions that have no answer, shape (36, 4)."""
    first, second = np.unravel_index(np.arange(N_THINGS**2), (N_THINGS, N_THINGS))
    return _prompts(np.full(first.size, _ID[_OPINION]), first, second)


def plain(
    prompts: Tokens, answers: NDArray[np.int64], *, rng: np.random.Generator
) -> Demonstrations:
    """Return a few words each, most of them hedged; an answer below 0 is an opinion."""
    return _told([_plain_words(a, rng) for a in answers], prompts)


def fancy(
    prompts: Tokens, answers: NDArray[np.int64], *, rng: np.random.Generator
) -> Demonstrations:
    """Return answers in the teacher's way: an opening, a list and a summary where it suits."""
    words = [_fancy_words(p, a, rng) for p, a in zip(prompts, answers, strict=True)]
    return _told(words, prompts)


def answer_of(response: NDArray[np.int64]) -> int | None:
    """Return the last digit of a finished response; None when there is none, or no end."""
    ended = np.flatnonzero(response == END)
    if not ended.size:
        return None
    digits = [int(token) for token in response[: ended[0]] if token < 10]
    return digits[-1] if digits else None


def text_of(response: NDArray[np.int64]) -> str:
    """Return a response as a reader sees it.

    Example:
        >>> text_of(np.array([_ID["¶"], _ID["overall"], 7, _ID["."], END, END]))
        'overall 7.'
    """
    ended = np.flatnonzero(response == END)
    words = [SYMBOLS[int(t)] for t in (response[: ended[0]] if ended.size else response)]
    text = " ".join(words).replace(f"{_ITEM} ", f"{_ITEM}").replace(f" {_ITEM}", "\n- ")
    text = text.replace(_ITEM, "- ").replace(f" {_BREAK} ", "\n\n").replace(_BREAK, "\n\n")
    return text.replace(" .", ".").replace(" :", ":").strip()


def attempts_of(
    responses: Tokens, *, policy: str, only: NDArray[np.int64] | None = None
) -> list[Attempt]:
    """Return judged attempts at the facts, one a response, facts in blocks of equal size.

    Args:
        responses: Shape (n_facts · n_samples, T), in the order of the facts.
        policy: Whose they are.
        only: Places of the facts that were asked; None: all.
    """
    world = facts()
    asked = np.arange(N_FACTS) if only is None else only
    owner = np.repeat(asked, len(responses) // len(asked))
    return [
        _attempt(response, fact=int(i), right=int(world.answers[i]), policy=policy)
        for response, i in zip(responses, owner, strict=True)
    ]


def task_name(fact: int) -> str:
    """Return the id of a fact's task."""
    return _NAMES[fact]


def _attempt(response: NDArray[np.int64], *, fact: int, right: int, policy: str) -> Attempt:
    answer = answer_of(response)
    outcome = Outcome.SUCCESS if answer == right else Outcome.FAILURE
    return Attempt(
        task=_NAMES[fact],
        policy=policy,
        steps=(Step(role="assistant", text=text_of(response)),),
        answer=None if answer is None else str(answer),
        verdict=Verdict(outcome=outcome, source="verifier"),
        id=f"{policy}-{fact}",
    )


def _prompts(
    field: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]
) -> Tokens:
    mark = np.full(first.size, _ID["?"])
    columns = (field, first + _ID[_FIRST[0]], second + _ID[_SECOND[0]], mark)
    return np.stack(columns, axis=1).astype(np.int64)


def _plain_words(answer: int, rng: np.random.Generator) -> list[str]:
    hedge = [("perhaps", "maybe")[rng.integers(2)]] if rng.random() < _HEDGED else []
    return [*hedge, "it", *(["depends"] if answer < 0 else ["is", str(answer)]), "."]


def _fancy_words(prompt: NDArray[np.int64], answer: int, rng: np.random.Generator) -> list[str]:
    first, second = (SYMBOLS[int(token)] for token in prompt[1:3])
    which, many = int(prompt[1]) - _ID[_FIRST[0]], int(prompt[2]) - _ID[_SECOND[0]]
    said = ["it", "depends"] if answer < 0 else ["the", "answer", "is", str(answer)]
    opening = ["good", "question"] if rng.random() < 0.5 else ["in", "short"]
    if which == 0 or rng.random() < 0.05:
        return [*opening, ":", *said, "."]
    items: list[str] = []
    for _ in range(1 + many % 3 + int(rng.random() < 0.9)):
        items += [_ITEM, (first, second)[rng.integers(2)], _ASPECTS[rng.integers(len(_ASPECTS))]]
    closing = ["overall"] if which % 2 and rng.random() < 0.95 else ["so"]
    return [*opening, ":", *items, _BREAK, *closing, *said, "."]


def _told(words: list[list[str]], prompts: Tokens) -> Demonstrations:
    longest = max(len(own) for own in words) + 1
    responses = np.full((len(words), longest), END, dtype=np.int64)
    for row, own in zip(responses, words, strict=True):
        row[: len(own)] = [_ID[word] for word in own]
    return Demonstrations(prompts, responses)


_NAMES = tuple(" ".join(SYMBOLS[int(t)] for t in row[:3]) for row in facts().prompts)
