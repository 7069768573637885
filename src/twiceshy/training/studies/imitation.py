"""Does a weak student take over a strong teacher's knowledge, or its voice?

Gudibande et al. (2305.15717) report that students that imitate broadly come to sound like their
teacher and do not come to know more, except where the imitation data cover the test. Here a small
base is trained on a teacher's answers, broadly and narrowly, and two students are really taught;
the audit has to tell them apart.
"""

from __future__ import annotations

import platform
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from twiceshy.evidence.report import Report
from twiceshy.training.studies.imitating.report import report_of
from twiceshy.training.studies.imitating.runs import (
    ARM_SFT,
    ARMS,
    BASE_MODEL,
    BASE_SFT,
    KNOWN,
    N_BROAD_FACTS,
    NARROW_FIELDS,
    TEACHER_MODEL,
    TEACHER_SFT,
    Arm,
    Run,
    RunResult,
    do_run,
)
from twiceshy.training.studies.queue import Progress, read_result, work_off

N_SEEDS, N_SEEDS_QUICK = 8, 1
MAIN_ARMS: tuple[Arm, ...] = ("broad", "narrow", "improved")


def run_imitation(
    folder: Path,
    *,
    quick: bool = False,
    processes: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Do the runs that are missing in a folder and return the report of all of them.

    Killed, it goes on where it stopped when called again; called several times at once with one
    folder, the calls share the work.

    Args:
        folder: Where runs are kept, one file each, with the teacher and the bases.
        quick: Three arms and one seed, for a look.
        processes: How many processes to start; each uses one thread.
        progress: Called after each run with the numbers done and planned, and its name.
    """
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    work_off(
        _plan(quick=quick),
        folder=folder,
        do=partial(do_run, folder=folder),
        processes=processes,
        progress=progress,
    )
    report = report_imitation(folder, quick=quick)
    wall = {"wall_seconds": round(time.perf_counter() - began)}
    return msgspec.structs.replace(report, manifest=report.manifest | wall)


def report_imitation(folder: Path, *, quick: bool = False) -> Report:
    """Return the report of the runs that a folder holds, without doing any."""
    planned = len(_plan(quick=quick))
    results = finished_imitation(folder, quick=quick)
    return report_of(results, n_planned=planned, manifest=_manifest(quick=quick))


def finished_imitation(folder: Path, *, quick: bool = False) -> dict[Arm, list[RunResult]]:
    """Return the runs that a folder holds, by arm, seeds in order."""
    found: dict[Arm, list[RunResult]] = {}
    for run in _plan(quick=quick):
        result = read_result(folder, run.name, RunResult)
        if result is not None:
            found.setdefault(run.arm, []).append(result)
    return found


def _plan(*, quick: bool) -> list[Run]:
    """Return all runs, the main arms first and seed by seed, so that a stop leaves whole seeds."""
    if quick:
        return [Run(arm=arm, seed=seed) for seed in range(N_SEEDS_QUICK) for arm in MAIN_ARMS]
    others = tuple(arm for arm in ARMS if arm not in MAIN_ARMS)
    return [
        Run(arm=arm, seed=seed)
        for arms in (MAIN_ARMS, others)
        for seed in range(N_SEEDS)
        for arm in arms
    ]


def _manifest(*, quick: bool) -> dict[str, Any]:
    names = ("twiceshy", "torch", "numpy", "scipy")
    return {
        "versions": {"python": platform.python_version(), **{n: version(n) for n in names}},
        "quick": quick,
        "models": msgspec.to_builtins({"teacher": TEACHER_MODEL, "base": BASE_MODEL}),
        "training": msgspec.to_builtins(
            {"teacher": TEACHER_SFT, "base": BASE_SFT, "student": ARM_SFT}
        ),
        "known_share": KNOWN,
        "broad_facts": N_BROAD_FACTS,
        "narrow_fields": NARROW_FIELDS,
    }
