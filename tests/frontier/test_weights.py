from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from twiceshy.attempts import Outcome, read_attempts, write_attempts
from twiceshy.demo_data import demo_path
from twiceshy.errors import BadInput
from twiceshy.frontier import group_states, p_lucky
from twiceshy.frontier.groups import STATES
from twiceshy.frontier.weights import WeightSettings, write_weights
from twiceshy.objectives import labels_of
from twiceshy.objectives.registry import find_objective

Row = dict[str, Any]
TYPES = {
    "task": "VARCHAR", "policy": "VARCHAR", "outcome": "VARCHAR", "reward": "DOUBLE",
    "truncated": "BOOLEAN", "id": "VARCHAR", "tool_error": "VARCHAR", "tokens": "INTEGER[]",
}  # fmt: skip


def parquet(path: Path, rows: list[Row], *names: str, row_group: int = 2048) -> str:
    """Write rows with the columns named, or those of the first row."""
    columns = names or tuple(rows[0])
    listed = ", ".join(f'"{name}" {TYPES.get(name, "VARCHAR")}' for name in columns)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t ({listed})")
        cells = [[row.get(name) for row in rows] for name in columns]
        lists = ", ".join(f"unnest(?::{TYPES.get(name, 'VARCHAR')}[])" for name in columns)
        connection.execute(f"INSERT INTO t SELECT {lists}", cells)
        connection.execute(f"COPY t TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE {row_group})")
    return str(path)


def read(path: str | Path) -> list[Row]:
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM '{path}'")
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def weighed(tmp_path: Path, rows: list[Row], **settings: Any) -> list[Row]:
    source = parquet(tmp_path / "attempts.parquet", rows)
    out = tmp_path / "weights.parquet"
    write_weights([source], out, settings=WeightSettings(**settings))
    return read(out)


def outcomes(*pairs: tuple[str, str]) -> list[Row]:
    words = {"s": "success", "f": "failure", "b": "broken", "u": "unscored"}
    return [{"task": task, "outcome": words[o]} for task, letters in pairs for o in letters]


def test_numbers_by_hand(tmp_path: Path) -> None:
    rows = weighed(tmp_path, outcomes(("a", "sfff"), ("b", "ffbu"), ("c", "ss")))
    assert [row["row"] for row in rows] == list(range(10))
    assert {row["file"] for row in rows} == {str(tmp_path / "attempts.parquet")}
    assert [row["advantage"] for row in rows] == [1.5, -0.5, -0.5, -0.5, 0, 0, None, None, 0, 0]
    assert [row["state"] for row in rows] == ["mixed"] * 4 + ["all_wrong"] * 4 + ["all_right"] * 2
    assert [row["keep"] for row in rows] == [True] * 4 + [False] * 6
    kinds = ["no_gradient"] * 2 + ["broken", "unscored"] + ["no_gradient"] * 2
    assert [row["why"] for row in rows] == ["has_gradient"] * 4 + kinds
    assert [row["n_success"] for row in rows] == [1] * 4 + [0] * 4 + [2] * 2
    assert [row["n_scored"] for row in rows] == [4] * 4 + [2] * 4 + [2] * 2
    assert [row["group_size"] for row in rows] == [4] * 4 + [4] * 4 + [2] * 2
    assert all(row["p_lucky"] is None for row in rows)


def test_an_all_wrong_batch_trains_under_nsr_and_a_right_one_does_not(tmp_path: Path) -> None:
    rows = weighed(tmp_path, outcomes(("a", "ff"), ("b", "ss")), objective="nsr")
    assert [row["advantage"] for row in rows] == [-1, -1, 0, 0]
    assert [row["keep"] for row in rows] == [True, True, False, False]


def test_all_wrong_groups_may_be_dropped(tmp_path: Path) -> None:
    rows = weighed(tmp_path, outcomes(("a", "ff"), ("b", "f")), objective="nsr", all_wrong="drop")
    assert [row["why"] for row in rows] == ["all_wrong", "all_wrong", "has_gradient"]


def test_luck_is_the_ledger_s_and_lucky_successes_lose_their_advantage(tmp_path: Path) -> None:
    source = outcomes(("a", "sfffffff"), ("b", "ssssssss"))
    rows = weighed(tmp_path, source, objective="reinforce", p0={"a": 0.1, "b": 0.1}, max_lucky=0.3)
    one, many = (float(p_lucky(r, 8, p0=0.1)) for r in (1, 8))
    assert [row["p_lucky"] for row in rows] == [one, *[None] * 7, *[many] * 8]
    assert one > 0.3 > many
    assert (rows[0]["why"], rows[0]["advantage"], rows[0]["keep"]) == ("lucky", None, False)
    assert rows[1]["advantage"] == -1
    assert rows[8]["keep"]


def test_a_task_without_p0_is_not_judged_for_luck(tmp_path: Path) -> None:
    rows = weighed(tmp_path, outcomes(("a", "sf"), ("b", "sf")), p0={"b": 0.1}, max_lucky=0.0)
    assert [row["why"] for row in rows] == ["has_gradient"] * 2 + ["lucky", "has_gradient"]


def test_truncated_attempts_abstain_unless_told_otherwise(tmp_path: Path) -> None:
    cut = [False, False, True, None]
    rows = [
        {"task": "a", "reward": r, "truncated": c} for r, c in zip((1, 0, 0, 0), cut, strict=True)
    ]
    got = weighed(tmp_path, rows, objective="dr_grpo")
    assert got[2]["advantage"] is None
    assert (got[2]["why"], got[2]["outcome"]) == ("truncated", "failure")
    assert got[0]["n_scored"] == 3
    assert got[0]["advantage"] == pytest.approx(2 / 3)
    judged = weighed(tmp_path, rows, objective="dr_grpo", truncated_as="as_judged")
    assert judged[2]["advantage"] == -0.25


def test_a_tool_error_is_broken_unless_the_attempt_succeeded(tmp_path: Path) -> None:
    rows = [
        {"group_id": "g", "reward": 1, "tool_error": "timeout"},
        {"group_id": "g", "reward": 0, "tool_error": "timeout"},
        {"group_id": "g", "reward": 0, "tool_error": ""},
        {"group_id": "g", "reward": None, "tool_error": None},
        {"group_id": "g", "reward": float("nan"), "tool_error": "false"},
    ]
    source = parquet(tmp_path / "rollouts.parquet", rows)
    out = tmp_path / "weights.parquet"
    write_weights([source], out, columns={"broken": "tool_error"})
    got = [row["outcome"] for row in read(out)]
    assert got == ["success", "broken", "failure", "unscored", "unscored"]


def test_a_group_may_lie_in_several_files_and_row_groups(tmp_path: Path) -> None:
    rows = [{"task": f"t{i % 3}", "reward": float(i % 2)} for i in range(6000)]
    whole = parquet(tmp_path / "whole.parquet", rows)
    first = parquet(tmp_path / "part 1 [x].parquet", rows[:4100])
    second = parquet(tmp_path / "part 2 [x].parquet", rows[4100:])
    parquet(tmp_path / "part 0 [x].parquet", [], "task", "reward")
    together, split = tmp_path / "together.parquet", tmp_path / "split.parquet"
    write_weights([whole], together)
    write_weights([str(tmp_path / "part*.parquet")], split)
    named = {first: 4100, second: 1900}
    assert Counter(row["file"] for row in read(split)) == named
    places = [(row["file"], row["row"]) for row in read(split)]
    assert places == [(file, i) for file, n in named.items() for i in range(n)]
    without = [{k: v for k, v in row.items() if k not in ("file", "row")} for row in read(split)]
    assert without == [
        {k: v for k, v in row.items() if k not in ("file", "row")} for row in read(together)
    ]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from("mn"), st.sampled_from(list(Outcome))),
        min_size=4,
        max_size=40,
    ).filter(lambda rows: any(o.is_scored for _, _, o in rows))
)
def test_a_sidecar_is_what_the_objective_gives_row_by_row(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, Outcome]]
) -> None:
    folder = tmp_path_factory.mktemp("random")
    source = [{"task": t, "policy": p, "outcome": o.value} for t, p, o in rows]
    got = weighed(folder, source, objective="grpo", small_groups="drop")
    sizes = Counter((t, p) for t, p, _ in rows)
    ids = {key: i for i, key in enumerate(sizes)}
    big = [i for i, (t, p, _) in enumerate(rows) if sizes[t, p] > 1]
    labels = labels_of([rows[i][2] for i in big])
    group = torch.tensor([ids[rows[i][:2]] for i in big], dtype=torch.int64)
    theirs = dict(zip(big, find_objective("grpo").advantages(labels, group).tolist(), strict=True))
    for i, row in enumerate(got):
        scored = rows[i][2].is_scored
        assert row["advantage"] == (theirs[i] if scored and i in theirs else None)
        assert (row["why"] == "small_group") == (scored and i not in theirs)
        mine = [o for t, p, o in rows if (t, p) == rows[i][:2]]
        counts = [mine.count(o) for o in (Outcome.SUCCESS, Outcome.FAILURE, Outcome.BROKEN)]
        assert row["state"] == STATES[int(group_states(*counts[:2], n_broken=counts[2]))].value


def test_our_own_parquet_needs_no_mapping(tmp_path: Path) -> None:
    source = tmp_path / "attempts.parquet"
    attempts = list(read_attempts([str(demo_path("held_out"))]))
    write_attempts(attempts, source)
    out = tmp_path / "weights.parquet"
    counts = write_weights([str(source)], out).counts
    assert counts.n_rows == len(attempts)
    assert sum(counts.n_groups.values()) == len({(a.task, a.policy) for a in attempts})
    assert [row["outcome"] for row in read(out)] == [a.outcome.value for a in attempts]


def test_p_lucky_does_not_follow_what_lies_beside_it(tmp_path: Path) -> None:
    small = outcomes(("a", "sfff"))
    alone = weighed(tmp_path, small, p0=0.1)
    beside = weighed(tmp_path, [*small, *outcomes(("big", "s" + "f" * 3000))], p0=0.1)
    assert alone[0]["p_lucky"] == beside[0]["p_lucky"]


@pytest.mark.parametrize(
    ("rows", "given", "words"),
    [
        ([{"task": "a", "reward": 0.5}, {"task": "a", "reward": 1}], {}, "row 0.*threshold"),
        ([{"task": "a", "reward": -1}, {"task": "a", "reward": 1}], {}, "1 rows with something"),
        ([{"task": None, "reward": 1}, {"task": "a", "reward": 1}], {}, "row 0: .*group"),
        ([{"task": "a", "reward": None}] * 2, {}, "success or a failure.*--outcomes"),
        ([{"task": "a", "tokens": [1]}], {}, "a verdict column"),
        ([{"reward": 1.0}], {}, "a column 'task'"),
        (outcomes(("a", "sf"), ("b", "s")), {}, "1 groups with fewer.*'b' with 1.*--small-groups"),
        (outcomes(("a", "sf")), {"objective": "pass_at_k"}, "at least 4 attempts"),
        (outcomes(("a", "sf")), {"max_lucky": 0.5}, "--p0"),
        (outcomes(("a", "sf")), {"objective": "luck_capped"}, "--p0"),
        (outcomes(("a", "sf")), {"objective": "gpro"}, "Did you mean grpo"),
        (
            [{"id": "x", **row} for row in outcomes(("a", "sf"))],
            {},
            "1 ids on several rows, as 'x' on 2",
        ),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(
    tmp_path: Path, rows: list[Row], given: dict[str, Any], words: str
) -> None:
    parquet(tmp_path / "attempts.parquet", rows)
    out = tmp_path / "out" / "weights.parquet"
    out.parent.mkdir()
    out.write_text("what was there before")
    with pytest.raises(BadInput, match=f"(?s){words}"):
        write_weights([str(tmp_path / "attempts.parquet")], out, settings=WeightSettings(**given))
    assert [path.name for path in out.parent.iterdir()] == ["weights.parquet"]
    assert out.read_text() == "what was there before"


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    good = parquet(tmp_path / "good.parquet", outcomes(("a", "sf")))
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(Path(good).read_bytes()[:-40])
    empty = tmp_path / "empty.parquet"
    empty.write_bytes(b"")
    other = parquet(tmp_path / "other.parquet", [{"task": "a", "reward": 1.0}])
    lines = tmp_path / "runs.jsonl"
    lines.write_text("{}")
    none = parquet(tmp_path / "none.parquet", [], "task", "reward")
    out = tmp_path / "weights.parquet"
    for names, words in (
        ([str(torn)], "torn.parquet"),
        ([good, str(torn)], "torn.parquet"),
        ([str(empty)], "empty.parquet"),
        ([good, other], "same columns"),
        ([good, good], "every file once"),
        ([good, str(tmp_path / "g*.parquet")], "every file once"),
        ([str(lines)], "twiceshy import"),
        ([str(tmp_path / "missing.parquet")], "Check the path"),
        ([none], "at least one row"),
    ):
        with pytest.raises(BadInput, match=words):
            write_weights(names, out)
    with pytest.raises(BadInput, match="one of the inputs"):
        write_weights([good], good)
    with pytest.raises(BadInput, match=r"ends in \.parquet"):
        write_weights([good], tmp_path / "weights.csv")
    with pytest.raises(BadInput, match="folder that exists"):
        write_weights([good], tmp_path / "nowhere" / "weights.parquet")
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


def test_columns_in_structs_and_odd_names(tmp_path: Path) -> None:
    path = tmp_path / "nested.parquet"
    duckdb.execute(
        "COPY (SELECT {'q': 'a'} AS \"the task\", i::DOUBLE AS \"it's\" FROM range(2) t(i))"
        f" TO '{path}' (FORMAT parquet)"
    )
    out = tmp_path / "weights.parquet"
    write_weights([str(path)], out, columns={"task": "the task.q", "reward": "it's"})
    assert [row["advantage"] for row in read(out)] == pytest.approx([-(0.5**0.5), 0.5**0.5])


def test_counts_are_the_file_s(tmp_path: Path) -> None:
    source = parquet(tmp_path / "a.parquet", outcomes(("a", "sffu"), ("b", "ff"), ("c", "sf")))
    counts = write_weights([source], tmp_path / "w.parquet", settings=WeightSettings(p0=0.2)).counts
    assert counts.n_groups == {"mixed": 2, "all_wrong": 1}
    assert counts.group_sizes == (2, 4)
    assert (counts.n_rows, counts.n_scored, counts.n_lucky_judged) == (8, 7, 2)
    expected = float(np.sum([p_lucky(1, 3, p0=0.2), p_lucky(1, 2, p0=0.2)]))
    assert counts.expected_lucky == pytest.approx(expected)
