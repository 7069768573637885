"""How often a text checks itself, turns back, tries otherwise, doubts or abstains.

Counts are of whole words, so "unlikely" is no "likely" and "checklist" no "check". A count mixes
length with style; compare densities (`per_thousand`) and look at the length beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, get_args

from twiceshy.attempts.lexicons import (
    FUNCTIONS,
    LEXICONS,
    OTHER_LANGUAGES,
    PUBLISHED_MARKERS,
    Category,
    Lexicon,
)
from twiceshy.attempts.texts import plain_words
from twiceshy.errors import BadInput

_MIN_WORDS = 20
_MIN_SHARE = 0.05
"""Share of function words below which a text is in no language we know."""
_SAMPLE = 20_000
"""Words by which a language is told."""

_Phrases = Mapping[str, tuple[tuple[tuple[str, ...], tuple[Category, ...]], ...]]


class Markers(NamedTuple):
    """Counts in one text (or, added up, in several)."""

    counts: dict[Category, int]
    """One entry a category of the lexicon; a category the lexicon lacks is absent, not 0."""
    n_words: int

    @property
    def total(self) -> int:
        """Markers of all five functions; hedges and boosters are no markers by themselves."""
        return sum(self.counts.get(name, 0) for name in FUNCTIONS)

    @property
    def is_hedged(self) -> bool:
        """Whether the text hedges, doubts or abstains at least once."""
        return any(self.counts.get(name, 0) for name in ("hedge", "doubt", "abstain"))

    def per_thousand(
        self, category: Category | None = None, *, n_tokens: int | None = None
    ) -> float | None:
        """Return the density: 1000 · count / length; None for an empty text or absent category.

        Args:
            category: One of them; None for the total over the five functions.
            n_tokens: Length in tokens where it is known; words otherwise. Densities per token and
                per word are not comparable.
        """
        count = self.total if category is None else self.counts.get(category)
        length = self.n_words if n_tokens is None else n_tokens
        return 1000 * count / length if count is not None and length else None


def lexicon(language: str | Lexicon) -> Lexicon:
    """Return the lexicon of a language, or the given one after a look at it.

    Raises:
        BadInput: No lexicon of that language ships, or a phrase has two marker functions.

    Example:
        >>> lexicon("en").language
        'en'
    """
    if isinstance(language, Lexicon):
        _phrases(language)
        return language
    if language not in LEXICONS:
        raise BadInput(
            f"a language with a lexicon: {', '.join(LEXICONS)}",
            got=repr(language),
            where="language",
            fix="Give a twiceshy.attempts.lexicons.Lexicon of your own.",
        )
    return LEXICONS[language]


def count_markers(text: str, *, lexicon: Lexicon) -> Markers:
    """Return how often each category of the lexicon occurs in a text, as whole words.

    The longest phrase wins where several begin at one word, and its words are used up.

    Example:
        >>> found = count_markers("Wait, I'm not sure. It seems 4; let me check.",
        ...                       lexicon=lexicon("en"))
        >>> {name: n for name, n in found.counts.items() if n}
        {'self_check': 1, 'backtrack': 1, 'doubt': 2, 'hedge': 2}
        >>> found.n_words, found.per_thousand("doubt"), found.is_hedged
        (10, 200.0, True)
        >>> count_markers("", lexicon=lexicon("en")).per_thousand() is None
        True
    """
    return markers_in(plain_words(text), lexicon=lexicon)


def markers_in(words: Sequence[str], *, lexicon: Lexicon) -> Markers:
    """As `count_markers`, for words that `plain_words` returned."""
    counts: dict[Category, int] = dict.fromkeys(lexicon.phrases, 0)
    for categories in _found(words, phrases=_phrases(lexicon)):
        for category in categories:
            counts[category] += 1
    return Markers(counts, len(words))


def added_up(several: Iterable[Markers]) -> Markers:
    """Return the counts of several texts together.

    Example:
        >>> both = added_up([Markers({"doubt": 1}, 10), Markers({"doubt": 2}, 20)])
        >>> both.counts, both.per_thousand("doubt")
        ({'doubt': 3}, 100.0)
    """
    counts: dict[Category, int] = {}
    n_words = 0
    for each in several:
        n_words += each.n_words
        for category, n in each.counts.items():
            counts[category] = counts.get(category, 0) + n
    return Markers(counts, n_words)


class PublishedCount(NamedTuple):
    """The count E(y) of the ten published words, both ways."""

    whole_words: int
    substrings: int
    """As the released counter does it: "unlikely", "waiting" and "checklist" count."""


def published_count(text: str) -> PublishedCount:
    """Return E(y) = Σ count(t, y) over the ten words of Kim et al. (2603.24472).

    Differs: whole words beside the released code's lower-cased substrings.

    Example:
        >>> published_count("Wait: unlikely, so check the checklist.")
        PublishedCount(whole_words=2, substrings=4)
    """
    lower = text.lower()
    known = frozenset(PUBLISHED_MARKERS)
    return PublishedCount(
        sum(word in known for word in plain_words(text)),
        sum(lower.count(word) for word in PUBLISHED_MARKERS),
    )


def language_of(texts: Iterable[str]) -> str | None:
    """Return the language of texts, told by its function words; None when it has no lexicon.

    Example:
        >>> language_of(["so the sum of the two is that which we have"] * 3)
        'en'
        >>> language_of(["3 + 4 = 7"]) is None
        True
    """
    seen: list[str] = []
    for text in texts:
        seen.extend(plain_words(text))
        if len(seen) >= _SAMPLE:
            break
    if len(seen) < _MIN_WORDS:
        return None
    known = {name: each.common for name, each in LEXICONS.items()}
    shares = {
        name: sum(word in common for word in seen) / len(seen)
        for name, common in (
            (name, frozenset(words)) for name, words in (known | OTHER_LANGUAGES).items()
        )
    }
    best = max(shares, key=lambda name: shares[name])
    return best if best in known and shares[best] >= _MIN_SHARE else None


def _found(words: Sequence[str], *, phrases: _Phrases) -> Iterator[tuple[Category, ...]]:
    free = 0
    for i, word in enumerate(words):
        if word not in phrases or i < free:
            continue
        for phrase, categories in phrases[word]:
            if tuple(words[i : i + len(phrase)]) == phrase:
                yield categories
                free = i + len(phrase)
                break


def _phrases(lexicon: Lexicon) -> _Phrases:
    return _by_first_word(tuple(lexicon.phrases.items()))


@lru_cache(maxsize=32)
def _by_first_word(entries: tuple[tuple[Category, tuple[str, ...]], ...]) -> _Phrases:
    """Return phrases by their first word, the longest first."""
    categories: dict[tuple[str, ...], list[Category]] = {}
    for category, phrases in entries:
        _check(category, phrases)
        for phrase in phrases:
            categories.setdefault(tuple(plain_words(phrase)), []).append(category)
    for phrase, own in categories.items():
        if len([name for name in own if name in FUNCTIONS]) > 1:
            raise BadInput(
                "one marker function a phrase",
                got=f"{own} for {' '.join(phrase)!r}",
                where="lexicon",
            )
    table: dict[str, list[tuple[tuple[str, ...], tuple[Category, ...]]]] = {}
    for phrase in sorted(categories, key=len, reverse=True):
        table.setdefault(phrase[0], []).append((phrase, tuple(categories[phrase])))
    return {word: tuple(found) for word, found in table.items()}


def _check(category: Category, phrases: Sequence[str]) -> None:
    known = get_args(Category)
    if category not in known:
        raise BadInput(f"a category: {', '.join(known)}", got=repr(category), where="lexicon")
    for phrase in phrases:
        if not plain_words(phrase):
            raise BadInput("a phrase with a word in it", got=repr(phrase), where="lexicon")
