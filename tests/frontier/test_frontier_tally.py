from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.attempts.types import Attempt, Outcome, Verdict
from twiceshy.errors import BadInput
from twiceshy.frontier import STATES, GroupState, Tallies, group_states, tally_attempts, tally_file
from twiceshy.frontier.groups import count_states

Row = dict[str, Any]


def write_jsonl(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: list[Row]) -> Path:
    import duckdb

    source = write_jsonl(path.with_suffix(".jsonl"), rows)
    duckdb.execute(f"COPY (FROM read_json_auto('{source}')) TO '{path}' (FORMAT parquet)")
    return path


def cells(tallies: Tallies) -> dict[tuple[str, str], tuple[int, ...]]:
    columns = (
        tallies.n_success,
        tallies.n_failure,
        tallies.n_broken,
        tallies.n_unscored,
        tallies.n_recorded_success,
        tallies.n_recorded_failure,
    )
    keys = zip(tallies.task.tolist(), tallies.policy.tolist(), strict=True)
    return {key: tuple(int(c[i]) for c in columns) for i, key in enumerate(keys)}


@pytest.mark.parametrize(
    ("right", "wrong", "broken", "state"),
    [
        (1, 3, 0, "mixed"),
        (4, 0, 0, "all_right"),
        (0, 4, 0, "all_wrong"),
        (1, 0, 3, "single"),
        (0, 1, 0, "single"),
        (0, 0, 4, "broken"),
        (0, 0, 0, "unscored"),
    ],
)
def test_states_by_hand(right: int, wrong: int, broken: int, state: str) -> None:
    code = int(group_states([right], [wrong], n_broken=[broken])[0])
    assert STATES[code] == state


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), max_size=20))
def test_each_group_has_one_state_and_mixed_needs_both(rows: list[tuple[int, int, int]]) -> None:
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    codes = group_states(table[:, 0], table[:, 1], n_broken=table[:, 2])
    assert sum(count_states(codes).values()) == len(rows)
    for (right, wrong, _), code in zip(rows, codes.tolist(), strict=True):
        assert (STATES[code] is GroupState.MIXED) == (right > 0 and wrong > 0)


def test_attempts_are_counted_as_classified_and_as_recorded() -> None:
    broken = Verdict(outcome=Outcome.BROKEN, broken="limit", recorded=Outcome.FAILURE)
    verdicts = [Verdict(outcome=Outcome.SUCCESS), Verdict(outcome=Outcome.UNSCORED), broken]
    got = tally_attempts(Attempt(task="t", policy="m", verdict=v) for v in verdicts)
    assert cells(got) == {("t", "m"): (1, 0, 1, 1, 1, 1)}


def test_no_attempts_make_an_empty_tally() -> None:
    got = tally_attempts([])
    assert len(got) == 0
    assert got.states.tolist() == []


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("mn"), st.sampled_from(list(Outcome))),
        max_size=30,
    )
)
def test_tally_agrees_with_a_plain_count(rows: list[tuple[str, str, Outcome]]) -> None:
    got = tally_attempts(Attempt(task=t, policy=p, verdict=Verdict(outcome=o)) for t, p, o in rows)
    plain = Counter(rows)
    for (task, policy), row in cells(got).items():
        assert row[:4] == tuple(plain[task, policy, outcome] for outcome in Outcome)


ROWS: list[Row] = [
    {"task": "a", "policy": "m", "reward": 1.0, "tokens": "x" * 50},
    {"task": "a", "policy": "m", "reward": 0.0, "tokens": "y" * 50},
    {"task": "b", "policy": "m", "reward": None, "tokens": "z" * 50},
    {"task": "b", "policy": "n", "reward": 1, "tokens": ""},
]
EXPECTED = {
    ("a", "m"): (1, 1, 0, 0, 1, 1),
    ("b", "m"): (0, 0, 0, 1, 0, 0),
    ("b", "n"): (1, 0, 0, 0, 1, 0),
}


def test_a_null_reward_is_unscored_in_every_format(tmp_path: Path) -> None:
    parquet = write_parquet(tmp_path / "r.parquet", ROWS)
    packed = tmp_path / "r.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "r.jsonl").read_bytes()))
    csv = tmp_path / "r.csv"
    csv.write_text("task,policy,reward\na,m,1\na,m,0\nb,m,\nb,n,1\n")
    for path in (parquet, tmp_path / "r.jsonl", packed, csv):
        assert cells(tally_file(path)) == EXPECTED


def test_nan_is_unscored_and_numbers_make_task_names(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("task,reward\n7,1\n7,NaN\n")
    assert cells(tally_file(path)) == {("7", "unknown"): (1, 0, 0, 1, 1, 0)}


def test_a_graded_reward_needs_a_threshold(tmp_path: Path) -> None:
    rows = [{"task": "a", "reward": 0.5}, {"task": "a", "reward": 0.5}]
    path = write_jsonl(tmp_path / "r.jsonl", rows)
    with pytest.raises(BadInput, match="2 rows") as caught:
        tally_file(path)
    assert "threshold" in caught.value.fix
    assert cells(tally_file(path, threshold=0.5)) == {("a", "unknown"): (2, 0, 0, 0, 2, 0)}
    assert cells(tally_file(path, threshold=0.6)) == {("a", "unknown"): (0, 2, 0, 0, 0, 2)}


def test_outcomes_keep_broken_apart_and_what_was_recorded(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "verdict": {"outcome": "broken", "recorded": "failure"}},
        {"id": 1, "verdict": {"outcome": "failure", "recorded": None}},
    ]
    path = write_jsonl(tmp_path / "r.jsonl", rows)
    columns = {"task": "id", "outcome": "verdict.outcome", "recorded": "verdict.recorded"}
    assert cells(tally_file(path, columns=columns)) == {("1", "unknown"): (0, 1, 1, 0, 0, 2)}


def test_success_flags(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "r.jsonl",
        [{"q": "a", "ok": True}, {"q": "a", "ok": False}, {"q": "a", "ok": None}],
    )
    got = tally_file(path, columns={"task": "q", "success": "ok"})
    assert cells(got) == {("a", "unknown"): (1, 1, 0, 1, 1, 1)}


def test_several_files_by_a_glob(tmp_path: Path) -> None:
    for name in ("1", "2"):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"task": "a", "reward": 1}])
    assert cells(tally_file(tmp_path / "*.jsonl")) == {("a", "unknown"): (2, 0, 0, 0, 2, 0)}


def test_a_name_with_glob_characters_means_itself(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a[1]*.jsonl", [{"task": "a", "reward": 1}])
    assert len(tally_file(path)) == 1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "a column 'task'"),
        ({"task": "absent"}, "a column 'absent'"),
        ({"task": "question"}, "verdict column"),
        ({"taks": "question"}, "'taks'"),
    ],
)
def test_a_missing_column_is_named_beside_those_found(
    tmp_path: Path, columns: dict[str, str], words: str
) -> None:
    path = write_jsonl(tmp_path / "r.jsonl", [{"question": "a", "score_of_it": 1}])
    with pytest.raises(BadInput, match=words) as caught:
        tally_file(path, columns=columns)
    assert "taks" in columns or "question, score_of_it" in caught.value.got


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("r.parquet", b"PAR1 not really"),
        ("r.jsonl", b'{"task": "a", "reward": 1}\n{"task": '),
        ("r.csv", b""),
        ("r.bin", b"\x00"),
        ("r.jsonl", b'{"task": null, "reward": 1}\n{"task": "a", "reward": 1}\n'),
        ("r.jsonl", b'{"task": "a", "outcome": "splendid"}\n'),
        ("r.jsonl", b'{"task": "a", "reward": "high"}\n'),
    ],
)
def test_what_cannot_be_counted_is_refused_in_words(tmp_path: Path, name: str, body: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(body)
    with pytest.raises(BadInput) as caught:
        tally_file(path)
    assert str(path) in str(caught.value)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="existing file"):
        tally_file(tmp_path / "no.parquet")


def test_a_column_name_is_never_run_as_sql(tmp_path: Path) -> None:
    odd = 'a" FROM range(1)); --'
    path = write_jsonl(tmp_path / "r.jsonl", [{odd: "t", "reward": 1}])
    assert cells(tally_file(path, columns={"task": odd})) == {("t", "unknown"): (1, 0, 0, 0, 1, 0)}
