"""Train beside over-hard prompts of two kinds, with and without a gate, at full settings.

    python experiments/over-hard/run.py [--quick] [--processes 2] [--folder FOLDER]

Goes on where it stopped; several calls with one folder share the work. `--report` writes the report
of the runs that are there without doing any. Writes result.json, result.md, curves.png,
end-points.png and runs.jsonl beside this file; `--quick` prints its report and writes nothing here.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from twiceshy.cli.study_script import study_script
from twiceshy.files import write_whole
from twiceshy.training.studies.hard_prompts.plot import draw_curves, draw_end_points
from twiceshy.training.studies.over_hard import finished_runs, report_over_hard, run_over_hard

HERE = Path(__file__).resolve().parent


def keep(folder: Path) -> None:
    """Write the runs and the pictures."""
    results = finished_runs(folder)
    runs = [run for by_seed in results.values() for run in by_seed.values()]
    write_whole(HERE / "runs.jsonl", b"".join(msgspec.json.encode(r) + b"\n" for r in runs))
    draw_curves(results, HERE / "curves.png")
    draw_end_points(results, HERE / "end-points.png")


if __name__ == "__main__":
    study_script(HERE, about=__doc__, run=run_over_hard, report=report_over_hard, keep=keep)
