"""Teachers who see more, and what their students lose.

    python experiments/teacher-context/run.py [--quick] [--processes N] [--report]

Writes result.json, result.md and plot.png beside this file (with --quick into
scratch/teacher-context-quick). Runs are kept in scratch/teacher-context, so that it goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from report import write_report
from study import QUICK, SCRATCH, Done, Size, do, jobs

from twiceshy.training.studies.queue import read_result, work_off

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run what is missing, then write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two seeds, less of everything")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="only write what is done so far")
    options = parser.parse_args()
    size = QUICK if options.quick else Size()
    folder = SCRATCH / ("teacher-context-quick" if options.quick else "teacher-context")
    if not options.report:
        work_off(
            jobs(size), folder=folder / "runs", do=do, processes=options.processes, progress=told
        )
    out = folder if options.quick else HERE
    done = {job.name: read_result(folder / "runs", job.name, Done) for job in jobs(size)}
    found = {(job.arm, job.seed): result for job in jobs(size) if (result := done[job.name])}
    write_report(found, size=size, out=out)
    sys.stdout.write((out / "result.md").read_text())


def told(done: int, total: int, name: str) -> None:
    """Say how far it is."""
    sys.stderr.write(f"{done} of {total}: {name}\n")


if __name__ == "__main__":
    main()
