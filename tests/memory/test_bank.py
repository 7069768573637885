from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from twiceshy.attempts.types import Outcome, Verdict, VerdictSource
from twiceshy.errors import BadInput
from twiceshy.lessons import (
    ContrastPair,
    Evidence,
    EvidenceLevel,
    Lesson,
    LessonKind,
    Status,
)
from twiceshy.memory.bank import (
    Add,
    Bank,
    BankWriter,
    Decision,
    Edit,
    Merge,
    OutcomeRecorded,
    Refine,
    RunStarted,
    SetEvidence,
    SetStatus,
    Split,
    StepCheck,
    Use,
)
from twiceshy.memory.bank import schema as bank_schema


def lesson(name: str, *, text: str = "", kind: LessonKind = "avoid", **more: object) -> Lesson:
    evidence = Evidence(attempts_for=(f"attempt-{name}",), n_for=1)
    made = Lesson(id=name, kind=kind, text=text or f"Do without {name}.", evidence=evidence)
    return replace(made, **more)


def told(run_id: str, outcome: Outcome, **more: object) -> OutcomeRecorded:
    return OutcomeRecorded(run_id=run_id, verdict=replace(Verdict(outcome=outcome), **more))


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    with Bank.open(tmp_path / "bank.db", durability="normal") as opened:
        yield opened


def test_the_engine_is_a_bank_writer(bank: Bank) -> None:
    writer: BankWriter = bank
    assert writer.head == 0


def test_edits_by_hand(bank: Bank) -> None:
    assert bank.apply([Add(lesson=lesson("a")), Add(lesson=lesson("b"))], actor="me") == [1, 2]
    assert bank.apply([Refine(lesson=lesson("a", text="Other words."), because="clearer")]) == [3]
    level = SetEvidence(
        lesson_id="b", level=EvidenceLevel.SUGGESTED, evidence=Evidence(n_for=9, n_against=1)
    )
    assert bank.apply([level, SetStatus(lesson_id="b", status=Status.ACTIVE)]) == [4, 5]
    assert bank.head == 5
    assert [each.id for each in bank.lessons()] == ["a", "b"]
    assert bank.get("a").text == "Other words."
    b = bank.get("b")
    assert (b.level, b.status, b.evidence.n_for) == (EvidenceLevel.SUGGESTED, Status.ACTIVE, 9)
    assert [each.number for each in bank.events()] == [1, 2, 3, 4, 5]
    assert [each.number for each in bank.events(after=3)] == [4, 5]
    assert [each.actor for each in bank.history("a")] == ["me", "unknown"]
    assert [each.lesson.text for each in bank.revisions("a")] == ["Do without a.", "Other words."]
    assert bank.check().ok


def test_lessons_are_filtered(bank: Bank) -> None:
    bank.apply(
        [
            Add(lesson=lesson("a", scope={"domain": "retail"}, status=Status.ACTIVE)),
            Add(lesson=lesson("b", kind="strategy")),
            Add(lesson=lesson("c", scope={"domain": "airline"})),
        ]
    )

    def ids(**wanted: object) -> str:
        return "".join(each.id for each in bank.lessons(**wanted))  # pyrefly: ignore

    assert ids() == "abc"
    assert ids(kinds=["strategy"]) == "b"
    assert ids(statuses=[Status.CANDIDATE]) == "bc"
    assert ids(statuses=[]) == ""
    assert ids(scope={"domain": "retail"}) == "ab"
    assert ids(scope={"domain": "retail", "format": "x"}, kinds=["avoid"]) == "a"


def test_a_refined_lesson_keeps_its_status(bank: Bank) -> None:
    bank.apply([Add(lesson=lesson("a")), SetStatus(lesson_id="a", status=Status.ACTIVE)])
    bank.apply([Refine(lesson=lesson("a", text="Other words.", status=Status.CANDIDATE))])
    assert bank.get("a").status is Status.ACTIVE


def test_merge_and_split(bank: Bank) -> None:
    bank.apply([Add(lesson=lesson(name)) for name in "abc"])
    bank.apply([Merge(lesson=lesson("a", text="Both."), absorbed=("b",))])
    assert bank.get("a").text == "Both."
    assert bank.get("b").status is Status.RETIRED
    assert bank.ancestors("a").lessons == ("b",)
    bank.apply([Split(lesson_id="a", into=(lesson("a1"), lesson("a2")))])
    assert bank.get("a").status is Status.RETIRED
    assert bank.descendants("b").lessons == ("a", "a1", "a2")
    bank.apply([Merge(lesson=lesson("new"), absorbed=("c", "a1"))])
    assert set(bank.ancestors("new").lessons) == {"c", "a1", "a", "b"}
    assert bank.check().ok


REFUSED: dict[str, tuple[Edit, str]] = {
    "known id": (Add(lesson=lesson("a")), "a new id"),
    "no id": (Add(lesson=lesson("")), "an id and words"),
    "no words": (Add(lesson=lesson("n", text=" ")), "an id and words"),
    "no evidence": (Add(lesson=Lesson(id="n", kind="avoid", text="x")), "with evidence"),
    "no evidence by a model": (
        Add(lesson=Lesson(id="n", kind="strategy", text="x", author="model")),
        "with evidence",
    ),
    "own parent": (Add(lesson=lesson("n", parents=("n",))), "descends from others"),
    "unknown refined": (Refine(lesson=lesson("alpho")), "Did you mean 'alpha'?"),
    "unknown by a start": (SetStatus(lesson_id="alph", status=Status.ACTIVE), "'alpha'"),
    "unknown evidence": (
        SetEvidence(lesson_id="zz", level=EvidenceLevel.DESCRIBED, evidence=Evidence()),
        "id of a lesson",
    ),
    "other kind": (Refine(lesson=lesson("a", kind="strategy")), "kind 'avoid'"),
    "refine without words": (Refine(lesson=lesson("a", text=" ")), "words"),
    "refine retired": (Refine(lesson=lesson("gone")), "in use"),
    "merge into retired": (Merge(lesson=lesson("gone"), absorbed=("a",)), "to merge into"),
    "merge into quarantined": (Merge(lesson=lesson("bad"), absorbed=("a",)), "to merge into"),
    "absorb retired": (Merge(lesson=lesson("a"), absorbed=("gone",)), "to absorb"),
    "absorb quarantined": (Merge(lesson=lesson("a"), absorbed=("bad",)), "to absorb"),
    "absorb unknown": (Merge(lesson=lesson("a"), absorbed=("alpho",)), "'alpha'"),
    "absorb itself": (Merge(lesson=lesson("a"), absorbed=("a",)), "each once"),
    "absorb twice": (Merge(lesson=lesson("a"), absorbed=("alpha", "alpha")), "each once"),
    "absorb none": (Merge(lesson=lesson("a"), absorbed=()), "each once"),
    "merge into new without evidence": (
        Merge(lesson=Lesson(id="n", kind="avoid", text="x"), absorbed=("a",)),
        "with evidence",
    ),
    "split unknown": (Split(lesson_id="alpho", into=(lesson("n"),)), "'alpha'"),
    "split into none": (Split(lesson_id="a", into=()), "at least one"),
    "split into twins": (Split(lesson_id="a", into=(lesson("n"), lesson("n"))), "of its own"),
    "split into a known": (Split(lesson_id="a", into=(lesson("alpha"),)), "a new id"),
    "split retired": (Split(lesson_id="gone", into=(lesson("n"),)), "to split"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_an_edit_may_not_do(bank: Bank, name: str) -> None:
    bank.apply([Add(lesson=lesson(each)) for each in ("a", "alpha", "gone", "bad")])
    bank.apply([SetStatus(lesson_id="gone", status=Status.RETIRED)])
    bank.apply([SetStatus(lesson_id="bad", status=Status.QUARANTINED)])
    edit, message = REFUSED[name]
    before = [each.what for each in bank.events()]
    with pytest.raises(BadInput, match=message):
        bank.apply([Add(lesson=lesson("first")), edit])
    assert [each.what for each in bank.events()] == before, "all of them or none"
    assert bank.check().ok


def test_lessons_that_may_come_without_evidence(bank: Bank) -> None:
    bank.apply(
        [
            Add(lesson=Lesson(id="p", kind="principle", text="x", author="model")),
            Add(lesson=Lesson(id="h", kind="avoid", text="x", author="human")),
            Add(lesson=Lesson(id="c", kind="strategy", text="x", parents=("elsewhere",))),
            Add(
                lesson=Lesson(
                    id="d",
                    kind="avoid",
                    text="x",
                    contrast=(ContrastPair(task="t", failure_id="f", success_id="s"),),
                )
            ),
        ]
    )
    assert len(bank.lessons()) == 4


def run_of(run_id: str = "r", **more: object) -> RunStarted:
    return replace(RunStarted(run_id=run_id, task="t"), **more)


def test_uses_by_hand(bank: Bank) -> None:
    bank.apply([Add(lesson=lesson("a"))])
    uses: list[Use] = [
        run_of(),
        Decision(run_id="r", lesson_id="a", arm="shown", propensity=0.8),
        StepCheck(run_id="r", lesson_id="a", step=3, took_bad_action=True),
        told("r", Outcome.FAILURE),
    ]
    assert bank.record(uses, actor="agent") == [2, 3, 4, 5]
    assert bank.runs() == uses[:1]
    assert bank.decisions() == uses[1:2]
    assert bank.decisions(lesson_id="b") == []
    assert bank.checks() == uses[2:3]
    assert bank.outcomes() == {"r": uses[3]}
    assert [each.what for each in bank.events(after=1)] == uses


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (run_of("r"), "which has started"),
        (run_of(""), "an empty one"),
        (told("x", Outcome.SUCCESS), "OutcomeRecorded.run_id: expected the id of a run"),
        (StepCheck(run_id="x", lesson_id="alpha", step=0, took_bad_action=True), "of a run"),
        (StepCheck(run_id="r", lesson_id="alpho", step=0, took_bad_action=True), "'alpha'"),
        (Decision(run_id="r", lesson_id="alpho", arm="shown", propensity=1), "'alpha'"),
    ],
)
def test_what_cannot_have_happened(bank: Bank, use: Use, message: str) -> None:
    bank.apply([Add(lesson=lesson("alpha"))])
    bank.record([run_of()])
    with pytest.raises(BadInput, match=message):
        bank.record([run_of("s"), use])
    assert bank.head == 2
    assert len(bank.runs()) == 1


def test_only_entries_are_written(bank: Bank) -> None:
    with pytest.raises(BadInput, match="an edit or a use"):
        bank.apply(["add"])  # pyrefly: ignore[bad-argument-type]
    with pytest.raises(BadInput, match="JSON"):
        bank.apply([Add(lesson=lesson("a", text="\ud800"))])
    assert bank.head == 0


def test_the_most_reliable_outcome_is_in_force(bank: Bank) -> None:
    bank.record([run_of("r"), run_of("s"), run_of("u")])
    judge, test = Outcome.SUCCESS, Outcome.FAILURE
    sources: tuple[VerdictSource, VerdictSource] = ("judge", "test")
    bank.record([told("r", judge, source=sources[0])])
    assert bank.conflicts() == []
    bank.record([told("r", test, source=sources[1]), told("r", judge, source="heuristic")])
    bank.record([told("s", Outcome.SUCCESS, reliability=0.9)])
    bank.record([told("s", Outcome.FAILURE, reliability=0.9)])
    bank.record([told("u", Outcome.UNSCORED, reliability=1.0), told("u", Outcome.BROKEN)])
    outcomes = bank.outcomes()
    assert outcomes["r"].verdict.source == "test"
    assert outcomes["s"].verdict.outcome is Outcome.SUCCESS, "the first of equals"
    assert outcomes["u"].verdict.outcome is Outcome.BROKEN
    conflicts = {each.run_id: each for each in bank.conflicts()}
    assert set(conflicts) == {"r", "s"}
    assert [each.verdict.source for each in conflicts["r"].others] == ["judge", "heuristic"]
    assert sum(isinstance(each.what, OutcomeRecorded) for each in bank.events()) == 7
    assert bank.check().ok


def test_rollback_follows_lessons_and_runs(bank: Bank) -> None:
    bank.apply([Add(lesson=lesson(name)) for name in ("bad", "child", "other")])
    bank.apply([Merge(lesson=lesson("child"), absorbed=("bad",))])
    bank.record(
        [
            run_of("r1"),
            run_of("r2", parent="r1"),
            run_of("r3"),
            Decision(run_id="r1", lesson_id="child", arm="shown", propensity=0.8),
            Decision(run_id="r3", lesson_id="child", arm="placebo", propensity=0.1),
        ]
    )
    written = lesson("written", parents=("r2", "attempt-1"))
    rests = lesson("rests", evidence=Evidence(attempts_for=("r1",), n_for=1))
    fine = lesson("fine", parents=("r3",))
    bank.apply([Add(lesson=written), Add(lesson=rests), Add(lesson=fine)])
    kin = bank.descendants("bad")
    assert (set(kin.lessons), set(kin.runs)) == ({"child", "written"}, {"r1", "r2"})
    assert bank.ancestors("written").others == ("attempt-bad", "attempt-1")[1:]
    assert bank.resting_on("bad") == ["rests"]
    gone = bank.rollback("bad", because="poisoned", actor="guard")
    assert gone[0] == "bad"
    assert set(gone) == {"bad", "child", "written"}
    assert {each.id for each in bank.lessons(statuses=[Status.QUARANTINED])} == set(gone)
    assert bank.history("written")[-1].actor == "guard"
    head = bank.head
    assert set(bank.rollback("bad", because="again")) == set(gone)
    assert bank.head == head, "what is quarantined already is not logged again"
    with pytest.raises(BadInput, match="Did you mean 'written'"):
        bank.rollback("writen", because="typo")


def test_search_stems_and_leaves_function_words_out(bank: Bank) -> None:
    bank.apply(
        [
            Add(lesson=lesson("a", text="Cancel the reservation.", trigger="when refunding")),
            Add(lesson=lesson("b", text="Look up order_id 17 before you cancel it.")),
            Add(lesson=lesson("c", text="Ask.", scope={"domain": "weather"})),
        ]
    )

    def ids(query: str, **more: object) -> list[str]:
        return [hit.lesson_id for hit in bank.search(query, limit=5, **more)]  # pyrefly: ignore

    assert ids("cancelled reservations") == ["a", "b"]
    assert ids("the and of it before you") == []
    assert ids("refund") == ["a"]
    assert ids('order_id "17" OR NOT') == ["b"]
    assert ids("weather") == ["c"]
    assert ids("") == []
    assert bank.search("cancel", limit=0) == []
    assert all(hit.bm25 > 0 for hit in bank.search("reservation", limit=5))
    bank.apply([SetStatus(lesson_id="a", status=Status.RETIRED)])
    assert ids("reservation cancel", statuses=[Status.CANDIDATE]) == ["b"]
    bank.apply([Refine(lesson=lesson("b", text="Nothing of that."))])
    assert ids("order_id") == []


def test_vectors(bank: Bank) -> None:
    bank.apply([Add(lesson=lesson(name)) for name in "ab"])
    matrix = np.array([[1.0, 0.5], [0.25, -2.0]])
    head = bank.head
    bank.put_vectors("m", ["b", "a"], matrix)
    assert bank.head == head + 1, "readers see that something changed"
    ids, halves = bank.vectors("m")
    assert ids == ["a", "b"]
    assert halves.dtype == np.float16
    np.testing.assert_array_equal(halves, matrix[::-1])
    assert bank.vectors("unknown")[1].shape == (0, 0)
    bank.apply([SetStatus(lesson_id="a", status=Status.ACTIVE)])
    assert bank.vectors("m")[0] == ["a", "b"]
    bank.apply([Refine(lesson=lesson("a", text="Other words."))])
    assert bank.vectors("m")[0] == ["b"], "the vector was of other words"
    assert bank.check().ok
    bank.rebuild()
    assert bank.vectors("m")[0] == ["b"]


@pytest.mark.parametrize(
    ("ids", "matrix", "message"),
    [
        (["a"], np.ones((1, 3)), "2 dimensions, as this bank holds of 'm'"),
        (["a", "b"], np.ones((1, 2)), r"shape \(2, dimensions\)"),
        (["a"], np.ones(2), r"shape \(1, dimensions\)"),
        (["zz"], np.ones((1, 2)), "id of a lesson"),
        (["a"], np.array([[np.nan, 1]]), "finite"),
        (["a"], np.array([[1e6, 1]]), "finite"),
    ],
)
def test_vectors_that_do_not_fit(
    bank: Bank, ids: list[str], matrix: np.ndarray, message: str
) -> None:
    bank.apply([Add(lesson=lesson("a"))])
    bank.put_vectors("m", ["a"], np.ones((1, 2)))
    with pytest.raises(BadInput, match=message):
        bank.put_vectors("m", ids, matrix)
    assert bank.vectors("m")[0] == ["a"]


def test_unknown_fields_of_a_lesson_survive(bank: Bank) -> None:
    odd = lesson("a", extra={"title": "T", "kind": "clash", "deep": {"x": [1, None]}})
    bank.apply([Add(lesson=odd)])
    assert bank.get("a") == odd
    assert bank.check().ok


def test_the_log_refuses_changes_and_gaps(bank: Bank) -> None:
    bank.apply([Add(lesson=lesson("a"))])
    raw = sqlite3.connect(bank.path)
    for statement in (
        "UPDATE event SET actor = 'x'",
        "DELETE FROM event",
        "INSERT INTO event VALUES (3, '', '', '', '')",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="the log"):
            raw.execute(statement)
    raw.close()


def test_rebuild_puts_right_what_a_check_finds(bank: Bank) -> None:
    bank.apply([Add(lesson=lesson("a")), Add(lesson=lesson("b", text="About reservations."))])
    bank.record([run_of(), told("r", Outcome.SUCCESS), told("r", Outcome.FAILURE)])
    before = bank.lessons()
    raw = sqlite3.connect(bank.path)
    raw.execute("DELETE FROM lesson WHERE id = 'a'")
    raw.execute("UPDATE outcome SET in_force = 1")
    raw.execute("DELETE FROM lesson_text")
    raw.commit()
    raw.close()
    problems = bank.check().problems
    assert [each.split()[1] for each in problems] == ["lesson", "lesson_text", "outcome"]
    assert bank.rebuild() == bank.head == 5
    assert bank.check().ok
    assert bank.lessons() == before
    assert [each.lesson_id for each in bank.search("reservation", limit=3)] == ["b"]


def test_a_missing_event_is_found(bank: Bank) -> None:
    bank.apply([Add(lesson=lesson(name)) for name in "abc"])
    raw = sqlite3.connect(bank.path)
    raw.execute("DROP TRIGGER event_is_kept")
    raw.execute("DELETE FROM event WHERE number = 2")
    raw.commit()
    raw.close()
    found = bank.check()
    assert not found.ok
    assert "gaps: 2 events from 1 to 3" in found.problems[0]


def test_threads_share_a_bank(bank: Bank) -> None:
    def add(worker: int) -> None:
        for index in range(20):
            bank.apply([Add(lesson=lesson(f"{worker}-{index}"))])
            assert bank.get(f"{worker}-{index}").id

    workers = [threading.Thread(target=add, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert bank.head == len(bank.lessons()) == 80


def test_a_fork_opens_its_own_connection(bank: Bank) -> None:
    bank.apply([Add(lesson=lesson("a"))])
    child = os.fork()
    if child == 0:
        bank.apply([Add(lesson=lesson("b"))])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    bank.apply([Add(lesson=lesson("c"))])
    assert [each.id for each in bank.lessons()] == ["a", "b", "c"]


def test_another_process_moves_the_head(bank: Bank) -> None:
    script = (
        "import sys\nfrom twiceshy.lessons import Lesson\nfrom twiceshy.memory.bank import *\n"
        "with Bank.open(sys.argv[1]) as bank:\n"
        "    bank.apply([Add(lesson=Lesson(id='p', kind='principle', text='x'))])\n"
    )
    subprocess.run([sys.executable, "-c", script, str(bank.path)], check=True)
    assert bank.head == 1
    assert bank.get("p").text == "x"


def test_a_corrupt_file(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(BadInput, match=r"bank\.db: expected a readable bank"):
        Bank.open(path)
    assert path.read_bytes() == b"this is not a database" * 100


def test_a_damaged_page_is_told(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    with Bank.open(path) as bank:
        bank.apply([Add(lesson=lesson(str(n), text="word " * 200)) for n in range(50)])
    data = bytearray(path.read_bytes())
    data[20_000:60_000] = os.urandom(40_000)
    path.write_bytes(data)
    try:
        with Bank.open(path) as bank:
            found = bank.check()
    except BadInput as error:
        assert "readable bank" in str(error)  # noqa: PT017
    else:
        assert not found.ok


def test_another_kind_of_file_and_a_newer_one(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(BadInput, match="another kind of SQLite file"):
        Bank.open(tmp_path / "other.db")
    Bank.open(tmp_path / "new.db").close()
    raw = sqlite3.connect(tmp_path / "new.db")
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(BadInput, match=r"version 99\. Upgrade twiceshy"):
        Bank.open(tmp_path / "new.db")


def test_places_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="got a folder"):
        Bank.open(tmp_path)
    with pytest.raises(BadInput, match="no folder"):
        Bank.open(tmp_path / "none" / "bank.db")
    with pytest.raises(BadInput, match="a bank that exists"):
        Bank.open(tmp_path / "typo.db", must_exist=True)
    assert not (tmp_path / "typo.db").exists()


def nothing_is_writable(path: Path, mode: int) -> bool:
    return False


def test_read_only(bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.apply([Add(lesson=lesson("a"))])
    with Bank.open(bank.path, read_only=True) as reader:
        assert reader.get("a").id == "a"
        assert reader.check().ok
        with pytest.raises(BadInput, match="read_only=True"):
            reader.apply([Add(lesson=lesson("b"))])
        bank.apply([Add(lesson=lesson("b"))])
        assert reader.head == 2
    monkeypatch.setattr(bank_schema.os, "access", nothing_is_writable)
    with pytest.raises(BadInput, match=r"events that are only in bank\.db-wal"):
        Bank.open(bank.path, read_only=True)
    bank.close()
    with Bank.open(bank.path, read_only=True) as reader:
        assert reader.head == 2
