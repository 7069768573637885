"""Join outcomes that are kept in a second file, and say which rows found no attempt.

A row names its attempt by `id` (ours, or the one the log itself gave the run), or by `task` with
`policy` and `trial` as far as needed. A row that
fits several attempts, or attempts that several rows fit, are ambiguous: nothing is joined, and the
summary names them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

import msgspec

from twiceshy.attempts.readers.labels import verdict_from_columns
from twiceshy.attempts.readers.table import column_names, table_rows, value_at
from twiceshy.attempts.readers.verdicts import broken
from twiceshy.attempts.sources import FileSource
from twiceshy.attempts.types import Attempt, Outcome, Unreadable, Verdict, VerdictSource
from twiceshy.errors import BadInput

MAX_EXAMPLES = 5
_OUR_ID = re.compile("[0-9a-f]{16}")
_NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "attempt_id", "attempt"),
    "task": ("task", "task_id"),
    "policy": ("policy", "model"),
    "trial": ("trial", "epoch", "sample"),
    "outcome": ("outcome",),
    "success": ("success", "is_correct", "correct", "passed"),
    "reward": ("reward", "score"),
    "source": ("source",),
    "reliability": ("reliability",),
    "evidence": ("evidence",),
}
_SOURCES = get_args(VerdictSource)


class Key(NamedTuple):
    """What a row says about which attempt it means; None where it says nothing."""

    task: str
    policy: str | None
    trial: str | None

    def __str__(self) -> str:
        named = zip(self._fields, self, strict=True)
        return ", ".join(f"{name} {value!r}" for name, value in named if value is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinSummary:
    """What came of joining an outcomes file."""

    file: str
    n_rows: int
    """Rows with a key and a judgement."""
    n_attempts_joined: int
    n_attempts_without: int
    """Attempts that no row means; they keep the verdict of their own log."""
    n_rows_without: int
    """Rows that mean no attempt."""
    rows_without: tuple[str, ...]
    """The first few of them."""
    n_ambiguous: int
    """Keys that fit several attempts or are on several rows; nothing was joined for them."""
    ambiguous: tuple[str, ...]
    unreadable: tuple[Unreadable, ...]
    """Rows without a key or a judgement, the first few."""
    n_unreadable: int


@dataclass(slots=True)
class OutcomeTable:
    """Outcomes by attempt, with a record of which were used."""

    file: str
    by_id: dict[str, Verdict] = field(default_factory=dict)
    by_key: dict[Key, Verdict] = field(default_factory=dict)
    repeated: set[str | Key] = field(default_factory=set)
    unreadable: list[Unreadable] = field(default_factory=list)
    _counts: Counter[str | Key] = field(default_factory=Counter)
    _used: set[str | Key] = field(default_factory=set)
    _n_joined: int = 0
    _n_without: int = 0

    @property
    def needs_counts(self) -> bool:
        """Whether a name may mean several attempts, which must then be counted before joining."""
        return any(key.trial is None or key.policy is None for key in self.by_key) or not all(
            map(_OUR_ID.fullmatch, self.by_id)
        )

    def start(self) -> None:
        """Forget what earlier readings counted and used."""
        self._counts.clear()
        self._used.clear()
        self._n_joined = self._n_without = 0

    def count(self, attempt: Attempt) -> None:
        """Count an attempt under each key that may mean it."""
        for key in _keys(attempt):
            if key in self.by_key:
                self._counts[key] += 1
        self._counts.update(each for each in dict.fromkeys(_ids(attempt)) if each in self.by_id)

    def join(self, attempt: Attempt) -> Attempt:
        """Return the attempt with the verdict of its row, or as it was when there is none.

        A `broken` attempt stays broken unless its row says success; what the row says is recorded.
        """
        name = self._name_of(attempt)
        if name is None:
            self._n_without += 1
            return attempt
        self._used.add(name)
        if name in self.repeated or self._counts[name] > 1:
            self._n_without += 1
            return attempt
        self._n_joined += 1
        verdict = self.by_id[name] if isinstance(name, str) else self.by_key[name]
        said = attempt.verdict
        if said.broken is not None and verdict.outcome is not Outcome.SUCCESS:
            verdict = broken(said.broken, reason=said.reason, recorded=verdict)
        return msgspec.structs.replace(attempt, verdict=verdict)

    def summary(self) -> JoinSummary:
        """Return what came of the join so far."""
        names = [*self.by_id, *self.by_key]
        without = [str(name) for name in names if name not in self._used]
        unclear: set[str | Key] = {key for key, n in self._counts.items() if n > 1}
        unclear |= self.repeated & self._used
        return JoinSummary(
            file=self.file,
            n_rows=len(names),
            n_attempts_joined=self._n_joined,
            n_attempts_without=self._n_without,
            n_rows_without=len(without),
            rows_without=tuple(without[:MAX_EXAMPLES]),
            n_ambiguous=len(unclear),
            ambiguous=tuple(sorted(str(name) for name in unclear)[:MAX_EXAMPLES]),
            unreadable=tuple(self.unreadable[:MAX_EXAMPLES]),
            n_unreadable=len(self.unreadable),
        )

    def _name_of(self, attempt: Attempt) -> str | Key | None:
        names = (name for name in _ids(attempt) if name in self.by_id)
        return next(names, None) or next((k for k in _keys(attempt) if k in self.by_key), None)

    def add(self, name: str | Key, verdict: Verdict) -> None:
        """Add one row; a second one with another verdict makes the name ambiguous."""
        known = self.by_id.get(name) if isinstance(name, str) else self.by_key.get(name)
        if known is not None and known != verdict:
            self.repeated.add(name)
        elif isinstance(name, str):
            self.by_id[name] = verdict
        else:
            self.by_key[name] = verdict


def load_outcomes(path: str | Path, *, threshold: float | None = None) -> OutcomeTable:
    """Read an outcomes file: JSONL, a JSON list, CSV or Parquet.

    Args:
        path: The file.
        threshold: A reward at or above it is a success.

    Raises:
        BadInput: When the file is not there, has no column that names an attempt, or no column with
            a judgement.
    """
    source = FileSource(path)
    _check_columns(source)
    table = OutcomeTable(source.label)
    for number, row in table_rows(source):
        if isinstance(row, Unreadable):
            table.unreadable.append(row)
            continue
        found = {name: _first(row, columns) for name, columns in _NAMES.items()}
        name, verdict = _name(found), _verdict(found, threshold=threshold)
        if name is None or verdict.outcome is Outcome.UNSCORED:
            table.unreadable.append(_unusable(source, number, has_name=name is not None))
        else:
            table.add(name, verdict)
    return table


def _check_columns(source: FileSource) -> None:
    columns = set(column_names(source))
    for wanted in (("id", "task"), ("outcome", "success", "reward")):
        accepted = [name for group in wanted for name in _NAMES[group]]
        if not columns & set(accepted):
            raise BadInput(
                f"an outcomes file with a column among {', '.join(accepted)}",
                got=f"columns {', '.join(sorted(columns)[:8])}" if columns else "no columns",
                where=source.label,
                fix="Give one row per attempt: id or task, policy, trial; then success or reward.",
            )


def _unusable(source: FileSource, number: int, *, has_name: bool) -> Unreadable:
    wanted = "a judgement (success, reward or outcome)" if has_name else "an id or a task"
    return Unreadable(f"{source.label}:{number}", wanted, "none")


def _first(row: dict[str, Any], columns: tuple[str, ...]) -> Any:
    return next((v for name in columns if (v := value_at(row, name)) is not None), None)


def _name(found: dict[str, Any]) -> str | Key | None:
    if found["id"] is not None:
        return str(found["id"])
    if found["task"] is None:
        return None
    policy, trial = found["policy"], found["trial"]
    return Key(
        str(found["task"]),
        None if policy is None else str(policy),
        None if trial is None else str(trial),
    )


def _verdict(found: dict[str, Any], *, threshold: float | None) -> Verdict:
    source = found["source"] if found["source"] in _SOURCES else "log"
    try:
        reliability = None if found["reliability"] is None else float(found["reliability"])
    except (TypeError, ValueError):
        reliability = None
    return verdict_from_columns(
        outcome=found["outcome"],
        success=found["success"],
        reward=found["reward"],
        threshold=threshold,
        source=cast("VerdictSource", source),
        evidence=str(found["evidence"] or ""),
        reliability=reliability,
    )


def _ids(attempt: Attempt) -> Iterator[str]:
    """Yield what a row's id may say of an attempt: our id, the log's, a task named by that."""
    yield attempt.id
    given = (attempt.extra.get(name) for name in _NAMES["id"])
    yield from (str(name) for name in given if isinstance(name, str | int))
    yield attempt.task


def _keys(attempt: Attempt) -> tuple[Key, ...]:
    """Return the keys that may mean an attempt, the most telling first."""
    exact = Key(attempt.task, attempt.policy, attempt.trial)
    any_policy = Key(attempt.task, None, attempt.trial)
    any_trial = Key(attempt.task, attempt.policy, None)
    return tuple(dict.fromkeys((exact, any_policy, any_trial, Key(attempt.task, None, None))))
