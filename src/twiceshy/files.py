"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twiceshy.errors import BadInput


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield a name beside `target` to write to; it takes the target's place when the block ends.

    When the block fails or is interrupted the target stays as it was. The name keeps the target's
    suffixes, which some writers go by.

    Raises:
        BadInput: When the folder is missing or cannot be written to.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_file(Path(folder, "a.txt")) as part:
        ...         _ = part.write_text("all of it")
        ...     Path(folder, "a.txt").read_text()
        'all of it'
    """
    part = target.with_name(f".{os.getpid()}.part.{target.name}")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        raise BadInput(
            "a file that can be written",
            got=error.strerror or str(error),
            where=str(target),
            fix="Name a file in a folder that exists and can be written to.",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def write_whole(target: Path, content: bytes) -> None:
    """Write a file so that a reader never sees half of it.

    Raises:
        BadInput: When the folder is missing or cannot be written to.
    """
    with whole_file(target) as part:
        part.write_bytes(content)
