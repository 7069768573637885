"""The search of words in a large bank: what is bounded, and that the rest is as it was."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence

import pytest

from twiceshy.lessons import Lesson, Status
from twiceshy.memory.bank import Add, Bank, searching
from twiceshy.memory.bank.words import terms

RARE, COMMON = [f"rare{i}" for i in range(30)], ["alpha", "beta", "gamma"]
STATUSES = (Status.ACTIVE, Status.RETIRED, Status.CANDIDATE)


@pytest.fixture(scope="module")
def bank() -> Bank:
    rng = random.Random(3)
    held = Bank.open(":memory:")
    edits = []
    for n in range(400):
        words = [*rng.choices(RARE, k=3), *(word for word in COMMON if rng.random() < 0.6)]
        status = STATUSES[0 if n % 40 else 1 + n % 80 // 40]
        edits.append(
            Add(lesson=Lesson(id=f"l{n:03}", kind="principle", text=" ".join(words), status=status))
        )
    held.apply(edits)
    return held


def brute(
    connection: sqlite3.Connection, query: str, statuses: Sequence[Status] | None
) -> list[tuple[str, float]]:
    """Score every lesson that has any word, look all of them up, and sort."""
    match = " OR ".join(f'"{word}"' for word in terms(query))
    rows = connection.execute(
        "SELECT id, -bm25(lesson_text), status FROM lesson_text JOIN lesson"
        " ON row = lesson_text.rowid WHERE lesson_text MATCH ?",
        (match,),
    ).fetchall()
    wanted = [(i, s) for i, s, status in rows if statuses is None or status in statuses]
    return sorted(wanted, key=lambda pair: (-pair[1], pair[0]))


@pytest.mark.parametrize("limit", [1, 7, 1000])
@pytest.mark.parametrize("statuses", [None, (Status.ACTIVE,), (Status.RETIRED,)])
@pytest.mark.parametrize("query", ["rare1", "rare2 rare3 alpha", "rare4 nowhere", "alpha beta"])
def test_the_best_are_those_of_all_that_match(
    bank: Bank, query: str, statuses: Sequence[Status] | None, limit: int
) -> None:
    with bank._reading() as connection:
        expected = brute(connection, query, statuses)
        found = searching.search(connection, query, limit=limit, statuses=statuses)
    assert [hit.bm25 for hit in found] == [score for _, score in expected][:limit]
    if limit == 1000:
        assert [hit.lesson_id for hit in found] == [each for each, _ in expected]
    assert {(hit.lesson_id, hit.bm25) for hit in found} <= set(expected)


def test_common_words_look_at_lessons_that_have_all_and_at_few_of_them(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "COMMON", 50)
    monkeypatch.setattr(searching, "MAX_ROWS", 30)
    texts = {each.id: each.text.split() for each in bank.lessons()}
    every = [each for each, words in texts.items() if set(COMMON) <= set(words)]
    found = [hit.lesson_id for hit in bank.search("alpha beta gamma", limit=30)]
    assert len(every) > 30
    assert sorted(found) == sorted(every)[-30:]
    one = [hit.lesson_id for hit in bank.search("alpha", limit=500)]
    assert sorted(one) == sorted(each for each, words in texts.items() if "alpha" in words)[-30:]


def test_where_few_have_all_common_words_those_that_have_any_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(searching, "COMMON", 3)
    with Bank.open(":memory:") as held:
        words = ["alpha beta", *["alpha"] * 4, *["beta"] * 4]
        held.apply(
            [
                Add(lesson=Lesson(id=f"l{n}", kind="principle", text=text))
                for n, text in enumerate(words)
            ]
        )
        found = held.search("alpha beta", limit=5)
    assert found[0].lesson_id == "l0"
    assert len(found) == 5


def test_a_rare_word_beside_common_ones_decides(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "COMMON", 60)
    texts = {each.id: each.text.split() for each in bank.lessons()}
    found = bank.search("alpha rare5", limit=400)
    assert {hit.lesson_id for hit in found} == {i for i, words in texts.items() if "rare5" in words}
