"""Put the verbs together and decide what an error looks like."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import twiceshy
from twiceshy.cli import (
    audit,
    bank_effect,
    bank_moving,
    collect,
    demo,
    distill,
    doctor,
    learn,
    prove,
    recall,
    reproduce,
    train,
    triage,
    weights,
)
from twiceshy.cli import import_ as import_verb
from twiceshy.cli import report as report_verb
from twiceshy.cli.grid import printable
from twiceshy.cli.output import console
from twiceshy.errors import TwiceshyError

_INTERRUPTED = 130
"""The exit code after Ctrl-C; typer leaves with it as well."""
_STOPPED = (
    "twiceshy: stopped. Every file written so far is whole; a checkpoint is kept, and the same "
    "command goes on from it.\n"
)

app = typer.Typer(
    name="twiceshy",
    help="Learn from failed attempts, and prove that the lesson transfers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.command("demo", short_help="The whole flow on attempts that ship with the package.")(demo.demo)
app.command("import")(import_verb.import_attempts)
app.command("triage", short_help="Failed, broken or unscored; frontier; luck.")(triage.triage)
app.command("weights", short_help="What to train on, with which weight, and why: a sidecar.")(
    weights.weights
)
app.command("learn", short_help="Lessons tested on unseen tasks, and a report to look at.")(
    learn.learn
)
app.command("recall", short_help="The lessons of a bank that a task calls for.")(recall.recall)
app.add_typer(prove.app, name="prove")
app.add_typer(audit.app, name="audit")
app.add_typer(collect.app, name="collect")
app.add_typer(doctor.app, name="doctor")
app.add_typer(distill.app, name="distill")
app.command("train", short_help="Train a small policy; pass@k before, during and after.")(
    train.train
)
app.command("reproduce", short_help="A published claim, re-run in miniature.")(reproduce.reproduce)
app.add_typer(bank_moving.app, name="bank")
bank_moving.app.command("effect", short_help="Whether it helps, and which lessons do.")(
    bank_effect.effect
)
app.command("report", short_help="Render the page of an earlier study again.")(report_verb.report)


def _version(wanted: bool) -> None:
    if wanted:
        console.print(f"twiceshy {twiceshy.__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Learn from failed attempts, and prove that the lesson transfers."""
    del version


def run() -> None:
    """Run the command line; exit codes: 0 fine, 1 an audit or gate failed, 2 bad input or usage.

    130 after Ctrl-C.
    """
    try:
        app()
    except TwiceshyError as error:
        sys.stderr.write(printable(f"twiceshy: {error}\n"))
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        sys.stderr.write(f"twiceshy: the system refused: {error}. Check the disk and the paths.\n")
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            sys.stderr.write(_STOPPED)
        raise
    except KeyboardInterrupt:
        sys.stderr.write(_STOPPED)
        sys.exit(_INTERRUPTED)
