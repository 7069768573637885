"""Parquet files, on disks or in buckets, as parts of whole row groups that a worker reads alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from twiceshy.errors import BadInput
from twiceshy.frontier.weights import InputFile
from twiceshy.frontier.weights.inputs import is_remote, parquet_files

if TYPE_CHECKING:
    import pyarrow as pa

PART_ROWS = 500_000
"""Rows from which a part is full. Ours: about 20 MB once marked."""


class Part(NamedTuple):
    """Some row groups of one file."""

    file: str
    file_index: int
    first_group: int
    n_groups: int
    first_row: int
    columns: tuple[str, ...]


class Listing(NamedTuple):
    """Files by their footers."""

    files: tuple[InputFile, ...]
    types: dict[str, str]
    """Columns of the first file with their types."""
    parts: tuple[Part, ...]
    """Without columns, which are chosen from the types."""


def list_files(paths: Sequence[str], *, target: str) -> Listing:
    """Return files, columns and parts; only footers are read.

    Args:
        paths: Files, folders or globs of this machine, and addresses of files or folders.
        target: The file to be written, which must not be one of them.

    Raises:
        BadInput: Nothing is there, or a file is no intact Parquet.
    """
    local = parquet_files([p for p in paths if not is_remote(p)] or [], target=target)
    names = (*local, *(name for path in paths if is_remote(path) for name in _stored(path)))
    if len(set(names)) < len(names):
        raise BadInput("every file once", got="one twice", where="INPUT", fix="Leave one out.")
    files: list[InputFile] = []
    parts: list[Part] = []
    types: dict[str, str] = {}
    for index, name in enumerate(names):
        metadata, schema, n_bytes = _footer(name)
        types = types or {field.name: str(field.type) for field in schema}
        files.append(InputFile(name, metadata.num_rows, n_bytes))
        parts.extend(_cut(metadata, name, index))
    return Listing(tuple(files), types, tuple(parts))


def read_part(part: Part) -> pa.Table:
    """Return a part's columns, with the places its rows have in the file."""
    import pyarrow as pa
    from pyarrow import parquet

    with _opened(part.file) as file:
        groups = list(range(part.first_group, part.first_group + part.n_groups))
        table = parquet.ParquetFile(file).read_row_groups(groups, columns=list(part.columns))
    rows = pa.array(range(part.first_row, part.first_row + table.num_rows), pa.int64())
    index = pa.array([part.file_index] * table.num_rows, pa.int32())
    return table.append_column("file_index", index).append_column("file_row_number", rows)


def _cut(metadata: Any, name: str, index: int) -> Iterator[Part]:
    """Yield parts of whole row groups, each of about `PART_ROWS` rows or one row group."""
    first_group = first_row = held = 0
    for group in range(metadata.num_row_groups):
        held += metadata.row_group(group).num_rows
        if held >= PART_ROWS or group == metadata.num_row_groups - 1:
            yield Part(name, index, first_group, group + 1 - first_group, first_row, ())
            first_group, first_row, held = group + 1, first_row + held, 0


def _footer(name: str) -> tuple[Any, Any, int]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with _opened(name) as file:
            opened = parquet.ParquetFile(file)
            return opened.metadata, opened.schema_arrow, file.size()
    except (pa.ArrowException, OSError) as error:
        raise BadInput(
            "readable Parquet files of the same columns",
            got=str(error).splitlines()[0][:200],
            where=name,
            fix="Write the damaged file again, or leave it out.",
        ) from error


def _stored(address: str) -> list[str]:
    """Return the addresses of the Parquet files that an address means."""
    from pyarrow import fs

    scheme = address.partition("://")[0]
    try:
        system, path = fs.FileSystem.from_uri(address)
        info = system.get_file_info(path)
        if info.type == fs.FileType.File:
            return [address]
        found = system.get_file_info(fs.FileSelector(path, recursive=True))
    except (OSError, ValueError) as error:
        raise BadInput("a bucket that can be listed", got=str(error), where=address) from error
    names = sorted(each.path for each in found if each.path.endswith(".parquet"))
    if not names:
        raise BadInput("a Parquet file", got="none", where=address, fix="Check the address.")
    return [f"{scheme}://{name}" for name in names]


def _opened(name: str) -> Any:
    from pyarrow import fs

    if not is_remote(name):
        return fs.LocalFileSystem().open_input_file(name)
    system, path = fs.FileSystem.from_uri(name)
    return system.open_input_file(path)
