"""Does punishing failures keep more coverage than rewarding successes, at the same pass@1?

Zhu et al. (2506.01347) compare objectives after the same training and find that NSR raises pass@1
and keeps pass@k. On-policy its expected gradient is that of PSR up to scale, so here objectives are
compared along their whole curves, at equal pass@1, over seeds, tasks and two strengths of the base
policy each, strictly on-policy and with several updates a batch.
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
from twiceshy.training.studies.negative.plan import Plan, full_plan, quick_plan
from twiceshy.training.studies.negative.report import report_of
from twiceshy.training.studies.negative.runs import Run, do_job, jobs_of
from twiceshy.training.studies.queue import Progress, read_result, work_off


def run_negative_reinforcement(
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
        quick: Three objectives and three seeds in one setting, for a look; not for conclusions.
        processes: How many processes to start; each uses one thread.
        progress: Called after each run with the numbers done and planned, and its name.

    Raises:
        BadInput: When the folder holds runs of another plan.
    """
    began = time.perf_counter()
    plan = quick_plan() if quick else full_plan()
    work_off(
        jobs_of(plan),
        folder=folder,
        do=do_job,
        processes=processes,
        progress=progress,
    )
    report = report_negative_reinforcement(folder, quick=quick)
    wall = {"wall_seconds": round(time.perf_counter() - began)}
    return msgspec.structs.replace(report, manifest=report.manifest | wall)


def report_negative_reinforcement(folder: Path, *, quick: bool = False) -> Report:
    """Return the report of the runs that a folder holds, without doing any.

    Raises:
        BadInput: When the folder holds runs of another plan.
    """
    plan = quick_plan() if quick else full_plan()
    return report_of(
        plan, finished_runs(folder, quick=quick), manifest=_manifest(plan, quick=quick)
    )


def finished_runs(folder: Path, *, quick: bool = False) -> dict[str, Run]:
    """Return the runs that a folder holds, by name; each has to be what the plan says.

    Raises:
        BadInput: When one is of another plan, or damaged.
    """
    runs: dict[str, Run] = {}
    for job in jobs_of(quick_plan() if quick else full_plan()):
        run = read_result(folder, job.name, Run)
        if run is None:
            continue
        if run.job != job:
            raise BadInput(
                f"the run {job.name} of this plan",
                got="one with other settings",
                where=str(folder),
                fix="Choose another folder, or delete this one to start again.",
            )
        runs[job.name] = run
    return runs


def _manifest(plan: Plan, *, quick: bool) -> dict[str, Any]:
    names = ("twiceshy", "torch", "numpy")
    return {
        "versions": {"python": platform.python_version(), **{n: version(n) for n in names}},
        "quick": quick,
        "plan": msgspec.to_builtins(plan),
    }
