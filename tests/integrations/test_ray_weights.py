from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from twiceshy.errors import BadInput
from twiceshy.frontier.weights import WeightSettings
from twiceshy.frontier.weights import write_weights as on_duckdb
from twiceshy.integrations.ray import write_weights
from twiceshy.integrations.ray.parts import list_files, read_part

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("ray.data")
pytestmark = pytest.mark.filterwarnings("default")  # Ray warns of its own deprecations
N = 900


def written(path: Path, start: int, stop: int, **more: Any) -> str:
    rows = range(start, stop)
    columns = {
        "task": [f"t{i % 40}" for i in rows],
        "reward": [None if i % 11 == 0 else float(i % 3 == 0) for i in rows],
        "tokens": [[i] * 5 for i in rows],
    }
    parquet.write_table(pa.table(columns | more), path, row_group_size=100)
    return str(path)


@pytest.fixture(scope="module")
def running() -> Iterator[None]:
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=80_000_000,
            logging_level=logging.ERROR,
            _node_ip_address="127.0.0.1",
        )
        yield
        ray.shutdown()


def test_parts_are_whole_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twiceshy.integrations.ray.parts.PART_ROWS", 250)
    a = written(tmp_path / "a.parquet", 0, 500)
    b = f"file://{written(tmp_path / 'b.parquet', 500, N)}"
    listing = list_files([a, b], target=str(tmp_path / "w.parquet"))
    assert [(f.file, f.n_rows) for f in listing.files] == [(a, 500), (b, 400)]
    assert [(p.file_index, p.first_row, p.n_groups) for p in listing.parts] == [
        (0, 0, 3), (0, 300, 2), (1, 0, 3), (1, 300, 1),
    ]  # fmt: skip
    table = read_part(listing.parts[3]._replace(columns=("task", "reward")))
    assert table.column_names == ["task", "reward", "file_index", "file_row_number"]
    assert table["file_row_number"].to_pylist() == list(range(300, 400))
    assert table["task"].to_pylist()[0] == f"t{800 % 40}"


def test_an_address_of_a_folder_means_its_files(tmp_path: Path) -> None:
    for name in ("b", "a"):
        written(tmp_path / f"{name}.parquet", 0, 10)
    listing = list_files([f"file://{tmp_path}"], target="w.parquet")
    assert [Path(f.file).name for f in listing.files] == ["a.parquet", "b.parquet"]
    with pytest.raises(BadInput, match="every file once"):
        list_files([f"file://{tmp_path}"] * 2, target="w.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(BadInput, match=r"torn\.parquet: .*leave it out"):
        list_files([f"file://{tmp_path}"], target="w.parquet")
    with pytest.raises(BadInput, match="that can be listed"):
        list_files([f"file://{tmp_path}/nowhere"], target="w.parquet")


def test_ray_writes_the_same_file(
    tmp_path: Path, running: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twiceshy.integrations.ray.parts.PART_ROWS", 300)
    monkeypatch.setattr("twiceshy.integrations.ray.weights.PART_ROWS", 300)
    names = [written(tmp_path / "a.parquet", 0, 500), written(tmp_path / "b.parquet", 500, N)]
    settings = WeightSettings(objective="w_reinforce", p0=0.2, max_lucky=0.1, all_wrong="ngrpo")
    here = on_duckdb(names, tmp_path / "duckdb.parquet", settings=settings)
    there = write_weights(names, tmp_path / "ray.parquet", settings=settings)
    tables = [parquet.read_table(tmp_path / f"{name}.parquet") for name in ("duckdb", "ray")]
    assert tables[0].num_rows == N
    # DuckDB calls a column not null where it happens to know; what is in them is the same.
    assert tables[0].column_names == tables[1].column_names
    assert tables[0].to_pylist() == tables[1].to_pylist()
    assert here.counts == there.counts
    assert here.inputs == there.inputs


@pytest.mark.slow  # workers of Ray take their time to start, whatever they do
def test_what_a_worker_refuses_is_said_as_it_is(tmp_path: Path, running: None) -> None:
    odd = written(tmp_path / "odd.parquet", 0, 10, reward=[0.5] * 10)
    out = tmp_path / "w.parquet"
    with pytest.raises(BadInput, match=r"^.*odd\.parquet, row 0: expected a success"):
        write_weights([odd], out)
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))
