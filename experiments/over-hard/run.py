"""Train beside over-hard prompts of two kinds, with and without a gate, at full settings.

    python experiments/over-hard/run.py [--quick] [--processes 2] [--folder FOLDER]

Goes on where it stopped; several calls with one folder share the work. `--report` writes the report
of the runs that are there without doing any. Writes result.json, result.md, curves.png,
end-points.png and runs.jsonl beside this file; `--quick` prints its report and writes nothing here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from twiceshy.evidence.report import Report
from twiceshy.evidence.result_files import markdown, write_result
from twiceshy.files import write_whole
from twiceshy.training.studies.hard_prompts.contrasts import Results
from twiceshy.training.studies.hard_prompts.plot import draw_curves, draw_end_points
from twiceshy.training.studies.over_hard import finished_runs, report_over_hard, run_over_hard
from twiceshy.training.studies.queue import progress_lines

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="of single runs; default: scratch/over-hard")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="three seeds of the main settings")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    name = HERE.name + ("-quick" if given.quick else "")
    folder = given.folder or HERE.parents[1] / "scratch" / name
    if given.report:
        report = report_over_hard(folder, quick=given.quick)
    else:
        report = run_over_hard(
            folder,
            quick=given.quick,
            processes=given.processes,
            progress=progress_lines(sys.stderr),
        )
    if not given.quick:
        write(report, finished_runs(folder))
    print(markdown(report))


def write(report: Report, results: Results) -> None:
    """Write everything that is committed."""
    runs = [run for by_seed in results.values() for run in by_seed.values()]
    write_whole(HERE / "runs.jsonl", b"".join(msgspec.json.encode(r) + b"\n" for r in runs))
    write_result(report, HERE)
    draw_curves(results, HERE / "curves.png")
    draw_end_points(results, HERE / "end-points.png")


if __name__ == "__main__":
    main()
