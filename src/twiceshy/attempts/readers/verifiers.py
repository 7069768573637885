"""Verifiers: `results.jsonl` of an evaluation, and `traces.jsonl` of the first-version stack.

A line of `results.jsonl` is one rollout with its reward; `metadata.json` beside it names the
environment and the model. A line of `traces.jsonl` is an episode that holds one trace per agent, or
a bare trace. A trace is a graph of messages; the branch that ends last is the attempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.peek import has_keys, peek
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.readers.verdicts import broken, verdict_from_reward
from twiceshy.attempts.readers.verifiers_traces import (
    LIMITS,
    fault_of,
    looks_like_trace,
    read_traces,
)
from twiceshy.attempts.types import Attempt, Step, Unreadable, Verdict


class Verifiers:
    """Reader for verifiers evaluations and traces."""

    name: Literal["verifiers"] = "verifiers"

    def matches(self, source: Source) -> bool:
        """Whether the first object is a rollout, an episode or a trace."""
        for found in peek(source)[:1]:
            if has_keys(found, "example_id", "prompt", "completion", "reward"):
                return True
            return looks_like_trace(found, file_name=source.path.name)
        return False

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield one attempt per rollout or trace."""
        beside = _metadata(source)
        seen: Counter[str] = Counter()
        for line, record in parts.line_records(source):
            if isinstance(record, Unreadable):
                yield record
            elif "traces" in record or "nodes" in record:
                yield from read_traces(source, line, record=record, options=options)
            else:
                task = _task(record, beside=beside)
                seen[task or ""] += 1
                context = _Context(beside, task=task, nth=seen[task or ""], options=options)
                yield _rollout(source, line, record=record, context=context)


def _metadata(source: Source) -> Record:
    path = source.path.parent / "metadata.json"
    try:
        found = parts.decode(path.read_bytes(), where=str(path))
    except OSError:
        return {}
    return {} if isinstance(found, Unreadable) else found


class _Context(NamedTuple):
    beside: Record
    task: str | None
    nth: int
    """Which rollout of the task this is, from 1, in the order of the file."""
    options: ReadOptions


def _task(record: Record, *, beside: Record) -> str | None:
    example = parts.as_id(record.get("example_id"))
    env = parts.as_text(record.get("task")) or parts.as_text(beside.get("env_id"))
    return f"{env}/{example}" if env and example else example


def _rollout(
    source: Source, line: int, *, record: Record, context: _Context
) -> Attempt | Unreadable:
    if context.task is None or "reward" not in record:
        wanted = "a rollout with example_id and reward"
        return parts.missing(source, line, expected=wanted, got=parts.names(record))
    prompt = parts.chat_steps(record.get("prompt"))
    if isinstance(record.get("prompt"), str):
        prompt = (Step(role="user", text=record["prompt"]),)
    stop = parts.as_text(record.get("stop_condition"))
    options = context.options
    return Attempt(
        task=context.task,
        verdict=_rollout_verdict(record, stop=stop, options=options),
        policy=parts.as_text(context.beside.get("model")) or options.policy or "unknown",
        trial=str(context.nth),
        prompt=parts.first_user_text(prompt),
        steps=prompt + parts.chat_steps(record.get("completion")),
        ending=stop,
        truncated=parts.as_flag(record.get("is_truncated")),
        provenance=parts.provenance(source, line, format="verifiers"),
        extra=parts.kept(record, names=("answer", "info", "metrics", "token_usage")),
    )


def _rollout_verdict(record: Record, *, stop: str | None, options: ReadOptions) -> Verdict:
    said = _declared(record, options=options)
    if record.get("error") is not None:
        fault = fault_of(record["error"])
        return broken(fault.kind, reason=fault.reason, recorded=said)
    if stop in LIMITS:
        return broken("limit", reason=f"stopped by {stop}", recorded=said)
    return said


def _declared(record: Record, *, options: ReadOptions) -> Verdict:
    name = options.mapping.get("reward") or options.mapping.get("success") or "reward"
    value = record.get(name, parts.as_dict(record.get("metrics")).get(name))
    return verdict_from_reward(value, threshold=options.threshold, source="verifier", evidence=name)
