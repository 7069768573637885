"""τ²-bench: a results file (`info`, `tasks`, `simulations`) or one simulation per file.

The task's name carries the domain where it is known, because every domain numbers its tasks from 0.
Calls that the simulated user makes on its own phone are not the policy's: they are kept in
`Step.extra["user_calls"]`, and their replies are `environment` steps.

Which endings are the world's: `max_steps` and `context_window_exceeded` (limit), `timeout`,
`infrastructure_error` (refusal), `user_error` and `unexpected_error` (crash). `too_many_errors` and
`agent_error` are the policy's. A run that was rewarded in spite of its ending stays a success.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from twiceshy.attempts.readers import parts, records
from twiceshy.attempts.readers.peek import has_keys
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.readers.verdicts import broken, verdict_from_reward
from twiceshy.attempts.types import Attempt, BrokenKind, Outcome, Step, Unreadable, Verdict

_BROKEN: dict[str, BrokenKind] = {
    "max_steps": "limit",
    "context_window_exceeded": "limit",
    "timeout": "timeout",
    "infrastructure_error": "refusal",
    "user_error": "tool_crash",
    "unexpected_error": "tool_crash",
}
_KNOWN = frozenset({"task_id", "trial", "messages", "termination_reason", "reward_info"})


class Tau2Bench:
    """Reader for τ²-bench results."""

    name: Literal["tau2_bench"] = "tau2_bench"

    def matches(self, source: Source) -> bool:
        """Whether the file begins like a results file or like one simulation."""
        found = records.first_keys(source)
        if has_keys(found, "task_id", "termination_reason"):
            return True
        return has_keys(found, "info", "tasks") and b'"agent_info"' in source.head

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield one attempt per simulation."""
        first = records.first_keys(source)
        if has_keys(first, "task_id", "termination_reason"):
            run = _run_beside(source.path.parent.parent / "results.json")
            with source.open() as file:
                yield _read_one(source, 1, data=file.read(), run=run, options=options)
            return
        with source.open() as file:
            data = file.read()
        run, simulations = _opened(data)
        for number, one in enumerate(simulations, start=1):
            yield _read_one(source, number, data=one, run=run, options=options)


class _Run(NamedTuple):
    """What a results file says about all its simulations."""

    policy: str | None = None
    domain: str | None = None
    tasks: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - never changed


class _Results(msgspec.Struct):
    info: dict[str, Any] = {}
    tasks: list[Any] = []
    simulations: list[msgspec.Raw] | None = None


_results = msgspec.json.Decoder(_Results)


def _opened(data: bytes) -> tuple[_Run, Iterator[bytes]]:
    try:
        found = _results.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        start = data.find(b'"simulations"')
        begin = data.find(b"[", start) + 1 if start >= 0 else len(data)
        return _run_of_damaged(data[: max(start, 0)]), records.split(data, start=begin or len(data))
    raw = found.simulations or []
    return _run(found.info, tasks=found.tasks), iter([bytes(one) for one in raw])


def _run_of_damaged(head: bytes) -> _Run:
    """Read what stands before the simulations, when that part is whole."""
    repaired = head.rstrip().removesuffix(b",") + b"}"
    try:
        found = _results.decode(repaired)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _Run()
    return _run(found.info, tasks=found.tasks)


def _run(info: dict[str, Any], *, tasks: list[Any]) -> _Run:
    agent = parts.as_dict(info.get("agent_info"))
    return _Run(
        policy=parts.as_text(agent.get("llm")) or parts.as_text(agent.get("implementation")),
        domain=parts.as_text(parts.as_dict(info.get("environment_info")).get("domain_name")),
        tasks={
            name: task
            for task in tasks
            if isinstance(task, dict) and (name := parts.as_id(task.get("id"))) is not None
        },
    )


@lru_cache(maxsize=4)
def _run_beside(path: Path) -> _Run:
    try:
        return _opened(path.read_bytes())[0]
    except OSError:
        return _Run()


def _read_one(
    source: Source, number: int, *, data: bytes, run: _Run, options: ReadOptions
) -> Attempt | Unreadable:
    record = parts.decode(data, where=f"{source.label}:{number}")
    if isinstance(record, Unreadable):
        return record
    task_id = parts.as_id(record.get("task_id"))
    messages: object = record.get("messages")
    if messages is None and not record.get("ticks"):
        messages = ()  # it ended before the first message
    if task_id is None or not isinstance(messages, (list, tuple)):
        wanted = "a simulation with task_id and messages"
        return parts.missing(source, number, expected=wanted, got=", ".join(sorted(record)[:8]))
    ending = parts.as_text(record.get("termination_reason"))
    extra = {k: v for k, v in record.items() if k not in _KNOWN and v is not None}
    extra |= _gold(run.tasks.get(task_id, {}))
    if record.get("reward_info") is not None:
        extra["reward_info"] = record["reward_info"]
    return Attempt(
        task=f"{run.domain}/{task_id}" if run.domain else task_id,
        policy=run.policy or options.policy or "unknown",
        trial=parts.as_id(record.get("trial")),
        prompt=_prompt(run.tasks.get(task_id, {})),
        steps=tuple(step for message in messages for step in _steps(message)),
        verdict=_verdict(record, ending=ending, options=options),
        ending=ending,
        provenance=parts.provenance(source, number, format="tau2_bench"),
        extra=extra,
    )


def _verdict(record: dict[str, Any], *, ending: str | None, options: ReadOptions) -> Verdict:
    reward = parts.as_dict(record.get("reward_info")).get("reward")
    recorded = verdict_from_reward(
        reward, threshold=options.threshold, source="test", evidence="reward_info"
    )
    kind = _BROKEN.get(ending or "")
    if kind is None or recorded.outcome is Outcome.SUCCESS:
        return recorded
    return broken(kind, reason=f"ended with {ending}", recorded=recorded)


def _steps(message: object) -> Iterator[Step]:
    found = parts.as_dict(message)
    grouped = found.get("tool_messages")
    if isinstance(grouped, list):
        for one in grouped:
            yield from _steps(one)
        return
    step = parts.chat_step(found)
    if step is None:
        return
    by_user = found.get("requestor") == "user"
    if step.role == "tool":
        error = (parts.first_line(step.text) or "error") if found.get("error") is True else None
        yield msgspec.structs.replace(
            step,
            role="environment" if by_user else "tool",
            call_id=parts.as_id(found.get("id")),
            error=error,
        )
    elif step.role == "user" and step.calls:
        calls = [msgspec.to_builtins(call) for call in step.calls]
        yield msgspec.structs.replace(step, calls=(), extra={"user_calls": calls})
    else:
        yield step


def _prompt(task: dict[str, Any]) -> str | None:
    scenario = parts.as_dict(task.get("user_scenario"))
    instructions = scenario.get("instructions")
    if isinstance(instructions, dict):
        texts = [f"{name}: {said}" for name, said in instructions.items() if parts.as_text(said)]
        return "\n".join(texts) or None
    return parts.as_text(instructions) or parts.as_text(task.get("ticket"))


def _gold(task: dict[str, Any]) -> dict[str, Any]:
    criteria = parts.as_dict(task.get("evaluation_criteria"))
    return {"gold_actions": criteria["actions"]} if criteria.get("actions") else {}
