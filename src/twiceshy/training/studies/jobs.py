"""Many jobs, several processes, one folder: what is done stays done, and nothing is done twice.

A job is a name and a picklable piece of data. Its result is a file `<name>.json` that appears
whole; while a process works on it, it holds a lock on `<name>.lock` that the system lets go of when
the process dies. So a killed study goes on where it was, and two terminals may share one folder.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from twiceshy.errors import BadInput, TwiceshyError
from twiceshy.files import write_whole

Job = TypeVar("Job")
Progress = Callable[[int, int], None]
"""Called with (jobs done, jobs in all)."""

_POLL_SECONDS = 0.2


class JobFailed(TwiceshyError, RuntimeError):
    """A job of a study ended with an error; the others' results are kept."""


def run_jobs(
    jobs: Mapping[str, Job],
    *,
    work: Callable[[Job], bytes],
    folder: Path,
    processes: int = 1,
    progress: Progress | None = None,
) -> dict[str, bytes]:
    """Do all jobs and return their results by name, in the order given.

    Args:
        jobs: By name, a file name without its suffix. Started in this order.
        work: Does a job and returns its result. A function of a module, so that other processes
            can find it; called with torch set to one thread.
        folder: Where results are kept; made when absent. It belongs to one set of jobs: a result
            is not checked against the job it came from, so put what matters into the name.
        processes: Worker processes; 1 works in this one.
        progress: Told how many are done.

    Raises:
        BadInput: `processes` below 1, or a name that is not a plain file name.
        JobFailed: A job ended with an error.
    """
    if processes < 1:
        raise BadInput("at least 1", got=str(processes), where="processes")
    for name in jobs:
        if Path(name).name != name or name.startswith("."):
            raise BadInput("names of jobs that are plain file names", got=name)
    folder.mkdir(parents=True, exist_ok=True)
    report = progress or _silent
    if processes == 1 or len(_missing(jobs, folder)) <= 1:
        _work_off(jobs, work, folder, lambda: report(_n_done(jobs, folder), len(jobs)))
    else:
        _in_parallel(jobs, work, folder, processes=processes, report=report)
    report(_n_done(jobs, folder), len(jobs))
    return {name: _result(folder, name).read_bytes() for name in jobs}


def _in_parallel(
    jobs: Mapping[str, Job],
    work: Callable[[Job], bytes],
    folder: Path,
    *,
    processes: int,
    report: Progress,
) -> None:
    context = get_context("spawn")  # a fork would copy torch's threads in whatever state they are
    n = min(processes, len(_missing(jobs, folder)))
    workers = [context.Process(target=_work_off, args=(jobs, work, folder)) for _ in range(n)]
    for worker in workers:
        worker.start()
    try:
        while any(worker.is_alive() for worker in workers):
            report(_n_done(jobs, folder), len(jobs))
            workers[0].join(_POLL_SECONDS)
            if not workers[0].is_alive():
                time.sleep(_POLL_SECONDS)
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()
            worker.join()
    left = _missing(jobs, folder)
    if left:
        raise JobFailed(
            f"{len(jobs)} results",
            got=f"{len(jobs) - len(left)}, without {left[0]}",
            where=str(folder),
            fix="The worker's own error is above. Start again to go on.",
        )


def _work_off(
    jobs: Mapping[str, Job],
    work: Callable[[Job], bytes],
    folder: Path,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Do jobs that nobody has done or is doing, until none is left."""
    _one_thread()
    while left := _missing(jobs, folder):
        n_taken = 0
        for name in left:
            with _claim(folder, name) as mine:
                if mine and not _result(folder, name).exists():
                    write_whole(_result(folder, name), work(jobs[name]))
                    n_taken += 1
                    after()
        if n_taken == 0:  # others hold all that is left; one of them may die
            time.sleep(_POLL_SECONDS)


@contextmanager
def _claim(folder: Path, name: str) -> Iterator[bool]:
    """Yield whether the job is ours, until the block or the process ends."""
    path = folder / f"{name}.lock"
    handle = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        mine = _locked(handle)
        yield mine
        if mine:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _silent(done: int, n: int) -> None:
    del done, n


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _result(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _missing(jobs: Mapping[str, Job], folder: Path) -> list[str]:
    return [name for name in jobs if not _result(folder, name).exists()]


def _n_done(jobs: Mapping[str, Job], folder: Path) -> int:
    return len(jobs) - len(_missing(jobs, folder))
