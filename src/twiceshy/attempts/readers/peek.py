"""What the head of a file gives away: the top-level keys of its first JSON objects.

Detection must be cheap and must work on a head that was cut in the middle of a record, so nothing
is decoded: the head is walked token by token and only the keys at depth one are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from twiceshy.attempts.readers.protocol import Source

MAX_OBJECTS = 20
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)

Peek = tuple[Mapping[str, str | None], ...]


def peek(source: Source) -> Peek:
    """Return the first objects of a JSON or JSONL file: key to its value when that is a string.

    A value that is no string, or was cut off, is None. At most `MAX_OBJECTS` objects are given.
    """
    return peek_bytes(source.head)


@lru_cache(maxsize=8)
def peek_bytes(head: bytes) -> Peek:
    """Return what `peek` finds in these bytes.

    Example:
        >>> [dict(found) for found in peek_bytes(b'{"a": {"b": 1}, "c": "x"}')]
        [{'a': None, 'c': 'x'}]
        >>> peek_bytes(b"no json here")
        ()
    """
    found: list[dict[str, str | None]] = []
    depth, key, expects_value = 0, "", False
    for match in _TOKEN.finditer(head):
        token = match.group()
        if token in (b"{", b"["):
            if depth == 0:
                if token == b"[" or len(found) == MAX_OBJECTS:
                    break
                found.append({})
                expects_value = False
            depth += 1
        elif token in (b"}", b"]"):
            depth = max(depth - 1, 0)
        elif depth == 1:
            key, expects_value = _at_depth_one(token, found[-1], key=key, is_value=expects_value)
    return tuple(MappingProxyType(one) for one in found)


def has_keys(found: Mapping[str, str | None], *names: str) -> bool:
    """Whether all the names are among the top-level keys.

    Example:
        >>> has_keys({"a": None, "b": "x"}, "a", "b")
        True
    """
    return all(name in found for name in names)


def _at_depth_one(
    token: bytes, found: dict[str, str | None], *, key: str, is_value: bool
) -> tuple[str, bool]:
    if token == b":":
        found.setdefault(key, None)
        return key, True
    if token == b",":
        return "", False
    text = token[1:-1].decode("utf-8", "replace")
    if is_value:
        found[key] = text
        return key, False
    return text, False
