"""Which columns of a table of one row an attempt say what, and its outcome as SQL.

Shared by everything that counts or weighs rows in DuckDB without reading their texts and tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from twiceshy.errors import BadInput

FIELDS = ("task", "policy", "outcome", "success", "reward", "recorded", "broken", "truncated", "id")
VERDICTS = ("outcome", "success", "reward")
OUTCOMES = ("success", "failure", "broken", "unscored")
_ROLLOUTS = {"task": "group_id", "policy": "run_id"}
"""What a table of rollouts calls them, tried where it has no `task`."""


class Columns(NamedTuple):
    """SQL identifiers of the columns that were found; None where there is none."""

    task: str
    verdict_field: str
    """Which of `VERDICTS` judges."""
    verdict: str
    policy: str | None = None
    recorded: str | None = None
    broken: str | None = None
    truncated: str | None = None
    id: str | None = None

    @property
    def top_level(self) -> tuple[str, ...]:
        """Names of the table's own columns behind them, each once, unquoted."""
        used = (self.task, self.verdict, self.policy, self.recorded, self.broken, self.truncated)
        names = (_first_part(each) for each in (*used, self.id) if each is not None)
        return tuple(dict.fromkeys(names))


def choose_columns(found: Mapping[str, str], given: Mapping[str, str], *, where: str) -> Columns:
    """Return which column says what.

    Args:
        found: The table's columns with their types.
        given: Our field to the table's column; a dot reaches into a struct. A field that is not
            given is looked for under its own name; where there is no `task`, `group_id` is taken,
            and `run_id` for the policy.
        where: Names the table in messages.

    Raises:
        BadInput: A field is unknown, a named column is not there, or task or verdict is missing.

    Example:
        >>> choose_columns({"group_id": "VARCHAR", "reward": "DOUBLE"}, {}, where="a.parquet").task
        '"group_id"'
    """
    for field in given:
        if field not in FIELDS:
            raise BadInput(f"one of {', '.join(FIELDS)}", got=repr(field), where="columns")
    chosen = dict(given) | {f: f for f in FIELDS if f in found and f not in given}
    if "task" not in chosen:
        chosen = {f: name for f, name in _ROLLOUTS.items() if name in found} | chosen
    listing = ", ".join(found)
    for field, column in chosen.items():
        if column not in found and column.split(".")[0] not in found:
            raise _missing(f"a column {column!r} for {field}", listing, where)
    if "task" not in chosen:
        raise _missing("a column 'task'", listing, where)
    verdict = next((field for field in VERDICTS if field in chosen), None)
    if verdict is None:
        raise _missing(f"a verdict column ({', '.join(VERDICTS)})", listing, where)
    named = {field: _identifier(column, found) for field, column in chosen.items()}
    rest = {field: named[field] for field in FIELDS if field in named and field not in VERDICTS}
    return Columns(verdict_field=verdict, verdict=named[verdict], **rest)


def outcome_sql(columns: Columns, threshold: float | None) -> str:
    """Return SQL for the outcome of a row, one of `OUTCOMES` or something odd.

    A row whose `broken` flag is set is broken, unless its verdict says success.
    """
    judged = verdict_sql(columns, threshold)
    if columns.broken is None:
        return judged
    flag = flag_sql(columns.broken)
    return f"CASE WHEN {judged} <> 'success' AND {flag} THEN 'broken' ELSE {judged} END"


def verdict_sql(columns: Columns, threshold: float | None) -> str:
    """Return SQL for what the verdict column alone says; a null verdict is unscored."""
    column = columns.verdict
    if columns.verdict_field == "outcome":
        return f"lower(coalesce(CAST({column} AS VARCHAR), 'unscored'))"
    if columns.verdict_field == "success":
        number = f"CAST(TRY_CAST({column} AS BOOLEAN) AS DOUBLE)"
        right, wrong = f"{number} = 1", f"{number} = 0"
    else:
        number = f"TRY_CAST({column} AS DOUBLE)"
        right = f"{number} = 1" if threshold is None else f"{number} >= {float(threshold)!r}"
        wrong = f"{number} = 0" if threshold is None else f"{number} < {float(threshold)!r}"
    return (
        f"CASE WHEN {column} IS NULL OR isnan({number}) THEN 'unscored' WHEN {right} THEN 'success'"
        f" WHEN {wrong} THEN 'failure' ELSE 'odd' END"
    )


def flag_sql(column: str) -> str:
    """Return SQL that is true where a flag is set: true, 1, or a text that says something."""
    text = f"CAST({column} AS VARCHAR)"
    return f"coalesce(coalesce(TRY_CAST({text} AS BOOLEAN), {text} <> ''), false)"


def policy_sql(columns: Columns) -> str:
    """Return SQL for the policy of a row."""
    return f"coalesce(CAST({columns.policy or 'NULL'} AS VARCHAR), 'unknown')"


def odd_verdicts(n: int, columns: Columns, *, where: str, threshold: float | None) -> BadInput:
    """Return the error for rows whose verdict is none."""
    fix = "" if threshold is not None else "Give a threshold if it is a graded reward."
    expected = f"a success, failure or null in {columns.verdict}"
    return BadInput(expected, got=f"{n} rows with something else", where=where, fix=fix)


def quoted(text: str) -> str:
    """Return a text as an SQL literal.

    Example:
        >>> quoted("it's")
        "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def _missing(expected: str, listing: str, where: str) -> BadInput:
    fix = "Name the columns, as --map task=question,success=is_correct."
    return BadInput(expected, got=f"columns {listing}", where=where, fix=fix)


def _identifier(column: str, found: Mapping[str, str]) -> str:
    parts = [column] if column in found else column.split(".")
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def _first_part(identifier: str) -> str:
    """Return the first of the quoted names that dots join, without its quotes."""
    end = 1
    while identifier[end] != '"' or identifier[end : end + 2] == '""':
        end += 2 if identifier[end] == '"' else 1
    return identifier[1:end].replace('""', '"')
