"""A weak student imitates a strong teacher broadly and narrowly, beside students really taught.

    python experiments/imitation/run.py [--quick] [--processes 2] [--folder FOLDER]

Goes on where it stopped; several calls with one folder share the work. `--report` writes the report
of the runs that are there without doing any. Writes result.json, result.md, plot.png and runs.jsonl
beside this file; `--quick` prints its report and writes nothing here.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from twiceshy.evidence.report import Report, Table
from twiceshy.files import write_whole
from twiceshy.training.studies.imitating.plot import draw_imitation_curves
from twiceshy.training.studies.imitation import (
    finished_imitation,
    report_imitation,
    run_imitation,
)

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
            folder, quick=given.quick, processes=given.processes, progress=_show()
        )
    if not given.quick:
        write(report, folder)
    print(markdown(report))


def write(report: Report, folder: Path) -> None:
    """Write everything that is committed."""
    results = finished_imitation(folder)
    runs = [run for own in results.values() for run in own]
    write_whole(HERE / "runs.jsonl", b"".join(msgspec.json.encode(r) + b"\n" for r in runs))
    kept = msgspec.to_builtins(report)
    kept["manifest"].pop("wall_seconds", None)
    kept.pop("tables")
    write_whole(
        HERE / "result.json", msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n"
    )
    write_whole(HERE / "result.md", markdown(report).encode())
    draw_imitation_curves(results, HERE / "plot.png")


def _show() -> Callable[[int, int, str], None]:
    began = time.monotonic()

    def show(done: int, total: int, name: str) -> None:
        seconds = time.monotonic() - began
        print(f"{seconds:.0f} s {done}/{total} {name}", file=sys.stderr, flush=True)

    return show


def markdown(report: Report) -> str:
    """Return a report as Markdown."""
    parts = [f"# {report.title}", "", "Written by `run.py`.", ""]
    parts += [f"- {line}" for line in report.summary]
    return "\n".join([*parts, *(_table(table) for table in report.tables)]) + "\n"


def _table(table: Table) -> str:
    rows = [table.columns, ["---"] * len(table.columns), *table.rows]
    lines = ["| " + " | ".join("" if c is None else str(c) for c in row) + " |" for row in rows]
    note = ["", table.note] if table.note else []
    return "\n".join(["", f"## {table.title}", "", *lines, *note])


if __name__ == "__main__":
    main()
