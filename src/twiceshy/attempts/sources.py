"""Input files: which ones are meant, how they are decompressed, and where each line is.

Three promises: a compressed file is known by its first bytes, not by its name; a file that grows
while it is read ends where it ended when it was opened; and no line is dropped in silence (one that
is too long to hold in memory goes to `FileSource.faults`).
"""

from __future__ import annotations

import difflib
import glob
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from twiceshy.attempts.types import Unreadable
from twiceshy.errors import BadInput, missing_extra

HEAD_BYTES = 64 * 1024
MAX_LINE_BYTES = 256 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
_TAIL_BYTES = 4096
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


class FileSource:
    """One input file, decompressed on the fly; implements `readers.protocol.Source`.

    Args:
        path: The file.
        label: What messages and provenance call it; the path as given when left out.
        max_line_bytes: A longer line is skipped and noted in `faults`.

    Raises:
        BadInput: When the file cannot be opened, or its compressed data is damaged (while reading).
        MissingExtra: When it is zstd and `zstandard` is not installed (while reading).
    """

    def __init__(
        self,
        path: str | Path,
        *,
        label: str | None = None,
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        self._path = Path(path)
        self._label = label if label is not None else str(path)
        self._max_line_bytes = max_line_bytes
        self._head: bytes | None = None
        self._window: _Window | None = None
        self.faults: list[Unreadable] = []
        """Lines that `lines` could not give out. The caller takes them from here."""
        self.unterminated_line: int | None = None
        """Number of the last line when it had no newline; set once `lines` has come to it."""
        try:
            self.size = self._path.stat().st_size
            """Bytes on disk when the source was made; nothing after them is read."""
        except OSError as error:
            raise _cannot_open(self._label, error) from error

    @property
    def path(self) -> Path:
        """The file as given."""
        return self._path

    @property
    def label(self) -> str:
        """The path as shown in messages and stored in provenance."""
        return self._label

    @property
    def head(self) -> bytes:
        """The first 64 KiB, decompressed; less when the compressed data is damaged early."""
        if self._head is None:
            with self.open() as file:
                self._head = _read_what_can_be_read(file, HEAD_BYTES)
            self._window = None
        return self._head

    @property
    def bytes_read(self) -> int:
        """Bytes taken from disk by the latest `open` or `lines`, for progress."""
        return self._window.done if self._window is not None else 0

    @property
    def has_grown(self) -> bool:
        """Whether the file is now longer than it was when the source was made."""
        try:
            return self._path.stat().st_size > self.size
        except OSError:
            return False

    @property
    def ends_inside_json(self) -> bool:
        """Whether the last visible byte does not close what the first one opened, if anything.

        False for compressed files, whose end is not looked at.
        """
        with self._path.open("rb") as file:
            begin = file.read(_TAIL_BYTES)
            if compression(begin) is not None:
                return False
            start = max(self.size - _TAIL_BYTES, 0)
            file.seek(start)
            tail = file.read(self.size - start).rstrip()
        is_list = begin.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"[")
        return not tail.endswith(b"]" if is_list else (b"}", b"]"))

    def open(self) -> BinaryIO:
        """Open the whole file for reading, decompressed, up to the size seen at the start."""
        try:
            raw = self._path.open("rb", buffering=0)
        except OSError as error:
            raise _cannot_open(self._label, error) from error
        window = self._window = _Window(raw, size=self.size)
        buffered = io.BufferedReader(window, _CHUNK_BYTES)
        kind = compression(buffered.peek(8)[:8])
        if kind is None:
            return cast("BinaryIO", buffered)
        try:
            inner = _decompressor(buffered, kind=kind)
        except BaseException:
            buffered.close()
            raise
        plain = _Checked(inner, buffered, kind=kind, label=self._label)
        return cast("BinaryIO", io.BufferedReader(plain, _CHUNK_BYTES))

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield (1-based line number, line without its newline), blank lines left out."""
        with self.open() as file:
            number = 0
            for line, is_terminated in _split(file, limit=self._max_line_bytes):
                number += 1
                if not is_terminated:
                    self.unterminated_line = number
                if line is None:
                    self.faults.append(self._too_long(number))
                    continue
                if number == 1 and line.startswith(_BYTE_ORDER_MARK):
                    line = line[len(_BYTE_ORDER_MARK) :]
                if line and not line.isspace():
                    yield number, line

    def _too_long(self, number: int) -> Unreadable:
        return Unreadable(
            where=f"{self._label}:{number}",
            expected=f"lines of at most {self._max_line_bytes:,} bytes",
            got="a longer one",
            fix="Check that the file has one record per line.",
        )


def expand(paths: Iterable[str | Path]) -> list[Path]:
    """Return the files that paths, folders and globs stand for, in a stable order.

    A folder stands for all files below it, sorted, hidden ones left out. A path is first tried as
    it is, so a name that happens to contain `[` works.

    Raises:
        BadInput: When a path or a glob matches nothing; the message names near matches.
    """
    files: list[Path] = []
    for given in paths:
        files.extend(_expand_one(given))
    return files


def compression(magic: bytes) -> str | None:
    """Return the compression that a file's first bytes stand for, or None.

    Example:
        >>> compression(b"BZh9"), compression(b"{}")
        ('bzip2', None)
    """
    for prefix, kind in _MAGIC.items():
        if magic.startswith(prefix):
            return kind
    return None


def _expand_one(given: str | Path) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        return _files_below(path)
    if path.exists():
        return [path]
    if glob.has_magic(str(given)):
        found = sorted(glob.glob(str(given), recursive=True))
        files = [file for name in found for file in _expand_one(Path(name))]
        if files:
            return files
    raise BadInput(
        "an existing file, folder or glob",
        got="no match",
        where=str(given),
        fix=_near_matches(path),
    )


def _files_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.is_file())


def _near_matches(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"The folder {parent} does not exist."
    names = sorted(entry.name for entry in parent.iterdir())
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"Nothing like it is in {parent}."


def _cannot_open(label: str, error: OSError) -> BadInput:
    return BadInput(
        "a readable file",
        got=(error.strerror or str(error)).lower(),
        where=label,
        fix="Check the path and its permissions.",
    )


def _read_what_can_be_read(file: BinaryIO, n_bytes: int) -> bytes:
    parts: list[bytes] = []
    left = n_bytes
    while left > 0:
        try:
            part = file.read(min(left, 4096))
        except BadInput:
            break
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _split(file: BinaryIO, *, limit: int) -> Iterator[tuple[bytes | None, bool]]:
    """Yield (line or None when over the limit, whether a newline ended it)."""
    held: list[bytes] = []
    n_held = 0
    # read1 gives out what is there before the next piece can raise
    while chunk := cast("io.BufferedReader", file).read1(_CHUNK_BYTES):
        pieces = chunk.split(b"\n")
        for piece in pieces[:-1]:
            if n_held:
                held.append(piece)
                n_held += len(piece)
                line = b"".join(held) if n_held <= limit else None
                held.clear()
                n_held = 0
                yield line, True
            else:
                yield (piece if len(piece) <= limit else None), True
        n_held += len(pieces[-1])
        if n_held > limit:
            held.clear()
        elif pieces[-1]:
            held.append(pieces[-1])
    if n_held:
        yield (b"".join(held) if n_held <= limit else None), False


def _decompressor(file: Any, *, kind: str) -> Any:
    if kind == "gzip":
        import gzip

        return gzip.GzipFile(fileobj=file)
    if kind == "bzip2":
        import bz2

        return bz2.BZ2File(file)
    if kind == "xz":
        import lzma

        return lzma.LZMAFile(file)
    try:
        import zstandard
    except ImportError as error:
        raise missing_extra("reading zstd files", "zstd") from error
    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)


class _Window(io.RawIOBase):
    """The first `size` bytes of a file, counted as they are read."""

    def __init__(self, file: io.FileIO, *, size: int) -> None:
        self._file = file
        self._size = size
        self.done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)[: max(self._size - self.done, 0)]
        n_read = self._file.readinto(view) or 0
        self.done += n_read
        return n_read

    def close(self) -> None:
        self._file.close()
        super().close()


class _Checked(io.RawIOBase):
    """A decompressor whose complaints become `BadInput`."""

    def __init__(self, file: Any, compressed: io.IOBase, *, kind: str, label: str) -> None:
        self._file = file
        self._compressed = compressed
        self._kind = kind
        self._label = label

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        try:  # in small pieces, so that damage costs little of what came before it
            data = self._file.read1(min(len(view), _PIECE_BYTES))
        except Exception as error:  # boundary: each compression library has its own errors
            raise BadInput(
                f"intact {self._kind} data",
                got=str(error) or type(error).__name__,
                where=self._label,
                fix="Make the file again, or decompress what is left of it by hand.",
            ) from error
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        self._compressed.close()
        super().close()
