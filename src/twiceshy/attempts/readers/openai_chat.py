"""Chat logs: one conversation per line (or one JSON list of them) with `messages`.

The usual shape goes through records typed by the file's own keys and costs one pass; anything odd
(content in parts, a tool call in another shape) goes the slower way through `parts`.

The task is the first of `task_id`, `task`, `problem_id`, `question_id`, `example_id`, `prompt_id`
in the record or its `metadata`, then `id`, else a name made of the first user message. An `id` is
left aside when it is a completion's, or when the first records show that it names the run: every
one has its own, while first user messages come twice and more. The system message is left out of
the task, so one task under two prompts stays one. Fields that did not become part of the attempt
are kept in `extra`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal

import msgspec

from twiceshy.attempts.readers import parts, records
from twiceshy.attempts.readers.labels import verdict_from_columns
from twiceshy.attempts.readers.peek import has_keys
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.readers.verdicts import unscored, verdict_from_reward
from twiceshy.attempts.types import (
    Attempt,
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
_SUCCESS_FIELDS = ("success", "is_correct", "correct")
_REWARD_FIELDS = ("reward", "score")
_COMPLETION_IDS = ("chatcmpl", "resp_", "msg_", "gen-")
_MAX_PEEKED = 64
"""Records that are looked at to tell what `id` names."""
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
    "environment": "environment",
}
_NOTHING_SAID = unscored()


class _Function(msgspec.Struct, gc=False):
    name: str
    arguments: str | dict[str, Any] = ""


class _Call(msgspec.Struct, gc=False):
    function: _Function
    id: str | None = None


class _Message(msgspec.Struct, gc=False):
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
_object = msgspec.json.Decoder(dict[str, Any])


class OpenAIChat:
    """Reader for chat conversations in the OpenAI message format."""

    name: Literal["openai_chat"] = "openai_chat"

    def matches(self, source: Source) -> bool:
        """Whether the first record has `messages`."""
        return has_keys(records.first_keys(source), "messages")

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield one attempt per conversation."""
        keys: tuple[str, ...] = ()
        task_fields = _TASK_FIELDS[:-1] if _ids_name_runs(source) else _TASK_FIELDS
        for number, data in records.raw_records(source):
            try:
                try:
                    messages, fields = _opened(data, keys)
                except msgspec.ValidationError:
                    keys = tuple(_fields.decode(data))
                    messages, fields = _opened(data, keys)
                steps = _steps(messages)
            except (msgspec.MsgspecError, UnicodeError, RecursionError, _Odd):
                yield _odd_record(
                    source, number, data=data, options=options, task_fields=task_fields
                )
                continue
            place = Provenance(file=source.label, line=number, format="openai_chat")
            yield _attempt(
                fields, steps=steps, options=options, place=place, task_fields=task_fields
            )


def _ids_name_runs(source: Source) -> bool:
    """Whether the whole lines at the beginning have ids all different and prompts that repeat."""
    ids: list[str] = []
    prompts: list[str] = []
    for line in source.head.split(b"\n")[:_MAX_PEEKED]:
        record = parts.decode(line, where="")
        if isinstance(record, Unreadable):
            continue
        name, steps = record.get("id"), parts.chat_steps(parts.as_list(record.get("messages")))
        prompt = parts.first_user_text(tuple(steps))
        if name is not None and prompt is not None:
            ids.append(str(name))
            prompts.append(prompt)
    n_prompts = len(set(prompts))
    return len(set(ids)) == len(ids) and n_prompts >= 2 and len(prompts) >= 2 * n_prompts


def _opened(data: bytes, keys: tuple[str, ...]) -> tuple[list[_Message], dict[str, Any]]:
    """Decode a conversation that has exactly these keys, in one pass."""
    values = msgspec.structs.astuple(_decoder(keys).decode(data))
    fields = dict(zip(keys, values, strict=True))
    messages = fields.pop("messages", None)
    if not messages:
        raise _Odd
    return messages, fields


@lru_cache(maxsize=64)
def _decoder(keys: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    names = {f"field_{n}": key for n, key in enumerate(keys)}
    kinds = [(n, list[_Message] if key == "messages" else Any) for n, key in names.items()]
    kind = msgspec.defstruct("_Record", kinds, rename=names, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(kind)


class _Odd(Exception):
    """The conversation is not in the usual shape; take the slower way."""


def _odd_record(
    source: Source,
    number: int,
    *,
    data: bytes,
    options: ReadOptions,
    task_fields: tuple[str, ...],
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
    return _attempt(record, steps=steps, options=options, place=place, task_fields=task_fields)


def _attempt(
    fields: dict[str, Any],
    *,
    steps: tuple[Step, ...],
    options: ReadOptions,
    place: Provenance,
    task_fields: tuple[str, ...],
) -> Attempt | Unreadable:
    metadata = fields.get("metadata")
    found = {**metadata, **fields} if isinstance(metadata, dict) else fields
    used: list[str] = []
    task = _identifier(found, task_fields, used=used)
    if task is None:
        prompt = parts.first_user_text(steps)
        if prompt is None:
            where = f"{place.file}:{place.line}"
            return Unreadable(where, "a task id or a user message", "neither")
        task = parts.task_of_prompt(prompt)
    policy = _identifier(found, _POLICY_FIELDS, used=used)
    trial = _identifier(found, _TRIAL_FIELDS, used=used)
    verdict = _verdict(found, options=options, used=used)
    ending = parts.as_text(found.get("finish_reason")) or parts.as_text(found.get("ending"))
    return Attempt(
        task=task,
        policy=policy or options.policy or "unknown",
        trial=trial,
        steps=steps,
        verdict=verdict,
        ending=ending,
        truncated=True if ending == "length" else None,
        split=parts.as_text(found.get("split")),
        provenance=place,
        extra={name: value for name, value in fields.items() if name not in used},
    )


def _steps(messages: list[_Message]) -> tuple[Step, ...]:
    """Return the messages as steps; one loop without calls, because it runs once per message."""
    steps: list[Step] = []
    for message in messages:
        role = _ROLES.get(message.role)
        text = message.content or ""
        if role is None:
            raise _Odd
        if role == "tool":
            step = _tool_step(message, text)
        elif message.tool_calls or message.reasoning_content or message.function_call:
            step = Step(
                role=role,
                text=text,
                calls=_calls(message),
                reasoning=message.reasoning_content or "",
                time=message.timestamp,
            )
        else:
            step = Step(role=role, text=text, time=message.timestamp)
        steps.append(step)
    return tuple(steps)


def _tool_step(message: _Message, text: str) -> Step:
    return Step(
        role="tool",
        text=text,
        call_id=message.tool_call_id,
        name=message.name,
        error=(parts.first_line(text) or "error") if message.is_error else None,
        time=message.timestamp,
    )


def _calls(message: _Message) -> tuple[ToolCall, ...]:
    if message.tool_calls:
        return tuple([_call(call.function, call.id) for call in message.tool_calls])
    return (_call(message.function_call, None),) if message.function_call else ()


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


def _identifier(found: dict[str, Any], names: tuple[str, ...], *, used: list[str]) -> str | None:
    for name in names:
        value = found.get(name)
        if value is None:
            continue
        text = value if type(value) is str else parts.as_id(value)
        if text and not (name == "id" and text.startswith(_COMPLETION_IDS)):
            used.append(name)
            return text
    return None


def _verdict(found: dict[str, Any], *, options: ReadOptions, used: list[str]) -> Verdict:
    outcome = found.get("outcome")
    success = _first(found, _SUCCESS_FIELDS, used=used)
    reward = _first(found, _REWARD_FIELDS, used=used)
    if outcome is not None:
        used.append("outcome")
    elif success is None and reward is None:
        return _NOTHING_SAID
    try:
        return _judged(outcome, success, reward, options.threshold)
    except TypeError:  # a list or an object, which judges nothing
        return verdict_from_reward(math.nan)


def _first(found: dict[str, Any], names: tuple[str, ...], *, used: list[str]) -> Any:
    for name in names:
        value = found.get(name)
        if value is not None:
            used.append(name)
            return value
    return None


@lru_cache(maxsize=1024, typed=True)
def _judged(outcome: Any, success: Any, reward: Any, threshold: float | None) -> Verdict:
    return verdict_from_columns(
        outcome=outcome, success=success, reward=reward, threshold=threshold
    )
