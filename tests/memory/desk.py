"""Attempts of a made-up desk agent and a completer that answers from the data of its prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from twiceshy.attempts import Attempt, Outcome, Step, ToolCall, Verdict, attempt_id
from twiceshy.attempts.types import VerdictSource
from twiceshy.lessons import Evidence, Lesson
from twiceshy.models import ScriptedCompleter

WON, LOST = Outcome.SUCCESS, Outcome.FAILURE


def attempt(
    task: str,
    outcome: Outcome = WON,
    *,
    trial: int = 0,
    calls: Sequence[str] = ("check_balance", "update_plan"),
    reply: str = "ok",
    source: VerdictSource | None = "test",
    **fields: Any,
) -> Attempt:
    steps = [Step(role="user", text="Please change my plan.")]
    for name in calls:
        steps.append(Step(role="assistant", text=f"I use {name}.", calls=(ToolCall(name=name),)))
        steps.append(Step(role="tool", name=name, text=reply))
    broken = "tool_crash" if outcome is Outcome.BROKEN else None
    made = Attempt(
        task=task,
        trial=str(trial),
        steps=tuple(steps),
        verdict=Verdict(outcome=outcome, source=source, broken=broken),
        **fields,
    )
    return msgspec.structs.replace(made, id=attempt_id(made))


def group(task: str, *, n: int = 2, **fields: Any) -> list[Attempt]:
    """n successes that check first, and n failures that do not."""
    won = [attempt(task, WON, trial=at, **fields) for at in range(n)]
    lost = [attempt(task, LOST, trial=n + at, calls=("update_plan",), **fields) for at in range(n)]
    return [*won, *lost]


def lesson(identity: str, kind: Any = "avoid", **fields: Any) -> Lesson:
    evidence = Evidence(attempts_for=("a",), n_for=1)
    made: dict[str, Any] = {"text": identity, "evidence": evidence} | fields
    return Lesson(id=identity, kind=kind, **made)


def item(**fields: Any) -> dict[str, Any]:
    quote = {"attempt": "S1", "step": 1, "text": "I use check_balance"}
    return {
        "kind": "strategy",
        "trigger": "before changing a plan",
        "action": "Call check_balance before update_plan",
        "attempts": ["S1"],
        "quotes": [quote],
    } | fields


class Model(ScriptedCompleter):
    """Answers each prompt by a function of its data."""

    def __init__(self, answer: Callable[[dict[str, Any]], str]) -> None:
        super().__init__(lambda request: answer(_data(request.prompt)))


def _data(prompt: str) -> dict[str, Any]:
    found = re.search(r"DATA \w+\n(.*)\nEND", prompt, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def says(*items: dict[str, Any]) -> Model:
    return Model(lambda data: json.dumps({"items": items}))
