"""Parts of the rows by themselves, as workers see them, against the whole at once."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import duckdb
import pytest

from twiceshy.errors import BadInput
from twiceshy.frontier.columns import choose_columns
from twiceshy.frontier.weights import WeightSettings, write_weights
from twiceshy.frontier.weights.refusing import Job

pa = pytest.importorskip("pyarrow")

from twiceshy.frontier.weights.blocks import by_id, check_ids, mark_rows, weigh_rows  # noqa: E402
from twiceshy.frontier.weights.steps import SIDECAR  # noqa: E402

SETTINGS = WeightSettings(objective="rloo", p0=0.1, max_lucky=0.5)


def table(n: int, **more: Any) -> Any:
    columns = {
        "task": [f"t{i % 7}" for i in range(n)],
        "reward": [float(i % 3 == 0) for i in range(n)],
    }
    return pa.table(columns | more)


def job_of(rows: Any, settings: WeightSettings = SETTINGS) -> Job:
    types = {field.name: str(field.type) for field in rows.schema}
    return Job(settings, choose_columns(types, {}, where="a"), ("a.parquet",))


def placed(rows: Any, start: int, stop: int) -> Any:
    part = rows.slice(start, stop - start)
    place = pa.array(range(start, stop), pa.int64())
    index = pa.array([0] * len(part), pa.int32())
    return part.append_column("file_index", index).append_column("file_row_number", place)


def test_parts_make_the_same_sidecar_as_the_whole(tmp_path: Path) -> None:
    rows, source = table(500), tmp_path / "a.parquet"
    duckdb.from_arrow(rows).to_parquet(str(source))
    out = tmp_path / "w.parquet"
    write_weights([str(source)], out, settings=SETTINGS)
    with duckdb.connect() as connection:
        whole = connection.execute(f"SELECT * EXCLUDE file FROM '{out}'").fetchall()

    job = job_of(rows)
    cuts = [0, 130, 131, 400, 500]
    marked = pa.concat_tables(
        mark_rows(placed(rows, a, b), job=job, n_buckets=3) for a, b in itertools.pairwise(cuts)
    )
    buckets = marked["bucket"].to_pylist()
    assert len({*zip(marked["task"].to_pylist(), buckets, strict=True)}) == 7
    parts = [
        weigh_rows(marked.filter(pa.compute.equal(marked["bucket"], n)), job=job)
        for n in sorted(set(buckets))
    ]
    assert len(parts) > 1
    again = pa.concat_tables(parts).sort_by("row").select([*SIDECAR[1:]])
    assert [tuple(row.values()) for row in again.to_pylist()] == whole


def test_no_rows_are_no_rows_of_the_same_columns() -> None:
    rows = table(28)
    marked = mark_rows(placed(rows, 0, 28), job=job_of(rows))
    some, none = (weigh_rows(part, job=job_of(rows)) for part in (marked, marked.slice(0, 0)))
    assert none.num_rows == 0
    assert none.schema == some.schema


def test_ids_of_one_kind_meet_in_one_bucket() -> None:
    rows = table(40, id=[None if i == 3 else str(i % 39) for i in range(40)])
    marked = mark_rows(placed(rows, 0, 40), job=job_of(rows))
    ids = by_id(marked, n_buckets=4)
    assert ids.num_rows == 39
    twice = ids.filter(pa.compute.equal(ids["id"], "0"))
    assert len(set(twice["bucket"].to_pylist())) == 1
    with pytest.raises(BadInput, match="'0' on 2"):
        check_ids(ids)
    assert check_ids(ids.slice(1, 30)).num_rows == 0
