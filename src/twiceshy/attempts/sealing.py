"""Give every attempt its id, and tell a duplicate from a sample that happens to be equal.

The same record read twice (a file given twice, overlapping globs) has the same id and is a
duplicate. Equal samples within one file that declares no trials are different attempts: the n-th
gets the hash of its content and n.
"""

from __future__ import annotations

import msgspec

from twiceshy.attempts.codec import attempt_id
from twiceshy.attempts.types import Attempt


class Sealer:
    """Seals the attempts of one reading, file by file."""

    def __init__(self) -> None:
        self._file_of: dict[str, int] = {}
        self._n_equal: dict[str, int] = {}
        self._declared: set[int] = set()
        self._file = 0
        self.n_duplicates = 0
        """Attempts not given out because one with the same id was."""
        self.n_conflicting = 0
        """Attempts given out that share task, policy and declared trial with a different one."""

    def next_file(self) -> None:
        """Say that the attempts that follow come from another file."""
        self._file += 1
        self._n_equal.clear()

    def seal(self, attempt: Attempt) -> Attempt | None:
        """Return the attempt with its id, or None for a duplicate.

        Raises:
            BadInput: When text in the attempt is not valid Unicode.
        """
        name = attempt.id or attempt_id(attempt)
        if name not in self._file_of:
            return self._first(attempt, name)
        if attempt.id or attempt.trial is not None:
            self.n_duplicates += 1
            return None
        return self._equal(attempt, name)

    def _first(self, attempt: Attempt, name: str) -> Attempt:
        self._file_of[name] = self._file
        if attempt.trial is not None:
            key = hash((attempt.task, attempt.policy, attempt.trial))
            self.n_conflicting += key in self._declared
            self._declared.add(key)
        return attempt if attempt.id else msgspec.structs.replace(attempt, id=name)

    def _equal(self, attempt: Attempt, name: str) -> Attempt | None:
        """Return the n-th of equal samples in this file, unless an earlier file had it as well."""
        n_before = self._n_equal.get(name, int(self._file_of[name] == self._file))
        self._n_equal[name] = n_before + 1
        own_name = attempt_id(attempt, occurrence=n_before)
        if n_before == 0 or own_name in self._file_of:
            self.n_duplicates += 1
            return None
        self._file_of[own_name] = self._file
        return msgspec.structs.replace(attempt, id=own_name)
