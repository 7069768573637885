"""mini-swe-agent: `.traj.json` files, labelled by the SWE-bench report near them.

`messages` is the conversation. Since format 1.1 an assistant message carries its parsed actions in
`extra.actions`, an observation its exit code in `extra.returncode`, and a last message of role
`exit` ends the run. In format 1 actions are a fenced block and observations plain user messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.peek import has_keys, peek
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.readers.swebench import predicted_by, swebench_verdict
from twiceshy.attempts.readers.verdicts import broken
from twiceshy.attempts.types import Attempt, BrokenKind, Step, ToolCall, Unreadable, Verdict

_OWN_DOING = {"Submitted", "RepeatedFormatError", "UserInterruption", "FormatError"}
_LIMITS = {"LimitsExceeded", "TimeExceeded", "ContextWindowExceededError"}
_FENCED = re.compile(r"```(?:bash|sh|mswea_bash_command)\s*\n(.*?)\n?```", re.DOTALL)
_RETURNCODE = re.compile(r"\s*<returncode>(-?\d+)</returncode>")


class MiniSweAgent:
    """Reader for mini-swe-agent trajectories."""

    name: Literal["mini_swe_agent"] = "mini_swe_agent"

    def matches(self, source: Source) -> bool:
        """Whether the object says its format, or has its `info` and comes in a `.traj.json`."""
        is_named = ".traj.json" in source.path.name
        for found in peek(source)[:1]:
            stated = found.get("trajectory_format") or ""
            if stated.startswith("mini-swe-agent"):
                return True
            return is_named and has_keys(found, "info") and "trajectory" not in found
        return False

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield the file's one attempt."""
        record = parts.whole_record(source)
        yield (
            record
            if isinstance(record, Unreadable)
            else _attempt(source, record=record, options=options)
        )


def _attempt(source: Source, *, record: Record, options: ReadOptions) -> Attempt | Unreadable:
    messages = record.get("messages")
    if not isinstance(messages, list):
        wanted = "a mini-swe-agent file with messages"
        return parts.missing(source, 1, expected=wanted, got=parts.names(record))
    info = parts.as_dict(record.get("info"))
    steps = _steps(messages)
    task = _task(source, record=record, steps=steps)
    status = parts.as_text(info.get("exit_status"))
    model = parts.as_dict(parts.as_dict(info.get("config")).get("model"))
    named = parts.as_text(model.get("model_name")) or predicted_by(source.path, instance=task)
    return Attempt(
        task=task,
        verdict=_verdict(source, task=task, status=status),
        policy=named or options.policy or "unknown",
        prompt=parts.first_user_text(steps),
        steps=steps,
        answer=parts.as_text(info.get("submission")),
        ending=status,
        truncated=status in _LIMITS if status else None,
        provenance=parts.provenance(source, 1, format="mini_swe_agent"),
        extra=parts.kept(info, names=("model_stats", "mini_version")),
    )


def _task(source: Source, *, record: Record, steps: tuple[Step, ...]) -> str:
    instance = parts.as_text(record.get("instance_id"))
    stem = source.path.name.split(".traj")[0]
    prompt = parts.first_user_text(steps)
    if instance or "__" in stem or prompt is None:
        return instance or stem
    return parts.task_of_prompt(prompt)


def _verdict(source: Source, *, task: str, status: str | None) -> Verdict:
    said = swebench_verdict(source.path, instance=task)
    kind = _broken_kind(status) if status else None
    if kind is None or said.broken is not None:
        return said
    return broken(kind, reason=f"exit status {status}", recorded=said)


def _broken_kind(status: str) -> BrokenKind | None:
    """Return the fault that an exit status stands for; it is the name of an exception.

    Example:
        >>> _broken_kind("LimitsExceeded"), _broken_kind("Submitted"), _broken_kind("APIError")
        ('limit', None, 'tool_crash')
    """
    if status in _OWN_DOING:
        return None
    if status in _LIMITS:
        return "limit"
    if "ContentPolicy" in status:
        return "refusal"
    return "timeout" if "Timeout" in status else "tool_crash"


def _steps(messages: list[object]) -> tuple[Step, ...]:
    steps: list[Step] = []
    is_awaited = False
    for value in messages:
        message = parts.as_dict(value)
        if message.get("role") == "exit":
            break
        step = _observation(message, is_awaited=is_awaited) or _said(message)
        if step is not None:
            steps.append(step)
            is_awaited = bool(step.calls)
    return tuple(steps)


def _said(message: Record) -> Step | None:
    """Return a message by the system, the user or the policy, with the actions it asks for."""
    if "output" in message and "role" not in message:
        return _response(message)
    step = parts.chat_step({**message, "timestamp": _time(message)})
    if step is None or step.role != "assistant" or step.calls:
        return step
    calls = _actions(message) or tuple(_call(text) for text in _FENCED.findall(step.text)[:1])
    return Step(
        role="assistant", text=step.text, reasoning=step.reasoning, calls=calls, time=step.time
    )


def _response(message: Record) -> Step:
    """Return what a Responses API object says: its messages' text, and the parsed actions."""
    outputs = [parts.as_dict(one) for one in parts.as_list(message.get("output"))]
    texts = [parts.content_text(one.get("content")) for one in outputs]
    text = "\n".join(text for text in texts if text)
    return Step(role="assistant", text=text, calls=_actions(message), time=_time(message))


def _actions(message: Record) -> tuple[ToolCall, ...]:
    raw = parts.as_list(parts.as_dict(message.get("extra")).get("actions"))
    actions = [parts.as_dict(one) for one in raw]
    return tuple(
        _call(action["command"], call_id=parts.as_id(action.get("tool_call_id")))
        for action in actions
        if isinstance(action.get("command"), str)
    )


def _call(command: str, *, call_id: str | None = None) -> ToolCall:
    return ToolCall(name="bash", arguments={"command": command}, id=call_id)


def _observation(message: Record, *, is_awaited: bool) -> Step | None:
    """Return the reply to an action, whichever way the format version writes it."""
    extra = parts.as_dict(message.get("extra"))
    text = parts.content_text(message.get("content", message.get("output")))
    stated = _RETURNCODE.match(text) if is_awaited and message.get("role") == "user" else None
    code = int(stated.group(1)[:10]) if stated else extra.get("returncode")
    is_reply = message.get("role") == "tool" or message.get("type") == "function_call_output"
    if not is_reply and stated is None and "returncode" not in extra:
        return None
    call_id = message.get("tool_call_id", message.get("call_id"))
    return Step(
        role="tool",
        text=text,
        call_id=parts.as_id(call_id),
        name="bash",
        error=_error(code, raised=parts.as_text(extra.get("exception_info"))),
        time=_time(message),
    )


def _error(code: object, *, raised: str | None) -> str | None:
    if raised:
        return parts.first_line(raised)
    return f"returncode {code}" if isinstance(code, int) and code != 0 else None


def _time(message: Record) -> str | None:
    return parts.iso_time(parts.as_dict(message.get("extra")).get("timestamp"))
