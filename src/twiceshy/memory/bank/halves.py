"""Vectors of lessons, kept as half-precision floats: little-endian, 2 bytes a number."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.memory.bank.edits import unknown_lesson
from twiceshy.memory.bank.searching import near
from twiceshy.memory.bank.types import VectorsStored

_HALF = np.dtype("<f2")


def as_halves(ids: Sequence[str], vectors: NDArray[np.floating]) -> NDArray[np.float16]:
    """Return vectors in half precision.

    Raises:
        BadInput: There is not one row an id, or a number is not finite in half precision.
    """
    given = np.asarray(vectors)
    if given.ndim != 2 or len(given) != len(ids) or (len(ids) and not given.shape[1]):
        raise BadInput(
            f"vectors of shape ({len(ids)}, dimensions)", got=str(given.shape), where="vectors"
        )
    with np.errstate(over="ignore"):
        halves = given.astype(_HALF)
    if not np.isfinite(halves).all():
        raise BadInput(
            "finite numbers of at most 65504 in size", got="others", where="vectors",
            fix="Scale the vectors to length 1.",
        )  # fmt: skip
    return halves


def check_stored(connection: sqlite3.Connection, stored: VectorsStored) -> None:
    """Refuse vectors of another dimension than the model's others, or of a lesson unknown here.

    Raises:
        BadInput: See above.
    """
    row = connection.execute(
        "SELECT dimensions FROM embedding WHERE model = ?", (stored.model,)
    ).fetchone()
    if row is not None and row[0] != stored.dimensions:
        raise BadInput(
            f"vectors of {row[0]} dimensions, as this bank holds of {stored.model!r}",
            got=f"{stored.dimensions} dimensions",
            where="vectors",
            fix="Store those of another embedding model under another name.",
        )
    for lesson_id in stored.ids:
        query = "SELECT 1 FROM lesson WHERE id = ?"
        if connection.execute(query, (lesson_id,)).fetchone() is None:
            raise unknown_lesson(lesson_id, near(connection, lesson_id))


def write_halves(
    connection: sqlite3.Connection,
    stored: VectorsStored,
    *,
    number: int,
    halves: NDArray[np.float16],
) -> None:
    """Write the vectors that event `number` tells of."""
    connection.executemany(
        "INSERT OR REPLACE INTO vector VALUES (?, ?, ?, ?)",
        (
            (stored.model, lesson_id, number, row.tobytes())
            for lesson_id, row in zip(stored.ids, halves, strict=True)
        ),
    )


def read_halves(
    connection: sqlite3.Connection, model: str
) -> tuple[list[str], NDArray[np.float16]]:
    """Return ids in order and their vectors, shape (n, dimensions); (0, 0) for an unknown model."""
    rows = connection.execute(
        "SELECT lesson_id, halves FROM vector WHERE model = ? ORDER BY lesson_id", (model,)
    ).fetchall()
    row = connection.execute(
        "SELECT dimensions FROM embedding WHERE model = ?", (model,)
    ).fetchone()
    dimensions = row[0] if row is not None else 0
    joined = np.frombuffer(b"".join(halves for _, halves in rows), dtype=_HALF)
    return [lesson_id for lesson_id, _ in rows], joined.reshape(len(rows), dimensions)
