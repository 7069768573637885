"""`twiceshy doctor`: whether a trainer really uses this package, found out by asking it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twiceshy.cli.inputs import AsJson
from twiceshy.cli.output import show

app = typer.Typer(
    help="Prove that a trainer uses this package.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def root() -> None:
    """Prove that a trainer uses this package."""


@app.command("trl")
def trl(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG",
            help="Settings of a run, JSON or YAML: a GRPOConfig's, and an OutcomeConfig's under "
            "outcomes. Traps among them are alarms.",
        ),
    ] = None,
    step: Annotated[
        bool, typer.Option("--step/--no-step", help="Train a tiny model on the CPU, in seconds.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Prove that TRL trains by this package: GRPO gives TRL's own steps, NSR gives others.

    Looks at the versions of TRL, torch and vLLM, and at the settings of a run where they are given.
    """
    from twiceshy.integrations.trl.doctor import examine

    show(examine(config, step=step), as_json=as_json)


@app.command("verl")
def verl(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="A verl command line's key=value, to be checked as well."),
    ] = None,
    ray: Annotated[
        bool, typer.Option("--ray/--no-ray", help="Ask a Ray worker on every node as well.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Prove that verl has registered the estimators: in a fresh process and in Ray's workers.

    With RAY_ADDRESS set, every node of that cluster is asked; else a local Ray is started.
    """
    from twiceshy.integrations.verl.doctor import examine

    show(examine(overrides or (), workers=ray), as_json=as_json)
