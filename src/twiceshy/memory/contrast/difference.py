"""The first place where two attempts part, typed and put into words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from twiceshy.memory.contrast.deeds import Deed
from twiceshy.memory.contrast.toolcalls_records import ids_of

DivergenceType = Literal[
    "extra",
    "missing",
    "other_record",
    "other_arguments",
    "other_tool",
    "other_order",
    "none",
]
"""How the failing attempt's first different deed compares with the passing attempt's.

For results `extra` means that the failure goes on, `missing` that it stops early, `other_tool` that
the operators differ, and `other_arguments` the same operators on other numbers.
"""


class Difference(NamedTuple):
    """The first place where two sequences of deeds differ."""

    type: DivergenceType
    index: int | None
    """Place in both sequences; None when they are the same."""
    failure: Deed | None
    """The failing attempt's deed there; None when it has none."""
    success: Deed | None


def first_difference(failure: Sequence[Deed], success: Sequence[Deed]) -> Difference:
    """Return the first difference of two sequences, typed.

    At the first place where they differ, the same tool on another id is another record, and on
    the same one it has other arguments. With different tools there, a deed is extra (or missing)
    when the deed it stands in front of still comes later in the failure (or in the success).

    Example:
        >>> first_difference([], [])
        Difference(type='none', index=None, failure=None, success=None)
    """
    for index in range(max(len(failure), len(success))):
        mine = failure[index] if index < len(failure) else None
        theirs = success[index] if index < len(success) else None
        if mine is None or theirs is None or mine.key != theirs.key:
            kind = _type(mine, theirs, failure[index:], success[index:])
            return Difference(kind, index, mine, theirs)
    return Difference("none", None, None, None)


def _type(
    mine: Deed | None, theirs: Deed | None, failure: Sequence[Deed], success: Sequence[Deed]
) -> DivergenceType:
    if theirs is None:
        return "extra"
    if mine is None:
        return "missing"
    if mine.name == theirs.name:
        return "other_record" if _record(mine) != _record(theirs) else "other_arguments"
    mine_later = any(deed.key == mine.key for deed in success)
    theirs_later = any(deed.key == theirs.key for deed in failure)
    if mine_later and theirs_later:
        return "other_order"
    if theirs_later:
        return "extra"
    return "missing" if mine_later else "other_tool"


def _record(deed: Deed) -> tuple[str, str] | None:
    """Return the first id among the arguments: what the call is about, not what it is paid with."""
    return next(iter(ids_of(deed.arguments).items()), None)


def kind_of(difference: Difference) -> str:
    """Return a difference in words that other pairs can share."""
    mine, theirs = difference.failure, difference.success
    mine_name, theirs_name = mine.name if mine else "nothing", theirs.name if theirs else "nothing"
    match difference.type:
        case "none":
            return "none"
        case "extra":
            return f"extra {mine_name}"
        case "missing":
            return f"missing {theirs_name}"
        case "other_record":
            return f"{mine_name} on another record"
        case "other_arguments":
            changed = ", ".join(_changed(mine, theirs)) or "numbers"
            return f"{mine_name} with other {changed}"
        case "other_tool":
            return f"{mine_name} instead of {theirs_name}"
        case "other_order":
            return f"{mine_name} before {theirs_name}"


def _changed(mine: Deed | None, theirs: Deed | None) -> Iterator[str]:
    if mine is not None and theirs is not None:
        for name in sorted({*mine.arguments, *theirs.arguments}):
            if mine.arguments.get(name) != theirs.arguments.get(name):
                yield name


def opposite_of(kind: str) -> str:
    """Return the kind of difference in the other direction, "" when there is none.

    Example:
        >>> opposite_of("extra pay"), opposite_of("pay with other amount")
        ('missing pay', '')
    """
    first, _, rest = kind.partition(" ")
    if first in ("extra", "missing"):
        return f"{'missing' if first == 'extra' else 'extra'} {rest}"
    for word in (" instead of ", " before "):
        if word in kind:
            one, other = kind.split(word, 1)
            return f"{other}{word}{one}"
    return ""
