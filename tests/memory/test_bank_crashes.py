"""No sequence of crashes, concurrent writers and migrations loses or doubles a committed event."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bank_crashes import VERSION_2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson
from twiceshy.memory.bank import Add, Bank, Event, RunStarted, VectorsStored, schema
from twiceshy.memory.bank.types import Entry

SCRIPT = Path(__file__).with_name("bank_crashes.py")
_acknowledged = msgspec.json.Decoder(tuple[int, Entry])

kill_after = st.none() | st.floats(0.002, 0.25)
job = st.fixed_dictionaries(
    {
        "do": st.sampled_from(["write", "write", "write", "migrate", "rebuild"]),
        "version": st.sampled_from([1, 1, 2]),
        "kill_after": kill_after,
    }
)
schedules = st.lists(st.lists(job, min_size=1, max_size=4), min_size=1, max_size=4)


def carry_out(schedule: list[list[dict[str, Any]]], folder: Path) -> Path:
    bank = folder / "bank.db"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(bank), str(folder), json.dumps(schedule)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return bank


def acknowledged(folder: Path) -> dict[int, Entry]:
    """What writers were told is committed, by number."""
    found: dict[int, Entry] = {}
    for path in folder.glob("*.jsonl"):
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                number, what = _acknowledged.decode(line)
                assert number not in found, "one number given twice"
                found[number] = what
    return found


def identity(what: Entry) -> str | None:
    if isinstance(what, Add):
        return what.lesson.id
    return what.run_id if isinstance(what, RunStarted) else None


def check_log(log: list[Event], told: dict[int, Entry]) -> None:
    held = {each.number: each.what for each in log}
    lost = {number: what for number, what in told.items() if held.get(number) != what}
    assert not lost, f"{len(lost)} of {len(told)} acknowledged events are not in the log"
    assert list(held) == list(range(1, len(held) + 1))
    ids = Counter(name for what in held.values() if (name := identity(what)) is not None)
    assert ids.total() == len(ids), "an event is in the log twice"


def check_batches(log: list[Event], told: dict[int, Entry]) -> None:
    """Each batch has an actor of its own: it is in the log whole and in one piece."""
    batches: defaultdict[str, list[int]] = defaultdict(list)
    for event in log:
        if not isinstance(event.what, VectorsStored):
            batches[event.actor].append(event.number)
    for numbers in batches.values():
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert len({number in told for number in numbers}) == 1, "half of a batch was told"


def check_bank(path: Path, folder: Path) -> int:
    told = acknowledged(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, VERSION_2))
        with Bank.open(path) as bank:
            log = list(bank.events())
            found = bank.check()
            assert found.ok, found.problems
            check_log(log, told)
            check_batches(log, told)
            counted = dict(bank._connection.execute("SELECT kind, n FROM told"))
    kinds = Counter(type(each.what).__struct_config__.tag for each in log)
    assert counted == kinds, "the migrated table counts every event once"
    return len(told)


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(schedule=schedules)
def test_no_schedule_loses_or_doubles_an_event(
    tmp_path_factory: pytest.TempPathFactory, schedule: list[list[dict[str, Any]]]
) -> None:
    folder = tmp_path_factory.mktemp("crashes")
    check_bank(carry_out(schedule, folder), folder)


def one(do: str, *, version: int = 1, kill_after: float | None = None) -> dict[str, Any]:
    return {"do": do, "version": version, "kill_after": kill_after}


def test_four_writers_of_which_three_are_killed(tmp_path: Path) -> None:
    crashing = [one("write", kill_after=after) for after in (0.1, 0.17, 0.29)]
    rounds = [[*crashing, one("write")], [one("write"), one("migrate", version=2)]]
    n_told = check_bank(carry_out(rounds, tmp_path), tmp_path)
    assert n_told > 2, "the writers got to write, and there was something to lose"


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedule=schedules)
def test_no_schedule_of_many_loses_or_doubles_an_event(
    tmp_path_factory: pytest.TempPathFactory, schedule: list[list[dict[str, Any]]]
) -> None:
    folder = tmp_path_factory.mktemp("crashes")
    check_bank(carry_out(schedule, folder), folder)


def test_an_open_bank_refuses_to_write_after_a_migration(tmp_path: Path) -> None:
    with Bank.open(tmp_path / "bank.db") as old:
        old.apply([Add(lesson=Lesson(id="a", kind="principle", text="x"))])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, VERSION_2))
            with Bank.open(tmp_path / "bank.db") as new:
                new.apply([Add(lesson=Lesson(id="b", kind="principle", text="x"))])
        with pytest.raises(BadInput, match="a newer version has changed since"):
            old.apply([Add(lesson=Lesson(id="c", kind="principle", text="x"))])
        assert [each.id for each in old.lessons()] == ["a", "b"]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    with Bank.open(path) as bank:
        bank.apply([Add(lesson=Lesson(id="a", kind="principle", text="x"))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, (*VERSION_2, "SELEC 1")))
        with pytest.raises(BadInput, match="syntax error"):
            Bank.open(path)
    with Bank.open(path) as bank:
        assert bank.check().ok
        names = bank._connection.execute("SELECT name FROM sqlite_master WHERE name = 'told'")
        assert names.fetchall() == []
