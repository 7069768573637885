"""`twiceshy weights`: what a trainer should train on, with which weight, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import msgspec
import typer

from twiceshy.choices import require_choice
from twiceshy.cli import inputs
from twiceshy.cli.output import note, show
from twiceshy.cli.provenance import with_manifest
from twiceshy.cli.triage import P0Option, parse_p0
from twiceshy.errors import BadInput
from twiceshy.files import write_whole

Engine = Literal["auto", "duckdb", "ray"]
_MANY_ROWS = 200_000_000
"""Rows from which `auto` takes Ray where it is installed. Ours: minutes on two cores."""
_Option = float | int | str

Attempts = Annotated[
    list[str],
    typer.Argument(
        metavar="ATTEMPTS.parquet...",
        help="Parquet files, folders or globs of one row an attempt; with Ray addresses too.",
    ),
]


def weights(
    attempts: Attempts,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="SIDECAR.parquet", help="What is written.")
    ] = Path("weights.parquet"),
    objective: Annotated[
        str, typer.Option("--objective", help="As psr, nsr, w_reinforce, grpo, rloo, maxrl.")
    ] = "grpo",
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Its options, as lambda_pos=0.05; repeatable."
        ),
    ] = None,
    all_wrong: Annotated[
        str,
        typer.Option("--all-wrong", help="All-wrong groups: as_is, constant, drop or ngrpo."),
    ] = "as_is",
    strength: Annotated[
        float, typer.Option("--strength", help="Scale of constant and ngrpo, 0 to 1.")
    ] = 1.0,
    p0: P0Option = None,
    max_lucky: Annotated[
        float | None,
        typer.Option("--max-lucky", help="Leave out successes with a larger P(lucky)."),
    ] = None,
    truncated: Annotated[
        str, typer.Option("--truncated", help="Truncated attempts: abstain or as_judged.")
    ] = "abstain",
    small_groups: Annotated[
        str, typer.Option("--small-groups", help="Too small to compare: refuse or drop.")
    ] = "refuse",
    mapping: inputs.Mapping = None,
    threshold: inputs.Threshold = None,
    engine: Annotated[
        str, typer.Option("--engine", help="duckdb, ray, or auto: ray for addresses as s3://….")
    ] = "auto",
    as_json: inputs.AsJson = False,
) -> None:
    """Write advantage, P(lucky), keep or drop and why for every attempt, into a file beside them.

    The attempts are not rewritten, and their token columns not read: the sidecar names each row by
    file and number (from 0).
    """
    from twiceshy.frontier.weights import WeightSettings, weights_report

    settings = _settings(
        WeightSettings,
        {
            "objective": objective,
            "options": parse_options(sets or ()),
            "all_wrong": all_wrong,
            "strength": strength,
            "p0": parse_p0(p0),
            "max_lucky": max_lucky,
            "truncated_as": truncated,
            "small_groups": small_groups,
        },
    )
    chosen, columns = choose_engine(attempts, engine), inputs.parse_mapping(mapping)
    with with_manifest(attempts, engine=chosen, settings=settings, map=columns) as stamp:
        write = _writer(chosen)
        weighed = write(attempts, out, settings=settings, columns=columns, threshold=threshold)
        report = stamp(weights_report(weighed.counts, settings))
        files = [file._asdict() for file in weighed.inputs]
        _write_manifest(out, report.manifest, inputs=files, numbers=report.numbers)
    show(report, as_json=as_json, details=out)


def choose_engine(paths: Sequence[str], said: str) -> Engine:
    """Return which engine reads: the one that was named, or the one that the input needs.

    Raises:
        BadInput: There is no such engine, or DuckDB is to read a bucket.

    Example:
        >>> choose_engine(["s3://bucket/runs"], "auto")
        'ray'
    """
    from twiceshy.frontier.weights.inputs import is_remote

    require_choice(said, known=get_args(Engine), where="--engine")
    remote = [path for path in paths if is_remote(path)]
    if said == "duckdb" and remote:
        raise BadInput(
            "files of this machine",
            got=remote[0],
            where="--engine duckdb",
            fix="Leave --engine out, or say --engine ray.",
        )
    if said != "auto":
        return cast("Engine", said)
    return "ray" if remote or _is_too_large(paths) else "duckdb"


def _is_too_large(paths: Sequence[str]) -> bool:
    """Whether Ray should read local files: there are many rows, and it is installed."""
    import importlib.util

    from twiceshy.frontier.weights.inputs import count_rows

    if count_rows(paths) < _MANY_ROWS:
        return False
    if importlib.util.find_spec("ray") is None:
        note('Many rows for one machine; Ray would share them: pip install "twiceshy[ray]"')
        return False
    return True


def parse_options(sets: Sequence[str]) -> dict[str, _Option]:
    """Return `--set` as keyword options of an objective.

    Raises:
        BadInput: A part has no `=`.

    Example:
        >>> parse_options(["lambda_pos=0.05", "k=2", "baseline=group_mean"])
        {'lambda_pos': 0.05, 'k': 2, 'baseline': 'group_mean'}
    """
    options: dict[str, _Option] = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not (equals and key.strip() and value.strip()):
            fix = "Write for example --set lambda_pos=0.05"
            raise BadInput("KEY=VALUE", got=repr(text), where="--set", fix=fix)
        options[key.strip()] = _number_or_text(value.strip())
    return options


def _number_or_text(text: str) -> _Option:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _settings(kind: Callable[..., Any], said: dict[str, Any]) -> Any:
    """Return settings whose names are known ones."""
    from twiceshy.frontier.weights import settings

    choices = {
        "all_wrong": settings.AllWrong,
        "truncated_as": settings.TruncatedAs,
        "small_groups": settings.SmallGroups,
    }
    options = {"truncated_as": "--truncated"}
    for name, known in choices.items():
        where = options.get(name, f"--{name.replace('_', '-')}")
        require_choice(said[name], known=get_args(known), where=where)
    return kind(**said)


def _writer(engine: Engine) -> Callable[..., Any]:
    if engine == "ray":
        from twiceshy.integrations.ray import write_weights
    else:
        from twiceshy.frontier.weights import write_weights
    return write_weights


def _write_manifest(out: Path, made: dict[str, Any], **more: Any) -> None:
    """Write what the sidecar was made from and how, beside it."""
    body = {**made, "sidecar": out.name, **more}
    content = msgspec.json.format(msgspec.json.encode(body), indent=2)
    write_whole(out.with_suffix(".json"), content + b"\n")
