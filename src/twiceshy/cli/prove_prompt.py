"""`twiceshy prove prompt`: principles and every baseline on locked questions, paired."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from twiceshy.cli import inputs
from twiceshy.cli.learn import (
    Chains,
    MaxTokens,
    Model,
    ModelUrl,
    ReaderOption,
    Shots,
    completer_for,
)
from twiceshy.cli.learn_principles import STEPS, examples_of, reader_named, texts_of
from twiceshy.cli.output import note, show
from twiceshy.cli.progress import going_on, staged_progress
from twiceshy.cli.provenance import with_manifest
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report
from twiceshy.files import write_whole
from twiceshy.models import Completer

if TYPE_CHECKING:
    from twiceshy.principles.arms import ArmName

PROOF = "proof.json"


class _Wanted(NamedTuple):
    examples: Path
    out: Path
    arms: str | None
    against: str
    shots: int
    chains: int
    max_tokens: int
    reader: str
    samples: int
    temperature: float
    principles: Path | None
    foreign: Sequence[Path]
    mapping: str | None
    seed: int


def prompt(
    examples: Annotated[
        Path, typer.Argument(metavar="EXAMPLES", help="JSONL with question and answer a line.")
    ],
    model: Model = None,
    model_url: ModelUrl = None,
    arms: Annotated[
        str | None,
        typer.Option("--arms", metavar="NAME,...", help="Which prompts; left out: every baseline."),
    ] = None,
    against: Annotated[
        str, typer.Option("--against", metavar="NAME", help="The arm to compare with.")
    ] = "few_shot",
    principles: Annotated[
        Path | None,
        typer.Option("--principles", help="Principles learned before: the arm given."),
    ] = None,
    foreign: Annotated[
        list[Path] | None,
        typer.Option("--foreign", help="Principles of another task, for the gates."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the calls and the proof.")
    ] = Path("twiceshy-report"),
    shots: Shots = 3,
    chains: Chains = 15,
    max_tokens: MaxTokens = 512,
    reader: ReaderOption = "marked",
    samples: Annotated[
        int, typer.Option("--samples", min=1, help="Answers a question and arm.")
    ] = 1,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0.0, help="Of those answers.")
    ] = 0.0,
    mapping: inputs.Mapping = None,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """Compare prompts on locked questions, paired, and say whether the reading moved the score.

    Arms: zero_shot, few_shot, self_consistency (at equal calls), raw_pairs, contrastive,
    success_only, leap_low, leap_high, filler, irrelevant, gated, given. Calls are kept in the
    folder, and none is made twice.
    """
    completer = completer_for(model, url=model_url)
    if completer is None:
        raise BadInput("a model to ask", where="--model", fix="Give --model and --model-url.")
    wanted = _Wanted(
        examples=examples,
        out=out,
        arms=arms,
        against=against,
        shots=shots,
        chains=chains,
        max_tokens=max_tokens,
        reader=reader,
        samples=samples,
        temperature=temperature,
        principles=principles,
        foreign=foreign or (),
        mapping=mapping,
        seed=seed,
    )
    with with_manifest([str(examples)], seed=seed) as stamp:
        report = stamp(_proved(completer, wanted))
    details = out / PROOF
    write_whole(details, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    show(report, as_json=as_json, details=details)


def _proved(model: Completer, wanted: _Wanted) -> Report:
    from twiceshy.principles import AnswerMatch, Asker, Executor, LeapConfig, StepFile, split
    from twiceshy.principles.arms import build_arms
    from twiceshy.principles.proving import prove
    from twiceshy.principles.proving_report import proof_report

    metric = AnswerMatch(reader=reader_named(wanted.reader))
    names = _names(wanted)
    read = examples_of(wanted.examples, mapping=inputs.parse_mapping(wanted.mapping))
    splits = split(read.examples, n_train=wanted.shots, seed=wanted.seed)
    config = LeapConfig(n_chains=wanted.chains, chain_tokens=wanted.max_tokens, seed=wanted.seed)
    given = texts_of(wanted.principles, where="--principles") if wanted.principles else ()
    foreign = [texts_of(each, where="--foreign") for each in wanted.foreign]
    path = wanted.out / STEPS
    with StepFile(path) as steps, going_on(str(path)), staged_progress() as advance:
        asker = Asker(model, steps=steps, progress=advance)
        built = build_arms(
            names, asker, splits, metric=metric, config=config, given=given, foreign=foreign
        )
        n_calls = sum(each.votes for each in built.arms) * wanted.samples * len(splits.test)
        note(f"{len(built.arms)} arms, {len(splits.test)} questions: at most {n_calls} calls.")
        proof = prove(
            Executor(asker, metric, wanted.max_tokens, wanted.seed),
            built.arms,
            splits.test,
            against=wanted.against,
            n_samples=wanted.samples,
            temperature=wanted.temperature,
            seed=wanted.seed,
        )
        return proof_report(proof, built, asker.spent, model=model.name)


def _names(wanted: _Wanted) -> list[ArmName]:
    """Return the arms that were named, the reference among them."""
    from twiceshy.principles.arms import ARM_NAMES, BASELINES

    asked = wanted.arms.split(",") if wanted.arms else [*BASELINES]
    asked = [each.strip() for each in (*asked, wanted.against) if each.strip()]
    if wanted.principles is not None:
        asked.append("given")
    unknown = next((each for each in asked if each not in ARM_NAMES), None)
    if unknown is not None:
        known = ", ".join(ARM_NAMES)
        raise BadInput(f"arms among {known}", got=repr(unknown), where="--arms or --against")
    return [each for each in ARM_NAMES if each in asked]
