from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from twiceshy.attempts.types import Outcome, Verdict
from twiceshy.demo_data import demo_path
from twiceshy.lessons import Lesson, Status
from twiceshy.memory.bank import Add, Bank, Decision, OutcomeRecorded, RunStarted, StepCheck

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    path = tmp_path / "bank.db"
    lesson = Lesson(id="abc123", kind="avoid", text="Do without guessing.", parents=("t",))
    child = Lesson(id="abd456", kind="strategy", text="Compute it.", parents=("abc123",))
    with Bank.open(path) as opened:
        opened.apply([Add(lesson=lesson, because="seen"), Add(lesson=child)])
        opened.record(
            [
                RunStarted(run_id="r", task="t"),
                Decision(run_id="r", lesson_id="abc123", arm="shown", propensity=0.8),
                StepCheck(run_id="r", lesson_id="abc123", step=1, took_bad_action=True),
                OutcomeRecorded(run_id="r", verdict=Verdict(outcome=Outcome.SUCCESS)),
                OutcomeRecorded(run_id="r", verdict=Verdict(outcome=Outcome.FAILURE)),
            ]
        )
    return path


def as_json(done: CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_show(run: Run, bank: Path) -> None:
    done = run("bank", "show")
    assert "2 lessons, 1 run, 1 with an outcome, in 7 events." in done.stdout
    assert "contradict each other (r)" in " ".join(done.stdout.split())
    found = as_json(run("bank", "show", "--kind", "strategy", "--json"))
    assert [each["id"] for each in found["lessons"]] == ["abd456"]
    assert run("bank", "show", "--kind", "foo").returncode == 2
    assert run("bank", "show", "--bank", "typo.db").returncode == 2
    assert not Path("typo.db").exists()


def test_why(run: Run, bank: Path) -> None:
    told = " ".join(run("bank", "why", "abc").stdout.split())
    assert "Recalled 1 time: shown 1. Its trigger was met at 1 step; 1 took the bad action." in told
    assert "Descends from: t." in told
    assert "Descendants: abd456." in told
    assert "seen" in told
    found = as_json(run("bank", "why", "abc123", "--json"))
    assert found["events"][0]["change"] == "add"
    assert "'abc123'" in run("bank", "why", "ab").stderr or run("bank", "why", "ab").returncode == 2


def test_rollback_and_check(run: Run, bank: Path) -> None:
    found = as_json(run("bank", "rollback", "abc123", "--because", "poisoned", "--json"))
    assert found["quarantined"] == ["abc123", "abd456"]
    with Bank.open(bank) as opened:
        assert len(opened.lessons(statuses=[Status.QUARANTINED])) == 2
    assert run("bank", "check").returncode == 0
    raw = sqlite3.connect(bank)
    raw.execute("DELETE FROM lineage")
    raw.commit()
    raw.close()
    done = run("bank", "check")
    assert done.returncode == 1
    assert "lineage does not follow" in " ".join(done.stdout.split())
    assert run("bank", "check", "--rebuild").returncode == 0


def test_export_and_import(run: Run, bank: Path) -> None:
    for out in ("l.jsonl", "l.md", "skills"):
        assert as_json(run("bank", "export", out, "--json"))["n_written"] == 2
        taken = as_json(run("bank", "import", out, "--bank", f"{out}.db", "--json"))
        assert (taken["n_added"], taken["n_known"]) == (2, 0)
    again = as_json(run("bank", "import", "l.md", "--bank", "l.jsonl.db", "--json"))
    assert (again["n_added"], again["n_known"]) == (0, 2)
    assert run("bank", "export", "log.jsonl", "--as", "log").returncode == 0
    restored = run("bank", "import", "log.jsonl", "--format", "log", "--bank", "copy.db", "--json")
    assert as_json(restored)["n_events"] == 7
    assert run("bank", "export", "x.csv").returncode == 2
    assert run("bank", "import", "none.jsonl").returncode == 2
    assert run("bank", "import", "l.jsonl", "--format", "foo").returncode == 2


def test_learn_into_a_bank_adds_once(run: Run, tmp_path: Path) -> None:
    lines = gzip.decompress(demo_path("train").read_bytes()).splitlines(keepends=True)
    (tmp_path / "runs.jsonl").write_bytes(b"".join(lines[:240]))
    learn = ("learn", "runs.jsonl", "--nulls", "0", "--bank", "bank.db", "--json")
    first = as_json(run(*learn))["bank"]
    assert first["gate"]["n_accepted"] > 0
    with Bank.open(tmp_path / "bank.db") as bank:
        known = {each.id for each in bank.lessons()}
        assert all(each.status is not Status.ACTIVE for each in bank.lessons())
    run(*learn)
    with Bank.open(tmp_path / "bank.db") as bank:
        assert {each.id for each in bank.lessons()} == known, "known lessons are not written again"
        assert bank.check().ok
