"""Which rows of a batch are outputs of one session, and which sessions answer one prompt.

verl hands an estimator the array `index`: the prompt's `uid`, or, where the sampler of this package
is in use, the whole key `{uid}_{session}_{index}`. A session with several outputs (a context that
was cut and resumed) has a row for each, all with the session's reward. Counted by rows it would
enter its group's mean several times and weigh several times in the loss.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from twiceshy.errors import BadInput

_KEY = re.compile(r"(?P<uid>.+)_(?P<session>\d+)_(?P<index>\d+)")
_log = logging.getLogger(__name__)
_told: set[str] = set()


class Sessions(NamedTuple):
    """S sessions of N rows."""

    last: Tensor
    """The row that holds each session's last output, int64 (S,)."""
    group: Tensor
    """Each session's prompt as a number, int64 (S,)."""
    of_row: Tensor
    """Each row's session, int64 (N,)."""
    n_outputs: Tensor
    """Rows of each session, int64 (S,)."""


def sessions_of(index: Sequence[object], *, padding: Tensor) -> Sessions:
    """Return the sessions of a batch.

    Args:
        index: An id a row: the prompt's, or the whole key `{uid}_{session}_{index}`.
        padding: Rows that verl added to fill the batch, bool (N,); their ids may have any form.

    Raises:
        BadInput: If a key is there twice, or only some rows have whole keys.

    Example:
        >>> found = sessions_of(["a_0_0", "a_0_1", "a_1_0"], padding=torch.zeros(3) == 1)
        >>> found.last.tolist(), found.n_outputs.tolist(), found.group.tolist()
        ([1, 2], [2, 1], [0, 0])
    """
    ids = [str(each) for each in index]
    keys = [_KEY.fullmatch(each) for each in ids]
    real = [row for row, pad in enumerate(padding.tolist()) if not pad]
    whole = [row for row in real if keys[row]]
    if whole and len(whole) < len(real):
        other = next(ids[row] for row in real if not keys[row])
        raise BadInput(
            "ids of one form: all whole keys {uid}_{session}_{index}, or all prompt ids",
            got=f"{ids[whole[0]]} beside {other}",
            where="index",
        )
    _refuse_twice([ids[row] for row in whole])
    named = [
        (found["uid"], found["session"], int(found["index"])) if found else (ids[row], str(row), 0)
        for row, found in enumerate(keys)
    ]
    return _gathered(named)


def check_sizes(sessions: Sessions, counted: Tensor, *, group_size: int | None) -> None:
    """Refuse groups of another size than the run says; without a word from it, tell once.

    Args:
        sessions: Of the batch.
        counted: Which sessions are real, bool (S,).
        group_size: `algorithm.twiceshy.group_size`, or None.

    Raises:
        BadInput: If a size was given and a group has another.
    """
    sizes = torch.bincount(sessions.group[counted])
    sizes = sizes[sizes > 0].tolist()
    seen = ", ".join(f"{n} of {size}" for size, n in sorted(Counter(sizes).items()))
    if group_size is not None and any(size != group_size for size in sizes):
        raise BadInput(
            f"groups of {group_size} sessions",
            got=f"groups by size: {seen}",
            where="algorithm.twiceshy.group_size",
            fix="Set trainer.v1.sampler.sync_refill_failed_groups=True and look why sessions fail, "
            "or leave group_size out to take each group as it is.",
        )
    if len(set(sizes)) > 1 and "sizes" not in _told:
        _told.add("sizes")
        _log.warning(
            "twiceshy: groups of mixed sizes (%s); sessions failed or were left out. Each group is "
            "compared within itself. +algorithm.twiceshy.group_size=<rollout.n> refuses them.",
            seen,
        )


def _refuse_twice(keys: Sequence[str]) -> None:
    twice = [key for key, n in Counter(keys).items() if n > 1]
    if twice:
        raise BadInput(
            "each row once",
            got=f"{twice[0]} twice ({len(twice)} such keys)",
            where="index",
            fix="Look for a sampler that hands out a row again, or a batch joined with itself.",
        )


def _gathered(named: Sequence[tuple[str, str, int]]) -> Sessions:
    session: dict[tuple[str, str], int] = {}
    prompt: dict[str, int] = {}
    last: dict[int, int] = {}
    of_row = [session.setdefault((uid, name), len(session)) for uid, name, _ in named]
    for row, each in enumerate(of_row):
        if each not in last or named[last[each]][2] < named[row][2]:
            last[each] = row
    group = [prompt.setdefault(uid, len(prompt)) for uid, _ in session]
    rows = torch.tensor(of_row, dtype=torch.int64)
    return Sessions(
        torch.tensor([last[each] for each in range(len(session))], dtype=torch.int64),
        torch.tensor(group, dtype=torch.int64),
        rows,
        torch.bincount(rows, minlength=len(session)),
    )
