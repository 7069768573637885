"""Condensing that keeps what is particular: by groups of √n, and by small changes to a list.

One call over everything is what LEAP does (`procedure.high_level`), and what has been seen to erase
the content elsewhere too. By groups, no call sees more than about √n principles. By delta, a list
in use is changed by named edits and never rewritten.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from twiceshy.lessons import Lesson
from twiceshy.models import request_of
from twiceshy.principles.asking import Asker
from twiceshy.principles.copying import CopyGuard
from twiceshy.principles.lessons import condensed, read_list, read_principle
from twiceshy.principles.prompting import (
    MOST_PRINCIPLES,
    bullets,
    fill,
    high_level_prompt,
)

_EDIT = re.compile(r"^\W*(ADD|REPLACE|DROP)\b\s*(p\d+)?\s*:?\s*(.*)$", re.I)


class Condensed(NamedTuple):
    """A condensed list and what did not make it."""

    principles: tuple[Lesson, ...]
    n_calls: int
    """Requests it took, answered now or known before."""
    n_copied: int
    """Condensed principles turned down because they repeat a training item."""
    n_unusable: int
    """Answers in which no principle could be read."""


class Change(NamedTuple):
    """One edit of a list in use."""

    kind: Literal["add", "replace", "drop"]
    place: int | None
    """Which of the list, from 0; None for an addition."""
    text: str


def groups_of_root(n: int, *, seed: int) -> list[list[int]]:
    """Return 0 … n − 1, shuffled, in ⌈√n⌉ groups whose sizes differ by at most one.

    Source: Combee (2604.04247), aggregation in √n groups. Differs: nothing is duplicated.

    Example:
        >>> [len(group) for group in groups_of_root(10, seed=0)]
        [3, 3, 2, 2]
    """
    if n == 0:
        return []
    order = list(range(n))
    random.Random(seed).shuffle(order)
    n_groups = math.isqrt(n - 1) + 1
    return [order[start::n_groups] for start in range(n_groups)]


def by_groups(
    asker: Asker,
    low: Sequence[Lesson],
    *,
    most: int = MOST_PRINCIPLES,
    max_tokens: int = 256,
    seed: int = 0,
    guard: CopyGuard | None = None,
) -> Condensed:
    """Condense √n groups of about √n principles each, then what comes of them.

    calls = ⌈√n⌉ + 1 for n > 1 principles, 1 for a single one, 0 for none

    Args:
        asker: The model that condenses.
        low: Low-level principles.
        most: Principles of the list.
        max_tokens: Longest list, in tokens.
        seed: Of the grouping.
        guard: Turns down what repeats a training item.
    """
    groups = groups_of_root(len(low), seed=seed)
    asked = {
        f"group {number}": request_of(
            high_level_prompt([low[place].text for place in group], most=most),
            max_tokens=max_tokens,
            seed=seed,
        )
        for number, group in enumerate(groups)
    }
    answers = asker.ask("condense", asked)
    lists = {key: read_list(each.text, most=most) for key, each in answers.items()}
    texts = [text for each in lists.values() for text in each]
    n_unusable = sum(not each for each in lists.values())
    if len(groups) > 1 and texts:
        request = request_of(high_level_prompt(texts, most=most), max_tokens=max_tokens, seed=seed)
        final = read_list(asker.ask("condense", {"all": request})["all"].text, most=most)
        n_unusable += not final
        texts = list(final)
    kept = [text for text in texts if guard is None or guard.copied(text) is None][:most]
    return Condensed(
        condensed(kept, low, writer=asker.name, height="high") if low else (),
        n_calls=len(groups) + (len(groups) > 1 and any(lists.values())),
        n_copied=len(texts) - len(kept) if guard is not None else 0,
        n_unusable=n_unusable,
    )


def by_delta(
    asker: Asker,
    current: Sequence[Lesson],
    new: Sequence[Lesson],
    *,
    most: int = MOST_PRINCIPLES,
    max_tokens: int = 256,
    guard: CopyGuard | None = None,
) -> Condensed:
    """Work new principles into a list in use by named changes, in one call.

    A principle that no change names stays as it is, letter for letter. A change that names nothing
    of the list, repeats a training item, or would make the list longer than `most`, is left out.

    Source: the delta edits of ACE (2510.04618).
    """
    if not new:
        return Condensed(tuple(current), 0, 0, 0)
    numbered = (
        "\n".join(f"p{n}: {each.text}" for n, each in enumerate(current, start=1)) or "(empty)"
    )
    prompt = fill(
        "delta", principles=numbered, new=bullets(each.text for each in new), most=str(most)
    )
    answer = asker.ask("delta", {"all": request_of(prompt, max_tokens=max_tokens)})["all"].text
    changes = read_changes(answer, n=len(current))
    allowed = [each for each in changes if not each.text or _is_own(each.text, guard)]
    changed = _applied(current, allowed, new, writer=asker.name, most=most)
    said_none = answer.strip().upper().startswith("NONE")
    return Condensed(changed, 1, len(changes) - len(allowed), int(not changes and not said_none))


def read_changes(text: str, *, n: int) -> list[Change]:
    r"""Return the changes that an answer names; lines in no known form are left out.

    Args:
        text: The answer.
        n: Length of the list: p1 … pn.

    Example:
        >>> [change[:2] for change in read_changes("ADD: Carry.\nDROP p2\nREPLACE p9: No.", n=2)]
        [('add', None), ('drop', 1)]
    """
    found: list[Change] = []
    for line in text.splitlines():
        match = _EDIT.match(line.strip())
        if match is None:
            continue
        kind, place = match[1].lower(), int(match[2][1:]) - 1 if match[2] else None
        said = read_principle(match[3])
        known = place is not None and 0 <= place < n
        if kind == "add" and said:
            found.append(Change("add", None, said))
        elif kind == "replace" and said and known:
            found.append(Change("replace", place, said))
        elif kind == "drop" and known:
            found.append(Change("drop", place, ""))
    return found


def _is_own(text: str, guard: CopyGuard | None) -> bool:
    return guard is None or guard.copied(text) is None


def _applied(
    current: Sequence[Lesson],
    changes: Sequence[Change],
    new: Sequence[Lesson],
    *,
    writer: str,
    most: int,
) -> tuple[Lesson, ...]:
    """Return the list after the changes; what is replaced is a parent of what replaces it."""
    held: list[Lesson | None] = list(current)
    for change in changes:
        if change.kind == "drop" and change.place is not None:
            held[change.place] = None
        elif change.kind == "replace" and change.place is not None:
            before = current[change.place]
            (made,) = condensed([change.text], new, writer=writer, height="high")
            held[change.place] = msgspec.structs.replace(
                made,
                parents=(before.id, *made.parents),
                contrast=(*before.contrast, *made.contrast),
            )
    added = [each.text for each in changes if each.kind == "add"]
    stay = [each for each in held if each is not None]
    room = max(0, most - len(stay))
    return (*stay, *condensed(added[:room], new, writer=writer, height="high"))
