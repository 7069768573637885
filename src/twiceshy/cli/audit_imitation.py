"""`twiceshy audit imitation`: a student against its base and its teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from twiceshy.cli import inputs
from twiceshy.cli.learn import Model, ModelUrl, completer_for
from twiceshy.cli.output import show
from twiceshy.cli.progress import step_progress
from twiceshy.cli.provenance import with_manifest
from twiceshy.errors import BadInput

if TYPE_CHECKING:
    from twiceshy.attempts import Attempt
    from twiceshy.evidence.imitation import Preference, Question
    from twiceshy.models import Completer

Covered = Annotated[
    Path | None,
    typer.Option("--covered", help="Text file with the ids of the tasks in the imitation data."),
]
Pairs = Annotated[
    int, typer.Option("--pairs", min=1, help="Pairs to put before --model, in both orders.")
]


@dataclass(frozen=True, slots=True)
class _Files:
    """Where the four sides lie, by role."""

    base: str
    student: str
    teacher: str
    resample: str | None

    @property
    def given(self) -> dict[str, str]:
        sides = {"base": self.base, "student": self.student, "teacher": self.teacher}
        return sides if self.resample is None else {**sides, "resample": self.resample}


def imitation(
    base: Annotated[str, typer.Option("--base", help="Attempts before the imitation.")],
    student: Annotated[str, typer.Option("--student", help="Attempts after it.")],
    teacher: Annotated[str, typer.Option("--teacher", help="The teacher at the same tasks.")],
    teacher2: Annotated[
        str | None,
        typer.Option("--teacher2", help="The teacher once more; no style closure without it."),
    ] = None,
    preferences: Annotated[
        Path | None, typer.Option("--preferences", help="JSONL with a judge's word on pairs.")
    ] = None,
    covered: Covered = None,
    by: Annotated[
        str, typer.Option("--by", help="Field of the attempts that names a task's benchmark.")
    ] = "benchmark",
    language: Annotated[
        str | None, typer.Option("--language", help="Of the answers; told by itself if left out.")
    ] = None,
    picture: Annotated[Path, typer.Option("--picture", help="Where the picture goes.")] = Path(
        "imitation.png"
    ),
    format: inputs.Format = None,
    mapping: inputs.Mapping = None,
    threshold: inputs.Threshold = None,
    model: Model = None,
    model_url: ModelUrl = None,
    pairs: Pairs = 100,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """Tell taking over the teacher's style from taking over what it can do."""
    from twiceshy.evidence.imitation import audit_imitation, read_preferences
    from twiceshy.evidence.imitation.picture import draw_imitation

    files = _Files(base, student, teacher, teacher2)
    judge = completer_for(model, url=model_url)
    covered_ids = None if covered is None else _ids(covered)
    judged = None if preferences is None else read_preferences(preferences)
    with with_manifest(list(files.given.values()), seed=seed) as stamp:
        sides = {
            side: _attempts(inputs.Source([path], format, mapping, threshold=threshold))
            for side, path in files.given.items()
        }
        if judge is not None:
            judged = (*(judged or ()), *_asked(sides, judge, n_pairs=pairs))
        report = audit_imitation(
            base=sides["base"],
            student=sides["student"],
            teacher=sides["teacher"],
            resample=sides.get("resample"),
            preferences=judged,
            covered=covered_ids,
            by=by,
            language=language,
            seed=seed,
        )
    drawn = draw_imitation(report, picture)
    stamped = stamp(report)
    told = msgspec.structs.replace(stamped, manifest={**stamped.manifest, "picture": str(drawn)})
    show(told, as_json=as_json, picture=drawn)


def _attempts(source: inputs.Source) -> tuple[Attempt, ...]:
    return source.load(contrasts=False).attempts


def _ids(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            "a text file with one id a line", got=str(error), where="--covered"
        ) from error
    return frozenset(line.strip() for line in lines if line.strip())


def _asked(
    sides: Mapping[str, Sequence[Attempt]], judge: Completer, *, n_pairs: int
) -> tuple[Preference, ...]:
    from twiceshy.cli.output import note
    from twiceshy.evidence.imitation import ask_judge

    with step_progress("asking the judge") as advance:
        asked = ask_judge(_questions(sides, n_pairs), judge=judge, progress=advance)
    lost = ((asked.n_unreadable, "named no winner"), (asked.n_unanswered, "did not come"))
    for n, what in lost:
        if n:
            note(f"{n} replies of the judge {what} and are left out.")
    return asked.preferences


def _questions(sides: Mapping[str, Sequence[Attempt]], n_pairs: int) -> list[Question]:
    """Return the first pairs of student and teacher, then student and base, at the same tasks."""
    from twiceshy.attempts.texts import shown_text
    from twiceshy.evidence.imitation import Question

    by_task = {
        side: {each.task: each for each in reversed(sides[side])}
        for side in ("base", "student", "teacher")
    }
    found: list[Question] = []
    for task, own in by_task["student"].items():
        for other in ("teacher", "base"):
            against = by_task[other].get(task)
            if against is not None:
                texts = (shown_text(own), shown_text(against))
                found.append(Question(task, _asked_of(own), "student", other, *texts))
    return found[:n_pairs]


def _asked_of(attempt: Attempt) -> str:
    """Return the task in words: its prompt, or what the user said; the id where nothing is told."""
    said = [step.text for step in attempt.steps if step.role == "user" and step.text]
    return attempt.prompt or "\n".join(said) or attempt.task
