"""A principle as a `Lesson`: its words, the raw pair it came from, its ancestors, its executors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec.structs import replace

from twiceshy.lessons import ContrastPair, Evidence, Lesson
from twiceshy.principles.similar import Words
from twiceshy.principles.types import Example, Mistake, hash_of

Height = Literal["low", "high", "agreeing", "success"]
"""From one mistake; condensed from several principles; from several mistakes that agree; from one
right answer."""
ACCEPTED_ON = "accepted_on"
"""Key of `Lesson.extra`: executor's name → whether its gates let the principle through, and why."""
WRITTEN = "written"
"""Key of `Lesson.extra`: height and the model that wrote it."""
LONGEST = 600
"""Characters of a principle; a longer answer is no principle but an essay. Ours."""

MOST_PAIRS = 5
"""Raw pairs that a condensed principle keeps. Ours."""

_LEAD = re.compile(r"^(?:[-*•]+|\(?\d{1,3}[.):])\s+|^(?:\*\*)?principle(?:\*\*)?\s*:\s*", re.I)


def principle(
    text: str,
    *,
    height: Height,
    writer: str,
    mistakes: Sequence[Mistake] = (),
    parents: Sequence[str] = (),
    task: str = "",
) -> Lesson:
    """Return a principle as a candidate lesson.

    Args:
        text: What it says.
        height: How it came about.
        writer: Name of the model that wrote it.
        mistakes: The mistakes behind it; each leaves its raw wrong/right pair.
        parents: Ids it descends from: mistakes, right answers or lower principles.
        task: What kind of question it is for.
    """
    return Lesson(
        id=hash_of("principle", height, task, text, *parents),
        kind="principle",
        text=text,
        family=task,
        scope={"task": task} if task else {},
        author="model",
        evidence=Evidence(
            attempts_for=tuple(each.id for each in mistakes),
            n_for=len(mistakes),
            n_tasks=len({each.example.id for each in mistakes}),
        ),
        contrast=tuple(map(contrast_of, mistakes)),
        parents=tuple(parents),
        extra={WRITTEN: {"height": height, "by": writer}},
    )


def contrast_of(mistake: Mistake) -> ContrastPair:
    """Return the raw pair of a mistake: what was said, and what would have been right."""
    asked = mistake.example
    return ContrastPair(
        task=asked.id,
        failure_id=mistake.id,
        success_id=f"{asked.id}#gold",
        failure_text=mistake.text,
        success_text=asked.worked,
        extra={"question": asked.question, "wrong": mistake.answer, "right": asked.answer},
    )


def condensed(
    texts: Sequence[str], low: Sequence[Lesson], *, writer: str, height: Height
) -> tuple[Lesson, ...]:
    """Return condensed texts as lessons that descend from all of `low`.

    Each keeps the raw pairs of the few principles that are nearest to it in words.
    """
    words = Words([each.text for each in low])
    return tuple(
        principle(
            text,
            height=height,
            writer=writer,
            mistakes=[
                mistake
                for place in words.nearest(text, most=MOST_PAIRS)
                for mistake in mistakes_of(low[place])
            ],
            parents=[each.id for each in low],
            task=low[0].family,
        )
        for text in texts
    )


def mistakes_of(lesson: Lesson) -> tuple[Mistake, ...]:
    """Return the mistakes that a principle's raw pairs hold.

    Example:
        >>> from twiceshy.principles import example
        >>> asked = example("2 + 3?", "5")
        >>> mistake = Mistake(id=f"{asked.id}#0", example=asked, text="Answer: 6", answer="6")
        >>> lesson = principle("Count on.", height="low", writer="m", mistakes=[mistake])
        >>> mistakes_of(lesson)[0].answer
        '6'
    """
    return tuple(_mistake(pair, task=lesson.family) for pair in lesson.contrast)


def accepted_on(lesson: Lesson) -> tuple[str, ...]:
    """Return the names of the executors on which a principle passed its gates."""
    told = lesson.extra.get(ACCEPTED_ON, {})
    return tuple(name for name, ruling in told.items() if ruling["accepted"])


def with_ruling(lesson: Lesson, *, executor: str, ruling: Mapping[str, Any]) -> Lesson:
    """Return a principle that remembers what one executor's gates said; others' stay.

    Example:
        >>> lesson = principle("Count on.", height="low", writer="m")
        >>> accepted_on(with_ruling(lesson, executor="m", ruling={"accepted": True}))
        ('m',)
    """
    told = {**lesson.extra.get(ACCEPTED_ON, {}), executor: dict(ruling)}
    return replace(lesson, extra={**lesson.extra, ACCEPTED_ON: told})


def read_principle(text: str) -> str | None:
    r"""Return the one principle of an answer, or None when there is none to use.

    Example:
        >>> read_principle("Principle: Carry the one.\n")
        'Carry the one.'
        >>> read_principle("  \\n") is None, read_principle("???") is None
        (True, True)
    """
    said = " ".join(text.split())
    said = _LEAD.sub("", said).strip()
    letters = sum(each.isalpha() for each in said)
    return said if letters >= 3 and len(said) <= LONGEST else None


def read_list(text: str, *, most: int) -> tuple[str, ...]:
    r"""Return the principles of a condensed list, at most `most`, without repetitions.

    Lines with a dash or a number count; where there are none, every line does.

    Example:
        >>> read_list("Here they are:\n- Carry the one.\n2. Check the sign.", most=5)
        ('Carry the one.', 'Check the sign.')
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if _LEAD.match(line)]
    read = (read_principle(line) for line in marked or lines)
    return tuple(dict.fromkeys(line for line in read if line is not None))[:most]


def _mistake(pair: ContrastPair, *, task: str) -> Mistake:
    told = pair.extra
    asked = Example(
        id=pair.task,
        question=told["question"],
        answer=told["right"],
        reasoning=pair.success_text.rpartition("\nAnswer:")[0],
        task=task,
    )
    return Mistake(id=pair.failure_id, example=asked, text=pair.failure_text, answer=told["wrong"])
