"""Compare objectives along their curves of pass@1 and coverage, at full settings.

    python experiments/negative-reinforcement/run.py [--processes 2] [--folder FOLDER]

Goes on where it stopped; several calls with one folder share the work. `--go-on` takes the runs in
runs.jsonl as done and does the rest. `--report` writes the report of the runs that are there
without doing any. Writes result.json, result.md, plot.png and runs.jsonl beside this file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from twiceshy.evidence.report import Report
from twiceshy.evidence.result_files import markdown_table
from twiceshy.files import write_whole
from twiceshy.training.studies.negative.plan import full_plan
from twiceshy.training.studies.negative.plot import draw_curves
from twiceshy.training.studies.negative.runs import Run
from twiceshy.training.studies.negative_reinforcement import (
    finished_runs,
    report_negative_reinforcement,
    run_negative_reinforcement,
)
from twiceshy.training.studies.queue import progress_lines

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / "scratch" / HERE.name)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--go-on", action="store_true", help="keep the runs in runs.jsonl")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    if given.go_on:
        unpack(given.folder)
    if given.report:
        report = report_negative_reinforcement(given.folder)
    else:
        report = run_negative_reinforcement(
            given.folder, processes=given.processes, progress=progress_lines(sys.stderr)
        )
    runs = finished_runs(given.folder)
    write_whole(
        HERE / "runs.jsonl", b"".join(msgspec.json.encode(r) + b"\n" for r in runs.values())
    )
    kept = msgspec.to_builtins(report)
    kept["manifest"].pop("wall_seconds", None)
    write_whole(HERE / "result.json", msgspec.json.format(msgspec.json.encode(kept), indent=1))
    write_whole(HERE / "result.md", markdown(report).encode())
    draw_curves(full_plan(), runs, HERE / "plot.png")
    print(markdown(report))


def unpack(folder: Path) -> None:
    """Put the kept runs into a folder, where they are not done again."""
    folder.mkdir(parents=True, exist_ok=True)
    for line in (HERE / "runs.jsonl").read_bytes().splitlines():
        run = msgspec.json.decode(line, type=Run)
        write_whole(folder / f"{run.job.name}.json", line + b"\n")


def markdown(report: Report) -> str:
    """Return a report as Markdown."""
    parts = [f"# {report.title}", "Written by `run.py`.", *(f"- {line}" for line in report.summary)]
    parts += [f"- Ended early: {alarm.name}: {alarm.message}" for alarm in report.alarms]
    return "\n".join([*parts, *(markdown_table(table) for table in report.tables)]) + "\n"


if __name__ == "__main__":
    main()
