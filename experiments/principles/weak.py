"""SmolLM2-135M in the same offices: does it write principles, and does a perfect one help it?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from office import DOORS, Office, dealt, office_of

from twiceshy.attempts.types import Outcome
from twiceshy.evidence.stats import paired_difference, wilson
from twiceshy.models import LocalCompleter
from twiceshy.principles import (
    Asker,
    CopyGuard,
    Example,
    Executor,
    LeapConfig,
    Scored,
    StepFile,
    filler,
    leap,
    principle_block,
)

N_ITEMS, N_EXAMPLES, N_CHAINS, MAX_TOKENS = 24, 3, 4, 40
_DOOR = re.compile(rf"\b({'|'.join(DOORS)})\b", re.I)


class NamesDoor(msgspec.Struct, frozen=True):
    """Whether the door named last is the right one; the reader that is kindest to a weak model."""

    def __call__(self, example: Example, response: str, /) -> Scored:
        """Judge one response."""
        doors = _DOOR.findall(response)
        if not doors:
            return Scored(outcome=Outcome.UNSCORED, feedback="No door is named.")
        right = doors[-1].lower() == example.answer
        return Scored(
            outcome=Outcome.SUCCESS if right else Outcome.FAILURE,
            score=float(right),
            feedback="" if right else f"{doors[-1]} is wrong; {example.answer} is right.",
            answer=doors[-1].lower(),
        )


def weak_model(steps: Path) -> dict[str, Any]:
    """Return what the local model does with rules, and what it writes."""
    office = office_of(0)
    items = dealt(office, seed=0, n=N_ITEMS + N_EXAMPLES, told=True)
    with StepFile(steps) as kept, LocalCompleter() as model:
        asker = Asker(model, steps=kept)
        executor = Executor(asker, NamesDoor(), MAX_TOKENS)
        arms = _arms(executor, office, items[N_EXAMPLES:])
        config = LeapConfig(n_chains=N_CHAINS, chain_tokens=MAX_TOKENS, principle_tokens=48)
        found = leap(asker, items[:N_EXAMPLES], metric=NamesDoor(), config=config)
    texts = [each.text for each in found.low]
    guard = CopyGuard(items[:N_EXAMPLES])
    return {
        "model": model.name,
        "n_items": N_ITEMS,
        "arms": arms,
        "n_chains": len(found.induced.answers),
        "n_mistakes": len(found.induced.mistakes),
        "n_unread": found.induced.n_unread,
        "n_low": len(texts),
        "n_low_that_copy": sum(guard.copied(text) is not None for text in texts),
        "n_low_that_name_the_exception": sum(_names_exception(text, office) for text in texts),
        "n_high": len(found.high),
        "n_calls": sum(asker.spent.by_step.values()),
        "some": texts[:3],
        "high": [each.text for each in found.high],
    }


def _arms(executor: Executor, office: Office, items: Sequence[Example]) -> dict[str, Any]:
    perfect = principle_block(office.rules)
    blocks = {"none": "", "filler": filler(perfect), "perfect": perfect}
    sheets = {
        arm: executor.sheet(items, step=f"weak {arm}", block=block) for arm, block in blocks.items()
    }
    exceptional = np.array([_is_exception(each, office) for each in items])
    return {
        arm: {
            **_told(sheets["none"].strict, found.strict, exceptional),
            "n_unread": int(found.unread.sum()),
        }
        for arm, found in sheets.items()
    }


def _told(none: Any, found: Any, exceptional: Any) -> dict[str, Any]:
    """Return how often the right door is named, of all items: one that names none does not."""
    share = wilson(int(found.sum()), len(found))
    over = paired_difference(none, found)
    return {
        "right": share.value,
        "low": share.low,
        "high": share.high,
        "right_on_exceptions": float(found[exceptional].mean()),
        "n_exceptions": int(exceptional.sum()),
        "over_none": [over.difference, over.low, over.high],
    }


def _is_exception(asked: Example, office: Office) -> bool:
    return asked.answer in (office.colour_door, office.mark_door) and any(
        word in (office.colour, office.mark) for word in asked.question.split()
    )


def _names_exception(text: str, office: Office) -> bool:
    words = {word.lower() for word in re.findall(r"\w+", text)}
    pairs = ((office.colour, office.colour_door), (office.mark, office.mark_door))
    return any(value.lower() in words and door in words for value, door in pairs)
