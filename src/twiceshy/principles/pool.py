"""The mistake pool: mistakes that no principle of their own cured, until several of them agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from twiceshy.lessons import Lesson
from twiceshy.models import request_of
from twiceshy.principles.asking import Asker
from twiceshy.principles.lessons import mistakes_of, principle, read_principle
from twiceshy.principles.prompting import agreeing_prompt
from twiceshy.principles.similar import SAME_CAUSE, by_cause

ENOUGH = 3
"""Mistakes of one cause from which they are summarised. Ours."""
MOST_SHOWN = 6
"""Mistakes that one call shows."""


class Pooled(NamedTuple):
    """What came of a pool."""

    principles: tuple[Lesson, ...]
    """One for each group of mistakes that agree; candidates for the same gates again."""
    left: tuple[Lesson, ...]
    """Principles whose mistakes stay in the pool: too few agree, or the answer was unusable."""


def summarise(
    asker: Asker,
    pool: Sequence[Lesson],
    *,
    enough: int = ENOUGH,
    at_least: float = SAME_CAUSE,
    max_tokens: int = 256,
) -> Pooled:
    """Ask for one principle behind every group of mistakes that agree, one call a group.

    Source: the mistake pool of TRAN (2310.15746): what a rule of its own did not cure is summarised
    with others. Differs: a group is mistakes whose first principles share their words, and at least
    `enough` of them.

    Args:
        asker: The model that writes.
        pool: Low-level principles that their gates turned down, with their mistakes.
        enough: Mistakes from which a group is summarised.
        at_least: Mean cosine that holds a group together.
        max_tokens: Longest principle, in tokens.
    """
    groups = by_cause(pool, at_least=at_least)
    asked = {
        f"group {number}": request_of(
            agreeing_prompt([m for each in group for m in mistakes_of(each)][:MOST_SHOWN]),
            max_tokens=max_tokens,
        )
        for number, group in enumerate(groups)
        if len(group) >= enough
    }
    answers = asker.ask("agreeing", asked)
    written: list[Lesson] = []
    left: list[Lesson] = []
    for number, group in enumerate(groups):
        answer = answers.get(f"group {number}")
        text = read_principle(answer.text) if answer is not None else None
        if text is None:
            left += group
            continue
        written.append(
            principle(
                text,
                height="agreeing",
                writer=asker.name,
                mistakes=[mistake for each in group for mistake in mistakes_of(each)],
                parents=[each.id for each in group],
                task=group[0].family,
            )
        )
    return Pooled(tuple(written), tuple(left))
