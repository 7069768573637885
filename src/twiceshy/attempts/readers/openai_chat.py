"""Chat logs: one conversation per line (or one JSON list of them) with `messages`.

The usual shape goes through typed records and costs one pass; anything odd (content in parts, calls
without ids) goes the slower way through `parts`. Fields beside the messages are kept in `extra`.

The task is the first of `task_id`, `task`, `problem_id`, `question_id`, `example_id`, `prompt_id`
in the record or its `metadata`, then `id` unless it is a completion's id, else a name made of the
first user message. The system message is left out of it, so one task under two prompts stays one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from twiceshy.attempts.readers import parts, records
from twiceshy.attempts.readers.labels import verdict_from_columns
from twiceshy.attempts.readers.peek import has_keys
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.types import (
    Attempt,
    Outcome,
    Provenance,
    Role,
    Step,
    ToolCall,
    Unreadable,
    Verdict,
)

_TASK_FIELDS = ("task_id", "task", "problem_id", "question_id", "example_id", "prompt_id", "id")
_TRIAL_FIELDS = ("trial", "trial_id", "sample_id", "sample", "epoch", "seed", "attempt")
_POLICY_FIELDS = ("policy", "model", "agent")
_OUTCOME_FIELDS = ("outcome", "success", "is_correct", "correct", "reward", "score")
_COMPLETION_IDS = ("chatcmpl", "resp_", "msg_", "gen-")
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
    "environment": "environment",
}
_NOTHING_SAID = Verdict(outcome=Outcome.UNSCORED, reason="no judgement in the log")


class _Function(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any] = ""


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None
    function_call: _Function | None = None
    is_error: bool = False
    timestamp: str | None = None


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_messages = msgspec.json.Decoder(list[_Message])
_object = msgspec.json.Decoder(dict[str, Any])
_anything = msgspec.json.Decoder()


class OpenAIChat:
    """Reader for chat conversations in the OpenAI message format."""

    name: Literal["openai_chat"] = "openai_chat"

    def matches(self, source: Source) -> bool:
        """Whether the first record has `messages`."""
        return has_keys(records.first_keys(source), "messages")

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield one attempt per conversation."""
        for number, data in records.raw_records(source):
            where = f"{source.label}:{number}"
            try:
                fields: dict[str, Any] = dict(_fields.decode(data))
                steps = _steps(fields.pop("messages", b""))
                fields = {name: _anything.decode(raw) for name, raw in fields.items()}
            except (msgspec.MsgspecError, UnicodeError, RecursionError, _Odd):
                yield _odd_record(source, number, data=data, options=options)
                continue
            place = Provenance(file=source.label, line=number, format="openai_chat")
            yield _attempt(fields, steps=steps, options=options, place=place, where=where)


class _Odd(Exception):
    """The conversation is not in the usual shape; take the slower way."""


def _odd_record(
    source: Source, number: int, *, data: bytes, options: ReadOptions
) -> Attempt | Unreadable:
    where = f"{source.label}:{number}"
    record = parts.decode(data, where=where)
    if isinstance(record, Unreadable):
        return record
    messages = parts.as_list(record.pop("messages", None))
    steps = parts.chat_steps(messages)
    if not messages or len(steps) != len(messages):
        wanted = "a list of messages, each with a role of the chat format"
        got = "none" if not messages else f"{len(messages) - len(steps)} that have none"
        return Unreadable(where, wanted, got, "Give the columns with --map if this is no chat log.")
    place = parts.provenance(source, number, format="openai_chat")
    return _attempt(record, steps=steps, options=options, place=place, where=where)


def _attempt(
    fields: dict[str, Any],
    *,
    steps: tuple[Step, ...],
    options: ReadOptions,
    place: Provenance,
    where: str,
) -> Attempt | Unreadable:
    metadata = fields.get("metadata")
    if not isinstance(metadata, dict):
        metadata = _NO_FIELDS
    task = _identifier(fields, metadata, names=_TASK_FIELDS)
    if task is None:
        prompt = parts.first_user_text(steps)
        if prompt is None:
            return Unreadable(where, "a task id or a user message", "neither")
        task = parts.task_of_prompt(prompt)
    ending = fields.get("finish_reason") or fields.get("ending")
    return Attempt(
        task=task,
        policy=_identifier(fields, metadata, names=_POLICY_FIELDS) or options.policy or "unknown",
        trial=_identifier(fields, metadata, names=_TRIAL_FIELDS),
        steps=steps,
        verdict=_verdict(fields, metadata, options=options),
        ending=ending if isinstance(ending, str) else None,
        truncated=True if ending == "length" else None,
        split=_split(fields, metadata),
        provenance=place,
        extra=fields,
    )


_NO_FIELDS: dict[str, Any] = {}


def _steps(data: msgspec.Raw | bytes) -> tuple[Step, ...]:
    messages = _messages.decode(data)
    if not messages:
        raise _Odd
    return tuple([_step(message) for message in messages])


def _step(message: _Message) -> Step:
    role = _ROLES.get(message.role)
    if role is None:
        raise _Odd
    text = message.content or ""
    if role == "tool":
        error = parts.first_line(text) or "error" if message.is_error else None
        return Step(
            role=role,
            text=text,
            call_id=message.tool_call_id,
            name=message.name,
            error=error,
            time=message.timestamp,
        )
    calls: tuple[ToolCall, ...] = ()
    if message.tool_calls:
        calls = tuple([_call(call.function, call.id) for call in message.tool_calls])
    elif message.function_call is not None:
        calls = (_call(message.function_call, None),)
    return Step(
        role=role,
        text=text,
        calls=calls,
        reasoning=message.reasoning_content or "",
        time=message.timestamp,
    )


def _call(function: _Function, call_id: str | None) -> ToolCall:
    arguments = function.arguments
    if isinstance(arguments, str):
        arguments = _parsed(arguments)
    return ToolCall(name=function.name, arguments=arguments, id=call_id)


def _parsed(arguments: str) -> dict[str, Any] | str:
    try:
        return _object.decode(arguments) if arguments else {}
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return arguments


def _identifier(
    fields: dict[str, Any], metadata: dict[str, Any], *, names: tuple[str, ...]
) -> str | None:
    for name in names:
        for holder in (fields, metadata):
            if name in holder:
                found = parts.as_id(holder[name])
                if found is not None and not (name == "id" and found.startswith(_COMPLETION_IDS)):
                    return found
    return None


def _split(fields: dict[str, Any], metadata: dict[str, Any]) -> str | None:
    return parts.as_text(fields.get("split")) or parts.as_text(metadata.get("split"))


def _verdict(fields: dict[str, Any], metadata: dict[str, Any], *, options: ReadOptions) -> Verdict:
    found: dict[str, Any] = {}
    for name in _OUTCOME_FIELDS:
        if name in fields:
            found[name] = fields[name]
        elif name in metadata:
            found[name] = metadata[name]
    if not found:
        return _NOTHING_SAID
    success = next((found[n] for n in ("success", "is_correct", "correct") if n in found), None)
    reward = next((found[n] for n in ("reward", "score") if n in found), None)
    return verdict_from_columns(
        outcome=found.get("outcome"), success=success, reward=reward, threshold=options.threshold
    )
