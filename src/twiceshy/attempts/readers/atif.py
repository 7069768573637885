"""ATIF, the Agent Trajectory Interchange Format 1.2 to 1.7, with Harbor's trial result beside it.

The format has no reward: without a trial result every attempt is `unscored`. A long run is split
into `trajectory.json` and `trajectory.cont-1.json`, ...; the parts are read as one attempt.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.harbor import trial_of
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.peek import peek
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.types import Attempt, Role, Step, ToolCall, Unreadable

_ROLES: dict[str, Role] = {"system": "system", "user": "user", "agent": "assistant"}
_MAX_PARTS = 1000


class Atif:
    """Reader for ATIF trajectories."""

    name: Literal["atif"] = "atif"

    def matches(self, source: Source) -> bool:
        """Whether the object states an ATIF schema version."""
        stated = [found.get("schema_version") or "" for found in peek(source)[:1]]
        return any(version.startswith("ATIF-v1.") for version in stated)

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield the file's one attempt; a continuation is reported, not read on its own."""
        record = parts.whole_record(source)
        if isinstance(record, Unreadable):
            yield record
        elif (first := _first_part(source.path)) is not None:
            yield parts.missing(
                source,
                1,
                expected="a trajectory's first part",
                got=f"a continuation, which is read with {first.name}",
            )
        else:
            yield _attempt(source, record=record, options=options)


def _first_part(path: Path) -> Path | None:
    stem, is_continued, _ = path.name.partition(".cont-")
    first = path.with_name(f"{stem}.json")
    return first if is_continued and first.is_file() else None


def _attempt(source: Source, *, record: Record, options: ReadOptions) -> Attempt | Unreadable:
    if not isinstance(record.get("steps"), list):
        wanted = "an ATIF trajectory with steps"
        return parts.missing(source, 1, expected=wanted, got=parts.names(record))
    raw = _all_steps(source.path, record=record)
    steps = tuple(step for one in raw for step in _steps(one))
    trial = trial_of(source.path, options=options)
    prompt = parts.first_user_text(steps)
    task = trial.task or (parts.task_of_prompt(prompt) if prompt else None)
    tokens = _tokens(raw)
    return Attempt(
        task=task or source.path.stem,
        verdict=trial.verdict,
        policy=_policy(record) or options.policy or "unknown",
        trial=trial.name or parts.as_text(record.get("session_id")),
        prompt=prompt,
        steps=steps,
        ending=trial.ending,
        truncated=True if trial.verdict.broken == "limit" else None,
        token_ids=tokens.ids,
        logprobs=tokens.logprobs,
        provenance=parts.provenance(source, 1, format="atif"),
        extra=trial.extra | _extra(record),
    )


def _all_steps(path: Path, *, record: Record) -> list[Record]:
    """Return the steps of a trajectory and its continuations, repeated context left out."""
    steps: list[object] = []
    seen: set[Path] = {path}
    for _ in range(_MAX_PARTS):
        steps += parts.as_list(record.get("steps"))
        name = parts.as_text(record.get("continued_trajectory_ref"))
        following = path.with_name(Path(name).name) if name and Path(name).name else path
        if following in seen:
            break
        seen.add(following)
        record = _load(following)
    found = [parts.as_dict(step) for step in steps]
    return [step for step in found if step.get("is_copied_context") is not True]


def _load(path: Path) -> Record:
    try:
        found = parts.decode(path.read_bytes(), where=str(path))
    except (OSError, ValueError):
        return {}
    return {} if isinstance(found, Unreadable) else found


def _steps(raw: Record) -> Iterator[Step]:
    role = _ROLES.get(str(raw.get("source")))
    if role is None:
        return
    time = parts.iso_time(raw.get("timestamp"))
    calls = tuple(_calls(raw))
    yield Step(
        role=role,
        text=parts.content_text(raw.get("message")),
        reasoning=parts.as_text(raw.get("reasoning_content")) or "",
        calls=calls,
        time=time,
    )
    named = {call.id: call.name for call in calls}
    for result in parts.as_list(parts.as_dict(raw.get("observation")).get("results")):
        found = parts.as_dict(result)
        call_id = parts.as_id(found.get("source_call_id"))
        yield _reply(found, call_id=call_id, name=named.get(call_id), time=time)


def _calls(raw: Record) -> Iterator[ToolCall]:
    for value in parts.as_list(raw.get("tool_calls")):
        call = parts.as_dict(value)
        name = parts.as_text(call.get("function_name"))
        if name is not None:
            given = parts.arguments(call.get("arguments"))
            yield ToolCall(name=name, arguments=given, id=parts.as_id(call.get("tool_call_id")))


def _reply(found: Record, *, call_id: str | None, name: str | None, time: str | None) -> Step:
    text = parts.content_text(found.get("content"))
    is_error = parts.as_dict(found.get("extra")).get("is_error") is True
    return Step(
        role="tool" if call_id is not None else "environment",
        text=text,
        call_id=call_id,
        name=name,
        error=(parts.first_line(text) or "error") if is_error else None,
        time=time,
    )


class _Tokens(NamedTuple):
    ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None


def _tokens(raw: list[Record]) -> _Tokens:
    """Return the sampled tokens, when every step by the agent has them."""
    metrics = [parts.as_dict(step.get("metrics")) for step in raw if step.get("source") == "agent"]
    per_step = [parts.as_list(one.get("completion_token_ids")) for one in metrics]
    ids = [token for tokens in per_step for token in tokens if isinstance(token, int)]
    if not per_step or not all(per_step):
        return _Tokens(None, None)
    values = [value for one in metrics for value in parts.as_list(one.get("logprobs"))]
    logprobs = [float(value) for value in values if isinstance(value, int | float)]
    return _Tokens(tuple(ids), tuple(logprobs) if len(logprobs) == len(ids) else None)


def _policy(record: Record) -> str | None:
    agent = parts.as_dict(record.get("agent"))
    named = [parts.as_text(agent.get(key)) for key in ("name", "version", "model_name")]
    return " ".join(name for name in named if name) or None


def _extra(record: Record) -> Record:
    extra = parts.kept(record, names=("notes", "schema_version", "final_metrics"))
    if subagents := parts.as_list(record.get("subagent_trajectories")):
        extra["subagent_trajectories"] = len(subagents)
    return extra
