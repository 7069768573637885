"""`twiceshy prove`: did it transfer?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twiceshy.cli import inputs
from twiceshy.cli.learn import Nulls
from twiceshy.cli.output import show
from twiceshy.cli.progress import step_progress
from twiceshy.cli.prove_prompt import prompt
from twiceshy.cli.provenance import with_manifest

app = typer.Typer(
    help="Test whether what was learned transfers.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("lessons", short_help="Mine on some tasks, test on others.")
@inputs.reads_attempts
def lessons(
    source: inputs.Source,
    nulls: Nulls = 100,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="File that keeps finished shuffled runs, to resume."),
    ] = None,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """Mine on some tasks, test on others, against the whole procedure on shuffled labels."""
    from twiceshy.memory import prove_lessons

    with with_manifest(source.paths, seed=seed, n_null=nulls) as stamp:
        attempts = source.load().attempts
        with step_progress("mining on shuffled labels") as advance:
            report = prove_lessons(
                attempts, n_null=nulls, seed=seed, checkpoint=checkpoint, progress=advance
            )
    show(stamp(report), as_json=as_json)


app.command("prompt", short_help="Principles against their baselines.")(prompt)


@app.command("trial", short_help="Compare policies on the same tasks.")
@inputs.reads_attempts
def trial(
    source: inputs.Source,
    reference: Annotated[str, typer.Option("--reference", help="The policy without lessons.")],
    placebo: Annotated[
        str | None, typer.Option("--placebo", help="The policy with lessons that say nothing.")
    ] = None,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """Compare policies on the same tasks, paired by task, with flips both ways."""
    from twiceshy.evidence.trial import compare_policies

    with with_manifest(source.paths, seed=seed) as stamp:
        result = compare_policies(
            source.load().attempts, reference=reference, placebo=placebo, seed=seed
        )
    show(stamp(result.report), as_json=as_json)
