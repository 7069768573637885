"""Teachers who see more, and what their students lose.

    python experiments/teacher-context/run.py [--quick] [--processes 2] [--folder FOLDER]

Goes on where it stopped; several calls with one folder share the work. `--report` writes the report
of the runs that are there without doing any. Writes result.json, result.md and plot.png beside this
file; `--quick` prints its report and writes nothing here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from twiceshy.evidence.result_files import markdown, write_result
from twiceshy.studies.teacher_context import (
    Size,
    draw_teacher_context,
    finished_teacher_context,
    report_teacher_context,
    run_teacher_context,
)
from twiceshy.training.studies.queue import progress_lines

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="of runs; default: scratch/teacher-context")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two seeds, less of everything")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    name = HERE.name + ("-quick" if given.quick else "")
    folder = given.folder or HERE.parents[1] / "scratch" / name
    if given.report:
        report = report_teacher_context(folder, quick=given.quick)
    else:
        report = run_teacher_context(
            folder,
            quick=given.quick,
            processes=given.processes,
            progress=progress_lines(sys.stderr),
        )
    if not given.quick:
        write_result(report, HERE)
        runs = finished_teacher_context(folder)
        draw_teacher_context(runs, HERE / "plot.png", epochs=Size().epochs)
    print(markdown(report))


if __name__ == "__main__":
    main()
