from __future__ import annotations

from pathlib import Path

from reader_fixtures import VERL, attempts, lines, read, write_files

from twiceshy.attempts.types import Outcome, Unreadable


def test_outcomes_never_turn_an_odd_score_into_a_failure(tmp_path: Path) -> None:
    found = attempts(write_files(tmp_path, VERL), "verl")
    assert [one.outcome for one in found] == [
        Outcome.SUCCESS,
        Outcome.FAILURE,
        Outcome.FAILURE,
        Outcome.UNSCORED,
        Outcome.UNSCORED,
        Outcome.SUCCESS,
    ]
    assert found[2].verdict.evidence == "acc"
    assert found[3].verdict.reason == "reward outside {0, 1} and no threshold"
    assert (found[4].verdict.reason, found[4].verdict.reward) == ("reward is not a number", None)


def test_the_prompt_is_the_task_and_run_and_step_the_policy(tmp_path: Path) -> None:
    found = attempts(write_files(tmp_path, VERL), "verl")
    assert len({one.task for one in found}) == 1
    assert {one.policy for one in found} == {"run7@3"}
    assert found[0].trial == "u1_0_0"
    assert found[0].steps[0].text == "42"
    assert found[0].extra["gts"] == "42"


def test_a_threshold_or_a_declared_column_decides(tmp_path: Path) -> None:
    path = write_files(tmp_path, VERL)
    assert attempts(path, "verl", threshold=0.2)[3].outcome is Outcome.SUCCESS
    assert attempts(path, "verl", threshold=0.2)[2].outcome is Outcome.FAILURE
    assert attempts(path, "verl", mapping={"reward": "acc"})[0].outcome is Outcome.UNSCORED


def test_damage_costs_only_its_line(tmp_path: Path) -> None:
    good = VERL["run7/3.jsonl"].splitlines(keepends=True)[0]
    data = good + b"{\n" + lines({"input": 3, "output": "x", "score": 1, "step": 1}) + good
    found = read(write_files(tmp_path, {"3.jsonl": data}), "verl")
    bad = [one.where for one in found if isinstance(one, Unreadable)]
    assert (bad, len(found)) == (["3.jsonl:2", "3.jsonl:3"], 4)
