"""Which split a prompt is in, and drawing different prompts from one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.training.streams import generator, row_hashes
from twiceshy.training.tasks.types import Split, Tokens

_SPLITS: dict[Split, tuple[int, ...]] = {"test": (0,), "train": (1,), "sft": tuple(range(2, 10))}
_MAX_ROUNDS = 30


def in_split(prompts: Tokens, split: Split) -> NDArray[np.bool_]:
    """Return which prompts are in a split: hash mod 10 is 0 test, 1 train, 2 to 9 sft.

    Example:
        >>> rows = np.arange(30).reshape(10, 3)
        >>> int(sum(in_split(rows, split).sum() for split in ("test", "train", "sft")))
        10
    """
    buckets = (row_hashes(prompts) % np.uint64(10)).astype(np.int64)
    return np.isin(buckets, _SPLITS[split])


def choose_prompts(pool: Tokens, *, n: int, split: Split, seed: int) -> Tokens:
    """Return n different rows of a pool of different prompts, in random order.

    Raises:
        BadInput: When the split holds fewer.
    """
    held = pool[in_split(pool, split)]
    if n > len(held):
        raise BadInput(f"at most {len(held)} prompts of split {split}", got=str(n))
    return held[generator(seed, f"choose {split}").permutation(len(held))[:n]]


def gather_prompts(
    draw: Callable[[int, np.random.Generator], Tokens], *, n: int, split: Split, seed: int
) -> Tokens:
    """Return n different prompts of a split from a source that draws random ones.

    Raises:
        BadInput: When the source does not yield that many in reasonable time.
    """
    rng = generator(seed, f"gather {split}")
    found = draw(0, rng)
    for _ in range(_MAX_ROUNDS):
        if len(found) >= n:
            return found[:n]
        fresh = draw(16 * n + 64, rng)
        rows = np.concatenate([found, fresh[in_split(fresh, split)]])
        _, first = np.unique(rows, axis=0, return_index=True)
        found = rows[np.sort(first)]
    raise BadInput(f"at most {len(found)} different prompts of split {split}", got=str(n))
