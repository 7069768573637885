"""`twiceshy reproduce`: a published claim, re-run in miniature."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from twiceshy.cli.inputs import AsJson
from twiceshy.cli.output import show
from twiceshy.cli.progress import going_on, step_progress
from twiceshy.cli.provenance import with_manifest
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report

_ROOM = "twiceshy.training.studies"
STUDIES = {
    "negative-reinforcement": f"{_ROOM}.negative_reinforcement:run_negative_reinforcement",
    "over-hard": f"{_ROOM}.over_hard:run_over_hard",
    "reasoning-memory": "twiceshy.integrations.textworld.reasoning_memory:run_reasoning_memory",
    "asymmetric-memory": (
        "twiceshy.integrations.textworld.asymmetric_memory:run_asymmetric_memory"
    ),
    "imitation": f"{_ROOM}.imitation:run_imitation",
    "teacher-context": "twiceshy.studies.teacher_context:run_teacher_context",
}
"""Each study by name: a function (folder, *, quick, processes, progress) -> Report.

`progress` is called with (jobs done, jobs in all, name of the last one).
"""


def reproduce(
    study: Annotated[str, typer.Argument(metavar="STUDY", help=f"One of {', '.join(STUDIES)}.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="A part that ends within three minutes.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the study; it resumes from there.")
    ] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, help="Worker processes.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Re-run a study of negative experience on this machine (extra: torch, or textworld)."""
    module, function = _home(study).split(":")
    if module.startswith(_ROOM):
        import twiceshy.training

        twiceshy.training.RlConfig  # noqa: B018 - says which extra to install before all else
    run: Callable[..., Report] = getattr(import_module(module), function)
    name = f"{study}-quick" if quick else study
    folder = out if out is not None else Path("twiceshy-reproduce") / name
    label = f"reproducing {study}"
    with (
        going_on(f"the study is in {folder}"),
        with_manifest([study]) as stamp,
        step_progress(label) as advance,
    ):

        def told(done: int, total: int, name: str) -> None:
            del name
            advance(done, total)

        report = run(folder, quick=quick, processes=processes, progress=told)
    show(stamp(report), as_json=as_json, details=folder)


def _home(study: str) -> str:
    if study in STUDIES:
        return STUDIES[study]
    near = difflib.get_close_matches(study, STUDIES, n=2, cutoff=0.4)
    raise BadInput(
        f"a study: {', '.join(STUDIES)}",
        got=repr(study),
        where="STUDY",
        fix=f"Did you mean {' or '.join(near)}?" if near else "",
    )
