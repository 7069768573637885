"""The few facts of an attempt that triage looks at, so that the steps need not stay in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from twiceshy.attempts.effects import is_state_changing, successful_writes
from twiceshy.attempts.types import Attempt, BrokenKind, Outcome

NO_WRITE = "no write"
"""Mode of an attempt that changed nothing and gave no answer apart from its last words."""

_NUMBER = re.compile(r"[$€£]?\s*(-?)[$€£]?\s*(\d[\d,]*)(\.\d+)?\s*%?")


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
            answer=None if attempt.answer is None else normalised(attempt.answer),
            writes=tuple(f"{call.name} {call.arguments}" for call in successful_writes(attempt)),
            n_calls=sum(len(step.calls) for step in attempt.steps),
            file=attempt.provenance.file,
            line=attempt.provenance.line,
            gold_asks_nothing=_gold_asks_nothing(attempt.extra),
        )


def normalised(answer: str) -> str:
    """Return an answer in a form in which equal answers are equal strings.

    Case and whitespace are evened out, a final full stop is dropped, and a lone number loses its
    currency sign, thousands separators and empty decimals.

    Example:
        >>> [normalised(text) for text in (" $1,250.00", "New  York.", "-3.50")]
        ['1250', 'new york', '-3.5']
    """
    text = " ".join(answer.lower().split()).removesuffix(".")
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    sign, whole, decimals = match.group(1), match.group(2).replace(",", ""), match.group(3) or ""
    return sign + whole + decimals.rstrip("0").removesuffix(".")


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
