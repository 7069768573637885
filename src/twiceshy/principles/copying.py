"""Whether a principle only repeats a training item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from twiceshy.principles.prompting import prompt_text
from twiceshy.principles.similar import words_of
from twiceshy.principles.types import Example

N_GRAM = 5
"""Words in a row from which it is a copy: asked for by users of GEPA (gepa issue 261)."""


class Copied(NamedTuple):
    """What a principle shares with a training item."""

    example_id: str
    words: str
    """The words in a row that both have."""


class CopyGuard:
    """Finds runs of `n` words, and whole questions, that a text has from training items.

    Runs that the prompts themselves hold are no copy: everything written from them may have those.

    Args:
        examples: The items a principle may not repeat.
        n: Length of a run in words.

    Example:
        >>> from twiceshy.principles import example
        >>> guard = CopyGuard([example("Ann has 3 red apples and eats one. How many?", "2")])
        >>> guard.copied("When Ann has 3 red apples, subtract one.").words
        'ann has 3 red apples'
        >>> guard.copied("When somebody eats some, subtract.") is None
        True
    """

    def __init__(self, examples: Iterable[Example], *, n: int = N_GRAM) -> None:
        self._n = n
        own = _runs(words_of(prompt_text("zero_shot")), n)
        self._runs: dict[tuple[str, ...], str] = {}
        self._questions: dict[tuple[str, ...], str] = {}
        for each in examples:
            question = words_of(each.question)
            for words in (question, words_of(each.worked)):
                self._runs |= {run: each.id for run in _runs(words, n) if run not in own}
            if 2 <= len(question) < n:
                self._questions[tuple(question)] = each.id

    def copied(self, text: str) -> Copied | None:
        """Return the first run that the text shares with an item; None when it shares none."""
        words = words_of(text)
        for run in _runs(words, self._n):
            if run in self._runs:
                return Copied(self._runs[run], " ".join(run))
        for question, example_id in self._questions.items():
            if question in _runs(words, len(question)):
                return Copied(example_id, " ".join(question))
        return None


def _runs(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
