"""`twiceshy learn`: from logged runs to lessons with evidence and a report, in one command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from twiceshy.cli import inputs
from twiceshy.cli.learn_principles import Wanted, learn_principles
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
Form = Annotated[
    str,
    typer.Option(
        "--as", metavar="FORM", help="lessons from logged runs, or principles from --examples."
    ),
]
Examples = Annotated[
    Path | None,
    typer.Option("--examples", help="For principles: JSONL with question and answer a line."),
]
Shots = Annotated[int, typer.Option("--shots", min=1, help="For principles: examples to err on.")]
Chains = Annotated[int, typer.Option("--chains", min=1, help="For principles: tries an example.")]
MaxTokens = Annotated[
    int, typer.Option("--max-tokens", min=1, help="For principles: longest answer.")
]
ReaderOption = Annotated[
    str,
    typer.Option(
        "--reader", help="For principles: where the answer is: marked, number, choice or whole."
    ),
]
Gates = Annotated[
    bool, typer.Option("--gates/--no-gates", help="For principles: judge what was written.")
]
Foreign = Annotated[
    list[Path] | None,
    typer.Option("--foreign", help="For principles: those of another task, which must do worse."),
]


@inputs.may_read_attempts
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
    form: Form = "lessons",
    examples: Examples = None,
    shots: Shots = 3,
    chains: Chains = 15,
    max_tokens: MaxTokens = 512,
    reader: ReaderOption = "marked",
    gates: Gates = True,
    foreign: Foreign = None,
    as_json: inputs.AsJson = False,
) -> None:
    """Triage attempts, mine lessons from contrast, test them on unseen tasks, write a report.

    With --as principles: let a model err on labelled examples, state the principles it broke, and
    keep those that gates find to help it.
    """
    rates = parse_p0(p0)
    completer = completer_for(model, url=model_url)
    if form == "principles":
        wanted = Wanted(
            examples=_examples(examples, source.paths),
            out=out,
            seed=seed,
            mapping=inputs.parse_mapping(source.mapping),
            shots=shots,
            chains=chains,
            max_tokens=max_tokens,
            reader=reader,
            gates=gates,
            foreign=foreign or (),
            bank=bank,
        )
        done = learn_principles(completer, wanted)
        show(done.report, as_json=as_json, details=done.details)
        return
    if form != "lessons":
        raise BadInput("lessons or principles", got=repr(form), where="--as")
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


def _examples(given: Path | None, paths: list[str]) -> Path:
    if given is not None and not paths:
        return given
    if given is None and len(paths) == 1:
        return Path(paths[0])
    got = "both" if given is not None else f"{len(paths)} inputs"
    raise BadInput("one file of examples", got=got, where="--examples", fix="Give --examples FILE.")


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
