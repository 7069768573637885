from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twiceshy.attempts import Attempt, JoinSummary, Outcome, read_attempts, write_attempts
from twiceshy.errors import BadInput


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows = [
        {
            "task_id": task,
            "trial": trial,
            "messages": [{"role": "user", "content": task}],
        }
        for task in "ab"
        for trial in (0, 1)
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def joined(log: Path, text: str, *, name: str = "o.csv") -> tuple[list[Attempt], JoinSummary]:
    path = log.with_name(name)
    path.write_text(text)
    reading = read_attempts(log, outcomes=path)
    attempts = list(reading)
    join = reading.summary.join
    assert join is not None
    return attempts, join


def values(attempts: list[Attempt]) -> list[str]:
    return [attempt.outcome.value for attempt in attempts]


def test_by_task_and_trial_from_csv(log: Path) -> None:
    text = "task,trial,success\na,0,true\na,1,False\nb,0,1\nz,0,1\n"
    attempts, join = joined(log, text)
    assert values(attempts) == ["success", "failure", "success", "unscored"]
    assert (join.n_attempts_joined, join.n_attempts_without) == (3, 1)
    assert (join.n_rows, join.n_rows_without) == (4, 1)
    assert join.rows_without == ("task 'z', trial '0'",)


def test_by_id_with_source_and_evidence(log: Path) -> None:
    before = list(read_attempts(log))
    row = {
        "id": before[2].id,
        "outcome": "failed",
        "reward": 0.3,
        "source": "human",
        "reliability": 0.9,
        "evidence": "missed the point",
    }
    attempts, _ = joined(log, json.dumps([row]), name="o.json")
    verdict = attempts[2].verdict
    assert (verdict.outcome, verdict.reward) == (Outcome.FAILURE, 0.3)
    assert (verdict.source, verdict.reliability) == ("human", 0.9)
    assert verdict.evidence == "missed the point"
    assert [a.id for a in attempts] == [a.id for a in before]


def test_a_row_that_fits_several_attempts_joins_none(log: Path) -> None:
    attempts, join = joined(log, "task,success\na,true\n")
    assert values(attempts) == ["unscored"] * 4
    assert (join.n_ambiguous, join.n_attempts_joined) == (1, 0)
    assert join.ambiguous == ("task 'a'",)
    reading = read_attempts(log, outcomes=log.with_name("o.csv"))
    list(reading)
    assert any("Add a trial or an id" in line for line in reading.summary.notes())


def test_rows_that_contradict_each_other_join_none(log: Path) -> None:
    attempts, join = joined(log, "task,trial,success\na,0,true\na,0,false\na,1,true\na,1,true\n")
    assert values(attempts) == ["unscored", "success", "unscored", "unscored"]
    assert join.ambiguous == ("task 'a', trial '0'",)


def test_a_row_without_a_trial_is_fine_for_a_single_attempt(log: Path, tmp_path: Path) -> None:
    log.write_text(log.read_text().splitlines()[0] + "\n")
    attempts, join = joined(log, "task,reward\na,1\n")
    assert values(attempts) == ["success"]
    assert join.n_ambiguous == 0


def test_unusable_rows_are_counted(log: Path) -> None:
    attempts, join = joined(log, "task,trial,reward\na,0,0.5\n,1,1\na,1\nb,1,1\n")
    assert values(attempts) == ["unscored", "unscored", "unscored", "success"]
    assert join.n_unreadable == 3
    assert [u.where.rsplit(":", 1)[1] for u in join.unreadable] == ["2", "3", "4"]


def test_a_broken_attempt_stays_broken_unless_it_succeeded(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"task_id": n, "trial": 0, "reward": 0.0, "traj": [], "info": {"reward_info": None}}
        for n in range(2)
    ]
    log = tmp_path / "log.json"
    log.write_text(json.dumps(rows))
    attempts, _ = joined(log, "task,trial,success\n0,0,false\n1,0,true\n")
    assert values(attempts) == ["broken", "success"]
    assert attempts[0].verdict.recorded is Outcome.FAILURE


def test_parquet_outcomes(log: Path, tmp_path: Path) -> None:
    before = list(read_attempts(log, rules=[lambda a: "x" if a.task == "a" else None]))
    write_attempts(before, tmp_path / "o.parquet")
    reading = read_attempts(log, outcomes=tmp_path / "o.parquet")
    assert values(list(reading)) == ["broken", "broken", "unscored", "unscored"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "id, attempt_id"),
        ("task,b\n1,2\n", "outcome, success"),
        ("", "no columns"),
    ],
)
def test_files_that_cannot_be_used(log: Path, text: str, message: str) -> None:
    path = log.with_name("o.csv")
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        read_attempts(log, outcomes=path)
