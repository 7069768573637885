"""Teachers who see more, and what their students lose.

Kim et al. (2603.24472) find that teachers who see more write shorter and surer traces, and that
students of such traces lose on harder problems. Their sets of traces differ in length as well as in
markers; here arms hold one of the two.
"""

from __future__ import annotations

import platform
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report
from twiceshy.evidence.result_files import write_result
from twiceshy.studies.teacher_context.base import CONFIG
from twiceshy.studies.teacher_context.comparing import Runs
from twiceshy.studies.teacher_context.plan import FULL, QUICK, Job, Size, jobs_of
from twiceshy.studies.teacher_context.plot import draw_teacher_context
from twiceshy.studies.teacher_context.report import report_of
from twiceshy.studies.teacher_context.results import Done
from twiceshy.studies.teacher_context.runs import do_run
from twiceshy.training.studies.queue import Progress, read_result, work_off


def run_teacher_context(
    folder: Path,
    *,
    quick: bool = False,
    processes: int = 1,
    progress: Progress | None = None,
    size: Size | None = None,
) -> Report:
    """Do the runs that are missing in a folder and return the report of all of them.

    Writes result.json, result.md and plot.png into the folder. Killed, it goes on where it stopped
    when called again; called several times at once with one folder, the calls share the work.

    Args:
        folder: Where runs are kept, one file each in `runs`, with the base's own attempts in `own`.
        quick: Two seeds and less of everything, for a look.
        processes: How many processes to start; each uses one thread.
        progress: Called after each run with the numbers done and planned, and its name.
        size: How much of everything, in place of what `quick` says.

    Raises:
        BadInput: When the folder holds runs of another size.
    """
    began = time.perf_counter()
    chosen = _size(size, quick=quick)
    finished_teacher_context(folder, size=chosen)
    work_off(
        jobs_of(chosen),
        folder=folder / "runs",
        do=partial(do_run, folder=folder / "own"),
        processes=processes,
        progress=progress,
    )
    report = report_teacher_context(folder, size=chosen)
    wall = {"wall_seconds": round(time.perf_counter() - began)}
    report = msgspec.structs.replace(report, manifest=report.manifest | wall)
    write_result(report, folder)
    runs = finished_teacher_context(folder, size=chosen)
    draw_teacher_context(runs, folder / "plot.png", epochs=chosen.epochs)
    return report


def report_teacher_context(
    folder: Path, *, quick: bool = False, size: Size | None = None
) -> Report:
    """Return the report of the runs that a folder holds, without doing or writing any.

    Args:
        folder: Of `run_teacher_context`.
        quick: Whether they are the quick ones.
        size: How much of everything they had, in place of what `quick` says.

    Raises:
        BadInput: When the folder holds runs of another size.
    """
    chosen = _size(size, quick=quick)
    runs = finished_teacher_context(folder, size=chosen)
    return report_of(runs, size=chosen, manifest=_manifest(chosen))


def finished_teacher_context(
    folder: Path, *, quick: bool = False, size: Size | None = None
) -> Runs:
    """Return the runs that a folder holds, by arm and seed; arguments as in the report.

    Raises:
        BadInput: When it holds runs of another size.
    """
    found: dict[tuple[str, int], Done] = {}
    for job in jobs_of(_size(size, quick=quick)):
        done = read_result(folder / "runs", job.name, Done)
        if done is not None:
            _require_fit(done, job, folder=folder)
            found[job.arm, job.seed] = done
    return found


def _size(size: Size | None, *, quick: bool) -> Size:
    return size or (QUICK if quick else FULL)


def _require_fit(done: Done, job: Job, *, folder: Path) -> None:
    epochs = tuple(sorted({point.epoch for point in done.points}))
    asked = {len(point.right) for point in done.points}
    if epochs != job.size.epochs or asked != {job.size.n_eval}:
        raise BadInput(
            f"runs evaluated at epochs {job.size.epochs} on {job.size.n_eval} problems",
            got=f"epochs {epochs} on {', '.join(map(str, sorted(asked)))}",
            where=str(folder / "runs" / f"{job.name}.json"),
            fix="Choose another folder.",
        )


def _manifest(size: Size) -> dict[str, Any]:
    names = ("twiceshy", "torch", "numpy", "scipy")
    return {
        "versions": {"python": platform.python_version(), **{n: version(n) for n in names}},
        "size": msgspec.to_builtins(size),
        "model": msgspec.to_builtins(CONFIG),
    }
