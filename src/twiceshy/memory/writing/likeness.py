"""Which lessons say the same: shared words weighted by rarity, and cosines with an embedder.

Words alone would fold "call pay twice" into "call pay never". Two lessons are the same only when
they are of one kind and one family, name the same things, negate alike, and do not rest on two
different patterns that were counted apart.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from twiceshy.lessons import Lesson
from twiceshy.memory.words import NEGATION, names_in, stems
from twiceshy.memory.writing.screening import FAMILY
from twiceshy.memory.writing.types import Similarity

LEXICAL = 0.7
"""Weighted Jaccard index from which two lessons say the same; ours."""
DENSE = 0.9
"""Cosine from which they do; ours."""
COMMON = 0.1
"""Weighted Jaccard index that a pair found by cosine must have as well; ours."""


def words_of_lesson(lesson: Lesson) -> str:
    """Return what a lesson says, without its template: trigger, action, alternative and steps."""
    said = " ".join((lesson.trigger, lesson.action, lesson.instead, *lesson.steps)).strip()
    return said or lesson.text


class Likeness:
    """Near-duplicates among lessons.

    Args:
        lessons: All lessons that may be compared; a word is the rarer the fewer of them have it.
        similarity: Cosines between texts; None compares words alone.
    """

    def __init__(self, lessons: Sequence[Lesson], *, similarity: Similarity | None = None) -> None:
        self._lessons = list(lessons)
        self._stems = [stems(words_of_lesson(each)) for each in self._lessons]
        self._by_stem: defaultdict[str, list[int]] = defaultdict(list)
        for place, held in enumerate(self._stems):
            for stem in held:
                self._by_stem[stem].append(place)
        self._similarity = similarity

    def same_as(self, place: int) -> list[int]:
        """Return the places of lessons that say the same as the one at `place`, likest first."""
        scores = {
            other: self.lexical(place, other)
            for other in self._near(place)
            if may_be_same(self._lessons[place], self._lessons[other])
        }
        cosine = self._cosines(place, list(scores))
        same = {
            other: max(score, cosine[other])
            for other, score in scores.items()
            if score >= LEXICAL or (cosine[other] >= DENSE and score >= COMMON)
        }
        return sorted(same, key=lambda other: (-same[other], other))

    def lexical(self, first: int, second: int) -> float:
        """Return Σ weight(shared stems) / Σ weight(all stems), weight(s) = log(1 + n / n_s)."""
        mine, theirs = self._stems[first], self._stems[second]
        union = sum(map(self._weight, mine | theirs))
        return sum(map(self._weight, mine & theirs)) / union if union else 0.0

    def _weight(self, stem: str) -> float:
        return math.log1p(len(self._lessons) / len(self._by_stem[stem]))

    def _near(self, place: int) -> list[int]:
        """Return lessons that share at least a quarter of this one's stems."""
        shared = Counter(other for stem in self._stems[place] for other in self._by_stem[stem])
        least = len(self._stems[place]) / 4
        return [other for other, n in shared.items() if other != place and n >= least]

    def _cosines(self, place: int, others: Sequence[int]) -> dict[int, float]:
        if self._similarity is None or not others:
            return dict.fromkeys(others, 0.0)
        row = self._similarity(
            [words_of_lesson(self._lessons[place])],
            [words_of_lesson(self._lessons[other]) for other in others],
        )[0]
        return dict(zip(others, map(float, row), strict=True))


def may_be_same(first: Lesson, second: Lesson) -> bool:
    """Whether two lessons could say the same, whatever their words share.

    Example:
        >>> one = Lesson(id="a", kind="avoid", text="", action="calling pay 2 times")
        >>> two = Lesson(id="b", kind="avoid", text="", action="calling pay 3 times")
        >>> may_be_same(one, one), may_be_same(one, two)
        (True, False)
    """
    if first.kind != second.kind or first.scope.get(FAMILY) != second.scope.get(FAMILY):
        return False
    if first.vocabulary and second.vocabulary and first.kind != "demonstration":
        return (first.vocabulary, first.pattern) == (second.vocabulary, second.pattern)
    mine, theirs = words_of_lesson(first), words_of_lesson(second)
    return _names(mine) == _names(theirs) and _negates(mine) == _negates(theirs)


def _names(text: str) -> set[str]:
    return {name.lower() for name in names_in(text)}


def _negates(text: str) -> bool:
    return NEGATION.search(text) is not None
