from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from reader_fixtures import attempts, read, reader

from twiceshy.attempts.sources import FileSource
from twiceshy.attempts.types import Outcome, Unreadable

ROWS = """
    (10, 'What is 6 x 7?', '42', 1.0::DOUBLE, 'good', 0.7::DOUBLE),
    (10, 'What is 6 x 7?', '41', 0.0::DOUBLE, 'bad', -0.7::DOUBLE),
    (10, 'What is 6 x 7?', '40', 0.5::DOUBLE, 'so so', 'nan'::DOUBLE),
    (10, 'What is 6 x 7?', '39', NULL, 'unjudged', 0.0::DOUBLE)
"""


def write_table(folder: Path, query: str) -> Path:
    path = folder / "my-run" / "completions" / "completions_00010.parquet"
    path.parent.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


@pytest.fixture
def one_reward(tmp_path: Path) -> Path:
    columns = "step, prompt, completion, accuracy_reward, note, advantage"
    return write_table(tmp_path, f"SELECT * FROM (VALUES {ROWS}) AS t({columns})")


@pytest.fixture
def two_rewards(tmp_path: Path) -> Path:
    columns = "step, prompt, completion, accuracy_reward, note, advantage"
    query = f"SELECT *, 1.0::DOUBLE AS format_reward FROM (VALUES {ROWS}) AS t({columns})"
    return write_table(tmp_path, query)


def test_one_reward_column_is_the_verdict(one_reward: Path) -> None:
    assert reader("trl").matches(FileSource(one_reward))
    found = attempts(one_reward, "trl")
    assert [one.outcome for one in found] == [
        Outcome.SUCCESS,
        Outcome.FAILURE,
        Outcome.UNSCORED,
        Outcome.UNSCORED,
    ]
    assert [one.provenance.line for one in found] == [1, 2, 3, 4]
    assert {one.policy for one in found} == {"my-run@10"}
    assert {one.task for one in found} == {"What is 6 x 7?"}
    assert found[0].steps[0].text == "42"
    rewards = {"accuracy_reward": 1.0}
    assert found[0].extra == {"rewards": rewards, "advantage": 0.7, "note": "good"}
    assert found[2].extra == {"rewards": {"accuracy_reward": 0.5}, "note": "so so"}
    assert found[3].verdict.reason == "no judgement in the log"


def test_several_reward_columns_need_a_declaration(two_rewards: Path) -> None:
    found = attempts(two_rewards, "trl")
    assert {one.outcome for one in found} == {Outcome.UNSCORED}
    assert "--map reward=NAME" in found[0].verdict.reason
    declared = attempts(two_rewards, "trl", mapping={"reward": "accuracy_reward"})
    assert [one.outcome for one in declared[:2]] == [Outcome.SUCCESS, Outcome.FAILURE]
    assert declared[0].verdict.evidence == "accuracy_reward"


def test_conversations_are_read_as_messages(tmp_path: Path) -> None:
    message = "{'role': '%s', 'content': '%s'}"
    query = (
        f"SELECT 1 AS step, [{message % ('user', 'hi')}] AS prompt, "
        f"[{message % ('assistant', 'hello')}] AS completion, "
        "1.0::DOUBLE AS r, 0.0::DOUBLE AS advantage"
    )
    (one,) = attempts(write_table(tmp_path, query), "trl")
    assert (one.prompt, one.steps[0].text, one.steps[0].role) == ("user: hi", "hello", "assistant")


def test_other_tables_are_not_taken_and_damage_is_reported(tmp_path: Path) -> None:
    other = write_table(tmp_path, "SELECT 1 AS question, 2 AS answer")
    assert not reader("trl").matches(FileSource(other))
    (fault,) = read(other, "trl")
    assert isinstance(fault, Unreadable)
    assert fault.got == "columns question, answer"
    other.write_bytes(other.read_bytes()[:60])
    assert not reader("trl").matches(FileSource(other))
    (fault,) = read(other, "trl")
    assert isinstance(fault, Unreadable)


def test_many_rows_come_in_batches(tmp_path: Path) -> None:
    query = (
        "SELECT 2 AS step, 'q' || (i % 100) AS prompt, 'a' AS completion, "
        "(i % 2)::DOUBLE AS r, 0.0::DOUBLE AS advantage FROM range(5000) AS t(i)"
    )
    found = attempts(write_table(tmp_path, query), "trl")
    assert len(found) == 5000
    assert found[-1].provenance.line == 5000
    assert sum(one.outcome is Outcome.SUCCESS for one in found) == 2500
