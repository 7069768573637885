from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from twiceshy.frontier import rows_to_count


@pytest.mark.parametrize(
    ("columns", "expected"),
    [("i AS task, 1 AS reward", 7), ("i AS task", 0), ("i AS question, 1 AS reward", 0)],
)
def test_only_a_table_of_attempts_can_be_counted(
    tmp_path: Path, columns: str, expected: int
) -> None:
    path = tmp_path / "a.parquet"
    duckdb.sql(f"COPY (SELECT {columns} FROM range(7) t(i)) TO '{path}' (FORMAT parquet)")
    assert rows_to_count(path) == expected


def test_a_mapping_names_the_columns_and_rubbish_counts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    duckdb.sql(f"COPY (SELECT i AS q, 1 AS ok FROM range(3) t(i)) TO '{path}' (FORMAT parquet)")
    assert rows_to_count(path, columns={"task": "q", "success": "ok"}) == 3
    (tmp_path / "b.parquet").write_bytes(b"not parquet")
    assert rows_to_count(tmp_path / "b.parquet") == 0
