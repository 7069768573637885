"""A lesson's placebo: the same form and length, about something else entirely.

Text of any kind may change what a model does, so a trial compares a lesson with one that says as
much and helps as little. The words come from a fixed list about gardens, weather and the like. What
a bank speaks about is left out of it: in a bank for kitchens even a true sentence about another
meal could help, so no lesson of the bank, and no word of one, is used.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable, Sequence

from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson
from twiceshy.memory.recall.rendering import (
    AvoidForm,
    TokenCounter,
    estimate_tokens,
    line_of,
)

PLACEBO_FOR = "placebo_for"
"""Key of a placebo's `extra`: the id of the lesson it stands for."""

_THINGS_TEXT = (
    "meadow lantern harbour violin glacier orchard sparrow cathedral pebble curtain telescope "
    "saddle lighthouse quilt accordion heron chimney canoe barley windmill tulip fjord beehive "
    "marble kite cello dune thimble walnut sundial heather ferry puppet cobblestone"
)
_DEEDS_TEXT = (
    "admire paint sketch polish whistle photograph decorate collect embroider hum praise weave"
)
_STATES_TEXT = (
    "windy misty frosty golden crooked faded velvet moonlit distant silent amber mossy rainy"
)
_LISTS = {"thing": _THINGS_TEXT, "deed": _DEEDS_TEXT, "state": _STATES_TEXT}
_WORD = re.compile(r"[a-z]+")
_N_TRIES = 400
_N_LENGTHS = 3
_FEW = 9
"""Words below which a line has no room for a condition."""
_WORDS_PER_DEED = 4.5


def placebo_of(
    lesson: Lesson,
    pool: Sequence[Lesson],
    seed: int,
    *,
    count: TokenCounter = estimate_tokens,
    form: AvoidForm = "instead",
) -> Lesson:
    """Return a lesson that says nothing of use, as long as the one it stands for.

    It has the lesson's scope, and an id that sorts where the lesson's does, so that it is told in
    the same place. Its line has the same number of tokens, or nearly so where no sentence tried
    has. It has no pattern: a placebo cannot be violated.

    Args:
        lesson: The lesson it stands for.
        pool: Lessons of the bank; no word of theirs is used.
        seed: The same lesson, pool and seed give the same placebo.
        count: Counts tokens, as for the rendering.
        form: How an `avoid` is told.

    Raises:
        BadInput: The lesson has no words in this form, or the pool uses up the whole list.

    Example:
        >>> lesson = Lesson(id="x", kind="strategy", text="Read the recipe before cooking.")
        >>> placebo = placebo_of(lesson, [lesson], 0)
        >>> estimate_tokens(placebo.text) == estimate_tokens(lesson.text)
        True
    """
    line = line_of(lesson, form=form)
    if not line:
        raise BadInput(
            "a lesson with words", got=f"{lesson.id} has none in the form {form!r}", where="lesson"
        )
    key = f"{seed}|{lesson.id}".encode()
    rng = random.Random(int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big"))
    words = _Words([lesson, *pool], rng)
    n_words, target = len(line.split()), count(line)

    def nearest(n_words: int) -> str:
        is_avoid = lesson.kind == "avoid"
        tries = (words.sentence(n_words, is_avoid=is_avoid) for _ in range(_N_TRIES))
        return _nearest(tries, target=target, count=count)

    text = nearest(n_words)
    for _ in range(_N_LENGTHS):  # calls and paths are many tokens and few words
        if abs(count(text) - target) <= target / 10:
            break
        n_words = round(n_words * target / count(text))
        text = nearest(n_words)
    return Lesson(
        id=f"{lesson.id}~placebo-{seed}",
        kind="strategy" if lesson.kind == "avoid" else lesson.kind,
        text=text,
        scope=lesson.scope,
        status=lesson.status,
        extra={PLACEBO_FOR: lesson.id},
    )


class _Words:
    """Draws words that the pool does not use."""

    def __init__(self, pool: Iterable[Lesson], rng: random.Random) -> None:
        used = {word for lesson in pool for word in _WORD.findall(_all_text(lesson))}
        self._lists = {
            name: [word for word in text.split() if word not in used]
            for name, text in _LISTS.items()
        }
        if not all(self._lists.values()):
            raise BadInput(
                "a pool that does not use every word a placebo is made of",
                got=f"{len(used)} words",
                fix="Give a smaller pool: the lessons of the task's family.",
            )
        self._rng = rng

    def sentence(self, n_words: int, *, is_avoid: bool) -> str:
        """Return a sentence of about `n_words`: when, do this, and instead of that."""
        if n_words < _FEW:
            return f"{self._deed().capitalize()}."
        opening = f"When {self._object()} is {self._draw('state')}: "
        ending = f", instead of {self._object()}" if is_avoid else ""
        room = n_words - len(opening.split()) - len(ending.split())
        n_deeds = max(1, round(room / _WORDS_PER_DEED) + self._rng.choice((-1, 0, 1)))
        deeds = ", then ".join(self._deed() for _ in range(n_deeds))
        return f"{opening}{deeds}{ending}."

    def _deed(self) -> str:
        return f"{self._draw('deed')} {self._object()}"

    def _object(self) -> str:
        adjective = f"{self._draw('state')} " if self._rng.random() < 0.5 else ""
        return f"the {adjective}{self._draw('thing')}"

    def _draw(self, name: str) -> str:
        return self._rng.choice(self._lists[name])


def _all_text(lesson: Lesson) -> str:
    parts = (lesson.text, lesson.trigger, lesson.action, lesson.instead, lesson.why)
    return " ".join((*parts, *lesson.steps, *lesson.scope.values())).lower()


def _nearest(texts: Iterable[str], *, target: int, count: TokenCounter) -> str:
    """Return the text whose length is nearest to the target; the first one that has it exactly."""
    best, gap = "", -1
    for text in texts:
        here = abs(count(text) - target)
        if gap < 0 or here < gap:
            best, gap = text, here
        if not gap:
            break
    return best
