"""Recall at the moment a tool call fails: by the error's signature first, then by likeness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from twiceshy.attempts.types import Step
from twiceshy.lessons import LessonKind, Status
from twiceshy.memory.bank.protocol import BankReader
from twiceshy.memory.recall.errors_seen import Signature, signature_of
from twiceshy.memory.recall.index import Index, index_of
from twiceshy.memory.recall.recalling import (
    Candidate,
    Fate,
    Recalled,
    Wish,
    is_held_back,
    told,
)
from twiceshy.memory.recall.rendering import AvoidForm, TokenCounter, estimate_tokens
from twiceshy.memory.recall.scoring import Scored, floor_of, ranked
from twiceshy.memory.recall.texts import level_of
from twiceshy.models.embedder import Embedder

KINDS: tuple[LessonKind, ...] = ("recover", "avoid")


def recall_after_error(
    reader: BankReader,
    step: Step,
    *,
    before: Sequence[Step] = (),
    budget_tokens: int = 200,
    k: int = 1,
    scope: Mapping[str, str] | None = None,
    family: str = "",
    task_id: str | None = None,
    same_task: bool = False,
    statuses: Sequence[Status] = (Status.ACTIVE,),
    embedder: Embedder | Literal["default"] | None = "default",
    count: TokenCounter = estimate_tokens,
    form: AvoidForm = "instead",
) -> Recalled:
    """Return the lessons a failed tool call calls for, possibly none.

    score = match of the error's signature in [0, 1] + likeness as in `recall`

    A lesson whose pattern names this tool's error passes whatever its likeness; one that is only
    like the error must reach the floor. The error's text is searched with and never told.

    Args:
        reader: A bank.
        step: A tool's reply that is typed as an error.
        before: The steps before it, where the call is looked for.
        budget_tokens: Tokens of the text, delimiters included.
        k: Lessons told, at most.
        scope: As in `recall`, and so the others.
        family: The task's family.
        task_id: Identity of the task, for the leak guard.
        same_task: Whether lessons of this very task may be told.
        statuses: Which lessons may be told.
        embedder: An embedding model; None searches by words alone.
        count: Counts tokens.
        form: How an `avoid` is told.

    Raises:
        BadInput: The step is not an error, or as in `recall`.
    """
    wish = Wish(
        budget_tokens=budget_tokens,
        k=k,
        scope=scope or {},
        family=family,
        task_id=task_id,
        same_task=same_task,
        statuses=statuses,
        kinds=KINDS,
        embedder=embedder,
        count=count,
        form=form,
    )
    signature = signature_of(step, before=before)
    index = index_of(reader, wish.model)
    floor = floor_of(index)
    found = _scored(index, reader, signature, wish=wish)
    judged = []
    for scored, match in sorted(found, key=lambda each: (-each[0].score, each[0].row)):
        lesson = reader.get(index.ids[scored.row])
        fate: Fate = "chosen" if match or scored.score >= floor else "below_floor"
        if fate == "chosen" and is_held_back(lesson, index, wish=wish):
            fate = "same_task"
        judged.append(
            Candidate(lesson, scored.score, scored.cosine, scored.bm25, level_of(lesson), fate)
        )
    return told(judged, wish=wish, floor=floor, n_searched=len(index.ids), by_score=True)


def _scored(
    index: Index, reader: BankReader, signature: Signature, *, wish: Wish
) -> list[tuple[Scored, float]]:
    """Return rows with their whole score, and beside it the part that the signature gave."""
    alike = {each.row: each for each in ranked(index, reader, signature.query, wanted=wish.filter)}
    allowed = index.allowed(wish.filter)
    matches: dict[int, float] = {}
    for tool in dict.fromkeys((signature.tool, "")):
        for lesson_id, symptom in index.symptoms(tool).items():
            row = index.row_of(lesson_id)
            match = signature.matches(symptom)
            if row is not None and match and allowed[row]:
                matches[row] = match
    rows = dict.fromkeys((*matches, *alike))
    return [
        (
            _with_match(alike.get(row, Scored(row, 0.0, None, 0.0)), matches.get(row, 0.0)),
            matches.get(row, 0.0),
        )
        for row in rows
    ]


def _with_match(scored: Scored, match: float) -> Scored:
    return scored._replace(score=scored.score + match)
