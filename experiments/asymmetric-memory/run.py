"""Cross source and form of lessons on cooking games, over collections, sets and doses.

    python experiments/asymmetric-memory/run.py [--quick] [--processes 2] [--folder FOLDER]
    python experiments/asymmetric-memory/run.py --model-url http://127.0.0.1:8080/v1 --model NAME

Goes on where it stopped; several calls with one folder share the work. `--report` writes the report
of what is there without doing any. Writes result.json, result.md, plot.png and runs.jsonl beside
this file; with `--quick` or a model it prints its report and writes nothing here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from twiceshy.evidence.report import Report
from twiceshy.evidence.result_files import markdown, write_result
from twiceshy.files import write_whole
from twiceshy.integrations.textworld.asymmetric.plan import full_plan, quick_plan, told_plan
from twiceshy.integrations.textworld.asymmetric.plot import draw
from twiceshy.integrations.textworld.asymmetric_memory import (
    Results,
    finished,
    report_results,
    run_asymmetric_memory,
)
from twiceshy.training.studies.queue import progress_lines

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Do what is missing and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="default: scratch/asymmetric-memory")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a part, under three minutes")
    parser.add_argument("--report", action="store_true", help="only report what is there")
    parser.add_argument("--cache", type=Path, help="folder of games")
    parser.add_argument("--model-url", help="an OpenAI-compatible endpoint whose model plays")
    parser.add_argument("--model", default="", help="the model's name there")
    given = parser.parse_args()
    if bool(given.model_url) != bool(given.model):
        parser.error("--model-url and --model go together")
    plan = told_plan() if given.model_url else quick_plan() if given.quick else full_plan()
    kind = "-told" if given.model_url else "-quick" if given.quick else ""
    folder = given.folder or HERE.parents[1] / "scratch" / f"{HERE.name}{kind}"
    if not given.report:
        run_asymmetric_memory(
            folder,
            quick=given.quick,
            processes=given.processes,
            progress=progress_lines(sys.stderr),
            cache=given.cache,
            model_url=given.model_url,
            model=given.model,
        )
    found = finished(folder, plan=plan)
    report = report_results(found)
    if not kind:
        write(report, found)
    print(markdown(report))


def write(report: Report, found: Results) -> None:
    """Write everything that is committed."""
    lines = (
        msgspec.json.encode(
            {
                "game": f"{test.game_set}/{test.seed}",
                "grilling": test.needs_new_tool,
                "rows": test.rows,
            }
        )
        for test in found.tests
    )
    write_whole(HERE / "runs.jsonl", b"".join(line + b"\n" for line in lines))
    write_result(report, HERE)
    draw(found, HERE / "plot.png")


if __name__ == "__main__":
    main()
