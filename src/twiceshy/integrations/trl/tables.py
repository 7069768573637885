"""TRL's table of completions, with the advantages that were used and the outcomes in words."""

from __future__ import annotations

from typing import Any

from twiceshy.integrations.trl.labels import Judged

OUTCOME, TRUNCATED = "twiceshy_outcome", "twiceshy_truncated"
"""Columns of the completion table, which the attempts reader takes as the verdict."""


def rewrite_logs(logs: dict[str, Any], *, judged: Judged, advantages: list[float]) -> None:
    """Put the advantages of the latest batch in place of TRL's, and outcomes beside them.

    Args:
        logs: The trainer's `_logs`: a bounded queue a column.
        judged: Labels of all rows of the batch.
        advantages: One number a row, of all rows.

    Example:
        >>> import torch
        >>> from collections import defaultdict, deque
        >>> logs = {"advantages": deque([9.0, 1.0, 2.0]), "extra": defaultdict(deque)}
        >>> judged = Judged(torch.tensor([1, -1]), torch.tensor([False, False]))
        >>> rewrite_logs(logs, judged=judged, advantages=[0.5, -0.5])
        >>> list(logs["advantages"]), list(logs["extra"]["twiceshy_outcome"])
        ([9.0, 0.5, -0.5], ['success', 'failure'])
    """
    queue = logs["advantages"]
    n = min(len(queue), len(advantages))
    kept = list(queue)[: len(queue) - n]
    queue.clear()
    queue.extend([*kept, *advantages[len(advantages) - n :]])
    logs["extra"][OUTCOME].extend(judged.outcomes())
    logs["extra"][TRUNCATED].extend(judged.truncated.tolist())
