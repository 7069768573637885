"""Codex: one session per `rollout-*.jsonl`, lines of `{timestamp, type, payload}`.

`response_item` lines are the conversation; `event_msg` lines tell the same things again for the
screen. Messages, calls and results are taken from the former; the latter only add exit codes, the
user's own prompt and how the turn ended. Nobody judges a session, so the verdict is `unscored`
unless it ended in an error of the service or the sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.peek import has_keys, peek
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.readers.verdicts import broken, unscored
from twiceshy.attempts.types import Attempt, BrokenKind, Step, ToolCall, Unreadable, Verdict

NO_JUDGEMENT = "a session log holds no judgement"
_TYPES = {"session_meta", "response_item", "event_msg", "turn_context", "compacted"}
_HEADER = re.compile(
    r"(?:Chunk ID: \S+\n)?(?:Wall time: [^\n]*\n)?"
    r"(?:Exit code:|Process exited with code) (-?\d{1,9})\n"
)
"""The lines that Codex itself puts before a command's output."""
_ERRORS: dict[str, BrokenKind] = {
    "context_window_exceeded": "limit",
    "usage_limit_exceeded": "refusal",
    "unauthorized": "refusal",
    "server_overloaded": "refusal",
}
_INJECTED = ("<environment_context>", "<user_instructions>", "# AGENTS.md", "<permissions")


@dataclass(slots=True)
class _Session:
    """What has been read of a session so far."""

    steps: list[Step] = field(default_factory=list)
    prompt: str | None = None
    model: str | None = None
    meta: Record = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    """Call id to what the event about its end types as an error."""
    names: dict[str, str] = field(default_factory=dict)
    ending: str | None = None
    error: Record = field(default_factory=dict)
    """The latest error event."""
    compactions: int = 0
    times: list[str] = field(default_factory=list)


class Codex:
    """Reader for Codex rollouts."""

    name: Literal["codex"] = "codex"

    def matches(self, source: Source) -> bool:
        """Whether the first line is a rollout line of a known type."""
        return any(
            has_keys(found, "timestamp", "payload") and found.get("type") in _TYPES
            for found in peek(source)[:1]
        )

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield what cannot be read, then the session as one attempt."""
        session = _Session()
        for _, record in parts.line_records(source):
            if isinstance(record, Unreadable):
                yield record
            else:
                _take(session, record)
        yield _attempt(source, session=session, options=options)


def _take(session: _Session, record: Record) -> None:
    payload = parts.as_dict(record.get("payload"))
    time = parts.as_text(record.get("timestamp"))
    if time is not None:
        session.times[1:] = [time]
    match record.get("type"):
        case "session_meta":
            session.meta = session.meta or payload
        case "turn_context":
            session.model = session.model or parts.as_text(payload.get("model"))
        case "response_item":
            _take_item(session, payload, time=time)
        case "event_msg":
            _take_event(session, payload)
        case "compacted":
            session.compactions += 1


def _take_item(session: _Session, item: Record, *, time: str | None) -> None:
    match item.get("type"):
        case "message":
            if (step := _message(item, time=time)) is not None:
                session.steps.append(step)
        case "reasoning":
            text = parts.content_text(item.get("summary")) or parts.content_text(
                item.get("content")
            )
            if text:
                session.steps.append(Step(role="assistant", reasoning=text, time=time))
        case "function_call" | "custom_tool_call" | "local_shell_call":
            call = _call(item)
            session.names[call.id or ""] = call.name
            session.steps.append(Step(role="assistant", calls=(call,), time=time))
        case "function_call_output" | "custom_tool_call_output":
            session.steps.append(_reply(item, names=session.names, time=time))


def _message(item: Record, *, time: str | None) -> Step | None:
    step = parts.chat_step({**item, "timestamp": time})
    if step is None or step.role != "user" or not step.text.startswith(_INJECTED):
        return step
    return Step(role="environment", text=step.text, time=time)


def _call(item: Record) -> ToolCall:
    call_id = parts.as_id(item.get("call_id"))
    if item.get("type") == "local_shell_call":
        action = parts.as_dict(item.get("action"))
        given = {key: action[key] for key in ("command", "timeout_ms") if key in action}
        return ToolCall(name="local_shell", arguments=given, id=call_id)
    name = parts.as_text(item.get("name")) or "unnamed"
    return ToolCall(
        name=name, arguments=parts.arguments(item.get("arguments", item.get("input"))), id=call_id
    )


def _reply(item: Record, *, names: dict[str, str], time: str | None) -> Step:
    output = item.get("output")
    wrapped = _unwrapped(output)
    text = parts.content_text(output if wrapped is None else wrapped.get("output"))
    code = parts.as_dict(parts.as_dict(wrapped).get("metadata")).get("exit_code")
    if code is None and (header := _HEADER.match(text)):
        code = int(header.group(1))
    is_failure = parts.as_dict(output).get("success") is False
    call_id = parts.as_id(item.get("call_id"))
    return Step(
        role="tool",
        text=text,
        call_id=call_id,
        name=names.get(call_id or ""),
        error=_exit(code) or ("success: false" if is_failure else None),
        time=time,
    )


def _unwrapped(output: object) -> Record | None:
    """Return the JSON in which older versions wrap an output with its exit code, if it is that."""
    if not isinstance(output, str) or not output.startswith("{"):
        return None
    found = parts.as_dict(parts.arguments(output))
    return found if "exit_code" in parts.as_dict(found.get("metadata")) else None


def _exit(code: object) -> str | None:
    is_failure = isinstance(code, int) and not isinstance(code, bool) and code != 0
    return f"exit code {code}" if is_failure else None


def _take_event(session: _Session, event: Record) -> None:
    call_id = parts.as_id(event.get("call_id")) or ""
    match event.get("type"):
        case "user_message":
            session.prompt = session.prompt or parts.as_text(event.get("message"))
        case "exec_command_end":
            if fault := _exit(event.get("exit_code")):
                session.faults[call_id] = fault
        case "patch_apply_end":
            if event.get("success") is False:
                session.faults[call_id] = "patch failed"
        case "mcp_tool_call_end":
            if fault := _mcp_error(parts.as_dict(event.get("result"))):
                session.faults[call_id] = fault
        case "task_complete" | "turn_complete":
            session.ending = "task_complete"
        case "turn_aborted":
            session.ending = f"turn_aborted: {parts.as_text(event.get('reason')) or 'unknown'}"
        case "error":
            session.ending = "error"
            session.error = event


def _mcp_error(result: Record) -> str | None:
    if isinstance(result.get("Err"), str):
        return parts.first_line(result["Err"]) or "error"
    done = parts.as_dict(result.get("Ok"))
    if done.get("is_error") is True or done.get("isError") is True:
        return parts.first_line(parts.content_text(done.get("content"))) or "error"
    return None


def _attempt(source: Source, *, session: _Session, options: ReadOptions) -> Attempt | Unreadable:
    steps = tuple(_with_fault(step, faults=session.faults) for step in session.steps)
    if not steps:
        return parts.missing(source, 1, expected="a session with response items")
    prompt = session.prompt or parts.first_user_text(steps)
    return Attempt(
        task=parts.task_of_prompt(prompt) if prompt else source.path.stem,
        verdict=_verdict(session),
        policy=session.model or options.policy or "unknown",
        trial=parts.as_text(session.meta.get("id")),
        prompt=prompt,
        steps=steps,
        ending=session.ending,
        provenance=parts.provenance(source, 1, format="codex"),
        extra=_extra(session),
    )


def _with_fault(step: Step, *, faults: dict[str, str]) -> Step:
    if step.role != "tool" or step.error is not None or (step.call_id or "") not in faults:
        return step
    return msgspec.structs.replace(step, error=faults[step.call_id or ""])


def _verdict(session: _Session) -> Verdict:
    if session.ending != "error":
        return unscored(NO_JUDGEMENT)
    info = session.error.get("codex_error_info")
    name = parts.as_text(info) or next(iter(parts.as_dict(info)), "error")
    message = parts.first_line(parts.as_text(session.error.get("message")) or "")
    return broken(_ERRORS.get(name, "tool_crash"), reason=f"{name}: {message}")


def _extra(session: _Session) -> Record:
    extra = parts.kept(session.meta, names=("cli_version", "model_provider"))
    if session.compactions:
        extra["compactions"] = session.compactions
    if session.times:
        extra |= {"started_at": session.times[0], "ended_at": session.times[-1]}
    return extra
