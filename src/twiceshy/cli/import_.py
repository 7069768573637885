"""`twiceshy import`: any log to our own JSONL or Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from twiceshy.attempts import Attempt, ImportSummary, Reading, write_attempts
from twiceshy.cli import inputs
from twiceshy.cli.output import counted, show
from twiceshy.cli.progress import byte_progress
from twiceshy.cli.provenance import with_manifest
from twiceshy.evidence.report import Report, Table


@inputs.reads_attempts
def import_attempts(
    source: inputs.Source,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where to write: .jsonl, .jsonl.gz or .parquet.")
    ] = Path("attempts.jsonl"),
    as_json: inputs.AsJson = False,
) -> None:
    """Read logs of any known format and write them as attempts."""
    with with_manifest(source.paths, out=str(out)) as stamp:
        with byte_progress("importing") as advance:
            reading = source.open(advance)
            _write(reading, out)
        report = import_report(source.checked(reading.summary))
    show(stamp(report), as_json=as_json, details=out)


def _write(reading: Reading, out: Path) -> None:
    attempts: Iterator[Attempt] = iter(reading)
    first = next(attempts, None)
    if first is None:
        return

    def all_attempts() -> Iterator[Attempt]:
        yield first
        yield from attempts

    write_attempts(all_attempts(), out)


def import_report(summary: ImportSummary) -> Report:
    """Return the account of an import as a report."""
    n = summary.n_attempts
    outcomes = tuple((str(kind), count) for kind, count in summary.outcomes.items())
    return Report(
        kind="import",
        title="What was read",
        summary=(
            f"Read {counted(n, 'attempt')} at {counted(summary.n_tasks, 'task')} by "
            f"{counted(summary.n_policies, 'policy')}; "
            f"{counted(summary.n_unreadable, 'record')} could not be read.",
        ),
        numbers=summary.numbers(),
        tables=(
            Table(title="Outcomes", columns=("outcome", "attempts"), rows=outcomes),
            Table(
                title="Files",
                columns=("file", "format", "attempts"),
                rows=tuple((f.file, f.format, f.n_attempts) for f in summary.files),
            ),
        ),
    )
