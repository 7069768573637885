"""Blocks of text that should not help: as long as the real one, about nothing or something else.

A block of any text changes what a model does. Only what principles gain over these is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

from twiceshy.principles.prompting import principle_block, prompt_text

STEP = 10
"""Controls come in multiples of so many words, so that principles of about one length share one."""
_FILLER = (
    "This line is here to fill the space and has no bearing on anything that is asked below.",
    "The words of this sentence were chosen for their number and for nothing else at all.",
    "Another sentence follows the one before it, and then there is one more of the same kind.",
)


def filler(block: str) -> str:
    """Return a block of the same form and about the same length that says nothing.

    Example:
        >>> len(filler(principle_block(["Carry the one when adding."])).split()) > 10
        True
    """
    return _sized(_FILLER, block)


def irrelevant(block: str) -> str:
    """Return a block of the same form and about the same length: true advice about other things."""
    return _sized(prompt_text("irrelevant").splitlines(), block)


def _sized(lines: Sequence[str], block: str) -> str:
    """Return as many lines as the block has principles, or as fill its words, the last cut."""
    n_words = len(block.split()) - len(principle_block(["x"]).split()) + 1
    target = max(STEP, -(-n_words // STEP) * STEP)
    taken: list[str] = []
    for line in islice(cycle(lines), target):
        left = target - sum(len(each.split()) for each in taken)
        if left <= 0:
            break
        taken.append(" ".join(line.split()[:left]))
    return principle_block(taken)
