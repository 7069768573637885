"""Finding lessons: by words, by what they are, and by ids that resemble one."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Mapping, Sequence

from twiceshy.lessons import Status
from twiceshy.memory.bank.protocol import LexicalHit
from twiceshy.memory.bank.words import terms

COMMON = 4_000
"""Lessons from which a word is as common as any; ours."""
MAX_ROWS = 8_000
"""Rows that one search scores at most; ours."""
MAX_COMMON = 4
"""Words that count in a query of common words alone; ours. Each has all its rows counted."""
_AHEAD = 3
"""Times the limit that are looked up at first, as some may have another status."""
_N_NEAR = 3
_MAX_COMPARED = 20_000
"""Ids that a mistyped one is compared with; beyond it only those with the same start count."""


def conditions(**wanted: Sequence[str] | None) -> tuple[str, tuple[str, ...]]:
    """Return a WHERE clause and its values; None: no condition on that column.

    Example:
        >>> conditions(status=["active", "shadow"], kind=None)
        (' WHERE status IN (?, ?)', ('active', 'shadow'))
        >>> conditions(status=[])
        (' WHERE status IN ()', ())
    """
    given = {name: values for name, values in wanted.items() if values is not None}
    parts = [f"{name} IN ({', '.join('?' * len(values))})" for name, values in given.items()]
    bound = tuple(str(value) for values in given.values() for value in values)
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), bound


def within(own: Mapping[str, str], wanted: Mapping[str, str] | None) -> bool:
    """Whether a lesson's scope names no other value for a key that is asked for.

    Example:
        >>> within({"domain": "retail"}, {"domain": "airline"}), within({}, {"domain": "airline"})
        (False, True)
    """
    return all(own.get(name, value) == value for name, value in (wanted or {}).items())


def search(
    connection: sqlite3.Connection,
    query: str,
    *,
    limit: int,
    statuses: Sequence[Status] | None = None,
) -> list[LexicalHit]:
    """Return lessons that share a stemmed word with the query, best first (BM25).

    In a large bank only the rarest words of the query count: FTS5 scores every row that has any of
    them, and words that many lessons have hardly change the order. Where every word is common,
    lessons that have all of them are looked at, or else those that have any, in either case at most
    the `MAX_ROWS` newest.
    """
    words = terms(query) if limit > 0 else []
    counted = sorted((_n_rows(connection, word), place) for place, word in enumerate(words))
    present = [(n_rows, words[place]) for n_rows, place in counted if n_rows]
    if not present:
        return []
    if present[0][0] < COMMON:
        match = _any(_rarest(present))
        return _scored(connection, match, limit=limit, statuses=statuses)
    common = [word for _, word in present[:MAX_COMMON]]
    every = " AND ".join(f'"{word}"' for word in common)
    found = _scored(connection, every, limit=limit, statuses=statuses, newest=MAX_ROWS)
    if len(found) >= limit or len(common) == 1:
        return found
    return _scored(connection, _any(common), limit=limit, statuses=statuses, newest=MAX_ROWS)


def _scored(
    connection: sqlite3.Connection,
    match: str,
    *,
    limit: int,
    statuses: Sequence[Status] | None,
    newest: int | None = None,
) -> list[LexicalHit]:
    """Return the best rows that match; ties by id among those of one search.

    The best are found before their lessons are looked up, which takes longer than scoring them.
    Where too few of them have one of the statuses, all that match are looked up.
    """
    wide = _AHEAD * limit
    for n in (wide, -1):
        scored = (
            "SELECT rowid AS place, -bm25(lesson_text) AS score FROM lesson_text"
            " WHERE lesson_text MATCH ?"
        )
        if newest is not None:
            scored = f"SELECT place, score FROM ({scored} ORDER BY rowid DESC LIMIT {newest})"
        where, bound = conditions(status=statuses)
        rows = connection.execute(
            f"WITH best AS MATERIALIZED ({scored} ORDER BY score DESC, place LIMIT ?)"
            f" SELECT id, score FROM best JOIN lesson ON row = place{where}"
            " ORDER BY score DESC, id LIMIT ?",
            (match, n, *bound, limit),
        ).fetchall()
        if len(rows) == limit or statuses is None:
            break
    return [LexicalHit(lesson_id, score) for lesson_id, score in rows]


def _any(words: Sequence[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)


def _rarest(present: Sequence[tuple[int, str]]) -> list[str]:
    """Return words from the rarest on, up to a bound on rows; the first of them always."""
    kept: list[str] = []
    total = 0
    for n_rows, word in present:
        total += n_rows
        if kept and (n_rows >= COMMON or total > MAX_ROWS):
            break
        kept.append(word)
    return kept


def _n_rows(connection: sqlite3.Connection, word: str) -> int:
    """Return how many lessons have a word, or `COMMON` when it is that many or more."""
    return connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM lesson_text WHERE lesson_text MATCH ? LIMIT ?)",
        (f'"{word}"', COMMON),
    ).fetchone()[0]


def near(connection: sqlite3.Connection, lesson_id: str) -> list[str]:
    """Return up to three ids that start like the one given, or else resemble it."""
    bound = (lesson_id, len(lesson_id), _N_NEAR)
    starting = connection.execute(
        "SELECT id FROM lesson WHERE substr(id, 1, ?2) = ?1 AND ?2 > 3 ORDER BY id LIMIT ?3", bound
    ).fetchall()
    if starting:
        return [each for (each,) in starting]
    ids = connection.execute("SELECT id FROM lesson LIMIT ?", (_MAX_COMPARED,)).fetchall()
    return difflib.get_close_matches(lesson_id, [each for (each,) in ids], n=_N_NEAR)
