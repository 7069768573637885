"""What the script of an experiment does: the runs that are missing, then what is committed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from twiceshy.evidence.report import Report
from twiceshy.evidence.result_files import markdown, write_result
from twiceshy.training.studies.queue import progress_lines


def study_script(
    here: Path,
    *,
    about: str | None,
    run: Callable[..., Report],
    report: Callable[..., Report],
    keep: Callable[[Path], None],
) -> None:
    """Do or report a study by the options of a command line, and print its report as Markdown.

    Options are `--folder` (of single runs; by default scratch/NAME in the repository),
    `--processes`, `--quick` (prints, and writes nothing here) and `--report` (does no run).

    Args:
        here: Folder of the experiment, where result.json and result.md go.
        about: The script's docstring, shown by `--help`.
        run: (folder, *, quick, processes, progress) -> Report.
        report: (folder, *, quick) -> Report of the runs that are there.
        keep: Writes what else is committed, from the folder of the runs.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--folder", type=Path, help=f"of single runs; default: scratch/{here.name}")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a part that ends within minutes")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    given = parser.parse_args()
    name = here.name + ("-quick" if given.quick else "")
    folder = given.folder or here.parents[1] / "scratch" / name
    if given.report:
        found = report(folder, quick=given.quick)
    else:
        told = progress_lines(sys.stderr)
        found = run(folder, quick=given.quick, processes=given.processes, progress=told)
    if not given.quick:
        write_result(found, here)
        keep(folder)
    print(markdown(found))
