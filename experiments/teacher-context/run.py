"""Teachers who see more, and what their students lose.

    python experiments/teacher-context/run.py [--quick] [--processes 2] [--folder FOLDER]

Goes on where it stopped; several calls with one folder share the work. `--report` writes the report
of the runs that are there without doing any. Writes result.json, result.md, plot.png and
runs.jsonl beside this file; `--quick` prints its report and writes nothing here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from twiceshy.cli.study_script import study_script
from twiceshy.files import write_whole
from twiceshy.studies.teacher_context import (
    Done,
    Size,
    draw_teacher_context,
    finished_teacher_context,
    report_teacher_context,
    run_teacher_context,
)

HERE = Path(__file__).resolve().parent


def keep(folder: Path) -> None:
    """Write the runs and the picture."""
    runs = finished_teacher_context(folder)
    lines = [
        msgspec.json.encode({"arm": arm, "seed": seed, **told(done)})
        for (arm, seed), done in runs.items()
    ]
    write_whole(HERE / "runs.jsonl", b"".join(line + b"\n" for line in lines))
    draw_teacher_context(runs, HERE / "plot.png", epochs=Size().epochs)


def told(done: Done) -> dict[str, Any]:
    """Return a run without the success rates of single problems, which nothing reports."""
    found = msgspec.to_builtins(done)
    for point in found["points"]:
        del point["right"]
    return found


if __name__ == "__main__":
    study_script(
        HERE,
        about=__doc__,
        run=run_teacher_context,
        report=report_teacher_context,
        keep=keep,
    )
