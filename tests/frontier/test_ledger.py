from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.frontier import SolveRateLedger, Tallies, TaskStatus
from twiceshy.frontier.ledger import discounted, statuses


def tallies(*rows: tuple[str, int, int], broken: int = 0, unscored: int = 0) -> Tallies:
    n = len(rows)
    s = np.array([row[1] for row in rows], dtype=np.int64)
    f = np.array([row[2] for row in rows], dtype=np.int64)
    return Tallies(
        np.array([row[0] for row in rows], dtype=object),
        np.full(n, "unknown", dtype=object),
        s,
        f,
        np.full(n, broken, dtype=np.int64),
        np.full(n, unscored, dtype=np.int64),
        s,
        f,
    )


def test_one_visit_by_hand(tmp_path: Path) -> None:
    # λ = 0.1, prior (1, 1). First visit 2 of 8: α = 1 + 2, β = 1 + 6.
    # Second, 4 of 8: α = 0.9·3 + 0.1·1 + 4 = 6.8, β = 0.9·7 + 0.1·1 + 4 = 10.4.
    with SolveRateLedger(tmp_path / "l.db", decay=0.1, prior=(1, 1)) as ledger:
        ledger.update(tallies(("t", 2, 6)))
        first = ledger.get("t")
        ledger.update(tallies(("t", 4, 4)))
        second = ledger.get("t")
    assert first is not None
    assert second is not None
    assert (first.alpha, first.beta) == (3, 7)
    assert (second.alpha, second.beta) == (pytest.approx(6.8), pytest.approx(10.4))
    assert (second.n_success, second.n_failure, second.visits) == (6, 10, 2)


@settings(max_examples=30, deadline=None)
@given(
    visits=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=6),
    decay=st.floats(0, 1),
)
def test_the_file_agrees_with_the_formula(
    tmp_path_factory: pytest.TempPathFactory, visits: list[tuple[int, int]], decay: float
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "l.db"
    a, b = np.array([1.0]), np.array([1.0])
    with SolveRateLedger(path, decay=decay) as ledger:
        for s, f in visits:
            ledger.update(tallies(("t", s, f)))
            a, b = discounted(a, b, successes=[s], failures=[f], decay=decay)
        found = ledger.get("t")
    assert found is not None
    assert (found.alpha, found.beta) == (pytest.approx(a[0]), pytest.approx(b[0]))


def test_steady_state_holds_n_over_decay_attempts() -> None:
    a, b = np.array([1.0]), np.array([1.0])
    for _ in range(400):
        a, b = discounted(a, b, successes=[2], failures=[6], decay=0.1)
    assert a[0] + b[0] - 2 == pytest.approx(8 / 0.1)


def test_it_recovers_planted_rates_under_drift(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    n_tasks, n_visits, size = 200, 30, 8
    logit = rng.normal(0, 1.5, n_tasks)
    names = [f"t{i}" for i in range(n_tasks)]
    covered: dict[float, float] = {}
    draws = []
    for _ in range(n_visits):
        logit = logit + 0.12 + rng.normal(0, 0.05, n_tasks)
        draws.append(rng.binomial(size, 1 / (1 + np.exp(-logit))))
    p = 1 / (1 + np.exp(-logit))
    for decay in (0.0, 0.3):
        with SolveRateLedger(tmp_path / f"{decay}.db", decay=decay) as ledger:
            for s in draws:
                ledger.update(
                    tallies(*((t, int(k), size - int(k)) for t, k in zip(names, s, strict=True)))
                )
            limits = {row.task: row.interval() for row in ledger.rows()}
        hits = [limits[t][0] <= rate <= limits[t][1] for t, rate in zip(names, p, strict=True)]
        covered[decay] = float(np.mean(hits))
    assert covered[0.3] >= 0.85
    assert covered[0.0] < 0.5  # never forgetting trusts stale evidence


def test_it_survives_a_restart_and_never_deletes(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with SolveRateLedger(path, decay=0.2) as ledger:
        for _ in range(20):
            ledger.update(tallies(("never", 0, 8)), version="1", at="2026-01-01T00:00:00")
    with SolveRateLedger(path) as again:
        found = again.get("never")
        assert again.decay == 0.2
    assert found is not None
    assert found.status() is TaskStatus.DEFERRED
    assert (found.n_failure, found.visits, found.version) == (160, 20, "1")
    kept = sqlite3.connect(path)
    assert kept.execute("SELECT count(*) FROM visit").fetchone() == (20,)
    kept.close()


def test_a_deferred_task_comes_back(tmp_path: Path) -> None:
    with SolveRateLedger(tmp_path / "l.db") as ledger:
        ledger.update(tallies(("t", 0, 8)))
        ledger.update(tallies(("t", 4, 4)))
        found = ledger.get("t")
    assert found is not None
    assert found.status() is TaskStatus.LIVE


def test_one_perfect_group_does_not_retire_a_task_for_good(tmp_path: Path) -> None:
    with SolveRateLedger(tmp_path / "l.db") as ledger:
        ledger.update(tallies(("t", 8, 0)))
        assert ledger.counts()[TaskStatus.REVIEW] == 1
        ledger.update(tallies(("t", 2, 6)))
        assert ledger.counts()[TaskStatus.LIVE] == 1


def test_broken_and_unscored_attempts_move_no_rate(tmp_path: Path) -> None:
    with SolveRateLedger(tmp_path / "l.db") as ledger:
        ledger.update(tallies(("t", 0, 0), broken=4, unscored=2))
        new = ledger.get("t")
        ledger.update(tallies(("t", 1, 1)))
        ledger.update(tallies(("t", 0, 0), broken=9))
        later = ledger.get("t")
    assert new is not None
    assert later is not None
    assert (new.alpha, new.beta, new.status()) == (1, 1, TaskStatus.NEW)
    assert (later.alpha, later.beta) == (2, 2)


def test_a_version_jump_pulls_towards_the_prior(tmp_path: Path) -> None:
    with SolveRateLedger(tmp_path / "l.db", decay=0.0, jump=0.5) as ledger:
        ledger.update(tallies(("t", 8, 0)), version="1")
        ledger.update(tallies(("t", 0, 2)), version="2")
        found = ledger.get("t")
    assert found is not None
    assert (found.alpha, found.beta) == (0.5 * 9 + 0.5, 0.5 * 1 + 0.5 + 2)
    assert found.version == "2"


def test_quarantine_is_kept_with_its_reason_and_lifted(tmp_path: Path) -> None:
    with SolveRateLedger(tmp_path / "l.db") as ledger:
        ledger.update(tallies(("t", 4, 4)))
        ledger.quarantine("t", "unknown", reason="checker pays for a bare box")
        held = ledger.get("t")
        assert ledger.counts()[TaskStatus.QUARANTINED] == 1
        ledger.update(tallies(("t", 4, 4)))
        assert ledger.counts()[TaskStatus.QUARANTINED] == 1
        ledger.release("t", "unknown", reason="checker repaired")
        freed = ledger.get("t")
        with pytest.raises(BadInput):
            ledger.quarantine("absent", "unknown", reason="none")
    assert held is not None
    assert freed is not None
    assert held.quarantine == "checker pays for a bare box"
    assert freed.status() is TaskStatus.LIVE


def test_evidence_is_the_counts_less_the_prior(tmp_path: Path) -> None:
    with SolveRateLedger(tmp_path / "l.db") as ledger:
        ledger.update(tallies(("t", 1, 7)))
        held = ledger.evidence(["t", "absent"], ["unknown", "unknown"])
    assert held.successes.tolist() == [1, 0]
    assert held.trials.tolist() == [8, 0]


def test_status_needs_evidence_before_it_defers() -> None:
    got = statuses([1, 1, 1], [1, 5, 9], n_scored=[0, 4, 8])
    assert got == [TaskStatus.NEW, TaskStatus.LIVE, TaskStatus.DEFERRED]


@pytest.mark.parametrize("body", [b"rubbish" * 500, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_corrupt_file_is_refused_in_words(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "l.db"
    path.write_bytes(body)
    with pytest.raises(BadInput, match="solve-rate ledger"):
        SolveRateLedger(path)
    assert path.read_bytes() == body


def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE precious (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(BadInput, match="another kind"):
        SolveRateLedger(path)
    assert path.read_bytes() == before


def test_a_folder_and_a_newer_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        SolveRateLedger(tmp_path)
    path = tmp_path / "l.db"
    SolveRateLedger(path).close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(BadInput, match="Upgrade"):
        SolveRateLedger(path)


def test_other_settings_than_the_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    SolveRateLedger(path, decay=0.3).close()
    SolveRateLedger(path, decay=0.3).close()
    with pytest.raises(BadInput, match="decay 0"):
        SolveRateLedger(path, decay=0.1)
    with pytest.raises(BadInput):
        SolveRateLedger(tmp_path / "x.db", decay=2)


def test_writers_that_start_together_lose_nothing(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        with SolveRateLedger(path) as ledger:
            for _ in range(4):
                ledger.update(tallies(("t", 1, 1)))

    for turn in range(10):
        path = tmp_path / f"{turn}.db"
        threads = [threading.Thread(target=write, args=(path,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with SolveRateLedger(path) as ledger:
            found = ledger.get("t")
        assert found is not None
        assert found.visits == 16


def test_a_batch_is_whole_or_not_at_all(tmp_path: Path) -> None:
    with SolveRateLedger(tmp_path / "l.db") as ledger:
        bad = tallies(("a", 1, 1), ("b", 1, 1))
        bad.task[1] = None  # breaks the NOT NULL of the second row
        with pytest.raises(BadInput):
            ledger.update(bad)
        assert list(ledger.rows()) == []
