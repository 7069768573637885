from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from twiceshy.errors import BadInput
from twiceshy.training.studies.jobs import JobFailed, run_jobs

JOBS = {f"job-{i}": i for i in range(6)}


def squared(job: int) -> bytes:
    return str(job * job).encode()


def logged(job: tuple[str, int]) -> bytes:
    """Leave a trace of every time a job is done."""
    folder, number = job
    with Path(folder, "log").open("a") as file:
        file.write(f"{number}\n")
    return b"done"


def fails_at_three(job: int) -> bytes:
    if job == 3:
        raise ValueError("three")
    return squared(job)


def stuck(job: int) -> bytes:
    time.sleep(60 if job == 0 else 0)
    return squared(job)


@pytest.mark.parametrize("processes", [1, 2])
def test_results_by_name(tmp_path: Path, processes: int) -> None:
    seen: list[tuple[int, int]] = []
    found = run_jobs(
        JOBS,
        work=squared,
        folder=tmp_path,
        processes=processes,
        progress=lambda done, n: seen.append((done, n)),
    )
    assert found == {f"job-{i}": str(i * i).encode() for i in range(6)}
    assert seen[-1] == (6, 6)
    assert not list(tmp_path.glob("*.lock"))


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    jobs = {f"job-{i}": (str(tmp_path), i) for i in range(4)}
    (tmp_path / "job-2.json").write_bytes(b"before")
    found = run_jobs(jobs, work=logged, folder=tmp_path, processes=1)
    assert found["job-2"] == b"before"
    assert (tmp_path / "log").read_text().split() == ["0", "1", "3"]
    run_jobs(jobs, work=logged, folder=tmp_path, processes=2)
    assert (tmp_path / "log").read_text().split() == ["0", "1", "3"]


def test_a_failing_job_keeps_the_others(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="three"):
        run_jobs(JOBS, work=fails_at_three, folder=tmp_path)
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == ["job-0", "job-1", "job-2"]
    assert run_jobs(JOBS, work=squared, folder=tmp_path)["job-3"] == b"9"


@pytest.mark.slow
def test_a_failing_job_in_another_process_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="job-3"):
        run_jobs(JOBS, work=fails_at_three, folder=tmp_path, processes=2)


def test_a_killed_process_lets_go_of_its_job(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, __file__, tmp_path])
    while not (tmp_path / "job-0.lock").exists():
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert len(run_jobs(JOBS, work=squared, folder=tmp_path)) == 6


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="at least 1"):
        run_jobs(JOBS, work=squared, folder=tmp_path, processes=0)
    with pytest.raises(BadInput, match="plain file names"):
        run_jobs({"../job": 1}, work=squared, folder=tmp_path)


if __name__ == "__main__":  # FOLDER: a process that holds a job until it is killed
    run_jobs(JOBS, work=stuck, folder=Path(sys.argv[1]))
