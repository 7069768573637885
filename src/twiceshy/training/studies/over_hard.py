"""Do over-hard prompts damage what the policy could do, and does a gate prevent it?

Cheng et al. (2605.28388) report that training on prompts solved 0 of 8 times lowers benchmark
averages and teaches guessing. Here pools of digit chains hold 0, 50 or 90 % over-hard prompts of
two kinds: those whose honest solution does not fit the budget, so only guessing can be paid, and
those that cannot be learned, where computing and guessing both earn one in ten. Three objectives,
three gates, paired by seed.
"""

from __future__ import annotations

import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report
from twiceshy.training.studies.hard_prompts.report import report_of
from twiceshy.training.studies.hard_prompts.runs import (
    ALONG_THE_WAY,
    GATES,
    RL,
    Cell,
    Run,
    RunResult,
    all_cells,
    do_run,
    quick_cells,
    runs_of,
)
from twiceshy.training.studies.queue import Progress, read_result, work_off


def run_over_hard(
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
        folder: Where runs are kept, one file each.
        quick: One objective, the pools with 90 % over-hard prompts and three seeds, for a look.
        processes: How many processes to start; each uses one thread.
        progress: Called after each run with the numbers done and planned, and its name.

    Raises:
        BadInput: When the folder holds runs of another plan.
    """
    began = time.perf_counter()
    work_off(_plan(quick=quick), folder=folder, do=do_run, processes=processes, progress=progress)
    report = report_over_hard(folder, quick=quick)
    wall = {"wall_seconds": round(time.perf_counter() - began)}
    return msgspec.structs.replace(report, manifest=report.manifest | wall)


def report_over_hard(folder: Path, *, quick: bool = False) -> Report:
    """Return the report of the runs that a folder holds, without doing any.

    Raises:
        BadInput: When the folder holds runs of another plan.
    """
    results = finished_runs(folder, quick=quick)
    return report_of(results, n_planned=len(_plan(quick=quick)), manifest=_manifest(quick=quick))


def finished_runs(folder: Path, *, quick: bool = False) -> dict[Cell, dict[int, RunResult]]:
    """Return the runs that a folder holds, by cell and seed.

    Raises:
        BadInput: When a result is of another run than its file's name says.
    """
    results: dict[Cell, dict[int, RunResult]] = {}
    for run in _plan(quick=quick):
        result = read_result(folder, run.name, RunResult)
        if result is None:
            continue
        if (result.cell, result.seed) != (run.cell, run.seed):
            raise BadInput(
                f"the run {run.name}",
                got="one of another setting",
                where=str(folder),
                fix="Choose another folder, or delete this one to start again.",
            )
        results.setdefault(run.cell, {})[run.seed] = result
    return results


def _plan(*, quick: bool) -> list[Run]:
    return runs_of(quick_cells() if quick else all_cells())


def _manifest(*, quick: bool) -> dict[str, Any]:
    names = ("twiceshy", "torch", "numpy")
    return {
        "versions": {"python": platform.python_version(), **{n: version(n) for n in names}},
        "quick": quick,
        "base_policy": "chain",
        "rl": msgspec.to_builtins(RL),
        "gates": msgspec.to_builtins(GATES),
        "evaluation": msgspec.to_builtins(ALONG_THE_WAY),
    }
