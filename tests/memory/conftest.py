from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twiceshy.attempts.types import Attempt, Outcome, Step, ToolCall, Verdict

VARIANTS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


@pytest.fixture(scope="session")
def tau_attempts(tau_file: Path) -> list[Attempt]:
    """The 200 attempts; the five without reward_info are broken, recorded as failures."""
    return [_tau_attempt(row) for row in json.loads(tau_file.read_bytes())]


@pytest.fixture(scope="session")
def gsm8k_rows(gsm8k_file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gsm8k_file.read_bytes().splitlines()]


@pytest.fixture(scope="session")
def gsm8k_attempts(gsm8k_rows: list[dict[str, Any]]) -> list[Attempt]:
    """Four policies on 1,319 questions; the whole solution is the answer field."""
    return [
        Attempt(
            task=row["question"],
            policy=variant,
            answer=row[variant]["solution"],
            verdict=Verdict(outcome=_outcome(row[variant]["is_correct"])),
            id=f"{number}-{variant}",
        )
        for number, row in enumerate(gsm8k_rows)
        for variant in VARIANTS
    ]


def _outcome(is_success: bool) -> Outcome:
    return Outcome.SUCCESS if is_success else Outcome.FAILURE


def _tau_attempt(row: dict[str, Any]) -> Attempt:
    outcome = _outcome(row["reward"] >= 1)
    is_cut = row["info"].get("reward_info") is None
    verdict = (
        Verdict(outcome=Outcome.BROKEN, broken="limit", recorded=outcome)
        if is_cut
        else Verdict(outcome=outcome)
    )
    return Attempt(
        task=str(row["task_id"]),
        policy="gpt-4o",
        trial=str(row["trial"]),
        steps=tuple(_tau_step(message) for message in row["traj"]),
        verdict=verdict,
        id=f"{row['task_id']}-{row['trial']}",
    )


def _tau_step(message: dict[str, Any]) -> Step:
    text = message.get("content") or ""
    is_error = message["role"] == "tool" and text.startswith("Error")
    return Step(
        role=message["role"],
        text=text,
        calls=tuple(_tau_call(call) for call in message.get("tool_calls") or ()),
        call_id=message.get("tool_call_id"),
        name=message.get("name"),
        error="Error" if is_error else None,
    )


def _tau_call(call: dict[str, Any]) -> ToolCall:
    try:
        arguments = json.loads(call["function"]["arguments"])
    except ValueError:
        arguments = call["function"]["arguments"]
    return ToolCall(name=call["function"]["name"], arguments=arguments, id=call["id"])
