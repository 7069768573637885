from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

N_TASKS, N_EACH = 6, 4
VERBS = (
    ("import",),
    ("triage",),
    ("learn", "--nulls", "2"),
    ("prove", "lessons", "--nulls", "2"),
    ("audit", "passk"),
    ("audit", "collapse"),
    ("audit", "shortcuts"),
    ("audit", "confidence"),
)
RATES = {
    "value",
    "rate",
    "low",
    "high",
    "pass_hat_k",
    "pass_at_k",
    "p0",
    "share_in_band",
    "share_empty",
    "pass_rate",
    "passed_share",
    "p_lucky",
}
"""Keys whose value is a rate of outcomes, or the end of an interval round one."""
NOT_OF_OUTCOMES = {"checks", "alarms", "signals", "manifest", "cohorts", "comparisons"}
"""Measures of the log itself, such as the share that nobody judged."""


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    """Chats without any judgement; the wrong ones divide, the right ones multiply."""
    lines = []
    for task in range(N_TASKS):
        for trial in range(N_EACH):
            solution = f"{task} * {trial} = {task * trial}" if trial % 2 else f"{task} is {trial}"
            messages = [
                {"role": "user", "content": f"What is question {task}?"},
                {"role": "assistant", "content": f"{solution}. The answer is {trial}."},
            ]
            lines.append(json.dumps({"id": f"run-{task}-{trial}", "messages": messages}))
    path = tmp_path / "chat.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_says_that_nothing_was_judged(run: Run, chat: Path, verb: Any) -> None:
    done = run(*verb, chat)
    assert done.returncode == 0, done.stderr
    assert f"unscored: {N_TASKS * N_EACH} attempts" in done.stderr
    assert "--outcomes" in done.stderr
    told = run(*verb, chat, "--json")
    assert told.returncode == 0
    found = json.loads(told.stdout)
    assert [value for value in rates_in(found) if value is not None] == []


def rates_in(value: Any, name: str = "") -> Iterator[Any]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in NOT_OF_OUTCOMES:
                yield from rates_in(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from rates_in(inner, name)
    elif name in RATES:
        yield value


def test_rates_are_looked_at(run: Run, chat: Path) -> None:
    """The test above would pass on an empty answer: there is something to look at."""
    for verb in (*VERBS[1:5], *VERBS[6:]):
        assert None in set(rates_in(json.loads(run(*verb, chat, "--json").stdout))), verb


def test_every_rate_comes_with_its_n(run: Run, chat: Path) -> None:
    passk = json.loads(run("audit", "passk", chat, "--json").stdout)
    assert (passk["pass_hat_k"], passk["n_scored"]) == ([None], 0)
    triage = json.loads(run("triage", chat, "--json").stdout)
    assert (triage["solve_rate"]["value"], triage["solve_rate"]["n"]) == (None, 0)
    proof = json.loads(run("prove", "lessons", chat, "--nulls", 2, "--json").stdout)
    assert (proof["within_auc"]["value"], proof["within_auc"]["n_pairs"]) == (None, 0)


def test_joining_outcomes_from_a_second_file_works(run: Run, chat: Path, tmp_path: Path) -> None:
    rows = ["id,success"]
    rows += [f"run-{task}-{trial},{trial % 2}" for task in range(N_TASKS) for trial in range(4)]
    (tmp_path / "judged.csv").write_text("\n".join(rows) + "\n")
    done = run("triage", chat, "--outcomes", "judged.csv")
    assert done.returncode == 0, done.stderr
    assert "24 attempts joined, 0 without a row" in done.stderr
    assert done.stdout.startswith("24 attempts at 6 tasks: 12 succeeded, 12 failed")
    passk = json.loads(run("audit", "passk", chat, "--outcomes", "judged.csv", "--json").stdout)
    assert passk["pass_hat_k"][0] == pytest.approx(0.5)


def test_imported_attempts_read_back_the_same(run: Run, chat: Path, tmp_path: Path) -> None:
    for name in ("own.jsonl", "own.jsonl.gz", "own.parquet"):
        assert run("import", chat, "--out", name).returncode == 0
        again = json.loads(run("import", name, "--out", "again.jsonl", "--json").stdout)
        assert (again["n_attempts"], again["n_unscored"], again["formats"]) == (24, 24, {"own": 24})


def test_an_id_of_the_task_joins_only_when_it_means_one_attempt(run: Run, tmp_path: Path) -> None:
    chats = [
        {"id": f"task-{i // 2 if i < 4 else i}", "messages": [{"role": "user", "content": f"q{i}"}]}
        for i in range(6)
    ]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, chats)))
    rows = [f"task-{name},1" for name in (0, 1, 4, 5)]
    (tmp_path / "judged.csv").write_text("\n".join(["id,success", *rows]))
    done = run("triage", "chat.jsonl", "--outcomes", "judged.csv", "--json")
    assert "2 ambiguous keys, not joined" in done.stderr
    found = json.loads(done.stdout)
    assert (found["n_tasks"], found["n_success"], found["n_unscored"]) == (4, 2, 4)
