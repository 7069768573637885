"""What was read, and what was not: counts that leave nothing out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from twiceshy.attempts.outcomes import JoinSummary
from twiceshy.attempts.readers.verdicts import OUT_OF_RANGE
from twiceshy.attempts.types import Attempt, Outcome, Unreadable

MAX_UNREADABLE_SHOWN = 20
_MAX_REASONS_SHOWN = 5
_MAX_ALIKE_SHOWN = 3
_SINGLE = "(task and policy) with a single attempt"
_ALONE = (
    "Every task has one attempt. Contrast needs several attempts at the same task: check that the "
    "task field names the task and not the run (--map task=COLUMN)."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSummary:
    """One file that a reader took."""

    file: str
    format: str
    n_attempts: int
    n_unreadable: int
    note: str = ""
    """For example that the file grew while it was read."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """One file that no reader took."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary:
    """The account of a reading so far; a snapshot that does not change."""

    outcomes: Mapping[Outcome, int]
    """Attempts by outcome, all four of them, zero included."""
    formats: Mapping[str, int]
    """Attempts by log format."""
    files: tuple[FileSummary, ...]
    skipped: tuple[Skipped, ...]
    broken: Mapping[str, Mapping[str, int]]
    """Kind to reason to attempts."""
    unscored: Mapping[str, int]
    """Reason to attempts."""
    unreadable: tuple[Unreadable, ...]
    """The first records that could not be used."""
    n_unreadable: int
    n_duplicates: int
    """Attempts dropped because one with the same id was read before."""
    n_conflicting: int
    """Attempts kept that share task, policy and trial with a different one."""
    n_tasks: int
    n_policies: int
    n_groups: int
    """Pairs of task and policy."""
    n_single_groups: int
    """Groups with one attempt, which can never be mixed."""
    n_clock_backwards: int
    """Attempts with a step that is earlier than the one before it."""
    n_rewards_out_of_range: int
    """Attempts whose reward is neither 0 nor 1, without a threshold; they are `unscored`."""
    join: JoinSummary | None = None

    @property
    def n_attempts(self) -> int:
        """Attempts given out."""
        return sum(self.outcomes.values())

    @property
    def nothing_usable(self) -> bool:
        """Whether not a single attempt was read. Attempts that are all unscored are usable."""
        return self.n_attempts == 0

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do next, as sentences."""
        return tuple(_advice(self))

    def notes(self, *, contrasts: bool = True) -> list[str]:
        """Return the lines for the terminal: what was not used and why, then the advice.

        Args:
            contrasts: Whether attempts at one task are compared with each other; where they are
                not, single attempts are no flaw and nothing is said of them.
        """
        told = [*_notes(self), *self.advice]
        return told if contrasts else [line for line in told if line not in _single(self)]

    def numbers(self) -> dict[str, Any]:
        """Return the counts by name, as `--json` prints them."""
        return {
            "n_attempts": self.n_attempts,
            **{f"n_{outcome.value}": n for outcome, n in self.outcomes.items()},
            "n_tasks": self.n_tasks,
            "n_policies": self.n_policies,
            "n_groups": self.n_groups,
            "n_single_groups": self.n_single_groups,
            "n_unreadable": self.n_unreadable,
            "n_duplicates": self.n_duplicates,
            "n_conflicting": self.n_conflicting,
            "n_clock_backwards": self.n_clock_backwards,
            "n_rewards_out_of_range": self.n_rewards_out_of_range,
            "n_files": len(self.files),
            "n_files_skipped": len(self.skipped),
            "formats": dict(self.formats),
            "broken": {kind: dict(reasons) for kind, reasons in self.broken.items()},
            "unscored": dict(self.unscored),
            "advice": list(self.advice),
        }


@dataclass(slots=True)
class Tally:
    """The counts while reading."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    files: list[FileSummary] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    broken: dict[str, Counter[str]] = field(default_factory=dict)
    unscored: Counter[str] = field(default_factory=Counter)
    unreadable: list[Unreadable] = field(default_factory=list)
    groups: Counter[tuple[str, str]] = field(default_factory=Counter)
    n_attempts: int = 0
    n_unreadable: int = 0
    n_clock_backwards: int = 0

    def add(self, attempt: Attempt, *, format: str) -> None:
        """Count an attempt that is given out."""
        verdict = attempt.verdict
        self.n_attempts += 1
        self.outcomes[verdict.outcome] += 1
        self.formats[format] += 1
        self.groups[(attempt.task, attempt.policy)] += 1
        if verdict.outcome is Outcome.BROKEN:
            kind = verdict.broken or "unknown"
            self.broken.setdefault(kind, Counter())[verdict.reason] += 1
        elif verdict.outcome is Outcome.UNSCORED:
            self.unscored[verdict.reason] += 1
        if clock_goes_backwards(attempt):
            self.n_clock_backwards += 1

    def add_unreadable(self, record: Unreadable) -> None:
        """Count a record that could not be used, and keep it when it is among the first."""
        self.n_unreadable += 1
        if len(self.unreadable) < MAX_UNREADABLE_SHOWN:
            self.unreadable.append(record)

    def snapshot(
        self, *, n_duplicates: int = 0, n_conflicting: int = 0, join: JoinSummary | None = None
    ) -> ImportSummary:
        """Return the account so far."""
        return ImportSummary(
            outcomes={outcome: self.outcomes[outcome] for outcome in Outcome},
            formats=dict(self.formats),
            files=tuple(self.files),
            skipped=tuple(self.skipped),
            broken={kind: dict(reasons) for kind, reasons in self.broken.items()},
            unscored=dict(self.unscored),
            unreadable=tuple(self.unreadable),
            n_unreadable=self.n_unreadable,
            n_duplicates=n_duplicates,
            n_conflicting=n_conflicting,
            n_tasks=len({task for task, _ in self.groups}),
            n_policies=len({policy for _, policy in self.groups}),
            n_groups=len(self.groups),
            n_single_groups=sum(n == 1 for n in self.groups.values()),
            n_clock_backwards=self.n_clock_backwards,
            n_rewards_out_of_range=self.unscored[OUT_OF_RANGE],
            join=join,
        )


def clock_goes_backwards(attempt: Attempt) -> bool:
    """Whether a step's time is before that of the step before it (as far as both can be read).

    Example:
        >>> from twiceshy.attempts.types import Step, Verdict
        >>> times = ("2026-01-01T10:00:00Z", "2026-01-01T09:59:59Z")
        >>> steps = tuple(Step(role="user", time=time) for time in times)
        >>> verdict = Verdict(outcome=Outcome.UNSCORED)
        >>> clock_goes_backwards(Attempt(task="t", verdict=verdict, steps=steps))
        True
    """
    latest: datetime | None = None
    for step in attempt.steps:
        if step.time is None:
            continue
        now = _time(step.time)
        if now is None:
            continue
        if latest is not None and (now.tzinfo is None) == (latest.tzinfo is None) and now < latest:
            return True
        latest = now
    return False


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _notes(summary: ImportSummary) -> list[str]:
    lines = [f"skipped {one.file}: {one.reason}" for one in summary.skipped]
    if len(summary.formats) > 1:
        parts = [f"{name} {n:,}" for name, n in summary.formats.items()]
        lines.append(f"several formats, each read by its own reader: {', '.join(parts)}")
    lines += [f"{one.file}: {one.note}" for one in summary.files if one.note]
    lines += _unreadable(summary.unreadable)
    hidden = summary.n_unreadable - len(summary.unreadable)
    if hidden > 0:
        lines.append(f"and {_counted(hidden, 'more unreadable record')}")
    for kind, reasons in summary.broken.items():
        lines += [f"broken ({kind}): {line}" for line in _reasons(reasons)]
    lines += [f"unscored: {line}" for line in _reasons(summary.unscored)]
    lines += _counts(summary)
    return lines + (_join_notes(summary.join) if summary.join is not None else [])


def _unreadable(records: Sequence[Unreadable]) -> list[str]:
    """Tell the first records of each fault, and count the others like them."""
    faults = Counter(record[1:] for record in records)
    seen: Counter[tuple[str, ...]] = Counter()
    lines = []
    for record in records:
        fault = record[1:]
        seen[fault] += 1
        if seen[fault] <= _MAX_ALIKE_SHOWN:
            lines.append(_told(record))
        elif seen[fault] == faults[fault]:
            lines.append(f"and {_counted(faults[fault] - _MAX_ALIKE_SHOWN, 'line')} more like it")
    return lines


def _told(record: Unreadable) -> str:
    text = f"{record.where}: expected {record.expected}, got {record.got}."
    return f"{text} {record.fix}".rstrip()


def _reasons(reasons: Mapping[str, int]) -> list[str]:
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"{_counted(n, 'attempt')}, {reason}" for reason, n in ranked[:_MAX_REASONS_SHOWN]]
    rest = sum(n for _, n in ranked[_MAX_REASONS_SHOWN:])
    return [*lines, f"{_counted(rest, 'attempt')}, other reasons"] if rest else lines


def _counts(summary: ImportSummary) -> list[str]:
    counted = (
        (summary.n_duplicates, "duplicate", "dropped"),
        (summary.n_conflicting, "attempt", "kept that share task, policy and trial with another"),
        (summary.n_clock_backwards, "attempt", "in which the clock goes backwards"),
        (summary.n_single_groups, "group", _SINGLE),
    )
    return [f"{_counted(n, noun)} {said}" for n, noun, said in counted if n]


def _single(summary: ImportSummary) -> tuple[str, str]:
    return f"{_counted(summary.n_single_groups, 'group')} {_SINGLE}", _ALONE


def _join_notes(join: JoinSummary) -> list[str]:
    lines = [
        f"outcomes from {join.file}: {_counted(join.n_attempts_joined, 'attempt')} joined, "
        f"{join.n_attempts_without:,} without a row; "
        f"{join.n_rows_without:,} of {_counted(join.n_rows, 'row')} without an attempt"
    ]
    lines += [f"no attempt for {row}" for row in join.rows_without]
    if join.n_ambiguous:
        lines.append(
            f"{_counted(join.n_ambiguous, 'ambiguous key')}, not joined: "
            f"{'; '.join(join.ambiguous)}. Add a trial or an id column that tells them apart."
        )
    return lines + [_told(record) for record in join.unreadable]


def _advice(summary: ImportSummary) -> list[str]:
    advice: list[str] = []
    n_attempts, n_unscored = summary.n_attempts, summary.outcomes[Outcome.UNSCORED]
    if summary.n_rewards_out_of_range:
        advice.append(
            f"{_counted(summary.n_rewards_out_of_range, 'reward')} outside {{0, 1}}: "
            "say from which value on an attempt is a success, with --threshold."
        )
    if n_attempts and n_unscored == n_attempts and not summary.n_rewards_out_of_range:
        advice.append(
            "No attempt has an outcome. Join them from a second file with --outcomes FILE: one row "
            "per attempt with its id (or task, policy, trial) and success or reward."
        )
    if n_attempts > 1 and summary.n_tasks == n_attempts:
        advice.append(_ALONE)
    return advice
