from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from twiceshy.errors import BadInput
from twiceshy.training.studies.queue import read_result, work_off


class Count(msgspec.Struct, frozen=True):
    name: str


class Counted(msgspec.Struct, frozen=True):
    name: str
    pid: int


JOBS = [Count(name) for name in ("a", "b", "c", "d")]


def note(job: Count) -> Counted:
    return Counted(job.name, os.getpid())


def results(folder: Path) -> list[Counted | None]:
    return [read_result(folder, job.name, Counted) for job in JOBS]


def test_in_order_and_once(tmp_path: Path) -> None:
    seen: list[str] = []

    def do(job: Count) -> Counted:
        seen.append(job.name)
        return note(job)

    told: list[tuple[int, int, str]] = []

    def tell(done: int, total: int, name: str) -> None:
        told.append((done, total, name))

    work_off(JOBS[:2], folder=tmp_path, do=do)
    work_off(JOBS, folder=tmp_path, do=do, progress=tell)
    assert seen == ["a", "b", "c", "d"]
    assert told == [(3, 4, "c"), (4, 4, "d")]


def test_a_failing_job_stays_undone_and_the_others_are_kept(tmp_path: Path) -> None:
    def do(job: Count) -> Counted:
        if job.name == "b":
            raise BadInput("luck")
        return note(job)

    with pytest.raises(BadInput, match="luck"):
        work_off(JOBS, folder=tmp_path, do=do)
    assert [each is not None for each in results(tmp_path)] == [True, False, False, False]
    work_off(JOBS, folder=tmp_path, do=note)
    assert None not in results(tmp_path)


def test_several_processes_share_the_list(tmp_path: Path) -> None:
    work_off(JOBS, folder=tmp_path, do=note, processes=2)
    done = [each for each in results(tmp_path) if each is not None]
    assert [each.name for each in done] == ["a", "b", "c", "d"]
    assert os.getpid() not in {each.pid for each in done}


HOLDER = """
import sys, time
from pathlib import Path
from twiceshy.training.studies.queue import work_off
import msgspec
class Job(msgspec.Struct, frozen=True):
    name: str
def do(job):
    print("held", flush=True)
    time.sleep(60)
work_off([Job("b")], folder=Path(sys.argv[1]), do=do)
"""


def test_a_job_held_elsewhere_is_left_and_taken_up_after_a_kill(tmp_path: Path) -> None:
    held = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(held, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        work_off(JOBS, folder=tmp_path, do=note)
        assert [each is not None for each in results(tmp_path)] == [True, False, True, True]
        other.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while None in results(tmp_path) and time.monotonic() < deadline:
        work_off(JOBS, folder=tmp_path, do=note)
    assert None not in results(tmp_path)


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"name": 3')
    with pytest.raises(BadInput, match=r"a\.json.*Delete the file"):
        read_result(tmp_path, "a", Counted)
    with pytest.raises(BadInput, match="at least one process"):
        work_off(JOBS, folder=tmp_path, do=note, processes=0)
