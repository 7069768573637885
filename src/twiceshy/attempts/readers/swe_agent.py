"""SWE-agent: one `.traj` file per instance, labelled by the SWE-bench report near it.

`trajectory` holds the steps (thought, action, observation), `info` how the run ended. The prompt is
in `history`, or since version 1.1 in the first step's `query`.
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

_BROKEN: dict[str, BrokenKind] = {
    "exit_cost": "limit",
    "exit_context": "limit",
    "exit_total_execution_time": "limit",
    "exit_command_timeout": "timeout",
    "exit_api": "tool_crash",
    "exit_environment_error": "tool_crash",
    "exit_error": "tool_crash",
    "early_exit": "tool_crash",
}
"""`exit_format`, `exit_forfeit` and `exit_command` are the policy's own doing."""
_STATUS = re.compile(r"\w+")


class SweAgent:
    """Reader for SWE-agent trajectories."""

    name: Literal["swe_agent"] = "swe_agent"

    def matches(self, source: Source) -> bool:
        """Whether it is a `.traj` file, or an object that has a trajectory with a history."""
        for found in peek(source)[:1]:
            if has_keys(found, "trajectory", "history") or has_keys(found, "trajectory", "info"):
                return "messages" not in found
            is_named = source.path.name.split(".gz")[0].endswith(".traj")
            return is_named and ("trajectory" in found or "attempts" in found)
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
    trajectory = record.get("trajectory")
    if not isinstance(trajectory, list):
        wanted = "a SWE-agent file with a trajectory"
        return parts.missing(source, 1, expected=wanted, got=parts.names(record))
    info = parts.as_dict(record.get("info"))
    opening = _opening(record, trajectory=trajectory)
    status = parts.as_id(info.get("exit_status"))
    task = source.path.name.split(".traj")[0]
    return Attempt(
        task=task,
        verdict=_verdict(source, task=task, status=status),
        policy=_policy(source, task=task, record=record) or options.policy or "unknown",
        prompt=parts.first_user_text(opening),
        steps=opening + tuple(step for one in trajectory for step in _steps(one)),
        answer=parts.as_text(info.get("submission")),
        ending=status,
        truncated=_BROKEN.get(_last_word(status)) == "limit" if status else None,
        provenance=parts.provenance(source, 1, format="swe_agent"),
        extra=_extra(record, info=info),
    )


def _last_word(status: str | None) -> str:
    """Return the fault of `submitted (exit_cost)`, or the status itself.

    Example:
        >>> _last_word("submitted (exit_cost)"), _last_word(None)
        ('exit_cost', '')
    """
    words = _STATUS.findall(status or "")
    return words[-1] if words else ""


def _verdict(source: Source, *, task: str, status: str | None) -> Verdict:
    said = swebench_verdict(source.path, instance=task)
    kind = _BROKEN.get(_last_word(status))
    if kind is None or said.broken is not None:
        return said
    return broken(kind, reason=f"exit status {status}", recorded=said)


def _policy(source: Source, *, task: str, record: Record) -> str | None:
    config = parts.as_dict(parts.arguments(record.get("replay_config")))
    model = parts.as_dict(parts.as_dict(config.get("agent")).get("model"))
    return parts.as_text(model.get("name")) or predicted_by(source.path, instance=task)


def _opening(record: Record, *, trajectory: list[object]) -> tuple[Step, ...]:
    """Return the messages before the first action: system, demonstrations left out, and task."""
    first = parts.as_dict(trajectory[0]) if trajectory else {}
    query = parts.as_list(first.get("query"))
    messages = query or parts.as_list(record.get("history"))
    opening: list[Step] = []
    for message in messages:
        step = parts.chat_step(message)
        if step is None or parts.as_dict(message).get("is_demo"):
            continue
        if step.role not in ("system", "user"):
            break
        opening.append(Step(role=step.role, text=step.text))
    return tuple(opening)


def _steps(value: object) -> Iterator[Step]:
    raw = parts.as_dict(value)
    action = parts.as_text(raw.get("action"))
    thought = parts.as_text(raw.get("thought")) or parts.as_text(raw.get("response")) or ""
    if action or thought:
        yield Step(role="assistant", text=thought, calls=_calls(action))
    observation = raw.get("observation")
    if action and isinstance(observation, str):
        yield Step(role="tool", text=observation)


def _calls(action: str | None) -> tuple[ToolCall, ...]:
    """Return the action as a call of its first word, the whole text kept as the command."""
    if action is None or not action.split():
        return ()
    return (ToolCall(name=action.split()[0], arguments={"command": action.strip()}),)


def _extra(record: Record, *, info: Record) -> Record:
    extra = parts.kept(info, names=("model_stats", "swe_agent_version"))
    if attempts := parts.as_list(record.get("attempts")):
        extra["attempts_in_file"] = len(attempts)
    return extra
