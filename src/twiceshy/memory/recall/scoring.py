"""How alike a task and a lesson are: cosine of their vectors, and words in common.

    score = cos + a · bm25 / (bm25 + 5)

The second part saturates, so that many common words never outweigh one rare identifier by much, and
a rank from a near-empty match counts for little, which is what rank fusion gets wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.memory.bank.protocol import BankReader
from twiceshy.memory.recall.index import Filter, Index

LEXICAL_WEIGHT = 0.2
"""`a`; `experiments/recall-quality` compares others."""
HALF = 5.0
"""BM25 at which the lexical part is half of its largest."""
MAX_HITS = 200
"""Lessons taken from the search for words."""
THREADED_ROWS = 10_000
"""Lessons from which vectors are scanned while words are searched; ours: the scan takes 1 ms."""

FLOORS: Mapping[str, float] = {
    "": 0.52,
    "wordllama-l2-supercat-256": 0.34,
    "all-MiniLM-L6-v2": 0.44,
}
"""Scores below which nothing is recalled, by embedding model; "" is words alone. Calibrated in
`experiments/recall-quality` so that one in ten queries that no lesson answers passes, in a bank of
106 lessons with `LEXICAL_WEIGHT`; in a larger bank more do."""
OTHER_FLOOR = 0.40
"""For a model that is not in `FLOORS`: a guess, to be calibrated for it."""


class Scored(NamedTuple):
    """A row of the index with its score and what it is made of."""

    row: int
    score: float
    cosine: float | None
    """None without an embedding model."""
    bm25: float
    """0 when no word is in common."""


def fused(
    cosine: NDArray[np.float32], bm25: NDArray[np.float32], *, weight: float
) -> NDArray[np.float32]:
    """Return `cos + weight · bm25 / (bm25 + 5)`, shapes (n,).

    Example:
        >>> fused(np.float32([0.5, 0.5]), np.float32([0, 5]), weight=0.2).tolist()
        [0.5, 0.6000000238418579]
    """
    return (cosine + weight * (bm25 / (bm25 + HALF))).astype(np.float32)


def floor_of(index: Index) -> float:
    """Return the calibrated floor of the index's model."""
    name = "" if index.embedder is None else index.embedder.name
    return FLOORS.get(name, OTHER_FLOOR)


def ranked(
    index: Index,
    reader: BankReader,
    query: str,
    *,
    wanted: Filter,
    weight: float = LEXICAL_WEIGHT,
    limit: int = 20,
) -> list[Scored]:
    """Return the best rows that pass a filter, best first; ties in order of row.

    Lessons about one task tell the words of a task, and so are more like a task than any general
    lesson is. Where there are enough of both, each gets half of the places, lest demonstrations
    crowd out everything else.

    The cosine is exact, over all rows. Without an embedding model the score is the saturated BM25
    alone, and only lessons with a word in common are returned.

    Args:
        index: The bank's rows.
        reader: Its engine, for the search of words.
        query: The task in words.
        wanted: Which rows may be returned.
        weight: `a`.
        limit: How many.
    """
    allowed = index.allowed(wanted)
    if index.embedder is None:
        rows, found = _lexical(index, reader, query, wanted=wanted)
        passed = allowed[rows]
        return _by_words(index, rows[passed], found[passed], limit=limit)
    vector = index.embedder.embed([query])[0]
    with _scanning(index.vectors, vector) as scan:
        rows, found = _lexical(index, reader, query, wanted=wanted)
        cosine = scan()
    score = cosine.copy()
    score[rows] = fused(cosine[rows], found, weight=weight)
    score[~allowed] = -np.inf
    bm25_of = dict(zip(rows.tolist(), found.tolist(), strict=True))
    return [
        Scored(row, float(score[row]), float(cosine[row]), bm25_of.get(row, 0.0))
        for row in _best_of_both(score, index.is_of_one_task, limit)
    ]


def _by_words(
    index: Index, rows: NDArray[np.int64], bm25: NDArray[np.float32], *, limit: int
) -> list[Scored]:
    score = bm25 / (bm25 + HALF)
    best = _best_of_both(score, index.is_of_one_task[rows], limit, order=rows)
    return [Scored(int(rows[i]), float(score[i]), None, float(bm25[i])) for i in best]


@contextmanager
def _scanning(
    vectors: NDArray[np.float32], vector: NDArray[np.float32]
) -> Iterator[Callable[[], NDArray[np.float32]]]:
    """Yield what waits for the cosines; in a large bank they are computed meanwhile.

    Neither numpy nor SQLite holds the interpreter while it works, so a second core is used where
    there is one. The thread lives for one scan: a thread that is kept does not survive a fork.
    """
    if len(vectors) < THREADED_ROWS:
        yield lambda: vectors @ vector
        return
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(np.matmul, vectors, vector).result


def _lexical(
    index: Index, reader: BankReader, query: str, *, wanted: Filter
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    hits = reader.search(query, limit=MAX_HITS, statuses=tuple(wanted.statuses))
    # A lesson committed after the last refresh is in the search already; it counts next time.
    known = [(index.row_of(hit.lesson_id), hit.bm25) for hit in hits]
    rows = np.array([row for row, _ in known if row is not None], dtype=np.int64)
    return rows, np.array([bm25 for row, bm25 in known if row is not None], dtype=np.float32)


def _best_of_both(
    score: NDArray[np.floating],
    is_of_one_task: NDArray[np.bool_],
    limit: int,
    *,
    order: NDArray[np.int64] | None = None,
) -> list[int]:
    """Return the best places of each sort, half of them each; what one lacks the other gets."""
    special = _largest(np.where(is_of_one_task, score, -np.inf), limit, order=order)
    general = _largest(np.where(is_of_one_task, -np.inf, score), limit, order=order)
    half = limit // 2
    n_special = min(len(special), max(half, limit - len(general)))
    taken = np.array([*special[:n_special], *general[: limit - n_special]], dtype=np.int64)
    ties = taken if order is None else order[taken]
    return taken[np.lexsort((ties, -score[taken]))].tolist()


def _largest(
    score: NDArray[np.floating], limit: int, *, order: NDArray[np.int64] | None = None
) -> list[int]:
    places = np.flatnonzero(score > -np.inf)
    n = min(limit, places.size)
    if n == 0:
        return []
    held = score[places]
    # All that reach the n-th largest, so that ties at the edge are broken by row, not by chance.
    places = places[held >= np.partition(held, held.size - n)[held.size - n]]
    ties = places if order is None else order[places]
    return places[np.lexsort((ties, -score[places]))[:n]].tolist()
