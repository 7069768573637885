"""`twiceshy audit`: checks on a set of attempts that can fail."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import typer

from twiceshy.cli import audit_imitation, inputs
from twiceshy.cli.output import show
from twiceshy.cli.provenance import with_manifest
from twiceshy.evidence.report import Report

app = typer.Typer(help="Check a set of attempts.", no_args_is_help=True, rich_markup_mode=None)


def _run(
    name: str,
    source: inputs.Source,
    *,
    seed: int,
    as_json: bool,
    room: str = "twiceshy.evidence.audits",
    contrasts: bool = True,
) -> None:
    audit: Callable[..., Report] = getattr(import_module(room), name)
    with with_manifest(source.paths, seed=seed) as stamp:
        report = audit(source.load(contrasts=contrasts).attempts, seed=seed)
    show(stamp(report), as_json=as_json)


@app.command("passk")
@inputs.reads_attempts
def passk(source: inputs.Source, seed: inputs.Seed = 0, as_json: inputs.AsJson = False) -> None:
    """Print unbiased pass@k and pass^k with intervals, as recorded and without broken attempts."""
    _run("audit_passk", source, seed=seed, as_json=as_json)


@app.command("collapse")
@inputs.reads_attempts
def collapse(source: inputs.Source, seed: inputs.Seed = 0, as_json: inputs.AsJson = False) -> None:
    """Look for lost variety: fewer distinct answers, lower entropy, shorter output."""
    _run("audit_collapse", source, seed=seed, as_json=as_json)


@app.command("shortcuts")
@inputs.reads_attempts
def shortcuts(source: inputs.Source, seed: inputs.Seed = 0, as_json: inputs.AsJson = False) -> None:
    """Look for shortcuts: repeated answers, skipped work, passes that did nothing."""
    _run("audit_shortcuts", source, seed=seed, as_json=as_json, contrasts=False)


@app.command("confidence")
@inputs.reads_attempts
def confidence(
    source: inputs.Source, seed: inputs.Seed = 0, as_json: inputs.AsJson = False
) -> None:
    """Compare stated, repeated and worded confidence with outcomes."""
    room = "twiceshy.evidence.confidence"
    _run("audit_confidence", source, seed=seed, as_json=as_json, room=room, contrasts=False)


app.command("imitation", short_help="Style without capability: a student against its teacher.")(
    audit_imitation.imitation
)
