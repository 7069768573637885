"""`twiceshy import`: any log to our own JSONL or Parquet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from twiceshy.attempts import Attempt, ImportSummary, Reading, read_attempts, write_attempts
from twiceshy.cli import inputs
from twiceshy.cli.output import notes, show
from twiceshy.cli.progress import byte_progress
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report, Table


def import_attempts(
    paths: inputs.Inputs,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where to write: .jsonl, .jsonl.gz or .parquet.")
    ] = Path("attempts.jsonl"),
    format: inputs.Format = None,
    mapping: inputs.Mapping = None,
    outcomes: inputs.Outcomes = None,
    threshold: inputs.Threshold = None,
    policy: inputs.Policy = None,
    rule: inputs.Rules = None,
    as_json: inputs.AsJson = False,
) -> None:
    """Read logs of any known format and write them as attempts."""
    started = time.monotonic()
    with byte_progress("importing") as advance:
        reading = read_attempts(
            paths,
            format=format,
            mapping=inputs.parse_mapping(mapping),
            outcomes=outcomes,
            threshold=threshold,
            policy=policy,
            rules=inputs.load_rules(rule or ()),
            progress=advance,
        )
        _write(reading, out)
    for line in reading.summary.notes():
        notes.print(line, markup=False)
    if reading.summary.nothing_usable:
        raise BadInput(
            "at least one readable attempt",
            got="none",
            where=", ".join(paths),
            fix="See the lines above; --format or --map tells how to read a file.",
        )
    show(import_report(reading.summary, seconds=time.monotonic() - started, out=out),
         as_json=as_json, details=out)  # fmt: skip


def _write(reading: Reading, out: Path) -> None:
    attempts: Iterator[Attempt] = iter(reading)
    first = next(attempts, None)
    if first is None:
        return

    def all_attempts() -> Iterator[Attempt]:
        yield first
        yield from attempts

    write_attempts(all_attempts(), out)


def import_report(summary: ImportSummary, *, seconds: float, out: Path | None = None) -> Report:
    """Return the account of an import as a report."""
    n = summary.n_attempts
    outcomes = tuple((str(kind), count) for kind, count in summary.outcomes.items())
    return Report(
        kind="import",
        title="What was read",
        summary=(
            f"Read {n} attempts at {summary.n_tasks} tasks by {summary.n_policies} policies; "
            f"{summary.n_unreadable} records could not be read.",
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
        manifest={"seconds": round(seconds, 3), "out": str(out) if out else None},
    )
