"""The messages of a Claude Code session as steps.

A message of the model may be spread over several entries, one per content block; entries with the
same message id are one step. A result that is marked `is_error` makes its step's `error`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.types import Step, ToolCall


def steps_of(records: Iterable[Record]) -> tuple[Step, ...]:
    """Return the steps of a chain of entries, in its order."""
    steps: list[Step] = []
    names: dict[str, str] = {}
    at: dict[str, int] = {}
    for record in records:
        message = parts.as_dict(record.get("message"))
        if record.get("type") == "user":
            steps += _user_steps(record, message=message, names=names)
            continue
        step = _assistant_step(record, message=message)
        names |= {call.id: call.name for call in step.calls if call.id}
        key = parts.as_text(message.get("id"))
        if key is not None and key in at:
            steps[at[key]] = _joined(steps[at[key]], step)
        elif step.text or step.reasoning or step.calls:
            steps.append(step)
            if key is not None:
                at[key] = len(steps) - 1
    return tuple(steps)


def _joined(first: Step, second: Step) -> Step:
    texts = (text for text in (first.text, second.text) if text)
    thoughts = (text for text in (first.reasoning, second.reasoning) if text)
    return msgspec.structs.replace(
        first,
        text="\n".join(texts),
        reasoning="\n".join(thoughts),
        calls=first.calls + second.calls,
    )


def _assistant_step(record: Record, *, message: Record) -> Step:
    content = message.get("content")
    blocks = [parts.as_dict(block) for block in parts.as_list(content)]
    thoughts = [parts.as_text(b.get("thinking")) for b in blocks if b.get("type") == "thinking"]
    is_synthetic = record.get("isApiErrorMessage") is True
    return Step(
        role="environment" if is_synthetic else "assistant",
        text=_plain(content),
        reasoning="\n".join(thought for thought in thoughts if thought),
        calls=tuple(call for block in blocks if (call := _call(block)) is not None),
        time=parts.as_text(record.get("timestamp")),
    )


def _call(block: Record) -> ToolCall | None:
    name = parts.as_text(block.get("name"))
    if block.get("type") != "tool_use" or name is None:
        return None
    given = parts.arguments(block.get("input"))
    return ToolCall(name=name, arguments=given, id=parts.as_text(block.get("id")))


def _user_steps(record: Record, *, message: Record, names: dict[str, str]) -> list[Step]:
    content = message.get("content")
    time = parts.as_text(record.get("timestamp"))
    blocks = [parts.as_dict(block) for block in parts.as_list(content)]
    steps = [_result(b, names=names, time=time) for b in blocks if b.get("type") == "tool_result"]
    if text := _plain(content):
        is_injected = record.get("isMeta") is True or record.get("isCompactSummary") is True
        steps.append(Step(role="environment" if is_injected else "user", text=text, time=time))
    return steps


def _plain(content: object) -> str:
    """Return a message's own text, without results and thoughts."""
    if isinstance(content, str):
        return content
    blocks = [parts.as_dict(block) for block in parts.as_list(content)]
    texts = [parts.as_text(block.get("text")) for block in blocks if block.get("type") == "text"]
    return "\n".join(text for text in texts if text)


def _result(block: Record, *, names: dict[str, str], time: str | None) -> Step:
    text = parts.content_text(block.get("content"))
    call_id = parts.as_text(block.get("tool_use_id"))
    is_error = block.get("is_error") is True
    return Step(
        role="tool",
        text=text,
        call_id=call_id,
        name=names.get(call_id or ""),
        error=(parts.first_line(text) or "error") if is_error else None,
        time=time,
    )
