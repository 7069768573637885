"""`twiceshy learn`: from logged runs to lessons with evidence and a report, in one command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from twiceshy.cli import inputs
from twiceshy.cli.output import show
from twiceshy.cli.study import study
from twiceshy.cli.triage import P0Option, parse_p0
from twiceshy.errors import BadInput
from twiceshy.models import Completer, OpenAICompleter

Nulls = Annotated[
    int,
    typer.Option(
        "--nulls", min=0, help="Runs of the whole procedure on shuffled labels; 0 skips the proof."
    ),
]

Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="A language model to put lessons into words."),
]
ModelUrl = Annotated[
    str | None,
    typer.Option(
        "--model-url", metavar="URL", help="Its OpenAI-compatible endpoint, as http://HOST:PORT/v1."
    ),
]


@inputs.reads_attempts
def learn(
    source: inputs.Source,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything found.")] = Path(
        "twiceshy-report"
    ),
    p0: P0Option = None,
    nulls: Nulls = 100,
    seed: inputs.Seed = 0,
    model: Model = None,
    model_url: ModelUrl = None,
    bank: Annotated[
        Path | None,
        typer.Option("--bank", help="Also put the lessons into this bank, as edits of it."),
    ] = None,
    as_json: inputs.AsJson = False,
) -> None:
    """Triage attempts, mine lessons from contrast, test them on unseen tasks, write a report."""
    rates = parse_p0(p0)
    completer = completer_for(model, url=model_url)
    attempts = source.load().attempts
    found = study(
        attempts,
        folder=out,
        title="What these attempts teach",
        paths=source.paths,
        p0=rates,
        n_null=nulls,
        seed=seed,
        completer=completer,
    )
    report = found.report
    if bank is not None:
        from twiceshy.cli.learn_bank import store

        stored = store(attempts, found.learned, path=bank, completer=completer, seed=seed)
        report = msgspec.structs.replace(
            report,
            summary=(*report.summary, stored.summary),
            numbers={**report.numbers, "bank": stored.numbers},
            alarms=(*report.alarms, *stored.alarms),
        )
    show(report, as_json=as_json, details=found.page, lessons=found.learned.lessons)


def completer_for(model: str | None, *, url: str | None) -> Completer | None:
    """Return the language model the user named; None without one.

    A local endpoint needs no key; one is read from OPENAI_API_KEY when it is set.

    Raises:
        BadInput: When there is an endpoint without a model, or neither an endpoint nor a key.
        MissingExtra: When the SDK is not installed.
    """
    if model is None:
        if url is not None:
            raise BadInput("--model beside --model-url", where="--model-url", fix="Name the model.")
        return None
    key = os.environ.get("OPENAI_API_KEY")
    if not url and not key:
        raise BadInput(
            "the model's endpoint or a key",
            where="--model",
            fix="Give --model-url, for example http://127.0.0.1:8080/v1, or set OPENAI_API_KEY.",
        )
    return OpenAICompleter(model, base_url=url, api_key=key or "none")
