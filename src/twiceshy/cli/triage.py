"""`twiceshy triage`: what failed, what broke, what was luck, and which tasks can teach."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from twiceshy.cli import inputs
from twiceshy.cli.output import notes, show
from twiceshy.cli.provenance import with_manifest
from twiceshy.errors import BadInput
from twiceshy.frontier.groups import Tallies
from twiceshy.frontier.sheets import P0

_MANY_ROWS = 200_000
"""Rows from which a Parquet of one row an attempt is counted and not read."""
P0Option = Annotated[
    str | None,
    typer.Option(
        "--p0",
        metavar="RATE|FILE",
        help="Undeserved-reward rate: one number, or a JSON file {task: rate}.",
    ),
]
Band = Annotated[
    str, typer.Option("--band", metavar="LOW,HIGH", help="Solve rates that count as the frontier.")
]


@inputs.reads_attempts
def triage(
    source: inputs.Source,
    p0: P0Option = None,
    band: Band = "0.2,0.8",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for triage.json and the sheets.")
    ] = None,
    counts_only: Annotated[
        bool | None,
        typer.Option(
            "--counts-only/--each-attempt",
            help="Count in the database without reading attempts; the default for a large Parquet.",
        ),
    ] = None,
    as_json: inputs.AsJson = False,
) -> None:
    """Sort attempts: failed, broken or unscored; frontier, luck, and what each failure is worth."""
    from twiceshy.frontier import triage as sort
    from twiceshy.frontier import write_triage

    limits, rates = parse_band(band), parse_p0(p0)
    with with_manifest(source.paths) as stamp:
        counted = _count(source) if _wants_counts(source, counts_only) else source.load().attempts
        result = sort(counted, p0=rates, band=limits)
        written = write_triage(result, out) if out is not None else None
    show(stamp(result.report), as_json=as_json, details=written.report if written else None)


def _wants_counts(source: inputs.Source, said: bool | None) -> bool:
    if said is not None:
        return said
    needs_attempts = source.format or source.outcomes or source.rule or source.policy
    if needs_attempts or len(source.paths) != 1 or not source.paths[0].endswith(".parquet"):
        return False
    from twiceshy.frontier import rows_to_count

    n_rows = rows_to_count(source.paths[0], columns=inputs.parse_mapping(source.mapping))
    if n_rows < _MANY_ROWS:
        return False
    notes.print(f"{n_rows} rows are counted without reading each; --each-attempt reads them.")
    return True


def _count(source: inputs.Source) -> Tallies:
    from twiceshy.frontier import tally_file

    if len(source.paths) != 1:
        raise BadInput(
            "one file or one quoted glob with --counts-only",
            got=f"{len(source.paths)} inputs",
            where="INPUT",
        )
    columns = inputs.parse_mapping(source.mapping)
    return tally_file(source.paths[0], columns=columns, threshold=source.threshold)


def parse_p0(text: str | None) -> P0:
    """Return `--p0`: a rate in [0, 1], a rate by task from a JSON file, or None.

    Raises:
        BadInput: When it is neither.

    Example:
        >>> parse_p0("0.38")
        0.38
    """
    if text is None:
        return None
    try:
        return _checked_rates({"": float(text)}, text=text)[""]
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
    import msgspec

    try:
        rates = msgspec.json.decode(Path(text).read_bytes(), type=dict[str, float])
    except (OSError, ValueError) as error:
        raise _no_rate(f"{text!r}, which is neither ({error})") from error
    return _checked_rates(rates, text=text)


def _checked_rates(rates: dict[str, float], *, text: str) -> dict[str, float]:
    for task, rate in rates.items():
        if not 0 <= rate <= 1:
            raise _no_rate(f"{rate:g} for task {task!r} in {text}" if task else text)
    return rates


def _no_rate(got: str) -> BadInput:
    return BadInput(
        "a rate in [0, 1], or a JSON file {task: rate}",
        got=got,
        where="--p0",
        fix="Write for example --p0 0.38",
    )


def parse_band(text: str) -> tuple[float, float]:
    """Return `--band` as two numbers.

    Raises:
        BadInput: When it is not two rates in order, joined by a comma.

    Example:
        >>> parse_band("0.2,0.8")
        (0.2, 0.8)
    """
    parts: Sequence[str] = text.split(",")
    try:
        low, high = (float(part) for part in parts)
    except ValueError:
        low = high = float("nan")
    if not 0 <= low < high <= 1:
        raise BadInput(
            "two solve rates LOW,HIGH with 0 ≤ LOW < HIGH ≤ 1",
            got=repr(text),
            where="--band",
            fix="Write for example --band 0.2,0.8",
        )
    return low, high
