"""Weights on Ray Data: for attempts in a bucket, or more of them than one machine should read.

The same SQL as in `twiceshy.frontier.weights`, run by workers on parts, and the same file in the
end. Groups are dealt out whole by the hash of task and policy, so they may lie in any file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from twiceshy.errors import BadInput
from twiceshy.files import whole_file
from twiceshy.frontier.columns import choose_columns
from twiceshy.frontier.weights import InputFile, Weighed, WeightSettings
from twiceshy.frontier.weights.blocks import by_id, check_ids, mark_rows, weigh_rows
from twiceshy.frontier.weights.counting import count_sidecar
from twiceshy.frontier.weights.duck import checked_target, copy_sidecar, opened
from twiceshy.frontier.weights.refusing import Job, refuse_no_label
from twiceshy.frontier.weights.rulings import check_settings
from twiceshy.integrations.ray.parts import PART_ROWS, Part, list_files, read_part
from twiceshy.integrations.ray.session import ray_session

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

_STORE_BYTES = 200_000_000
"""Object store of a Ray that is started here: rows are marked before they are put into it."""


def write_weights(
    paths: Sequence[str],
    target: str | Path,
    *,
    settings: WeightSettings | None = None,
    columns: Mapping[str, str] | None = None,
    threshold: float | None = None,
) -> Weighed:
    """Write one row an attempt: what to train on, with which weight, and why.

    Arguments, result and errors are those of `twiceshy.frontier.weights.write_weights`; paths may
    also be addresses that pyarrow opens (`s3://`, `gs://`, `hdfs://`, `file://`), of files or
    folders. Uses the Ray that is running or that `RAY_ADDRESS` names, else starts one on this
    machine for as long as it takes. Workers need this package.

    Raises:
        MissingExtra: Ray Data is not installed.
    """
    chosen = settings or WeightSettings()
    check_settings(chosen)
    place = checked_target(target)
    with ray_session(
        "weights on Ray",
        store_bytes=_STORE_BYTES,
        needs=("ray", "ray.data"),
        instead="weigh without it (--engine duckdb)",
    ):
        listing = list_files(paths, target=str(place))
        names = tuple(file.file for file in listing.files)
        picked = choose_columns(listing.types, columns or {}, where=names[0])
        job = Job(chosen, picked, names, threshold)
        parts = [part._replace(columns=picked.top_level) for part in listing.parts]
        n_rows = sum(file.n_rows for file in listing.files)
        with _quiet(), _ours():
            return _write(parts, place, job=job, files=listing.files, n_rows=n_rows)


def _write(
    parts: Sequence[Part],
    place: Path,
    *,
    job: Job,
    files: tuple[InputFile, ...],
    n_rows: int,
) -> Weighed:
    import pyarrow as pa

    if not n_rows:
        refuse_no_label(0, n_rows=0, where=job.files[0])
    weighed = _weighed(parts, job=job, n_buckets=-(-n_rows // PART_ROWS))
    with opened(place.parent) as connection, whole_file(place) as part:
        first = next(weighed)
        batches = (batch for table in _all(first, weighed) for batch in table.to_batches())
        rows = pa.RecordBatchReader.from_batches(first.schema, batches)
        connection.register("weighed", rows)
        copy_sidecar(connection, "SELECT * FROM weighed", part, files=job.files)
        counts = count_sidecar(connection, part)
        refuse_no_label(counts.n_scored, n_rows=counts.n_rows, where=job.files[0])
    return Weighed(place, files, counts)


def _weighed(parts: Sequence[Part], *, job: Job, n_buckets: int) -> Iterator[pa.Table]:
    """Yield the sidecar's rows as workers finish them."""
    import pyarrow as pa
    import ray.data

    # A block a part, which holds its number; the parts themselves travel with the function.
    numbered = [pa.table({"part": [number]}) for number in range(len(parts))]
    mark = partial(_mark, parts=tuple(parts), job=job, n_buckets=n_buckets)
    marked = ray.data.from_arrow(numbered).map_batches(
        mark, batch_format="pyarrow", batch_size=None
    )
    if job.columns.id is not None:
        marked = marked.materialize()
        _refuse_duplicates(marked, n_buckets=n_buckets)
    weighed = marked.groupby("bucket", num_partitions=n_buckets).map_groups(
        partial(weigh_rows, job=job), batch_format="pyarrow"
    )
    yield from weighed.iter_batches(batch_format="pyarrow", batch_size=None)


def _mark(
    numbered: pa.Table, *, parts: Sequence[Part], job: Job, n_buckets: int
) -> Iterator[pa.Table]:
    for number in numbered["part"].to_pylist():
        yield mark_rows(read_part(parts[number]), job=job, n_buckets=n_buckets)


def _refuse_duplicates(marked: Dataset, *, n_buckets: int) -> None:
    """Bring rows of one id together and refuse two of them."""
    named = marked.map_batches(partial(by_id, n_buckets=n_buckets), batch_format="pyarrow")
    checked = named.groupby("bucket", num_partitions=n_buckets).map_groups(
        check_ids, batch_format="pyarrow"
    )
    for _ in checked.iter_batches(batch_size=None):
        pass


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray Data's own progress and notes off the terminal; what fails is raised."""
    from ray.data import DataContext

    context, log = DataContext.get_current(), logging.getLogger("ray.data")
    before, level = context.enable_progress_bars, log.level
    context.enable_progress_bars = False
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars = before
        log.setLevel(level)


@contextmanager
def _ours() -> Iterator[None]:
    """Raise what a worker refused as it was meant, without the account of how it travelled."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, BadInput):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause is None:
            raise
        raise BadInput(cause.expected, got=cause.got, where=cause.where, fix=cause.fix) from error


def _all(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from rest
