"""What an answer looks like, apart from what it says."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from twiceshy.attempts.lexicons import Lexicon
from twiceshy.attempts.markers import markers_in
from twiceshy.attempts.stated import stated_confidence
from twiceshy.attempts.texts import FENCED, own_text, plain_words, shown_text, without_code
from twiceshy.attempts.types import Attempt, Outcome

_HEADER = re.compile(r"^#{1,6} +\S", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")
_ITEM = re.compile(r"^[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S", re.MULTILINE)
_PARAGRAPH = re.compile(r"\r?\n[ \t]*\r?\n\s*")

_SUMMARY_CUES: dict[str, tuple[str, ...]] = {
    "en": ("overall", "in summary", "in conclusion", "to summarize", "to summarise", "to sum up",
           "in short", "ultimately", "to conclude"),
    "de": ("insgesamt", "zusammenfassend", "zusammengefasst", "abschließend", "kurz gesagt",
           "alles in allem", "fazit"),
    "fr": ("en résumé", "en conclusion", "pour conclure", "pour résumer", "dans l'ensemble",
           "globalement"),
    "es": ("en resumen", "en conclusión", "para concluir", "para resumir", "en general"),
}  # fmt: skip
"""How a closing paragraph that sums up begins; ours."""

STRUCTURE = ("length", "headers", "bold", "list items", "code blocks", "paragraphs")
"""The columns of `Look.structure`."""


class Look(NamedTuple):
    """One answer as the audit sees it. None is undefined: no lexicon, or nobody judged."""

    task: str
    n_words: int
    """0 for an empty answer, which has no style."""
    structure: tuple[int, ...]
    """Counts in the order of `STRUCTURE`; markdown is counted outside code. The first is in words
    unless tokens were asked for."""
    words: Counter[str]
    has_list: bool
    has_summary: bool | None
    """Whether the last of several paragraphs begins as one that sums up."""
    is_hedged: bool | None
    """Outside code."""
    stated: float | None
    """Confidence in [0, 1] that the answer states."""
    is_right: bool | None
    """None when broken or unscored."""

    def is_confident(self, threshold: float) -> bool | None:
        """Whether it states confidence of at least the threshold, or else does not hedge."""
        if self.stated is not None:
            return self.stated >= threshold
        return None if self.is_hedged is None else not self.is_hedged


def answer_text(attempt: Attempt) -> str:
    """Return the text that is judged: what a reader sees, the reasoning where nothing else is."""
    return shown_text(attempt) or own_text(attempt)


def look_at(
    attempt: Attempt,
    *,
    lexicon: Lexicon | None,
    in_tokens: bool = False,
    in_percent: bool = False,
) -> Look:
    """Return what one attempt's answer looks like.

    Args:
        attempt: The text a reader sees is judged; the reasoning only where nothing else is there.
        lexicon: None leaves hedging and, with a language we have no cues for, summaries undefined.
        in_tokens: Take the length from `token_ids`; only where every answer compared has them.
        in_percent: As in `stated_confidence`.
    """
    text = answer_text(attempt)
    prose = without_code(text)
    words = plain_words(text)
    own_words = words if prose == text else plain_words(prose)
    paragraphs = [part for part in _PARAGRAPH.split(prose) if part.strip()]
    n_items = len(_ITEM.findall(prose))
    return Look(
        task=attempt.task,
        n_words=len(words),
        structure=(
            len(attempt.token_ids or ()) if in_tokens else len(words),
            len(_HEADER.findall(prose)) if "#" in prose else 0,
            len(_BOLD.findall(prose)) if "**" in prose or "__" in prose else 0,
            n_items,
            len(FENCED.findall(text)) if "```" in text or "~~~" in text else 0,
            len(paragraphs),
        ),
        words=Counter(words),
        has_list=n_items >= 2,
        has_summary=_sums_up(paragraphs, lexicon=lexicon),
        is_hedged=None if lexicon is None else markers_in(own_words, lexicon=lexicon).is_hedged,
        stated=stated_confidence(attempt, in_percent=in_percent),
        is_right=attempt.outcome is Outcome.SUCCESS if attempt.outcome.is_scored else None,
    )


def overlap(first: Counter[str], second: Counter[str]) -> float | None:
    """Return the unigram F1 of two bags of words; 0 when one is empty, None when both are.

    Example:
        >>> overlap(Counter("a b c".split()), Counter("b c d e f".split()))
        0.5
    """
    shared = sum((first & second).values())
    total = first.total() + second.total()
    return 2 * shared / total if total else None


def _sums_up(paragraphs: list[str], *, lexicon: Lexicon | None) -> bool | None:
    cues = _SUMMARY_CUES.get(lexicon.language) if lexicon is not None else None
    if cues is None:
        return None
    if len(paragraphs) < 2:
        return False
    opening = plain_words(paragraphs[-1][:80])
    return any(opening[: len(cue)] == cue for cue in map(plain_words, cues))
