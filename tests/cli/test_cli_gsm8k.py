from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

COLUMNS = ("--map", "task=question,answer=solution,success=is_correct")
SHORT = "shorter than 120 characters"


@pytest.fixture(scope="module")
def proof(run_anywhere: Run, gsm8k_file: Path) -> dict[str, Any]:
    done = run_anywhere("prove", "lessons", gsm8k_file, *COLUMNS, "--nulls", 3, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_lessons_are_supported_and_hold(proof: dict[str, Any]) -> None:
    assert proof["gate"] == "claim"
    assert proof["n_claimed"] >= 10
    assert proof["n_mixed_tasks"] == 731
    assert proof["within_auc"]["value"] >= 0.65
    assert proof["within_auc"]["low"] > 0.65
    assert 0.48 <= proof["placebo_auc"]["mean"] <= 0.52
    assert proof["holds"] is True
    assert "supported_within_task" in {each.get("level") for each in proof["lessons"]}


def test_the_sign_flip_of_short_solutions_is_flagged(proof: dict[str, Any]) -> None:
    flipped = {each["pattern"]: each for each in proof["pooled"]["reversed"]}
    assert flipped[SHORT]["pooled"]["high"] < 0 < flipped[SHORT]["within_task"]["low"]
    assert any(SHORT in alarm["message"] for alarm in proof["alarms"])


def test_the_pooled_miner_beside_it_learns_which_questions_are_hard(proof: dict[str, Any]) -> None:
    pooled, both = proof["arms"]["pooled"], proof["arms"]["both"]
    assert pooled["overall_auc"]["value"] > both["overall_auc"]["value"]
    assert pooled["placebo_auc"]["mean"] > 0.6, "it ranks even when its labels were shuffled"
    assert pooled["null"] is None


def test_four_variants_are_four_policies(run: Run, gsm8k_file: Path) -> None:
    done = run("triage", gsm8k_file, *COLUMNS)
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    assert text.startswith("5276 attempts at 1319 tasks: 2001 succeeded, 3275 failed")
    assert "Pooled over 4 policies, 731 of 1319 tasks are mixed" in text


def test_learn_tells_the_flip_in_words(run: Run, gsm8k_file: Path) -> None:
    done = run("learn", gsm8k_file, *COLUMNS, "--nulls", 0)
    assert done.returncode == 0
    assert "Where pooling all attempts teaches the opposite" in done.stdout
    assert SHORT in done.stdout
    assert "supported within task" in done.stdout


@pytest.mark.slow  # a hundred shuffled runs over 5,276 attempts
def test_lessons_hold_among_a_hundred_shuffles(run: Run, gsm8k_file: Path) -> None:
    done = run("prove", "lessons", gsm8k_file, *COLUMNS, "--json")
    assert done.returncode == 0, done.stderr
    proof = json.loads(done.stdout)
    assert proof["within_auc"]["value"] >= 0.65
    assert proof["null"]["n"] == 100
    assert proof["null"]["p"] <= 0.01
    assert 0.48 <= proof["placebo_auc"]["mean"] <= 0.52
