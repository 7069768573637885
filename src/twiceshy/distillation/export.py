"""Traces and contexts as files that TRL's SFT, SDFT and SDPO trainers read.

| kind | columns that the trainer reads |
|---|---|
| sft | `prompt`, `completion`: lists of messages |
| sdft | `prompt`: messages; `privileged_context`: text, for SDFT's teacher prompt |
| sdpo | `prompt`: messages; `privileged_context`: feedback text, or null |

Beside them each row says where it is from: `task`, `attempt`, `rung`, `sources`; of a context also
`reveals_answer`, null where no answer is known. TRL's trainers drop columns they do not know. SDPO
reads the text only with `include_environment_feedback=True`. Where no row is left, no file is
written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from twiceshy.attempts import Attempt, Outcome
from twiceshy.attempts.texts import own_text
from twiceshy.distillation.check import check_traces
from twiceshy.distillation.contexts import NoContext, TeacherContext
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report
from twiceshy.files import whole_file

ContextKind = Literal["sdft", "sdpo"]

_MESSAGES = "STRUCT(role VARCHAR, content VARCHAR)[]"
_COLUMNS: Mapping[str, str] = {
    "prompt": _MESSAGES,
    "completion": _MESSAGES,
    "privileged_context": "VARCHAR",
    "reveals_answer": "BOOLEAN",
    "task": "VARCHAR",
    "attempt": "VARCHAR",
    "rung": "VARCHAR",
    "sources": "VARCHAR[]",
}


class Exported(NamedTuple):
    """What an export did."""

    n_written: int
    left_out: dict[str, int]
    """Rows that were not written, by reason."""
    report: Report | None
    """The check of the traces; None for contexts, which have no traces yet."""


def export_traces(
    path: str | Path,
    candidates: Iterable[Attempt],
    *,
    own: Iterable[Attempt],
    rung: str = "",
    language: str | None = None,
    allow_refused: bool = False,
    seed: int = 0,
) -> Exported:
    """Check a teacher's traces, and write the right ones for supervised fine-tuning.

    Where `check_traces` refuses them nothing is written, unless allowed.

    Args:
        path: A name that ends in .jsonl or .parquet.
        candidates: The teacher's attempts; each needs a `prompt`.
        own: The student's own attempts without help, to compare with.
        rung: What the teacher saw, for the record.
        language: As in `check_traces`.
        allow_refused: Write them although they are refused.
        seed: Of the check.

    Raises:
        BadInput: If the name ends otherwise, or the file cannot be written.
    """
    traces = list(candidates)
    report = check_traces(traces, own, language=language, seed=seed)
    if not report.ok and not allow_refused:
        return Exported(0, {"refused": len(traces)}, report)
    left_out: Counter[str] = Counter()
    rows = _traced(traces, rung=rung, left_out=left_out)
    return Exported(_write(Path(path), rows, kind="sft"), dict(left_out), report)


def export_contexts(
    path: str | Path,
    contexts: Iterable[TeacherContext | NoContext],
    *,
    prompts: Mapping[str, str],
    kind: ContextKind,
) -> Exported:
    """Write what a self-teacher may see, for trainers that let the student answer.

    Args:
        path: A name that ends in .jsonl or .parquet.
        contexts: From `ladder`; those that could not be built are counted, not written.
        prompts: The words of each task.
        kind: "sdft" or "sdpo". SDFT needs a text in every row, so rung "none" is left out there.

    Raises:
        BadInput: If the kind or the name's ending is unknown, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> from twiceshy.distillation.contexts import Rung
        >>> hint = TeacherContext(rung=Rung.HINT, task="t", attempt="a", text="Mind the carry.")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = export_contexts(Path(folder, "c.jsonl"), [hint], prompts={"t": "19 + 3?"},
        ...                            kind="sdft")
        >>> done.n_written, done.left_out
        (1, {})
    """
    if kind not in get_args(ContextKind):
        raise BadInput(f"one of {', '.join(get_args(ContextKind))}", got=repr(kind), where="kind")
    left_out: Counter[str] = Counter()
    rows = _contextual(contexts, prompts=prompts, kind=kind, left_out=left_out)
    return Exported(_write(Path(path), rows, kind=kind), dict(left_out), None)


def _traced(
    traces: Iterable[Attempt], *, rung: str, left_out: Counter[str]
) -> Iterator[dict[str, Any]]:
    for attempt in traces:
        text = own_text(attempt)
        if attempt.outcome is not Outcome.SUCCESS:
            left_out[attempt.outcome.value] += 1
        elif not text:
            left_out["empty trace"] += 1
        elif attempt.prompt is None:
            left_out["no prompt"] += 1
        else:
            yield {
                "prompt": _message("user", attempt.prompt),
                "completion": _message("assistant", text),
                **_origin(attempt.task, attempt.id, rung, ()),
            }


def _contextual(
    contexts: Iterable[TeacherContext | NoContext],
    *,
    prompts: Mapping[str, str],
    kind: ContextKind,
    left_out: Counter[str],
) -> Iterator[dict[str, Any]]:
    for context in contexts:
        if isinstance(context, NoContext):
            left_out[context.why] += 1
        elif context.task not in prompts:
            left_out["no prompt"] += 1
        elif kind == "sdft" and not context.text:
            left_out["no text to show"] += 1
        else:
            yield {
                "prompt": _message("user", prompts[context.task]),
                "privileged_context": context.text or None,
                "reveals_answer": context.reveals_answer,
                **_origin(context.task, context.attempt, context.rung.value, context.sources),
            }


def _message(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


def _origin(task: str, attempt: str, rung: str, sources: tuple[str, ...]) -> dict[str, Any]:
    return {"task": task, "attempt": attempt, "rung": rung or None, "sources": list(sources)}


def _write(path: Path, rows: Iterable[dict[str, Any]], *, kind: str) -> int:
    if path.suffix not in (".jsonl", ".parquet"):
        raise BadInput("a name that ends in .jsonl or .parquet", got=path.name, where=str(path))
    waiting = iter(rows)
    first = next(waiting, None)
    if first is None:
        return 0
    rows = chain([first], waiting)
    with whole_file(path) as part:
        if path.suffix == ".jsonl":
            return _write_lines(part, rows)
        lines = part.with_suffix(".rows")
        try:
            n_written = _write_lines(lines, rows)
            _to_parquet(lines, part, kind=kind)
        finally:
            lines.unlink(missing_ok=True)
        return n_written


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    n_written = 0
    with path.open("wb") as file:
        for row in rows:
            file.write(msgspec.json.encode(row) + b"\n")
            n_written += 1
    return n_written


def _to_parquet(lines: Path, target: Path, *, kind: str) -> None:
    import duckdb

    absent = ("privileged_context", "reveals_answer") if kind == "sft" else ("completion",)
    kept = {name: sort for name, sort in _COLUMNS.items() if name not in absent}
    columns = ", ".join(f"{name}: '{sort}'" for name, sort in kept.items())
    name = str(target).replace("'", "''")
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = true")
        connection.execute(
            "COPY (SELECT * FROM read_json(?, format = 'newline_delimited', "
            f"columns = {{{columns}}}, maximum_object_size = 1000000000)) "
            f"TO '{name}' (FORMAT parquet, COMPRESSION zstd)",
            [str(lines)],
        )
