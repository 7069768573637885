"""JSON objects out of a file that is either one per line or one long list, damaged or not.

A list is split into its elements first and each is decoded by itself, so that damage costs the
records it touches and not the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from twiceshy.attempts.readers.peek import Peek, peek_bytes
from twiceshy.attempts.readers.protocol import Source

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],]', re.DOTALL)
_list_of_raw = msgspec.json.Decoder(list[msgspec.Raw])


def is_list(source: Source) -> bool:
    """Whether the file is one JSON list, going by its first character."""
    return _trimmed(source.head).startswith(b"[")


def peek_records(source: Source) -> Peek:
    """Return the top-level keys of the first records, as `peek.peek` does, for lists as well."""
    return peek_bytes(_trimmed(source.head).removeprefix(b"["))


def first_keys(source: Source) -> Mapping[str, str | None]:
    """Return the top-level keys of the first record; none when there is no record."""
    found = peek_records(source)
    return found[0] if found else {}


def raw_records(source: Source) -> Iterator[tuple[int, bytes]]:
    """Yield (1-based line, or index in a list; the record's bytes), none of them decoded."""
    if not is_list(source):
        yield from source.lines()
        return
    with source.open() as file:
        data = _trimmed(file.read())
    yield from enumerate(elements(data), start=1)


def elements(data: bytes) -> Iterator[bytes]:
    """Yield the elements of a JSON list; of a damaged or cut one, those that can be made out.

    Example:
        >>> list(elements(b'[{"a": "],"}, 2]'))
        [b'{"a": "],"}', b'2']
        >>> list(elements(b'[{"a": 1}, {"b"'))
        [b'{"a": 1}', b'{"b"']
        >>> list(elements(b'[{"a": 1}'))
        [b'{"a": 1}', b'']
    """
    try:
        found = _list_of_raw.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        yield from split(data, start=data.find(b"[") + 1)
    else:
        for raw in found:
            yield bytes(raw)


def split(data: bytes, *, start: int) -> Iterator[bytes]:
    """Yield what stands between the commas of the list that begins before `start`.

    When no bracket closes the list, its last element is one that cannot be decoded: the one that
    was cut, or an empty one where the cut fell between two.
    """
    depth, begin = 0, start
    for match in _TOKEN.finditer(data, start):
        token = match.group()
        if token in (b"{", b"["):
            depth += 1
        elif token in (b"}", b"]"):
            depth -= 1
        if depth < 0 or (depth == 0 and token == b","):
            element = data[begin : match.start()].strip()
            begin = match.end()
            if element:
                yield element
            if depth < 0:
                return
    rest = data[begin:].strip()
    if rest:
        yield rest
    if depth == 0:
        yield b""


def _trimmed(data: bytes) -> bytes:
    return data.removeprefix(_BYTE_ORDER_MARK).lstrip()
