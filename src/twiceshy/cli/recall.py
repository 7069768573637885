"""`twiceshy recall`: the lessons of a bank that a task calls for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twiceshy.cli.inputs import AsJson, parse_mapping
from twiceshy.cli.output import console, note, show
from twiceshy.evidence.report import Report, Table
from twiceshy.lessons import Status
from twiceshy.memory.bank import Bank
from twiceshy.memory.recall import Recalled
from twiceshy.memory.recall import recall as find

_MAX_TEXT = 90


def recall(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task in words.")],
    bank: Annotated[Path, typer.Option("--bank", help="The bank of lessons.")],
    k: Annotated[int, typer.Option("--k", min=1, help="Lessons told, at most.")] = 2,
    budget: Annotated[
        int, typer.Option("--budget", min=1, help="Tokens of the text, at most; an estimate.")
    ] = 400,
    scope: Annotated[
        str | None,
        typer.Option("--scope", metavar="KEY=VALUE,...", help="What holds here; also family=..."),
    ] = None,
    task_id: Annotated[
        str | None,
        typer.Option("--task-id", help="Identity of the task: holds back what rests on it alone."),
    ] = None,
    status: Annotated[
        list[Status] | None, typer.Option("--status", help="Statuses to recall; default active.")
    ] = None,
    words_only: Annotated[
        bool, typer.Option("--words-only", help="Search by words, without an embedding model.")
    ] = False,
    why: Annotated[bool, typer.Option("--why", help="Show what was looked at and why.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the lessons that a task calls for, as an agent would be told them; possibly none."""
    with Bank.open(bank, read_only=True) as opened:
        found = find(
            opened,
            task,
            k=k,
            budget_tokens=budget,
            scope=parse_mapping(scope),
            task_id=task_id,
            statuses=tuple(status or (Status.ACTIVE,)),
            embedder=None if words_only else "default",
        )
    if as_json or why:
        show(_report(found), as_json=as_json)
    if not as_json:
        console.print(found.text or found.nothing, markup=False, soft_wrap=True, end="")
        console.print()
        for line in found.notes:
            note(line)


def _report(found: Recalled) -> Report:
    n = len(found.chosen)
    rows = tuple(
        (each.lesson.id, each.score, each.cosine, each.bm25, each.level, each.fate,
         each.lesson.text[:_MAX_TEXT])
        for each in found.candidates
    )  # fmt: skip
    columns = ("lesson", "score", "cosine", "bm25", "level", "fate", "text")
    return Report(
        kind="recall",
        title="Recall",
        summary=(f"{n} of {len(rows)} lessons looked at are told, {found.n_tokens} tokens.",),
        numbers={
            "text": found.text,
            "n_tokens": found.n_tokens,
            "nothing": found.nothing,
            "floor": found.floor,
            "notes": list(found.notes),
            "chosen": [each.id for each in found.chosen],
            "candidates": [dict(zip(columns, row, strict=True)) for row in rows],
        },
        tables=(
            Table(
                title="What was looked at",
                columns=columns,
                rows=rows,
                note=f"Scores below {found.floor:.2f} are not told.",
            ),
        ),
    )
