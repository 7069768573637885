"""The options that every verb which reads attempts shares."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from twiceshy.attempts import Attempt, ImportSummary, Reading, read_attempts
from twiceshy.cli.output import note
from twiceshy.cli.progress import byte_progress
from twiceshy.errors import BadInput

Inputs = Annotated[
    list[str], typer.Argument(metavar="INPUT...", help="Files, folders or globs with logged runs.")
]
MaybeInputs = Annotated[
    list[str], typer.Argument(metavar="INPUT", help="Files, folders or globs with logged runs.")
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
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Attempts in memory with the account of how they were read."""

    attempts: tuple[Attempt, ...]
    summary: ImportSummary


@dataclass(frozen=True, slots=True)
class Source:
    """What the user said about the input; each field is an option of every verb that reads."""

    paths: Inputs
    format: Format = None
    mapping: Mapping = None
    outcomes: Outcomes = None
    threshold: Threshold = None
    policy: Policy = None
    rule: Rules = None

    def open(self, progress: Callable[[int, int, int], None]) -> Reading:
        """Return the attempts, read while they are iterated."""
        return read_attempts(
            self.paths,
            format=self.format,
            mapping=parse_mapping(self.mapping),
            outcomes=self.outcomes,
            threshold=self.threshold,
            policy=self.policy,
            rules=load_rules(self.rule or ()),
            progress=progress,
        )

    def load(self, *, contrasts: bool = True) -> Loaded:
        """Read every attempt into memory and say on stderr what could not be used.

        Args:
            contrasts: As in `ImportSummary.notes`.

        Raises:
            BadInput: When there is no input, or nothing at all could be read.
        """
        if not self.paths:
            raise BadInput("files, folders or globs with logged runs", got="none", where="INPUT")
        with byte_progress("reading") as advance:
            reading = self.open(advance)
            attempts = tuple(reading)
        return Loaded(attempts, self.checked(reading.summary, contrasts=contrasts))

    def checked(self, summary: ImportSummary, *, contrasts: bool = True) -> ImportSummary:
        """Say on stderr what could not be used, and refuse to go on with nothing.

        Raises:
            BadInput: When nothing at all could be read.
        """
        for line in summary.notes(contrasts=contrasts):
            note(line)
        if summary.nothing_usable:
            raise BadInput(
                "at least one readable attempt",
                got="none",
                where=", ".join(self.paths),
                fix="See the lines above; --format or --map tells how to read a file.",
            )
        return summary


def reads_attempts(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb every option of `Source`; the verb receives them as its first argument."""
    return _with_source(verb, list(inspect.signature(Source, eval_str=True).parameters.values()))


def may_read_attempts(verb: Callable[..., None]) -> Callable[..., None]:
    """Do the same for a verb that has another input as well: INPUT may be left out."""
    first, *others = inspect.signature(Source, eval_str=True).parameters.values()
    return _with_source(verb, [first.replace(default=[], annotation=MaybeInputs), *others])


def _with_source(verb: Callable[..., None], shared: list[inspect.Parameter]) -> Callable[..., None]:
    own = list(inspect.signature(verb, eval_str=True).parameters.values())[1:]
    options = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*shared, *own)]

    @functools.wraps(verb)
    def command(**given: Any) -> None:
        verb(Source(**{each.name: given.pop(each.name) for each in shared}), **given)

    command.__signature__ = inspect.Signature(options)  # pyrefly: ignore[missing-attribute]
    command.__annotations__ = {each.name: each.annotation for each in options}
    return command


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
        BadInput: When the module cannot be imported (for any reason: it is the user's code), or
            has no such function.
    """
    rules: list[Callable[[Attempt], str | None]] = []
    sys.path.insert(0, str(Path.cwd()))
    try:
        for name in names:
            module_name, _, function_name = name.partition(":")
            try:
                rule = getattr(importlib.import_module(module_name), function_name)
                if not callable(rule):
                    raise ValueError("it is not a function")
                rules.append(rule)
            except Exception as error:
                raise BadInput(
                    "an importable function module:function",
                    got=f"{name!r} ({error})",
                    where="--rule",
                    fix="Give a module on the path and a function (Attempt) -> str | None.",
                ) from error
    finally:
        sys.path.pop(0)
    return tuple(rules)
