"""Pieces that several formats share: records out of bytes, and steps out of chat messages.

All functions take whatever JSON holds and never raise: a value of the wrong type counts as absent.
A record that cannot be used at all is an `Unreadable`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from twiceshy.attempts.readers.protocol import Source
from twiceshy.attempts.types import Provenance, Role, Step, ToolCall, Unreadable

Record = dict[str, Any]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "agent": "assistant",
    "tool": "tool",
    "function": "tool",
    "environment": "environment",
}


def line_records(source: Source) -> Iterator[tuple[int, Record | Unreadable]]:
    """Yield (1-based line, object or what was wrong with it) for a JSONL file."""
    for number, line in source.lines():
        yield number, decode(line, where=f"{source.label}:{number}")


def whole_record(source: Source) -> Record | Unreadable:
    """Return the one JSON object a file holds."""
    with source.open() as file:
        return decode(file.read().removeprefix(b"\xef\xbb\xbf"), where=f"{source.label}:1")


def decode(data: bytes, *, where: str) -> Record | Unreadable:
    """Return the JSON object in these bytes, or what was wrong with them.

    `NaN` and the infinities, which Python's own encoder writes, are accepted.

    Example:
        >>> decode(b'{"score": NaN}', where="a.jsonl:1")
        {'score': nan}
        >>> decode(b'{"score": ', where="a.jsonl:2").got
        'Input data was truncated'
    """
    try:
        value = _decoded(data)
    except (ValueError, RecursionError) as error:
        said = str(error) or type(error).__name__
        fix = "Save the file as UTF-8." if "utf-8" in said else ""
        return Unreadable(where=where, expected="a JSON object in UTF-8", got=said, fix=fix)
    if isinstance(value, dict):
        return value
    return Unreadable(where=where, expected="a JSON object", got=type(value).__name__)


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        if b"NaN" not in data and b"Infinity" not in data:
            raise
        value = json.loads(data)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate cannot be stored
        return value


def missing(source: Source, line: int, *, expected: str, got: str = "") -> Unreadable:
    """Return the report on a record that lacks what its format must have."""
    return Unreadable(where=f"{source.label}:{line}", expected=expected, got=got or "none")


def provenance(source: Source, line: int, *, format: str) -> Provenance:
    """Return where a record was read from."""
    return Provenance(file=source.label, line=line, format=format)


def as_dict(value: object) -> Record:
    """Return the value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return the value when it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """Return the value when it is a string that is not empty, else None."""
    return value if isinstance(value, str) and value else None


def as_id(value: object) -> str | None:
    """Return a string or an integer as the text of an identifier, else None.

    Example:
        >>> as_id(7), as_id("a"), as_id(None), as_id(True)
        ('7', 'a', None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int):
        return as_text(value)
    return str(value) if abs(value) < 2**63 else None


def content_text(value: object) -> str:
    r"""Return the text of a message's content: a string, or parts of which some hold text.

    Example:
        >>> content_text([{"type": "text", "text": "a"}, {"type": "image"}, {"text": "b"}])
        'a\nb'
    """
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return as_text(value.get("text")) or content_text(value.get("content"))
    texts = [part if isinstance(part, str) else _part_text(part) for part in as_list(value)]
    return "\n".join(text for text in texts if text)


def _part_text(part: object) -> str:
    found = as_dict(part)
    return as_text(found.get("text")) or as_text(found.get("content")) or ""


def arguments(value: object) -> Record | str:
    """Return a call's arguments as an object when they are one, else as the text that came.

    Example:
        >>> arguments('{"city": "Oslo"}'), arguments("{oops"), arguments(None)
        ({'city': 'Oslo'}, '{oops', {})
    """
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    found = decode(text.encode("utf-8", "replace"), where="")
    return text if isinstance(found, Unreadable) else found


def tool_call(value: object) -> ToolCall | None:
    """Return a call in the chat API's shape, nested (`function`) or flat, or as JSON text."""
    raw = as_dict(arguments(value))
    function = as_dict(raw.get("function")) or raw
    name = as_text(function.get("name")) or as_text(raw.get("function"))
    if name is None:
        return None
    given = function.get("arguments", function.get("input"))
    return ToolCall(name=name, arguments=arguments(given), id=as_id(raw.get("id")))


def chat_step(value: object) -> Step | None:
    """Return a chat message as a step, or None when it has no role that is known.

    Example:
        >>> step = chat_step({"role": "tool", "content": "12", "tool_call_id": "c1"})
        >>> (step.role, step.text, step.call_id) if step else None
        ('tool', '12', 'c1')
    """
    message = as_dict(value)
    role = _ROLES.get(str(message.get("role", "")).lower())
    if role is None:
        return None
    calls = (tool_call(one) for one in as_list(message.get("tool_calls")))
    reasoning = message.get("reasoning_content", message.get("reasoning"))
    return Step(
        role=role,
        text=content_text(message.get("content")),
        reasoning=content_text(reasoning),
        calls=tuple(call for call in calls if call is not None),
        call_id=as_id(message.get("tool_call_id")) if role == "tool" else None,
        name=as_text(message.get("name")) if role == "tool" else None,
        time=iso_time(message.get("timestamp")),
    )


def chat_steps(value: object) -> tuple[Step, ...]:
    """Return a conversation as steps: a list of messages, or plain text by the policy."""
    if isinstance(value, str):
        return (Step(role="assistant", text=value),) if value else ()
    steps = (chat_step(message) for message in as_list(value))
    return tuple(step for step in steps if step is not None)


def first_user_text(steps: tuple[Step, ...]) -> str | None:
    """Return the text of the first user message, which is the task in words."""
    return next((step.text for step in steps if step.role == "user" and step.text), None)


def task_of_prompt(prompt: str) -> str:
    """Return an identity for a task that is known by its prompt only.

    A short line is its own identity; anything else is its beginning and a hash of all of it, so
    that two tasks under one long system prompt stay apart.

    Example:
        >>> task_of_prompt("What is 2 + 2?")
        'What is 2 + 2?'
        >>> len(task_of_prompt("x" * 5000)) < 100
        True
    """
    line = " ".join(prompt.split())
    if len(prompt) <= 120 and line == prompt:
        return prompt
    digest = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()
    return f"{line[:60]}… #{digest[:16]}"


def iso_time(value: object) -> str | None:
    """Return a time as ISO 8601: a string as logged, a number as seconds since 1970 in UTC.

    Example:
        >>> iso_time(0), iso_time("2026-01-02T03:04:05Z"), iso_time(1e300)
        ('1970-01-01T00:00:00+00:00', '2026-01-02T03:04:05Z', None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return as_text(value)
    try:
        return datetime.fromtimestamp(value, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def first_line(text: str, *, limit: int = 200) -> str:
    """Return the beginning of a text on one line, for an error's name or a reason.

    Example:
        >>> first_line("   no such file   ")
        'no such file'
    """
    return next((line.strip()[:limit] for line in text.splitlines() if line.strip()), "")


def as_flag(value: object) -> bool | None:
    """Return the value when it is a boolean, else None."""
    return value if isinstance(value, bool) else None


def kept(record: Record, *, names: tuple[str, ...]) -> Record:
    """Return the named fields that hold something, to go into an attempt's `extra`."""
    return {name: record[name] for name in names if record.get(name) not in (None, {}, [], "")}


def names(record: Record) -> str:
    """Return a record's first field names, to say what came instead of what was expected."""
    return ", ".join(sorted(record)[:8]) or "an empty object"
