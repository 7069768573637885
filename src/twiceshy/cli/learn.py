"""`twiceshy learn`: from logged runs to lessons with evidence and a report, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twiceshy.cli import inputs
from twiceshy.cli.output import show
from twiceshy.cli.study import study
from twiceshy.cli.triage import P0Option, parse_p0

Nulls = Annotated[
    int,
    typer.Option(
        "--nulls", min=0, help="Runs of the whole procedure on shuffled labels; 0 skips the proof."
    ),
]


@inputs.reads_attempts
def learn(
    source: inputs.Source,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything found.")] = Path(
        "twiceshy-report"
    ),
    p0: P0Option = None,
    nulls: Nulls = 100,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """Triage attempts, mine lessons from contrast, test them on unseen tasks, write a report."""
    rates = parse_p0(p0)
    found = study(
        source.load().attempts,
        folder=out,
        title="What these attempts teach",
        paths=source.paths,
        p0=rates,
        n_null=nulls,
        seed=seed,
    )
    show(found.report, as_json=as_json, details=found.page, lessons=found.learned.lessons)
