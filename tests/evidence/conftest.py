from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twiceshy.attempts.types import Attempt, Outcome, Step, ToolCall, Verdict


def _step(message: dict[str, Any]) -> Step:
    calls = tuple(
        ToolCall(
            name=call["function"]["name"],
            arguments=json.loads(call["function"]["arguments"]),
            id=call["id"],
        )
        for call in message.get("tool_calls") or ()
    )
    text = message.get("content") or ""
    is_error = message["role"] == "tool" and text.startswith("Error")
    return Step(
        role=message["role"],
        text=text,
        calls=calls,
        call_id=message.get("tool_call_id"),
        name=message.get("name"),
        error=text if is_error else None,
    )


def _tau_attempt(record: dict[str, Any]) -> Attempt:
    recorded = Outcome.SUCCESS if record["reward"] == 1 else Outcome.FAILURE
    broken = record["info"]["reward_info"] is None
    return Attempt(
        task=str(record["task_id"]),
        policy="gpt-4o",
        trial=str(record["trial"]),
        verdict=Verdict(
            outcome=Outcome.BROKEN if broken else recorded,
            recorded=recorded if broken else None,
            broken="limit" if broken else None,
            reward=float(record["reward"]),
        ),
        steps=tuple(_step(message) for message in record["traj"]),
        extra={
            "gold_actions": record["info"]["task"]["actions"],
            "gold_outputs": record["info"]["task"]["outputs"],
        },
        id=f"{record['task_id']}-{record['trial']}",
    )


@pytest.fixture(scope="session")
def tau_attempts(tau_file: Path) -> tuple[Attempt, ...]:
    """The 200 tau-bench attempts, the five that hit the message limit marked broken."""
    return tuple(_tau_attempt(record) for record in json.loads(tau_file.read_bytes()))


@pytest.fixture(scope="session")
def gsm8k_attempts(gsm8k_file: Path) -> tuple[Attempt, ...]:
    """Four model variants as four policies, one attempt each at 1,319 questions."""
    rows = [json.loads(line) for line in gsm8k_file.read_text().splitlines()]
    return tuple(
        Attempt(
            task=row["question"],
            policy=policy,
            verdict=Verdict(outcome=Outcome.SUCCESS if tried["is_correct"] else Outcome.FAILURE),
            answer=tried["solution"],
        )
        for row in rows
        for policy, tried in row.items()
        if policy not in ("question", "ground_truth")
    )
