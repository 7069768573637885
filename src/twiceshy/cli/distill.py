"""`twiceshy distill`: choose what a teacher sees, check its traces, write files for a trainer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from twiceshy.attempts import Attempt, group_attempts
from twiceshy.cli import inputs
from twiceshy.cli.distill_material import material_of
from twiceshy.cli.output import show
from twiceshy.cli.provenance import with_manifest
from twiceshy.distillation.check import Policies, check_gap, check_traces, collapse_alarm
from twiceshy.distillation.contexts import Rung, ladder
from twiceshy.distillation.export import Exported, export_contexts, export_traces
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report, Table

app = typer.Typer(
    help="Learn from a teacher without its swagger.", no_args_is_help=True, rich_markup_mode=None
)

Student = Annotated[
    Path, typer.Option("--student", help="The student's own attempts, without help.")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="File to write: .jsonl or .parquet.")]
Language = Annotated[
    str | None,
    typer.Option("--language", help="Of the traces (en, de, ...); told from the words by default."),
]


@app.command("check")
@inputs.reads_attempts
def check(
    source: inputs.Source,
    student: Student,
    language: Language = None,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """Compare a teacher's traces with the student's own right ones; exit 1 refuses them."""
    with with_manifest([*source.paths, str(student)], seed=seed) as stamp:
        teacher, own = _attempts(source), _attempts(inputs.Source([str(student)]))
        report = check_traces(teacher, own, language=language, seed=seed)
        gap = check_gap(own, teacher)
    show(stamp(_joined(report, gap)), as_json=as_json)


@app.command("alarm")
@inputs.reads_attempts
def alarm(
    source: inputs.Source,
    base: Annotated[Path, typer.Option("--base", help="The base's attempts at the same tasks.")],
    elsewhere: Annotated[
        Path, typer.Option("--elsewhere", help="The student's attempts at other, harder tasks.")
    ],
    base_elsewhere: Annotated[
        Path, typer.Option("--base-elsewhere", help="The base's attempts at those.")
    ],
    language: Language = None,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """After training: five signals of lost doubt, of which three together exit 1."""
    paths = [str(each) for each in (base, base_elsewhere, elsewhere)]
    with with_manifest([*source.paths, *paths], seed=seed) as stamp:
        first, second, third = (_attempts(inputs.Source([path])) for path in paths)
        policies = Policies(
            base=first,
            student=_attempts(source),
            base_elsewhere=second,
            student_elsewhere=third,
        )
        report = collapse_alarm(policies, language=language, seed=seed)
    show(stamp(report), as_json=as_json)


@app.command("contexts")
@inputs.reads_attempts
def contexts(
    source: inputs.Source,
    output: Output,
    rung: Annotated[Rung, typer.Option("--rung", help="What the teacher sees.")] = Rung.CRITIQUE,
    kind: Annotated[
        str, typer.Option("--for", help="Trainer that reads the file: sdft or sdpo.")
    ] = "sdpo",
    material: Annotated[
        Path | None,
        typer.Option(
            "--material",
            help="JSONL, a task a line: hint, answer, solution, lessons, critiques, failing_steps.",
        ),
    ] = None,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """Write what a self-teacher sees about each scored attempt, for TRL's SDFT or SDPO."""
    if kind not in ("sdft", "sdpo"):
        raise BadInput("sdft or sdpo", got=repr(kind), where="--for")
    files = [*source.paths, *([] if material is None else [str(material)])]
    with with_manifest(files, seed=seed) as stamp:
        attempts = source.load().attempts
        told = material_of(material, attempts=attempts, rung=rung)
        prompts = {each.task: each.prompt for each in attempts if each.prompt is not None}
        made = ladder(group_attempts(attempts), rungs=[rung], material=told.material)
        done = export_contexts(
            output, made, prompts=prompts, kind="sdft" if kind == "sdft" else "sdpo"
        )
        done = done._replace(left_out={**_not_judged(attempts), **done.left_out})
        report = _written(done, output, what="context", of=f" of rung {rung.value}")
        report = msgspec.structs.replace(
            report,
            summary=(*report.summary, *told.lines),
            numbers={**report.numbers, **told.numbers},
        )
    show(stamp(report), as_json=as_json, details=output if done.n_written else None)


@app.command("export")
@inputs.reads_attempts
def export(
    source: inputs.Source,
    student: Student,
    output: Output,
    rung: Annotated[
        Rung | None, typer.Option("--rung", help="What the teacher saw, for the record.")
    ] = None,
    allow_refused: Annotated[
        bool, typer.Option("--allow-refused", help="Write traces that the check refuses.")
    ] = False,
    language: Language = None,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """Check a teacher's right traces and write them for supervised fine-tuning."""
    with with_manifest([*source.paths, str(student)], seed=seed) as stamp:
        done = export_traces(
            output,
            _attempts(source),
            own=_attempts(inputs.Source([str(student)])),
            rung="" if rung is None else rung.value,
            language=language,
            allow_refused=allow_refused,
            seed=seed,
        )
        report = _written(done, output, what="right trace")
    show(stamp(report), as_json=as_json, details=output if done.n_written else None)


def _attempts(source: inputs.Source) -> tuple[Attempt, ...]:
    return source.load(contrasts=False).attempts


def _not_judged(attempts: tuple[Attempt, ...]) -> dict[str, int]:
    """Attempts that no context can be built for, by outcome."""
    apart = Counter(each.outcome for each in attempts if not each.outcome.is_scored)
    return {f"{outcome.value} attempt": n for outcome, n in apart.items()}


def _joined(first: Report, second: Report) -> Report:
    """One report of two checks; it fails when either does."""
    return Report(
        kind=first.kind,
        title=first.title,
        summary=(*first.summary, *second.summary),
        numbers={**first.numbers, **second.numbers},
        tables=(*first.tables, *second.tables),
        alarms=(*first.alarms, *second.alarms),
        ok=first.ok and second.ok,
        manifest=first.manifest,
    )


def _written(done: Exported, output: Path, *, what: str, of: str = "") -> Report:
    checked = done.report
    line = (
        f"{done.n_written} {what if done.n_written == 1 else f'{what}s'}{of} written to {output}."
    )
    if not done.n_written:
        old = f" {output} is from before." if output.exists() else ""
        line = f"Nothing was written: there is no {what}{of}.{old}"
    if checked is not None and not done.n_written and not checked.ok:
        line = "Nothing was written: the traces are refused (--allow-refused writes them)."
    left_out = Table(
        title="Left out",
        columns=("reason", "rows"),
        rows=tuple(done.left_out.items()),
    )
    return Report(
        kind="distill",
        title="Written for a trainer",
        summary=(line, *(checked.summary if checked is not None else ())),
        numbers={
            "n_written": done.n_written,
            "left_out": done.left_out,
            **(checked.numbers if checked is not None else {}),
        },
        tables=(*((left_out,) if done.left_out else ()), *(checked.tables if checked else ())),
        alarms=checked.alarms if checked is not None else (),
        ok=done.n_written > 0,
    )
