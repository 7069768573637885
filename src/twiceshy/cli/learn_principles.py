"""`twiceshy learn --as principles`: a model errs on examples, says why, and gates judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import msgspec

from twiceshy.cli.output import counted, note
from twiceshy.cli.progress import going_on, staged_progress
from twiceshy.cli.provenance import with_manifest
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Alarm, Report
from twiceshy.files import write_whole
from twiceshy.lessons import Lesson
from twiceshy.models import Completer

if TYPE_CHECKING:
    from twiceshy.principles.examples import ExamplesRead
    from twiceshy.principles.metrics import Reader

STEPS, LESSONS, REPORT = "steps.jsonl", "principles.jsonl", "principles.json"


class Wanted(NamedTuple):
    """What the user asked for."""

    examples: Path
    out: Path
    seed: int
    mapping: Mapping[str, str]
    shots: int
    chains: int
    max_tokens: int
    reader: str
    gates: bool
    foreign: Sequence[Path]
    bank: Path | None


class Done(NamedTuple):
    """What came of it."""

    report: Report
    lessons: tuple[Lesson, ...]
    details: Path


def learn_principles(model: Completer | None, wanted: Wanted) -> Done:
    """Learn principles, write step file, principles and report to the folder, and return them.

    Raises:
        BadInput: There is no model, or no usable example.
    """
    if model is None:
        raise BadInput(
            "a model that errs and learns",
            where="--as principles",
            fix="Give --model NAME and, for a local endpoint, --model-url URL.",
        )
    with with_manifest([str(wanted.examples)], seed=wanted.seed) as stamp:
        report, lessons = _run(model, wanted)
        report = stamp(report)
    details = wanted.out / REPORT
    write_whole(details, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    lines = (msgspec.json.encode(each) + b"\n" for each in lessons)
    write_whole(wanted.out / LESSONS, b"".join(lines))
    return Done(report, lessons, details)


def _run(model: Completer, wanted: Wanted) -> tuple[Report, tuple[Lesson, ...]]:
    from twiceshy.principles import AnswerMatch, LeapConfig, StepFile, learn_principles, split
    from twiceshy.principles.reporting import report_of

    reader = reader_named(wanted.reader)
    read = examples_of(wanted.examples, mapping=wanted.mapping)
    splits = split(read.examples, n_train=wanted.shots, seed=wanted.seed)
    config = LeapConfig(
        n_chains=wanted.chains,
        chain_tokens=wanted.max_tokens,
        principle_tokens=min(wanted.max_tokens, LeapConfig().principle_tokens),
        seed=wanted.seed,
    )
    path = wanted.out / STEPS
    with StepFile(path) as steps, going_on(str(path)), staged_progress() as advance:
        found = learn_principles(
            model,
            splits,
            metric=AnswerMatch(reader=reader),
            config=config,
            steps=steps,
            foreign=[texts_of(each, where="--foreign") for each in wanted.foreign],
            gates=wanted.gates,
            progress=advance,
            announce=lambda planned: note(planned.sentence),
        )
        more: dict[str, Any] = {"n_steps_known": steps.n_loaded, "n_steps_torn": steps.n_torn}
    more |= {"n_unreadable": len(read.unreadable), "n_repeated": read.n_repeated}
    report = report_of(found, splits, model=model.name)
    report = msgspec.structs.replace(report, numbers={**report.numbers, **more})
    if wanted.bank is not None:
        usable = found.gated.accepted if found.gated is not None else found.lessons
        report = _stored(report, usable, path=wanted.bank, file=wanted.examples.name)
    return report, found.lessons


def reader_named(name: str) -> Reader:
    """Return a reader of answers by its name.

    Raises:
        BadInput: There is none of that name.
    """
    from twiceshy.principles.metrics import Reader

    readers: tuple[Reader, ...] = get_args(Reader)
    found = next((each for each in readers if each == name), None)
    if found is None:
        raise BadInput(f"one of {', '.join(readers)}", got=repr(name), where="--reader")
    return found


def examples_of(path: Path, *, mapping: Mapping[str, str]) -> ExamplesRead:
    """Read examples, and say which lines could not be used."""
    from twiceshy.principles.examples import read_examples

    read = read_examples(path, mapping=mapping)
    for each in read.unreadable[:5]:
        note(f"{each.where}: expected {each.expected}, got {each.got}.")
    return read


def texts_of(path: Path, *, where: str) -> tuple[str, ...]:
    """Return what a file of principles says, as `learn` writes it.

    Args:
        path: The file.
        where: The option that named it.
    """
    try:
        lines = path.read_bytes().splitlines()
        return tuple(msgspec.json.decode(line, type=Lesson).text for line in lines if line.strip())
    except (OSError, msgspec.MsgspecError) as error:
        raise BadInput(
            "a file of principles, as this command writes it",
            got=str(error),
            where=f"{where} {path}",
        ) from error


def _stored(report: Report, lessons: Sequence[Lesson], *, path: Path, file: str) -> Report:
    """Add principles to a bank as candidates, through its gate, and say so in the report."""
    from twiceshy.memory.bank import Bank
    from twiceshy.memory.bank.portable import Imported
    from twiceshy.memory.intake import take_in

    with Bank.open(path) as bank:
        taken = take_in(Imported("principles", tuple(lessons)), bank.lessons(), file=file)
        bank.apply(taken.edits, actor="learn principles")
    told = f"Into {path.name}: {counted(len(taken.edits), 'principle')} as candidates"
    alarms = (
        Alarm(
            name="quarantined",
            severity="warning",
            message=f"The bank put {taken.n_quarantined} into quarantine: "
            f"{'; '.join(taken.quarantined)}.",
        ),
    )
    return msgspec.structs.replace(
        report,
        summary=(*report.summary, f"{told}, {len(taken.known)} were known."),
        numbers={**report.numbers, "bank": taken.numbers},
        alarms=(*report.alarms, *(alarms if taken.n_quarantined else ())),
    )
