"""Events by attempts: the numeric table that lessons are mined from and tested on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class EventTable:
    """Which events each scored attempt shows. Attempts that are broken or unscored are not in it.

    Attributes:
        present: bool, shape (n_attempts, n_events).
        failed: bool, shape (n_attempts,). True for a failure, False for a success.
        task: int64, shape (n_attempts,). Codes into `task_names`.
        policy: int64, shape (n_attempts,). Codes into `policy_names`.
        attempt_ids: Attempt ids, one a row.
        names: Event names, one a column; readable sentences fragments, unique.
        families: The vocabulary's family of each event.
        fault: bool, shape (n_events,). True where the vocabulary's author named the event a fault
            beforehand (the hand-written check list).
        aliases: For each event, the names of near-identical events merged into it; empty when
            the table was built without merging.
    """

    present: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    task: NDArray[np.int64]
    policy: NDArray[np.int64]
    attempt_ids: tuple[str, ...]
    names: tuple[str, ...]
    families: tuple[str, ...]
    fault: NDArray[np.bool_]
    task_names: tuple[str, ...]
    policy_names: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...] = ()

    def of_rows(self, rows: NDArray[np.bool_]) -> EventTable:
        """Return the table of some attempts; events and codes stay as they are.

        Args:
            rows: bool, shape (n_attempts,).
        """
        return replace(
            self,
            present=self.present[rows],
            failed=self.failed[rows],
            task=self.task[rows],
            policy=self.policy[rows],
            attempt_ids=tuple(compress(self.attempt_ids, rows.tolist())),
        )
