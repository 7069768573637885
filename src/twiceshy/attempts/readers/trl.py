"""TRL: the completions that `log_completions=True` writes to Parquet.

`<output_dir>/completions/completions_<step>.parquet` has the columns `step`, `prompt`,
`completion`, one per reward function under the function's own name, whatever the functions logged
besides, and `advantage`. A reward function that returned None left NaN. No column says which reward
is the verdict: with one there is no question, with several the caller declares it. A run of
`integrations.trl` wrote `twiceshy_outcome` and `twiceshy_truncated` as well, which say it all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from twiceshy.attempts.readers import parquet, parts
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.readers.verdicts import unscored, verdict_from_reward
from twiceshy.attempts.types import Attempt, Outcome, Step, Unreadable, Verdict
from twiceshy.errors import BadInput

_FIXED = ("step", "prompt", "completion", "advantage")
_OURS = ("twiceshy_outcome", "twiceshy_truncated")
_SCORED = (Outcome.SUCCESS.value, Outcome.FAILURE.value)
_NUMERIC = {"DOUBLE", "FLOAT", "BIGINT", "INTEGER", "BOOLEAN"}


class _Table(NamedTuple):
    columns: tuple[str, ...]
    rewards: tuple[str, ...]
    """Columns of numbers beside the fixed ones: reward functions, and what they logged."""


class Trl:
    """Reader for TRL's completion tables."""

    name: Literal["trl"] = "trl"

    def matches(self, source: Source) -> bool:
        """Whether it is a Parquet file with TRL's columns."""
        if not parquet.is_parquet(source):
            return False
        table = _describe(source)
        return isinstance(table, _Table) and set(_FIXED) <= set(table.columns)

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield one attempt per row, a batch of rows in memory at a time."""
        table = _describe(source)
        if not isinstance(table, _Table):
            got = table
        elif not {"prompt", "completion"} <= set(table.columns):
            got = f"columns {', '.join(table.columns)}"
        else:
            yield from _rows(source, table=table, options=options)
            return
        yield Unreadable(
            where=f"{source.label}:1", expected="a Parquet table of TRL completions", got=got
        )


def _describe(source: Source) -> _Table | str:
    """Return the table's columns, or what DuckDB said about the file."""
    import duckdb

    path = "".join(f"[{c}]" if c in "*?[" else c for c in str(source.path))
    try:
        with duckdb.connect() as connection:
            found = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [path]).fetchall()
    except duckdb.Error as error:
        return parts.first_line(str(error))
    types = {str(row[0]): str(row[1]) for row in found}
    known = {*_FIXED, *_OURS}
    numeric = [name for name, kind in types.items() if kind in _NUMERIC and name not in known]
    return _Table(tuple(types), tuple(numeric))


def _rows(source: Source, *, table: _Table, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
    line = 0
    try:
        for line, row in parquet.rows(source):
            yield _attempt(source, line, row=row, table=table, options=options)
    except BadInput as error:
        where = f"{source.label}:{line + 1}"
        yield Unreadable(where=where, expected=error.expected, got=error.got, fix=error.fix)


def _attempt(
    source: Source, line: int, *, row: Record, table: _Table, options: ReadOptions
) -> Attempt | Unreadable:
    prompt = _text(row.get("prompt"))
    steps = _steps(row.get("completion"))
    if not prompt or not steps:
        wanted = "a row with prompt and completion"
        return parts.missing(source, line, expected=wanted, got="an empty one")
    run = options.policy or source.path.absolute().parent.parent.name or "trl"
    step = parts.as_id(row.get("step"))
    rewards = {name: row[name] for name in table.rewards}
    return Attempt(
        task=parts.task_of_prompt(prompt),
        verdict=_verdict(rewards, outcome=row.get(_OURS[0]), options=options),
        policy=f"{run}@{step}" if step is not None else run,
        prompt=prompt,
        steps=steps,
        truncated=row.get(_OURS[1]),
        provenance=parts.provenance(source, line, format="trl"),
        extra=_kept(row, rewards=rewards),
    )


def _text(value: object) -> str:
    """Return a prompt's text: the rendered string, or a conversation's messages one by one."""
    if isinstance(value, str):
        return value
    return "\n".join(f"{step.role}: {step.text}" for step in parts.chat_steps(value))


def _steps(value: object) -> tuple[Step, ...]:
    if isinstance(value, str):
        return (Step(role="assistant", text=value),)
    return parts.chat_steps(value)


def _verdict(rewards: Record, *, outcome: object, options: ReadOptions) -> Verdict:
    declared = options.mapping.get("reward") or options.mapping.get("success")
    if declared is None and options.threshold is None and outcome in _SCORED:
        return Verdict(outcome=Outcome(outcome), source="verifier", evidence=_OURS[0])
    if declared is None and options.threshold is None and outcome == Outcome.UNSCORED:
        return unscored("the run let it abstain: not judged, or truncated")
    if declared is None and len(rewards) > 1:
        names = ", ".join(sorted(rewards))
        return unscored(f"several reward columns ({names}); declare one with --map reward=NAME")
    name = declared or next(iter(rewards), "")
    return verdict_from_reward(
        rewards.get(name), threshold=options.threshold, source="verifier", evidence=name
    )


def _kept(row: Record, *, rewards: Record) -> Record:
    advantage: Any = row.get("advantage")
    extra: Record = {"rewards": {k: v for k, v in rewards.items() if v is not None and v == v}}
    if isinstance(advantage, float) and advantage == advantage:
        extra["advantage"] = advantage
    named = {key for key in row if key not in {*_FIXED, *_OURS} and key not in rewards}
    extra |= {key: row[key] for key in sorted(named) if isinstance(row[key], str)}
    return extra
