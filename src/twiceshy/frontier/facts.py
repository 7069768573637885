"""The few facts of an attempt that triage looks at, so that the steps need not stay in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from twiceshy.attempts.answers import final_answer
from twiceshy.attempts.effects import is_state_changing, successful_writes
from twiceshy.attempts.types import Attempt, BrokenKind, Outcome

NO_WRITE = "no write"
"""Mode of an attempt that changed nothing and gave no answer apart from its last words."""


class AttemptFacts(NamedTuple):
    """What one attempt was, without its steps."""

    id: str
    task: str
    policy: str
    trial: str | None
    outcome: Outcome
    recorded: Outcome
    """What the log's own scoring said."""
    reward: float | None
    reliability: float | None
    broken: BrokenKind | None
    reason: str
    truncated: bool | None
    length: int
    """Characters the policy wrote: text, reasoning and arguments."""
    answer: str | None
    """Normalised final answer, when the log gives one."""
    writes: tuple[str, ...]
    """Canonical state-changing calls that went through, in order."""
    n_calls: int
    file: str
    """Where it was read from, with `line`."""
    line: int | None
    gold_asks_nothing: bool | None
    """Whether the task's gold solution neither writes nor asks for an output; None: no gold."""


def read_facts(attempts: Iterable[Attempt]) -> Iterator[AttemptFacts]:
    """Yield the facts of each attempt, in order."""
    for attempt in attempts:
        verdict = attempt.verdict
        yield AttemptFacts(
            id=attempt.id,
            task=attempt.task,
            policy=attempt.policy,
            trial=attempt.trial,
            outcome=verdict.outcome,
            recorded=verdict.as_recorded,
            reward=verdict.reward,
            reliability=verdict.reliability,
            broken=verdict.broken,
            reason=verdict.reason,
            truncated=attempt.truncated,
            length=_written(attempt),
            answer=final_answer(attempt),
            writes=tuple(f"{call.name} {call.arguments}" for call in successful_writes(attempt)),
            n_calls=sum(len(step.calls) for step in attempt.steps),
            file=attempt.provenance.file,
            line=attempt.provenance.line,
            gold_asks_nothing=_gold_asks_nothing(attempt.extra),
        )


def uses_tools(facts: Iterable[AttemptFacts]) -> bool:
    """Whether any attempt calls a tool; only then does making no call mean doing nothing."""
    return any(fact.n_calls for fact in facts)


def mode_of(fact: AttemptFacts, *, tools: bool) -> str | None:
    """Return what an attempt came down to: its successful writes with its answer, or its answer.

    None when the log shows neither, so that nothing is known about likeness.

    Args:
        fact: The attempt.
        tools: Whether the log is one of tool use; then changing nothing is a mode.
    """
    if not tools:
        return fact.answer
    parts = [*fact.writes, *([] if fact.answer is None else [f"answer {fact.answer}"])]
    return "; ".join(parts) or NO_WRITE


def did_nothing(fact: AttemptFacts, *, tools: bool) -> bool | None:
    """Whether the attempt changed nothing; None where the log shows no tools at all."""
    return not fact.writes if tools else None


def _written(attempt: Attempt) -> int:
    return sum(
        len(step.text) + len(step.reasoning) + sum(len(str(call.arguments)) for call in step.calls)
        for step in attempt.steps
        if step.role == "assistant"
    )


def _gold_asks_nothing(extra: Mapping[str, Any]) -> bool | None:
    actions = extra.get("gold_actions")
    if not isinstance(actions, list) or not all(isinstance(action, dict) for action in actions):
        return None
    if extra.get("gold_outputs"):
        return False
    return not any(is_state_changing(str(action.get("name", ""))) for action in actions)
