"""The options that every verb which reads attempts shares."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from twiceshy.attempts import Attempt, ImportSummary, read_attempts
from twiceshy.cli.output import notes
from twiceshy.cli.progress import byte_progress
from twiceshy.errors import BadInput

Inputs = Annotated[
    list[str], typer.Argument(metavar="INPUT...", help="Files, folders or globs with logged runs.")
]
Format = Annotated[
    str | None, typer.Option("--format", help="Log format; found out by itself when left out.")
]
Mapping = Annotated[
    str | None,
    typer.Option(
        "--map",
        metavar="OUR=THEIRS,...",
        help="Columns of any JSONL, CSV or Parquet, as task=question,success=is_correct.",
    ),
]
Outcomes = Annotated[
    str | None, typer.Option("--outcomes", help="A second file with outcomes to join.")
]
Threshold = Annotated[
    float | None, typer.Option("--threshold", help="Rewards at or above it are successes.")
]
Policy = Annotated[
    str | None, typer.Option("--policy", help="Name of the policy when the log gives none.")
]
Rules = Annotated[
    list[str] | None,
    typer.Option("--rule", metavar="MODULE:FUNCTION", help="Your own test for broken attempts."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Attempts in memory with the account of how they were read."""

    attempts: tuple[Attempt, ...]
    summary: ImportSummary


def parse_mapping(text: str | None) -> dict[str, str]:
    """Return `--map` as a dictionary from our field to the log's column.

    Raises:
        BadInput: When a part has no `=`.

    Example:
        >>> parse_mapping("task=question,success=is_correct")
        {'task': 'question', 'success': 'is_correct'}
    """
    if not text:
        return {}
    mapping: dict[str, str] = {}
    for part in text.split(","):
        ours, equals, theirs = part.partition("=")
        if not (equals and ours.strip() and theirs.strip()):
            raise BadInput(
                "pairs OUR=THEIRS joined by commas",
                got=repr(part),
                where="--map",
                fix="Write for example --map task=question,success=is_correct",
            )
        mapping[ours.strip()] = theirs.strip()
    return mapping


def load_rules(names: Sequence[str]) -> tuple[Callable[[Attempt], str | None], ...]:
    """Import the user's rules, each named `module:function`.

    Raises:
        BadInput: When a name has no colon, or the module or function is not there.
    """
    rules: list[Callable[[Attempt], str | None]] = []
    sys.path.insert(0, str(Path.cwd()))
    try:
        for name in names:
            module_name, _, function_name = name.partition(":")
            try:
                rules.append(getattr(importlib.import_module(module_name), function_name))
            except (ImportError, AttributeError, ValueError) as error:
                raise BadInput(
                    "an importable function module:function",
                    got=f"{name!r} ({error})",
                    where="--rule",
                    fix="Give a module in the current folder and a function (Attempt) -> str | None.",
                ) from error
    finally:
        sys.path.pop(0)
    return tuple(rules)


def load(
    inputs: Sequence[str],
    *,
    format: str | None = None,
    mapping: str | None = None,
    outcomes: str | None = None,
    threshold: float | None = None,
    policy: str | None = None,
    rules: Sequence[str] | None = None,
    quiet: bool = False,
) -> Loaded:
    """Read every attempt into memory and say on stderr what could not be used.

    Raises:
        BadInput: When nothing at all could be read.
    """
    with byte_progress("reading") as advance:
        reading = read_attempts(
            inputs,
            format=format,
            mapping=parse_mapping(mapping),
            outcomes=outcomes,
            threshold=threshold,
            policy=policy,
            rules=load_rules(rules or ()),
            progress=advance,
        )
        attempts = tuple(reading)
    summary = reading.summary
    if not quiet or summary.nothing_usable:
        for line in summary.notes():
            notes.print(line, markup=False)
    if summary.nothing_usable:
        raise BadInput(
            "at least one readable attempt",
            got="none",
            where=", ".join(inputs),
            fix="See the lines above; --format or --map tells how to read a file.",
        )
    return Loaded(attempts, summary)
