"""`twiceshy collect`: make new attempts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twiceshy.cli.inputs import AsJson, Seed
from twiceshy.cli.output import show
from twiceshy.cli.progress import step_progress
from twiceshy.cli.provenance import with_manifest
from twiceshy.evidence.report import Report, Table
from twiceshy.integrations.textworld import Arm, collect_to_file

app = typer.Typer(
    help="Make new attempts by running an agent.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def collect() -> None:
    """Make new attempts by running an agent."""


@app.command("textworld")
def textworld(
    games: Annotated[
        list[str],
        typer.Argument(
            metavar="GAMES...", help="Sets or games: train, near:20, cooking/near/5003."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="JSONL file; an earlier run is gone on with.")
    ] = Path("attempts.jsonl"),
    attempts: Annotated[int, typer.Option("--attempts", min=1, help="Attempts a game.")] = 8,
    arm: Annotated[Arm, typer.Option("--arm", help="Which lessons the agent uses.")] = "none",
    lessons: Annotated[
        Path | None, typer.Option("--lessons", help="Lessons for every arm but none (JSONL).")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder of generated games.")
    ] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, help="Worker processes.")] = 1,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Play TextWorld's cooking games with a stochastic agent (extra: textworld)."""
    with with_manifest(games, seed=seed, arm=arm) as stamp, step_progress("playing") as advance:
        done = collect_to_file(
            games=games,
            out=out,
            attempts_per_game=attempts,
            arm=arm,
            lessons_file=lessons,
            seed=seed,
            cache=cache,
            processes=processes,
            progress=advance,
        )
    report = Report(
        kind="collect textworld",
        title="Collected attempts",
        summary=(
            f"{done.n_new} new attempts, {done.n_kept} from before: {done.won} won, {done.lost} "
            f"lost, {done.timed_out} ran out of steps.",
        ),
        numbers=done._asdict(),
        tables=(
            Table(
                title="How they ended",
                columns=("won", "lost", "ran out of steps"),
                rows=((done.won, done.lost, done.timed_out),),
            ),
        ),
    )
    show(stamp(report), as_json=as_json, details=out)
