"""`twiceshy audit`: checks on a set of attempts that can fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import typer

from twiceshy.cli import inputs
from twiceshy.cli.output import show
from twiceshy.cli.provenance import with_manifest
from twiceshy.evidence.report import Report

app = typer.Typer(help="Check a set of attempts.", no_args_is_help=True, rich_markup_mode=None)


def _run(name: str, paths: Sequence[str], *, seed: int, as_json: bool, **reading: Any) -> None:
    audit: Callable[..., Report] = getattr(import_module("twiceshy.evidence.audits"), name)
    with with_manifest(paths, seed=seed) as stamp:
        report = audit(inputs.load(paths, **reading).attempts, seed=seed)
    show(stamp(report), as_json=as_json)


@app.command("passk")
def passk(
    paths: inputs.Inputs,
    format: inputs.Format = None,
    mapping: inputs.Mapping = None,
    outcomes: inputs.Outcomes = None,
    threshold: inputs.Threshold = None,
    policy: inputs.Policy = None,
    rule: inputs.Rules = None,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """Print unbiased pass@k and pass^k with intervals, as recorded and without broken attempts."""
    _run("audit_passk", paths, seed=seed, as_json=as_json, format=format, mapping=mapping,
         outcomes=outcomes, threshold=threshold, policy=policy, rules=rule)  # fmt: skip


@app.command("collapse")
def collapse(
    paths: inputs.Inputs,
    format: inputs.Format = None,
    mapping: inputs.Mapping = None,
    outcomes: inputs.Outcomes = None,
    threshold: inputs.Threshold = None,
    policy: inputs.Policy = None,
    rule: inputs.Rules = None,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """Look for lost variety: fewer distinct answers, lower entropy, shorter output."""
    _run("audit_collapse", paths, seed=seed, as_json=as_json, format=format, mapping=mapping,
         outcomes=outcomes, threshold=threshold, policy=policy, rules=rule)  # fmt: skip


@app.command("shortcuts")
def shortcuts(
    paths: inputs.Inputs,
    format: inputs.Format = None,
    mapping: inputs.Mapping = None,
    outcomes: inputs.Outcomes = None,
    threshold: inputs.Threshold = None,
    policy: inputs.Policy = None,
    rule: inputs.Rules = None,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """Look for shortcuts: repeated answers, skipped work, passes that did nothing."""
    _run("audit_shortcuts", paths, seed=seed, as_json=as_json, format=format, mapping=mapping,
         outcomes=outcomes, threshold=threshold, policy=policy, rules=rule)  # fmt: skip
