"""A weak student imitates a strong teacher broadly and narrowly, beside students really taught.

    python experiments/imitation/run.py [--quick] [--processes 2] [--folder FOLDER]

Goes on where it stopped; several calls with one folder share the work. `--report` writes the report
of the runs that are there without doing any. Writes result.json, result.md, plot.png and runs.jsonl
beside this file; `--quick` prints its report and writes nothing here.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from twiceshy.cli.study_script import study_script
from twiceshy.files import write_whole
from twiceshy.training.studies.imitating.plot import draw_imitation_curves
from twiceshy.training.studies.imitation import (
    finished_imitation,
    report_imitation,
    run_imitation,
)

HERE = Path(__file__).resolve().parent


def keep(folder: Path) -> None:
    """Write the runs and the picture."""
    results = finished_imitation(folder)
    runs = [run for own in results.values() for run in own]
    write_whole(HERE / "runs.jsonl", b"".join(msgspec.json.encode(r) + b"\n" for r in runs))
    draw_imitation_curves(results, HERE / "plot.png")


if __name__ == "__main__":
    study_script(HERE, about=__doc__, run=run_imitation, report=report_imitation, keep=keep)
