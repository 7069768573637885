"""Weights on one machine: DuckDB over Parquet, in bounded memory, without reading token columns."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twiceshy.errors import BadInput
from twiceshy.files import whole_file
from twiceshy.frontier.columns import choose_columns, quoted
from twiceshy.frontier.tally import MEMORY_LIMIT, THREADS
from twiceshy.frontier.weights.counting import SidecarCounts, count_sidecar
from twiceshy.frontier.weights.inputs import parquet_files
from twiceshy.frontier.weights.refusing import Job, refuse_duplicates, refuse_no_label
from twiceshy.frontier.weights.rulings import check_settings
from twiceshy.frontier.weights.settings import WeightSettings
from twiceshy.frontier.weights.steps import SIDECAR, keep_table, mark_sql, weigh

if TYPE_CHECKING:
    import duckdb


class InputFile(NamedTuple):
    """One file of attempts, as far as a later join must know it."""

    file: str
    """The name that the sidecar uses."""
    n_rows: int
    n_bytes: int


class Weighed(NamedTuple):
    """A sidecar that was written."""

    path: Path
    inputs: tuple[InputFile, ...]
    counts: SidecarCounts


def write_weights(
    paths: Sequence[str],
    target: str | Path,
    *,
    settings: WeightSettings | None = None,
    columns: Mapping[str, str] | None = None,
    threshold: float | None = None,
) -> Weighed:
    """Write one row an attempt: what to train on, with which weight, and why.

    Args:
        paths: Parquet files, folders or globs of one row an attempt. A group may lie in several.
        target: The sidecar, a `.parquet`; complete when it appears. Its columns are `steps.SIDECAR`
            with `file` for the file index; rows are in the order of the files, `row` from 0.
        settings: What to give whom; GRPO when left out.
        columns: Our field to the files' column, see `columns.choose_columns`.
        threshold: A reward at or above it is a success. None: rewards must be 0 or 1.

    Returns:
        Where it is and what is in it.

    Raises:
        BadInput: A file cannot be read, a column is missing, a row has no task or an odd verdict,
            ids repeat, groups are too small, or nothing is scored. Nothing is written then.
    """
    chosen = settings or WeightSettings()
    check_settings(chosen)
    place = checked_target(target)
    files = parquet_files(paths, target=place)
    where = files[0] if len(files) == 1 else f"{len(files)} files from {files[0]}"
    with opened(place.parent) as connection, naming(where):
        job = _job(connection, files, settings=chosen, columns=columns, threshold=threshold)
        names = ", ".join(quoted(glob.escape(name)) for name in files)
        source = f"(SELECT *, file_index, file_row_number FROM read_parquet([{names}]))"
        marked = mark_sql(source, job=job)
        if job.columns.id is not None:
            refuse_duplicates(connection, marked)
        selected = weigh(connection, marked, job=job)
        with whole_file(place) as part:
            copy_sidecar(connection, selected, part, files=files)
            counts = count_sidecar(connection, part)
            refuse_no_label(counts.n_scored, n_rows=counts.n_rows, where=where)
        return Weighed(place, _inputs(connection, files), counts)


def checked_target(target: str | Path) -> Path:
    """Return the path of the sidecar.

    Raises:
        BadInput: Its name has another ending, or its folder does not exist.
    """
    place = Path(target)
    if place.suffix.lower() != ".parquet":
        raise BadInput("a name that ends in .parquet", got=str(target), where="--out")
    if not place.parent.is_dir():
        raise BadInput("a folder that exists", got=str(place.parent), where="--out")
    return place


@contextmanager
def opened(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection held to `THREADS` and `MEMORY_LIMIT`; what is more goes to the folder."""
    import duckdb

    with tempfile.TemporaryDirectory(dir=folder, prefix=".twiceshy-") as spill:
        config: dict[str, Any] = {
            "memory_limit": MEMORY_LIMIT,
            "threads": THREADS,
            "temp_directory": spill,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        connection = duckdb.connect(":memory:", config=config)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Turn what DuckDB raises into our error, which names the input."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise BadInput(
            "readable Parquet files of the same columns",
            got=str(error).strip().splitlines()[0][:200],
            where=where,
            fix="Write the damaged file again, or leave it out.",
        ) from error


def copy_sidecar(
    connection: duckdb.DuckDBPyConnection, selected: str, target: Path, *, files: Sequence[str]
) -> None:
    """Write selected sidecar rows in the order of files and rows, with names for file indices.

    Raises:
        OSError: The target cannot be written.
    """
    import duckdb

    index, names = np.arange(len(files)), np.array(files, dtype=object)
    keep_table(connection, "weigh_file", {"file_index": index, "file": names})
    listed = ", ".join(SIDECAR[1:])
    ordered = (
        f"SELECT file, {listed} FROM ({selected}) JOIN weigh_file USING (file_index)"
        " ORDER BY file_index, row"
    )
    try:
        connection.execute(
            f"COPY ({ordered}) TO {quoted(str(target))} (FORMAT parquet, COMPRESSION zstd)"
        )
    except duckdb.IOException as error:
        raise OSError(str(error)) from error


def _job(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[str],
    *,
    settings: WeightSettings,
    columns: Mapping[str, str] | None,
    threshold: float | None,
) -> Job:
    found = connection.execute(
        f"DESCRIBE SELECT * FROM read_parquet({quoted(glob.escape(files[0]))})"
    ).fetchall()
    types = {str(row[0]): str(row[1]) for row in found}
    chosen = choose_columns(types, columns or {}, where=files[0])
    return Job(settings, chosen, tuple(files), threshold)


def _inputs(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> tuple[InputFile, ...]:
    names = ", ".join(quoted(glob.escape(name)) for name in files)
    found = connection.execute(f"SELECT num_rows FROM parquet_file_metadata([{names}])").fetchall()
    sizes = (Path(name).stat().st_size for name in files)
    return tuple(
        InputFile(name, int(row[0]), size)
        for name, row, size in zip(files, found, sizes, strict=True)
    )
