from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

N_NULL = 3


def flat(text: str) -> str:
    return " ".join(text.split())


def numbers(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_passk_is_the_published_table(process: Run, tau_file: Path) -> None:
    """tau-bench publishes pass^k 0.420, 0.273, 0.220, 0.200 for this run."""
    found = numbers(process("audit", "passk", tau_file, "--json"))
    assert found["kind"] == "audit passk"
    assert found["k"] == [1, 2, 3, 4]
    assert found["pass_hat_k"] == pytest.approx([0.42, 0.82 / 3, 0.22, 0.20])
    assert found["pass_at_k"] == pytest.approx([0.42, 1.7 / 3, 0.66, 0.72])
    counts = {name: found[name] for name in ("n_tasks", "n_attempts", "n_broken", "n_unscored")}
    assert counts == {"n_tasks": 50, "n_attempts": 200, "n_broken": 5, "n_unscored": 0}
    for name in ("pass_hat_k", "pass_at_k"):
        for value, (low, high) in zip(found[name], found["intervals"][name], strict=True):
            assert low < value < high
    aside = found["excluding_broken"]
    assert aside["n_attempts"] == 195
    assert aside["pass_hat_k"][0] == pytest.approx(0.425)
    assert aside["n_tasks_with_k"] == [50, 50, 49, 46]
    assert found["manifest"]["inputs"] == [str(tau_file)]


def test_triage_counts_groups_and_names_what_broke(run: Run, tau_file: Path) -> None:
    found = numbers(run("triage", tau_file, "--json"))
    expected = {"all_wrong": 14, "all_right": 10, "mixed": 26}
    for counting in ("groups_as_recorded", "groups"):
        assert {state: found[counting][state] for state in expected} == expected
    assert found["n_broken"] == 5
    assert sorted(each["task"] for each in found["broken"]) == ["2", "33", "46", "9", "9"]
    assert all("30 assistant messages" in each["reason"] for each in found["broken"])
    assert all(each["recorded"] == "failure" for each in found["broken"])


def test_triage_names_the_likely_lucky(run: Run, tau_file: Path, tmp_path: Path) -> None:
    done = run("triage", tau_file, "--p0", "0.38", "--out", "found")
    assert done.returncode == 0
    assert "30 of 84 successes are more likely luck than not" in flat(done.stdout)
    assert "14 all-wrong, 10 all-right, 26 mixed" in flat(done.stdout)
    found = json.loads((tmp_path / "found/triage.json").read_bytes())
    lucky = found["numbers"]["lucky"]
    assert sum(each["n_success"] for each in lucky["tasks"]) == 30
    assert {"task": "1", "n_success": 1, "n_scored": 4}.items() <= lucky["tasks"][0].items()
    assert all(each["p_lucky"] > 0.5 for each in lucky["tasks"])
    given = json.dumps({str(task): 1.0 if task == 1 else 0.0 for task in range(50)})
    (tmp_path / "p0.json").write_text(given)
    by_task = numbers(run("triage", tau_file, "--p0", "p0.json", "--json"))
    assert [each["task"] for each in by_task["lucky"]["tasks"]] == ["1"]


def test_shortcuts_fail_the_audit(process: Run, tau_file: Path) -> None:
    done = process("audit", "shortcuts", tau_file)
    assert done.returncode == 1
    assert done.stdout.startswith("An agent that does nothing would pass 38% of 50 tasks")
    assert "ALARM" in done.stdout


def test_a_failed_audit_still_prints_its_json(run: Run, tau_file: Path) -> None:
    done = run("audit", "shortcuts", tau_file, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert "alarm" in {each["severity"] for each in found["alarms"]}


def test_nothing_is_claimed(run: Run, tau_file: Path) -> None:
    done = run("prove", "lessons", tau_file, "--nulls", N_NULL)
    assert done.returncode == 0
    assert done.stdout.startswith("26 mixed tasks cannot decide")
    assert "First difference of the failure" in done.stdout
    assert f"{N_NULL} runs on shuffled labels are too few for a verdict" in flat(done.stdout)
    found = numbers(run("prove", "lessons", tau_file, "--nulls", N_NULL, "--json"))
    check_nothing_claimed(found)


def check_nothing_claimed(found: dict[str, Any]) -> None:
    assert (found["n_claimed"], found["n_suggested"]) == (0, 0)
    assert found["gate"] == "describe"
    assert {each.get("level", "described") for each in found["lessons"]} == {"described"}
    assert found["n_mixed_tasks"] == found["n_mixed_tasks_as_recorded"] == 26
    assert found["holds"] is None
    assert found["pooled"]["n_discoveries"] > 100, "the pooled miner falls into the trap"
    divergence = found["divergence"]
    assert divergence["failure_success"]["n_pairs"] == 85
    assert divergence["success_success"]["n_different"] == 0


def test_learn_says_so_and_writes_everything(run: Run, tau_file: Path, tmp_path: Path) -> None:
    done = run("learn", tau_file, "--nulls", N_NULL, "--out", "found")
    assert done.returncode == 0
    assert "26 mixed tasks cannot decide" in flat(done.stdout)
    assert "First difference of the failure" in done.stdout
    assert "Details: found/report.html" in done.stdout
    names = sorted(path.name for path in (tmp_path / "found").iterdir())
    assert names == [
        "attempts.csv",
        "groups.csv",
        "lessons.jsonl",
        "report.html",
        "report.json",
        "triage.json",
    ]
    written = (tmp_path / "found/lessons.jsonl").read_bytes()
    lessons = [json.loads(line) for line in written.splitlines()]
    assert {each.get("level", "described") for each in lessons} == {"described"}


@pytest.mark.slow  # a hundred shuffled runs
def test_nothing_is_claimed_among_a_hundred_shuffles(run: Run, tau_file: Path) -> None:
    found = numbers(run("prove", "lessons", tau_file, "--json"))
    check_nothing_claimed(found)
    assert found["null"]["n"] == 100
    assert 0.48 <= found["placebo_auc"]["mean"] <= 0.52
    assert found["null"]["p"] > 0.05
