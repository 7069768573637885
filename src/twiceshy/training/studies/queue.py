"""A list of jobs that several processes share, and that goes on where it stopped.

Each job has a file for its result; a job whose file is there is done. Whoever holds the lock on a
job's lock file does it, and the operating system releases the lock of a process that dies.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TextIO, TypeVar

import msgspec

from twiceshy.errors import BadInput
from twiceshy.files import write_whole

Progress = Callable[[int, int, str], None]
"""(jobs done, jobs in all, name of the last one)."""


def progress_lines(file: TextIO) -> Progress:
    """Return what writes a line a job, with the seconds since this call.

    Example:
        >>> import sys
        >>> progress_lines(sys.stdout)(1, 3, "grpo-0")
        0 s 1/3 grpo-0
    """
    began = time.monotonic()

    def write(done: int, total: int, name: str) -> None:
        file.write(f"{time.monotonic() - began:.0f} s {done}/{total} {name}\n")
        file.flush()

    return write


class Named(Protocol):
    """A job: a frozen struct with a name that no other job of the list has."""

    @property
    def name(self) -> str:
        """Name of the job, fit for a file."""
        ...


J = TypeVar("J", bound=Named)
R = TypeVar("R", bound=msgspec.Struct)


def work_off(
    jobs: Sequence[J],
    *,
    folder: Path,
    do: Callable[[J], R],
    processes: int = 1,
    progress: Progress | None = None,
) -> None:
    """Do all jobs that nobody has done or is doing, in order; `read_result` returns what is there.

    Call it from several processes, now or later, with the same folder: they share the list, and a
    call may end while another process is still at a job. What `do` raises ends the call and leaves
    the job undone.

    Args:
        jobs: What to do, the most important first.
        folder: Where results and locks are kept; made when missing.
        do: Does one job; its result is kept as JSON. With more than one process it has to be a
            function of a module.
        processes: How many processes to start; with 1 the work is done in this one.
        progress: Called after each job.

    Raises:
        BadInput: When processes is below 1.
    """
    if processes < 1:
        raise BadInput("at least one process", got=str(processes), where="processes")
    folder.mkdir(parents=True, exist_ok=True)
    if processes == 1:
        _work(jobs, folder, do, progress)
    else:
        _share(jobs, folder, do, processes, progress)


def read_result(folder: Path, name: str, result_type: type[R]) -> R | None:
    """Return the result of a job; None when it is not done.

    Raises:
        BadInput: When the file is damaged.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=result_type)
    except msgspec.MsgspecError as error:
        fix = "Delete the file to have the job done again."
        raise BadInput("the result of a job", got=str(error), where=str(path), fix=fix) from error


def _work(jobs: Sequence[J], folder: Path, do: Callable[[J], R], progress: Progress | None) -> None:
    for job in jobs:
        done = folder / f"{job.name}.json"
        if done.exists():
            continue
        with _lock(folder / f"{job.name}.lock") as is_mine:
            if not is_mine or done.exists():
                continue
            write_whole(done, msgspec.json.encode(do(job)) + b"\n")
            if progress is not None:
                progress(_n_done(jobs, folder), len(jobs), job.name)


def _share(
    jobs: Sequence[J],
    folder: Path,
    do: Callable[[J], R],
    processes: int,
    progress: Progress | None,
) -> None:
    """Hand jobs one by one to a pool; each takes the job's lock, as others may share the folder."""
    left = [job for job in jobs if not (folder / f"{job.name}.json").exists()]
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        waiting = [pool.submit(_work, [job], folder, do, None) for job in left]
        for job, future in zip(left, waiting, strict=True):
            future.result()
            if progress is not None:
                progress(_n_done(jobs, folder), len(jobs), job.name)
    finally:
        pool.shutdown(cancel_futures=True)


def _n_done(jobs: Sequence[J], folder: Path) -> int:
    return sum((folder / f"{job.name}.json").exists() for job in jobs)


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Hold a file's lock while the block runs; yield whether it was free."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
