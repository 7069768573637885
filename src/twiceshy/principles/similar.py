"""Which texts speak of the same: words weighted by how rare they are, cosines between them.

Used to retrieve principles whose mistakes were made on similar questions, and to group mistakes by
cause. No model is needed; words that mean the same but look different are not seen.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
SAME_CAUSE = 0.5
"""Cosine between two principles from which their mistakes count as one cause. Ours."""


def words_of(text: str) -> list[str]:
    """Return the words of a text in small letters.

    Example:
        >>> words_of("Don't add 3 twice!")
        ["don't", 'add', '3', 'twice']
    """
    return _WORD.findall(text.lower())


class Words:
    """Texts as vectors of weighted words.

    weight(w, text) = count(w in text) · (1 + log((1 + n) / (1 + n_w))),  rows scaled to length 1

    Source: the smoothed tf-idf of the information-retrieval textbooks (from memory).

    Args:
        texts: All texts that may be compared.

    Example:
        >>> words = Words(["carry the one", "check the sign", "carry the two"])
        >>> words.nearest("when to carry", most=2)
        [0, 2]
    """

    def __init__(self, texts: Sequence[str]) -> None:
        held = [Counter(words_of(text)) for text in texts]
        df = Counter(word for counts in held for word in counts)
        self._place = {word: place for place, word in enumerate(sorted(df))}
        self._idf = np.array([1 + math.log((1 + len(held)) / (1 + df[w])) for w in self._place])
        self.rows = np.array([self._row(counts) for counts in held]).reshape(len(held), len(df))

    def cosines(self, text: str) -> NDArray[np.float64]:
        """Return the cosine of a text with every row, shape (n,)."""
        return self.rows @ self._row(Counter(words_of(text)))

    def nearest(self, text: str, *, most: int) -> list[int]:
        """Return the places of the nearest texts that share a word, nearest first."""
        near = self.cosines(text)
        order = sorted(range(len(near)), key=lambda place: (-near[place], place))
        return [place for place in order[:most] if near[place] > 0]

    def groups(self, *, at_least: float = SAME_CAUSE) -> list[list[int]]:
        """Return the places of texts grouped by average linkage, largest group first.

        Two groups are joined while the mean cosine between their texts is at least `at_least`.
        """
        if len(self.rows) < 2:
            return [[place] for place in range(len(self.rows))]
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        distance = np.clip(1 - self.rows @ self.rows.T, 0, 1)
        np.fill_diagonal(distance, 0)
        tree = linkage(squareform(distance, checks=False), method="average")
        label = fcluster(tree, t=1 - at_least + 1e-9, criterion="distance")
        found = [np.flatnonzero(label == each).tolist() for each in np.unique(label)]
        return sorted(found, key=lambda group: (-len(group), group[0]))

    def _row(self, counts: Counter[str]) -> NDArray[np.float64]:
        row = np.zeros(len(self._place))
        for word, count in counts.items():
            if word in self._place:
                row[self._place[word]] = count * self._idf[self._place[word]]
        length = float(np.linalg.norm(row))
        return row / length if length else row


class Retrieval:
    """Principles by question: those whose mistakes were made on similar questions.

    An alternative to one list for all questions. A principle without a raw pair is compared by its
    own words.

    Args:
        principles: What may be retrieved.

    Raises:
        BadInput: There is nothing to retrieve from.
    """

    def __init__(self, principles: Sequence[Lesson]) -> None:
        if not principles:
            raise BadInput("at least one principle", got="none", where="principles")
        self._owners: list[Lesson] = []
        texts: list[str] = []
        for lesson in principles:
            questions = [pair.extra.get("question", "") for pair in lesson.contrast]
            for text in [each for each in questions if each] or [lesson.text]:
                self._owners.append(lesson)
                texts.append(text)
        self._words = Words(texts)

    def for_question(self, question: str, *, most: int = 3) -> tuple[Lesson, ...]:
        """Return at most `most` principles, best first; fewer where none shares a word.

        Three is TRAN's number (2310.15746).
        """
        near = self._words.nearest(question, most=len(self._owners))
        found = {self._owners[place].id: self._owners[place] for place in near}
        return tuple(found.values())[:most]


def by_cause(
    principles: Sequence[Lesson], *, at_least: float = SAME_CAUSE
) -> list[tuple[Lesson, ...]]:
    """Return low-level principles grouped by what they say went wrong, largest group first.

    Source: RICP (2407.05682) clusters mistakes by cause. Differs: by the words of the principle
    that was written about each, without embeddings.
    """
    groups = Words([each.text for each in principles]).groups(at_least=at_least)
    return [tuple(principles[place] for place in group) for group in groups]
