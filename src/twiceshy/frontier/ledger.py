"""The solve-rate ledger: what is known of each task's solve rate, across runs and restarts.

Two pseudo-counts a (task, policy), discounted at every visit so that old evidence fades as the
policy moves. Nothing is ever deleted: a task with 0 of n is deferred and can come back, and every
visit stays in an append-only table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from twiceshy.errors import BadInput
from twiceshy.frontier.groups import Tallies
from twiceshy.frontier.rates import FloatArray, band_chances, checked_band
from twiceshy.sqlite_file import (
    TIMEOUT_SECONDS,
    FileKind,
    Migrations,
    as_bad_input,
    checked_version,
    migrate,
    transaction,
    use_wal,
)

KIND = FileKind("ledger", "a solve-rate ledger", 0x74776C67)
"""The mark reads "twlg"."""

DEFAULT_DECAY = 0.1
"""λ of BOTS (2510.26374): best of the values they tried."""
DEFAULT_PRIOR = (1.0, 1.0)
"""Uniform prior, as in MoPPS (2507.04632)."""
DEFAULT_BAND = (0.2, 0.8)
"""Of the bands in use (lower edge 0.125 to 0.3, upper 0.625 to 0.9), RLAnything's."""
MIN_IN_BAND = 0.2
"""Below this chance of lying in the band a task leaves the live set. Ours."""

MIGRATIONS: Migrations = (
    (
        """
        CREATE TABLE setting (name TEXT PRIMARY KEY, value REAL NOT NULL)
        """,
        """
        CREATE TABLE rate (
            task TEXT NOT NULL, policy TEXT NOT NULL,
            alpha REAL NOT NULL, beta REAL NOT NULL,
            n_success INTEGER NOT NULL, n_failure INTEGER NOT NULL,
            visits INTEGER NOT NULL, version TEXT NOT NULL, quarantine TEXT,
            PRIMARY KEY (task, policy)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE visit (
            id INTEGER PRIMARY KEY, task TEXT NOT NULL, policy TEXT NOT NULL,
            n_success INTEGER NOT NULL, n_failure INTEGER NOT NULL,
            n_broken INTEGER NOT NULL, n_unscored INTEGER NOT NULL,
            version TEXT NOT NULL, at TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE event (
            id INTEGER PRIMARY KEY, task TEXT NOT NULL, policy TEXT NOT NULL,
            kind TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL
        )
        """,
    ),
)
"""Numbered from 1, in the file's `user_version`. Append only; never edit one that was released."""

_VISIT = "INSERT INTO visit VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE = """
INSERT INTO rate VALUES (:task, :policy, :a0 + :s, :b0 + :f, :s, :f, 1, :version, NULL)
ON CONFLICT (task, policy) DO UPDATE SET
    alpha = CASE WHEN :s + :f = 0 THEN alpha ELSE (1 - :fade) * (
        CASE WHEN version <> :version THEN (1 - :jump) * alpha + :jump * :a0 ELSE alpha END
    ) + :fade * :a0 + :s END,
    beta = CASE WHEN :s + :f = 0 THEN beta ELSE (1 - :fade) * (
        CASE WHEN version <> :version THEN (1 - :jump) * beta + :jump * :b0 ELSE beta END
    ) + :fade * :b0 + :f END,
    version = CASE WHEN :s + :f = 0 THEN version ELSE :version END,
    n_success = n_success + :s, n_failure = n_failure + :f, visits = visits + 1
"""
_SELECT = (
    "SELECT task, policy, alpha, beta, n_success, n_failure, visits, version, quarantine FROM rate"
)


class TaskStatus(StrEnum):
    """What to do with a task for this policy."""

    NEW = "new"
    """No scored attempt yet."""
    LIVE = "live"
    """The solve rate may well be in the band."""
    DEFERRED = "deferred"
    """Too hard for now; tried again later, never deleted."""
    REVIEW = "review"
    """Mastered; replayed rarely, because mastered tasks are forgotten."""
    QUARANTINED = "quarantined"
    """Set aside by hand: the task or its checker is suspect."""


class Posterior(NamedTuple):
    """One task's solve rate for one policy."""

    task: str
    policy: str
    alpha: float
    beta: float
    n_success: int
    """All successes ever, not discounted."""
    n_failure: int
    visits: int
    version: str
    """Policy version of the last scored visit."""
    quarantine: str | None
    """Why it was set aside, or None."""

    @property
    def mean(self) -> float:
        """Posterior mean of the solve rate."""
        return self.alpha / (self.alpha + self.beta)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the equal-tailed posterior limits (low, high)."""
        from scipy.special import betaincinv

        tail = (1 - confidence) / 2
        low = float(betaincinv(self.alpha, self.beta, tail))
        return low, float(betaincinv(self.alpha, self.beta, 1 - tail))

    def status(self, *, band: tuple[float, float] = DEFAULT_BAND) -> TaskStatus:
        """Return the status by `statuses`."""
        if self.quarantine is not None:
            return TaskStatus.QUARANTINED
        n_scored = self.n_success + self.n_failure
        return statuses([self.alpha], [self.beta], n_scored=[n_scored], band=band)[0]


class DiscountedCounts(NamedTuple):
    """Evidence held by a ledger, in attempts; 0 where it knows nothing."""

    successes: FloatArray
    trials: FloatArray


def discounted(
    alpha: ArrayLike,
    beta: ArrayLike,
    *,
    successes: ArrayLike,
    failures: ArrayLike,
    decay: float = DEFAULT_DECAY,
    prior: tuple[float, float] = DEFAULT_PRIOR,
) -> tuple[FloatArray, FloatArray]:
    """Return the pseudo-counts after one visit.

    `α ← (1−λ)·α + λ·α0 + s`, `β ← (1−λ)·β + λ·β0 + f`; unchanged when s + f = 0.

    Source: BOTS (2510.26374). Differs: without its pseudo-counts for unvisited prompts.

    Args:
        alpha: Success pseudo-counts before, shape (n,).
        beta: Failure pseudo-counts before, shape (n,).
        successes: s, shape (n,).
        failures: f, shape (n,).
        decay: λ in [0, 1].
        prior: (α0, β0).

    Example:
        >>> after = discounted([11.0], [1.0], successes=[0], failures=[8], decay=0.1)
        >>> [values.round(2).tolist() for values in after]
        [[10.0], [9.0]]
    """
    a, b = np.asarray(alpha, float), np.asarray(beta, float)
    s, f = np.asarray(successes, float), np.asarray(failures, float)
    seen = s + f > 0
    after_a = (1 - decay) * a + decay * prior[0] + s
    after_b = (1 - decay) * b + decay * prior[1] + f
    return np.where(seen, after_a, a), np.where(seen, after_b, b)


def statuses(
    alpha: ArrayLike,
    beta: ArrayLike,
    *,
    n_scored: ArrayLike,
    band: tuple[float, float] = DEFAULT_BAND,
) -> list[TaskStatus]:
    """Return each task's status: live while P(in band) ≥ 0.2, else deferred or in review.

    Source: Pilot-Commit (2605.26606) defers instead of dropping, by a point estimate; here by the
    posterior, so that 0 of 4 stays live and 0 of 8 is deferred. The threshold is ours.

    Example:
        >>> [s.value for s in statuses([1, 1, 9], [5, 9, 1], n_scored=[4, 8, 8])]
        ['live', 'deferred', 'review']
    """
    chances = band_chances(alpha, beta, band=band)
    never = np.asarray(n_scored) == 0
    conditions = [never, chances.inside >= MIN_IN_BAND, chances.below >= chances.above]
    codes = np.select(conditions, [0, 1, 2], 3)
    order = (TaskStatus.NEW, TaskStatus.LIVE, TaskStatus.DEFERRED, TaskStatus.REVIEW)
    return [order[code] for code in codes.tolist()]


class SolveRateLedger:
    """Discounted Beta posteriors by (task, policy) in an SQLite file (WAL).

    Several processes may write; each batch is one transaction. The settings belong to the file: the
    first opening stores them, later ones must agree or leave them out.

    Args:
        path: The file; created when absent.
        decay: λ, the share of the evidence that fades at a visit. Default 0.1.
        prior: (α0, β0). Default (1, 1).
        jump: How far to pull towards the prior when the policy version changes, in [0, 1].
            Default 0: versions are only stamped.

    Raises:
        BadInput: The file is not a ledger, is corrupt, comes from a newer version of the package,
            or holds other settings.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        decay: float | None = None,
        prior: tuple[float, float] | None = None,
        jump: float | None = None,
    ) -> None:
        self.path = Path(path)
        given = _settings(decay=decay, prior=prior, jump=jump)
        with as_bad_input(self.path, KIND):
            self._connection = sqlite3.connect(
                self.path, timeout=TIMEOUT_SECONDS, isolation_level=None
            )
        try:
            with as_bad_input(self.path, KIND):
                _prepare(self._connection, str(self.path))
                stored = _agree(self._connection, given, str(self.path))
        except BaseException:
            self._connection.close()
            raise
        self.decay, self.jump = stored["decay"], stored["jump"]
        self.prior = (stored["prior_success"], stored["prior_failure"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def update(self, tallies: Tallies, *, version: str = "", at: str | None = None) -> None:
        """Record one visit of each group, all in one transaction.

        Args:
            tallies: Counts of the visit. Broken and unscored attempts are kept in the history and
                change no rate.
            version: The policy's version (step, checkpoint).
            at: When, ISO 8601. None: now, in UTC.
        """
        when = at or datetime.now(UTC).isoformat(timespec="seconds")
        rows = list(
            zip(
                tallies.task.tolist(),
                tallies.policy.tolist(),
                tallies.n_success.tolist(),
                tallies.n_failure.tolist(),
                tallies.n_broken.tolist(),
                tallies.n_unscored.tolist(),
                strict=True,
            )
        )
        with self._transaction() as connection:
            connection.executemany(_VISIT, ((*row, version, when) for row in rows))
            connection.executemany(_UPDATE, self._bindings(rows, version))

    def get(self, task: str, policy: str = "unknown") -> Posterior | None:
        """Return what is known of one task, or None when it was never seen."""
        with as_bad_input(self.path, KIND):
            query = f"{_SELECT} WHERE task = ? AND policy = ?"
            row = self._connection.execute(query, (task, policy)).fetchone()
        return None if row is None else Posterior(*row)

    def rows(self) -> Iterator[Posterior]:
        """Yield all posteriors, by task and policy."""
        with as_bad_input(self.path, KIND), closing(self._connection.cursor()) as cursor:
            for row in cursor.execute(_SELECT + " ORDER BY task, policy"):
                yield Posterior(*row)

    def evidence(self, tasks: Sequence[str], policies: Sequence[str]) -> DiscountedCounts:
        """Return the discounted successes and trials held of each (task, policy).

        These are the pseudo-counts less the prior, ready for `p_lucky`.
        """
        known = {(row.task, row.policy): row for row in self.rows()}
        a0, b0 = self.prior
        pairs = [known.get(key) for key in zip(tasks, policies, strict=True)]
        s = np.array([0.0 if row is None else row.alpha - a0 for row in pairs])
        f = np.array([0.0 if row is None else row.beta - b0 for row in pairs])
        s, f = np.maximum(s, 0.0), np.maximum(f, 0.0)  # rounding may leave −1e-16
        return DiscountedCounts(s, s + f)

    def counts(self, *, band: tuple[float, float] = DEFAULT_BAND) -> dict[TaskStatus, int]:
        """Return how many tasks are in each status; every status has a key."""
        checked_band(band)
        found = list(self.rows())
        a, b = [row.alpha for row in found], [row.beta for row in found]
        automatic = statuses(a, b, n_scored=[r.n_success + r.n_failure for r in found], band=band)
        result = dict.fromkeys(TaskStatus, 0)
        for row, status in zip(found, automatic, strict=True):
            result[status if row.quarantine is None else TaskStatus.QUARANTINED] += 1
        return result

    def quarantine(self, task: str, policy: str, *, reason: str) -> None:
        """Set a task aside until `release`; its counts stay.

        Raises:
            BadInput: The ledger has never seen it.
        """
        self._mark(task, policy, reason=reason, kind="quarantined")

    def release(self, task: str, policy: str, *, reason: str) -> None:
        """Take a task out of quarantine.

        Raises:
            BadInput: The ledger has never seen it.
        """
        self._mark(task, policy, reason=reason, kind="released")

    def _mark(self, task: str, policy: str, *, reason: str, kind: str) -> None:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        held = reason if kind == "quarantined" else None
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE rate SET quarantine = ? WHERE task = ? AND policy = ?", (held, task, policy)
            ).rowcount
            if not changed:
                raise BadInput("a task the ledger has seen", got=f"{task!r} by {policy!r}")
            connection.execute(
                "INSERT INTO event VALUES (NULL, ?, ?, ?, ?, ?)", (task, policy, kind, reason, when)
            )

    def _bindings(
        self, rows: Sequence[tuple[str, str, int, int, int, int]], version: str
    ) -> Iterator[dict[str, str | int | float]]:
        a0, b0 = self.prior
        same = {"a0": a0, "b0": b0, "fade": self.decay, "jump": self.jump, "version": version}
        for task, policy, s, f, _, _ in rows:
            yield {"task": task, "policy": policy, "s": s, "f": f, **same}

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with as_bad_input(self.path, KIND), transaction(self._connection):
            yield self._connection


def _settings(
    *, decay: float | None, prior: tuple[float, float] | None, jump: float | None
) -> dict[str, float]:
    for name, share in (("decay", decay), ("jump", jump)):
        if share is not None and not 0 <= share <= 1:
            raise BadInput("a share between 0 and 1", got=str(share), where=name)
    if prior is not None and min(prior) <= 0:
        raise BadInput("positive pseudo-counts", got=str(prior), where="prior")
    pair = prior or (None, None)
    named = {"decay": decay, "jump": jump, "prior_success": pair[0], "prior_failure": pair[1]}
    return {name: float(value) for name, value in named.items() if value is not None}


def _prepare(connection: sqlite3.Connection, where: str) -> None:
    done = checked_version(connection, KIND, migrations=MIGRATIONS, where=where)
    use_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    migrate(connection, KIND, migrations=MIGRATIONS, done=done)


def _agree(connection: sqlite3.Connection, given: dict[str, float], where: str) -> dict[str, float]:
    standard = {
        "decay": DEFAULT_DECAY,
        "jump": 0.0,
        "prior_success": DEFAULT_PRIOR[0],
        "prior_failure": DEFAULT_PRIOR[1],
    }
    connection.executemany(
        "INSERT OR IGNORE INTO setting VALUES (?, ?)", (standard | given).items()
    )
    stored = dict(connection.execute("SELECT name, value FROM setting").fetchall())
    for name, value in given.items():
        if stored[name] != value:
            raise BadInput(
                f"{name} {stored[name]} as the ledger was made with",
                got=str(value),
                where=where,
                fix="Leave it out, or start another file.",
            )
    return stored
