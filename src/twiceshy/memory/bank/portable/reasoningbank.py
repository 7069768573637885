"""Banks of ReasoningBank (2509.25140): JSONL, one attempt a line with its memory items.

Items come as one Markdown text (the code for WebArena), as that text cut at blank lines (the code
for SWE-bench), or as objects. All become strategies: an item from a failed attempt tells what to do
to prevent the failure, not what was done wrong, so it is no `avoid`. Its attempt's outcome by the
original's judge is kept in the origin; it is not evidence here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from twiceshy.attempts.types import Unreadable
from twiceshy.lessons import TASK_TEXT, Lesson
from twiceshy.memory.bank.portable.records import Imported, foreign

_HEADING = re.compile(r"^#+\s*(Memory Item\b.*|Title|Description|Content)\b:?[ \t]*", re.I | re.M)
_FIELDS = ("title", "description", "content")
_SHAPE = "an object with task_id, query and memory_items (title, description, content)"


def is_reasoningbank(record: object) -> bool:
    """Whether a JSON value is a line of such a bank."""
    return isinstance(record, dict) and "memory_items" in record


def read_reasoningbank(path: Path) -> Imported:
    """Return the lessons of a file."""
    lessons: list[Lesson] = []
    unreadable: list[Unreadable] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            found = list(_lessons(line, path, number))
            lessons += found
            if not found:
                got = line[:80].decode("utf-8", "replace")
                unreadable.append(Unreadable(f"{path}:{number}", _SHAPE, got))
    return Imported("reasoningbank", tuple(lessons), tuple(unreadable))


def _lessons(line: bytes, path: Path, number: int) -> Iterator[Lesson]:
    try:
        record = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeError):
        return
    if not is_reasoningbank(record):
        return
    for place, item in enumerate(items_in(record["memory_items"]), start=1):
        yield _lesson(item, record, place, f"{path.name}:{number}")


def items_in(value: Any) -> list[dict[str, str]]:
    r"""Return the memory items of a record, each with what it has of title, description, content.

    Example:
        >>> items_in("# Memory Item 1\n## Title Check dates\n## Content\nCompare both.")
        [{'title': 'Check dates', 'content': 'Compare both.'}]
    """
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        named = ({n: str(each[n]) for n in _FIELDS if each.get(n)} for each in value)
        return [each for each in named if each]
    if isinstance(value, list):
        value = "\n\n".join(map(str, value))
    return _parsed(value) if isinstance(value, str) else []


def _parsed(text: str) -> list[dict[str, str]]:
    parts = _HEADING.split(text)
    items: list[dict[str, str]] = []
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        name = heading.lower()
        if name.startswith("memory item") or not items or name in items[-1]:
            items.append({})
        if name in _FIELDS and body.strip():
            items[-1][name] = body.strip().strip("`").strip()
    return [each for each in items if each]


def _lesson(item: Mapping[str, str], record: Mapping[str, Any], place: int, where: str) -> Lesson:
    told = {n: record[n] for n in ("status", "template_id") if n in record}
    origin = {
        "format": "reasoningbank",
        "id": f"{record.get('task_id', where)}/{place}",
        "file": where,
        **told,
    }
    query = record.get("query")
    return foreign(
        "strategy",
        item.get("content") or item.get("description") or item["title"],
        origin=origin,
        scope={},
        action=item.get("title", ""),
        trigger=item.get("description", ""),
        extra={TASK_TEXT: query} if isinstance(query, str) and query else {},
    )
