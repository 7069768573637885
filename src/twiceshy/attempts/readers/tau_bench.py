"""τ-bench results: a list of `{task_id, reward, info, traj, trial}`, as its `run.py` saves them.

A tool's error comes as plain text that begins with "Error"; that text becomes `Step.error`. A run
that stopped at the step limit has no `reward_info` (nobody computed a reward) and a recorded reward
of 0; a run that crashed has `info.error`. Gold actions and the reward's details are kept in `extra`
for audits and are never part of the steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from twiceshy.attempts.classify import broken_kind_of_text
from twiceshy.attempts.readers import parts, records
from twiceshy.attempts.readers.peek import has_keys
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.readers.verdicts import broken, verdict_from_reward
from twiceshy.attempts.types import Attempt, Step, Unreadable, Verdict

_STOP = "###STOP###"
_KNOWN = frozenset({"task_id", "reward", "info", "traj", "trial"})


class TauBench:
    """Reader for the result files of τ-bench."""

    name: Literal["tau_bench"] = "tau_bench"

    def matches(self, source: Source) -> bool:
        """Whether the first record has the keys of a τ-bench result."""
        found = records.first_keys(source)
        return has_keys(found, "task_id", "reward", "info") and "termination_reason" not in found

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield one attempt per element of the list."""
        for number, data in records.raw_records(source):
            record = parts.decode(data, where=f"{source.label}:{number}")
            if isinstance(record, Unreadable):
                yield record
            else:
                yield _attempt(source, number, record=record, options=options)


def _attempt(
    source: Source, number: int, *, record: dict[str, Any], options: ReadOptions
) -> Attempt | Unreadable:
    task_id = parts.as_id(record.get("task_id"))
    if task_id is None or not isinstance(record.get("traj"), list):
        wanted = "a τ-bench result with task_id and traj"
        return parts.missing(source, number, expected=wanted, got=", ".join(sorted(record)[:8]))
    info = parts.as_dict(record.get("info"))
    task = parts.as_dict(info.get("task"))
    steps = tuple(_with_error(step) for step in parts.chat_steps(record["traj"]))
    ending, verdict = _ending_and_verdict(record, info=info, steps=steps, options=options)
    return Attempt(
        task=task_id,
        policy=parts.as_text(record.get("model")) or options.policy or "unknown",
        trial=parts.as_id(record.get("trial")),
        prompt=parts.as_text(task.get("instruction")),
        steps=steps,
        verdict=verdict,
        ending=ending,
        provenance=parts.provenance(source, number, format="tau_bench"),
        extra=_extra(record, info=info, task=task),
    )


def _with_error(step: Step) -> Step:
    if step.role == "tool" and step.text.startswith("Error"):
        return msgspec.structs.replace(step, error=step.text)
    return step


def _ending_and_verdict(
    record: dict[str, Any], *, info: dict[str, Any], steps: tuple[Step, ...], options: ReadOptions
) -> tuple[str, Verdict]:
    recorded = verdict_from_reward(
        record.get("reward"), threshold=options.threshold, source="test", evidence="database state"
    )
    error = parts.as_text(info.get("error"))
    if error is not None:
        kind = broken_kind_of_text(error) or "tool_crash"
        return "error", broken(kind, reason=parts.first_line(error), recorded=recorded)
    if any(step.role == "user" and _STOP in step.text for step in steps):
        return "user_stop", recorded
    if "reward_info" in info and info["reward_info"] is None:
        n_turns = sum(step.role == "assistant" for step in steps)
        reason = f"stopped at {n_turns} assistant messages before the reward was computed"
        return "max_steps", broken("limit", reason=reason, recorded=recorded)
    return "agent_stop", recorded


def _extra(record: dict[str, Any], *, info: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    extra = {name: value for name, value in record.items() if name not in _KNOWN}
    if "actions" in task:
        extra["gold_actions"] = task["actions"]
    if task.get("outputs"):
        extra["gold_outputs"] = task["outputs"]
    if info.get("reward_info") is not None:
        extra["reward_info"] = info["reward_info"]
    return extra
