"""Contrastive chain of thought: each worked example with a right and a scrambled explanation.

Source: Chia et al. (2023), Contrastive Chain-of-Thought Prompting (2311.09277): the wrong
explanation is the right one with its bridging objects shuffled. Differs: objects are found by form
(numbers and capitalised words), without a parser; the prompt is ours. The authors of LEAP report
that the published gain over plain chain of thought goes with a better answer extractor.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from twiceshy.principles.prompting import fill
from twiceshy.principles.types import Example

_OBJECT = re.compile(r"\d[\d,]*(?:\.\d+)?|(?<=\s)(?!Answer:)[A-Z][a-z]+")


def contrastive_block(examples: Sequence[Example], *, seed: int = 0) -> str:
    """Return the worked examples, each with a right and a wrong explanation.

    Args:
        examples: Worked examples; those without reasoning contrast answers only.
        seed: Of the shuffling.
    """
    rng = random.Random(seed)
    return "\n\n".join(
        fill(
            "contrastive",
            question=each.question,
            right=each.worked,
            wrong=scrambled(each, [other for other in examples if other.id != each.id], rng=rng),
        )
        for each in examples
    )


def scrambled(example: Example, others: Sequence[Example], *, rng: random.Random) -> str:
    r"""Return a right explanation with its objects shuffled; every object moves if it can.

    Where there is nothing to shuffle, the answer of another example stands in for the right one.

    Example:
        >>> from twiceshy.principles import example
        >>> asked = example("3 + 4?", "7", reasoning="3 and 4 make 7.")
        >>> scrambled(asked, [], rng=random.Random(0))
        '7 and 3 make 4.\nAnswer: 4'
    """
    found = _OBJECT.findall(example.worked)
    kinds = list(dict.fromkeys(found))
    if len(kinds) < 2:
        wrong = next((o.answer for o in others if o.answer != example.answer), "none of these")
        return f"{example.reasoning}\nAnswer: {wrong}".strip()
    turn = rng.randrange(1, len(kinds))
    moved = dict(zip(kinds, (*kinds[turn:], *kinds[:turn]), strict=True))
    return _OBJECT.sub(lambda match: moved[match[0]], example.worked)
