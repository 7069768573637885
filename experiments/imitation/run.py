"""A weak student imitates a strong teacher broadly and narrowly, beside students really taught.

    python experiments/imitation/run.py [--quick] [--processes 2] [--folder FOLDER]

Goes on where it stopped; several calls with one folder share the work. `--report` writes the report
of the runs that are there without doing any. Writes result.json, result.md, plot.png and runs.jsonl
beside this file; `--quick` prints its report and writes nothing here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from twiceshy.evidence.report import Report
from twiceshy.evidence.result_files import markdown, write_result
from twiceshy.files import write_whole
from twiceshy.training.studies.imitating.plot import draw_imitation_curves
from twiceshy.training.studies.imitation import (
    finished_imitation,
    report_imitation,
    run_imitation,
)
from twiceshy.training.studies.queue import progress_lines

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="of single runs; default: scratch/imitation")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one seed of three arms")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    name = HERE.name + ("-quick" if given.quick else "")
    folder = given.folder or HERE.parents[1] / "scratch" / name
    if given.report:
        report = report_imitation(folder, quick=given.quick)
    else:
        report = run_imitation(
            folder,
            quick=given.quick,
            processes=given.processes,
            progress=progress_lines(sys.stderr),
        )
    if not given.quick:
        write(report, folder)
    print(markdown(report))


def write(report: Report, folder: Path) -> None:
    """Write everything that is committed."""
    results = finished_imitation(folder)
    runs = [run for own in results.values() for run in own]
    write_whole(HERE / "runs.jsonl", b"".join(msgspec.json.encode(r) + b"\n" for r in runs))
    write_result(report, HERE)
    draw_imitation_curves(results, HERE / "plot.png")


if __name__ == "__main__":
    main()
