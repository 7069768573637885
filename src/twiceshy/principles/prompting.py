"""Prompts as they are sent: the files of this package, filled in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from string import Template

from twiceshy.principles.types import Example, Mistake

MOST_PRINCIPLES = 5
"""Principles of a condensed list: "about 5" in LEAP (2402.05403)."""


@cache
def prompt_text(name: str) -> str:
    """Return one of the prompts that ship with the package."""
    file = files("twiceshy.principles") / "prompts" / f"{name}.txt"
    return file.read_text(encoding="utf-8").strip()


def fill(name: str, **values: str) -> str:
    """Return a prompt with its values; what the values say is never read as a template."""
    return Template(prompt_text(name)).substitute({key: v.strip() for key, v in values.items()})


def question_prompt(example: Example, *, block: str = "", shots: Sequence[Example] = ()) -> str:
    """Return the prompt that asks a question: block ⊕ worked examples ⊕ question.

    Args:
        example: What is asked. Its answer is not shown.
        block: What stands before it, as `principle_block` writes it; empty for nothing.
        shots: Worked examples (few-shot).

    Example:
        >>> from twiceshy.principles import example
        >>> print(question_prompt(example("2 + 3?", "5")).splitlines()[-1])
        2 + 3?
    """
    worked = [fill("shot", question=each.question, worked=each.worked) for each in shots]
    parts = (block, *worked, fill("zero_shot", question=example.question))
    return "\n\n".join(part for part in parts if part)


def principle_block(principles: Iterable[str]) -> str:
    """Return principles as a block for a prompt; empty when there are none.

    Example:
        >>> print(principle_block(["Carry the one."]).splitlines()[-1])
        - Carry the one.
    """
    lines = bullets(principles)
    return fill("principles", principles=lines) if lines else ""


def pair_block(mistakes: Sequence[Mistake]) -> str:
    """Return raw wrong and right answers as a block, without any explanation."""
    return fill("pairs", pairs=pairs(mistakes)) if mistakes else ""


def pairs(mistakes: Iterable[Mistake]) -> str:
    """Return wrong and right answers one below the other."""
    return "\n\n".join(fill("pair", **_sides(each)) for each in mistakes)


def low_level_prompt(mistake: Mistake) -> str:
    """Return the prompt that asks for the principle behind one mistake."""
    return fill("low_level", **_sides(mistake))


def success_prompt(example: Example) -> str:
    """Return the prompt that asks for the principle behind one right answer."""
    return fill("success", question=example.question, right=example.worked)


def high_level_prompt(principles: Iterable[str], *, most: int = MOST_PRINCIPLES) -> str:
    """Return the prompt that condenses principles into at most `most`."""
    return fill("high_level", principles=bullets(principles), most=str(most))


def agreeing_prompt(mistakes: Sequence[Mistake]) -> str:
    """Return the prompt that asks for one principle behind several mistakes."""
    return fill("agreeing", pairs=pairs(mistakes))


def bullets(lines: Iterable[str]) -> str:
    """Return texts as one line each after a dash; empty ones are left out."""
    return "\n".join(f"- {' '.join(line.split())}" for line in lines if line.strip())


def _sides(mistake: Mistake) -> dict[str, str]:
    asked = mistake.example
    return {"question": asked.question, "wrong": mistake.text, "right": asked.worked}
