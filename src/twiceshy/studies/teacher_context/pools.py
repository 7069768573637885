"""The problems that students are taught on, chosen by the base's own attempts at them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from twiceshy.attempts import Attempt
from twiceshy.files import whole_file
from twiceshy.studies.teacher_context.answers import (
    Drawn,
    as_attempts,
    draw_problems,
    judged,
    respond,
)
from twiceshy.studies.teacher_context.plan import Arm, Size
from twiceshy.studies.teacher_context.problems import TRAINED, Problem
from twiceshy.studies.teacher_context.traces import N_RESPONSE, first_mistake, is_straight
from twiceshy.training.policy import TinyPolicy

N_OWN = 4
"""Attempts of the base at each problem of training."""


class Pool(NamedTuple):
    """Problems to teach, with the base's own attempts: the same for every arm that uses it."""

    problems: list[Problem]
    mistakes: list[str | None]
    """The first wrong node of one of the base's failed answers."""
    own: list[Attempt]
    """All of its attempts at every problem of training, in the pool or not."""


def pool_of(base: TinyPolicy, arm: Arm, size: Size, *, seed: int, folder: Path) -> Pool:
    """Return the problems of an arm: those that the base fails at times.

    Where traces are matched in length, those that one of its own right attempts goes through
    without a word more than the solution has, but for "check".

    Args:
        base: Who attempts them first.
        arm: Whose problems.
        size: How many are looked at and kept.
        seed: Of problems and attempts.
        folder: Where the base's attempts are kept for the other arms.
    """
    problems, own = _own_answers(base, size, seed=seed, folder=folder)
    pool = Pool([], [], as_attempts(own, policy="base"))
    for i, problem in enumerate(problems):
        rows = range(N_OWN * i, N_OWN * (i + 1))
        named = [first_mistake(problem, own.words[j]) for j in rows if not own.right[j]]
        mistake = next((each for each in named if each is not None), None)
        if arm.edit == "matched":
            fits = any(own.right[j] and is_straight(problem, own.words[j]) for j in rows)
        else:
            fits = mistake is not None
        if fits and len(pool.problems) < 5 * size.n_traces // 2:
            pool.problems.append(problem)
            pool.mistakes.append(mistake)
    return pool


def _own_answers(
    base: TinyPolicy, size: Size, *, seed: int, folder: Path
) -> tuple[list[Problem], Drawn]:
    """Return the problems of training and the base's own answers, read where they are kept."""
    problems = draw_problems(TRAINED, 10 * size.n_traces, seed=seed, purpose="train")
    kept = folder / f"{seed}-{size.n_traces}.npz"
    if kept.exists():
        with np.load(kept) as arrays:
            tokens, entropy = torch.tensor(arrays["tokens"]), torch.tensor(arrays["entropy"])
        return problems, judged(problems, tokens, entropy)
    own = respond(base, problems, n_samples=N_OWN, seed=seed, purpose="own")
    kept.parent.mkdir(parents=True, exist_ok=True)
    padded = [row + [0.0] * (N_RESPONSE - len(row)) for row in own.entropies]
    with whole_file(kept) as path, path.open("wb") as file:
        np.savez(file, tokens=own.tokens.numpy(), entropy=np.array(padded, dtype=np.float32))
    return problems, own
