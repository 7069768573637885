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
from twiceshy.training.studies.negative.runs import Job, Run, do_job, jobs_of
from twiceshy.training.studies.queue import Progress, work_off


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
    jobs = jobs_of(plan)
    found = work_off(
        jobs, folder=folder, do=do_job, result_type=Run, processes=processes, progress=progress
    )
    manifest = _manifest(plan, quick=quick) | {"wall_seconds": round(time.perf_counter() - began)}
    return report_of(plan, _checked(jobs, found, folder=folder), manifest=manifest)


def _checked(jobs: list[Job], found: list[Run | None], *, folder: Path) -> dict[str, Run]:
    """Return the runs by name, all of which have to be what the plan says."""
    runs: dict[str, Run] = {}
    for job, run in zip(jobs, found, strict=True):
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
