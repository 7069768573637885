"""The traces of verifiers' first-version stack: one episode, with one trace per agent, per line.

A trace is a graph of messages. Its branch that ends last is the attempt; the others (compaction,
sub-agents) are counted. A reward that is absent was never computed, which is not a reward of zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.peek import has_keys
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.readers.verdicts import broken, unscored, verdict_from_reward
from twiceshy.attempts.types import Attempt, BrokenKind, Outcome, Step, Unreadable, Verdict

LIMITS = frozenset(
    {
        "max_turns",
        "max_input_tokens",
        "max_output_tokens",
        "max_total_tokens",
        "max_total_completion_tokens_reached",
        "context_length",
        "prompt_too_long",
        "timeout_reached",
    }
)
"""Stop conditions that are limits. `max_turns_reached` is not one of them: in a single-turn
environment every finished rollout ends with it."""


def looks_like_trace(found: Mapping[str, str | None], *, file_name: str) -> bool:
    """Whether an object with these top-level keys is an episode or a trace, even when cut off."""
    if has_keys(found, "task", "env"):
        return bool({"traces", "errors", "run"} & set(found)) or file_name.startswith("traces.")
    return has_keys(found, "task", "agent") and bool({"nodes", "verifiers"} & set(found))


def read_traces(
    source: Source, line: int, *, record: Record, options: ReadOptions
) -> Iterator[Attempt | Unreadable]:
    """Yield the attempts of an episode, or of a bare trace.

    An episode without traces (nothing ran) is one attempt without steps, so that it is counted.
    """
    if "traces" not in record:
        yield _trace(source, line, trace=record, episode={}, options=options)
        return
    traces = [one for one in parts.as_list(record.get("traces")) if isinstance(one, dict)]
    if not traces:
        traces = [{key: record.get(key) for key in ("task", "ok", "errors")}]
    for trace in traces:
        yield _trace(source, line, trace=trace, episode=record, options=options)


class Fault(NamedTuple):
    """What a recorded error means."""

    kind: BrokenKind
    reason: str


def fault_of(error: object) -> Fault:
    """Return what a recorded error means: a dict with a type, or the text of an exception."""
    found = parts.as_dict(error)
    kind = parts.as_text(found.get("type")) or parts.as_text(found.get("error")) or ""
    message = parts.as_text(found.get("message")) or (error if isinstance(error, str) else "")
    text = f"{kind}: {message}" if kind and message else kind or message or "error"
    return Fault(_kind(kind or message, message=message), parts.first_line(text))


def _kind(name: str, *, message: str) -> BrokenKind:
    if "OverlongPrompt" in name:
        return "limit"
    if "agent timeout" in message:
        return "limit"
    if name.startswith("TaskError") and message.startswith("scoring"):
        return "checker_error"
    if "timed out" in message or "timeout" in f"{name} {message}".lower():
        return "timeout"
    return "tool_crash"


def _trace(
    source: Source, line: int, *, trace: Record, episode: Record, options: ReadOptions
) -> Attempt | Unreadable:
    branch = _last_branch(parts.as_list(trace.get("nodes")))
    steps = tuple(step for node in branch.nodes if (step := _node_step(node)) is not None)
    task = _task(trace, episode=episode, steps=steps)
    if task is None:
        wanted = "a trace with task.key, task.data or a prompt"
        return parts.missing(source, line, expected=wanted, got=parts.names(trace))
    tokens = _sampled(branch.nodes)
    stop = parts.as_text(trace.get("stop_condition"))
    return Attempt(
        task=task,
        verdict=_trace_verdict(trace, episode=episode, options=options),
        policy=_policy(trace, episode=episode, options=options),
        trial=parts.as_id(trace.get("id")),
        prompt=parts.first_user_text(steps),
        steps=steps,
        ending=stop,
        truncated=_cut(trace, stop=stop),
        token_ids=tokens.ids,
        logprobs=tokens.logprobs,
        provenance=parts.provenance(source, line, format="verifiers"),
        extra=_trace_extra(trace, episode=episode, n_other=branch.n_other),
    )


class _Branch(NamedTuple):
    nodes: tuple[Record, ...]
    n_other: int
    """Branches that end elsewhere (compaction, sub-agents); they are not part of the attempt."""


def _last_branch(raw: list[Any]) -> _Branch:
    nodes = [parts.as_dict(node) for node in raw]
    parents = {index: _parent(node, index=index) for index, node in enumerate(nodes)}
    leaves = set(parents) - set(parents.values())
    path: list[Record] = []
    at = max(leaves, default=None)
    while at is not None:
        path.append(nodes[at])
        at = parents[at]
    return _Branch(tuple(reversed(path)), max(len(leaves) - 1, 0))


def _parent(node: Record, *, index: int) -> int | None:
    parent = node.get("parent")
    is_earlier = isinstance(parent, int) and not isinstance(parent, bool) and 0 <= parent < index
    return parent if is_earlier else None


def _node_step(node: Record) -> Step | None:
    message = {**parts.as_dict(node.get("message")), "timestamp": node.get("timestamp")}
    step = parts.chat_step(message)
    if step is None or step.role != "assistant" or node.get("sampled") is not False:
        return step
    return Step(
        role="assistant", text=step.text, calls=step.calls, time=step.time, extra={"sampled": False}
    )


class _Tokens(NamedTuple):
    ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None


def _sampled(nodes: tuple[Record, ...]) -> _Tokens:
    ids: list[int] = []
    logprobs: list[float] = []
    for node in nodes:
        pairs = zip(
            parts.as_list(node.get("token_ids")), parts.as_list(node.get("mask")), strict=False
        )
        ids += [token for token, is_sampled in pairs if is_sampled and isinstance(token, int)]
        logprobs += [float(p) for p in parts.as_list(node.get("logprobs")) if _is_number(p)]
    if not ids:
        return _Tokens(None, None)
    return _Tokens(tuple(ids), tuple(logprobs) if len(logprobs) == len(ids) else None)


def _task(trace: Record, *, episode: Record, steps: tuple[Step, ...]) -> str | None:
    described = parts.as_dict(trace.get("task")) or parts.as_dict(episode.get("task"))
    data = parts.as_dict(described.get("data"))
    known = (described.get("key"), data.get("name"), described.get("hash"), data.get("idx"))
    name = next((text for one in known if (text := parts.as_id(one)) is not None), None)
    prompt = parts.as_text(data.get("prompt")) or parts.first_user_text(steps)
    if name is None:
        return parts.task_of_prompt(prompt) if prompt else None
    env = parts.as_text(parts.as_dict(episode.get("env")).get("id"))
    return f"{env}/{name}" if env else name


def _policy(trace: Record, *, episode: Record, options: ReadOptions) -> str:
    agent = parts.as_dict(trace.get("agent"))
    calls = parts.as_list(trace.get("calls"))
    model = parts.as_text(parts.as_dict(agent.get("config")).get("model"))
    asked = (parts.as_text(parts.as_dict(call).get("model")) for call in calls)
    name = model or next((one for one in asked if one), None) or options.policy or "unknown"
    step = _training_step(episode)
    role = parts.as_text(agent.get("name"))
    seat = f" as {role}" if role not in (None, "agent") else ""
    return f"{name}{seat}" + (f"@{step}" if step is not None else "")


def _training_step(episode: Record) -> int | None:
    work = parts.as_dict(parts.as_dict(episode.get("run")).get("work"))
    start = parts.as_dict(work.get("policy")).get("start", work.get("step"))
    return start if isinstance(start, int) else None


def _trace_verdict(trace: Record, *, episode: Record, options: ReadOptions) -> Verdict:
    said = _rewards_verdict(trace, options=options)
    errors = parts.as_list(trace.get("errors"))
    if trace.get("ok") is not True and errors:
        fault = fault_of(errors[-1])
        return broken(fault.kind, reason=fault.reason, recorded=said)
    stop = trace.get("stop_condition")
    if isinstance(stop, str) and stop in LIMITS:
        return broken("limit", reason=f"stopped by {stop}", recorded=said)
    outer = parts.as_list(episode.get("errors"))
    if episode.get("ok") is False and outer and said.outcome is not Outcome.SUCCESS:
        fault = fault_of(outer[-1])
        return broken(fault.kind, reason=f"episode: {fault.reason}", recorded=said)
    return said


def _rewards_verdict(trace: Record, *, options: ReadOptions) -> Verdict:
    rewards = parts.as_dict(trace.get("rewards"))
    name = options.mapping.get("reward") or options.mapping.get("success")
    if name is not None:
        return _one_score(rewards, name=name, options=options)
    if not rewards:
        return unscored()
    never = sorted(key for key, value in rewards.items() if _value(value) is None)
    if never:
        return unscored(f"never computed: {', '.join(never)}")
    total = sum(_value(value) or 0.0 for value in rewards.values())
    return verdict_from_reward(
        total,
        threshold=options.threshold,
        source="verifier",
        evidence=" + ".join(sorted(rewards)),
        extra={"rewards": rewards},
    )


def _one_score(rewards: Record, *, name: str, options: ReadOptions) -> Verdict:
    score = parts.as_dict(rewards.get(name)).get("score")
    return verdict_from_reward(score, threshold=options.threshold, source="verifier", evidence=name)


def _value(reward: object) -> float | None:
    found = parts.as_dict(reward)
    score, weight = found.get("score"), found.get("weight", 1.0)
    if not _is_number(score) or not _is_number(weight):
        return None
    return float(score) * float(weight)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def _cut(trace: Record, *, stop: str | None) -> bool | None:
    if stop in LIMITS:
        return True
    finished = [parts.as_dict(call) for call in parts.as_list(trace.get("calls"))]
    reasons = [call.get("finish_reason") for call in finished if call.get("error") is None]
    return reasons[-1] == "length" if reasons and reasons[-1] is not None else None


def _trace_extra(trace: Record, *, episode: Record, n_other: int) -> Record:
    extra = parts.kept(trace, names=("metrics", "info"))
    group = parts.as_id(parts.as_dict(episode.get("group")).get("id"))
    if group is not None:
        extra["group"] = group
    if n_other:
        extra["other_branches"] = n_other
    return extra
