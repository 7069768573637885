"""Randomness that depends on names and numbers alone, never on what was drawn before.

Every draw is a function of (seed, what it is for, where it is), so a run that resumes needs no
generator's state, and a sequence's draws do not depend on which others share its batch.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def generator(seed: int, purpose: str, *place: int) -> np.random.Generator:
    """Return a generator for one purpose at one place, such as ("prompts", step).

    Example:
        >>> bool(generator(1, "prompts", 7).random() == generator(1, "prompts", 7).random())
        True
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *place])


def mix(values: Keys) -> Keys:
    """Return well mixed 64-bit hashes, shape as given.

    Source: the output function of SplitMix64 (Steele, Lea and Flood 2014, figure 16).
    """
    mixed = (values ^ (values >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return mixed ^ (mixed >> np.uint64(31))


def row_hashes(rows: NDArray[np.int64]) -> Keys:
    """Return a hash of each row's values in order, shape (n_rows,)."""
    hashed = np.full(len(rows), 0x2545F4914F6CDD1D, dtype=np.uint64)
    for column in rows.astype(np.uint64).T:
        hashed = mix((hashed ^ (column + np.uint64(1))) + _GOLDEN)
    return hashed


def sequence_keys(seed: int, *, purpose: str, step: int, n: int) -> Keys:
    """Return one key for each of n sequences of a step, shape (n,).

    A sequence keeps its key wherever its batch is cut.
    """
    first = generator(seed, purpose, step).integers(0, 2**63, dtype=np.uint64)
    return mix(np.asarray(first) + _GOLDEN * np.arange(1, n + 1, dtype=np.uint64))


def uniforms(keys: Keys, n_tokens: int) -> NDArray[np.float32]:
    """Return numbers in (0, 1) for each sequence and token position, shape (n_rows, n_tokens).

    Example:
        >>> keys = sequence_keys(1, purpose="rollouts", step=0, n=4)
        >>> bool((uniforms(keys, 5)[2:] == uniforms(keys[2:], 5)).all())
        True
    """
    places = _GOLDEN * np.arange(1, n_tokens + 1, dtype=np.uint64)
    bits = mix(keys[:, None] + places) >> np.uint64(41)  # 23 bits: never rounds to 1 in float32
    return ((bits.astype(np.float64) + 0.5) / 2**23).astype(np.float32)
