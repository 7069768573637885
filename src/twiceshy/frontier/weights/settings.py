"""What `weights` is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from twiceshy.frontier.rates import JEFFREYS

AllWrong = Literal["as_is", "constant", "drop", "ngrpo"]
"""Those of `twiceshy.objectives.treat_all_wrong` that need no tokens."""
TruncatedAs = Literal["abstain", "as_judged"]
SmallGroups = Literal["refuse", "drop"]
Option = float | int | str


class WeightSettings(msgspec.Struct, frozen=True, kw_only=True):
    """From outcomes to advantages; every field is in the manifest.

    Attributes:
        objective: Name of an objective of `twiceshy.objectives`.
        options: Its options.
        all_wrong: What a group of two or more failures and no success gets.
        strength: Scale of that, 0 to 1.
        p0: Rate of undeserved reward, one for all tasks or by task. None: luck is not judged.
        tau: The checker's true-positive rate, in (0, 1].
        prior: Pseudo-counts (success, failure) of a sound solution.
        max_lucky: A success with a larger P(lucky) is kept out. None: none is.
        truncated_as: What an attempt cut at a length limit counts as.
        small_groups: What to do with groups that are too small for the objective to compare.
    """

    objective: str = "grpo"
    options: dict[str, Option] = {}
    all_wrong: AllWrong = "as_is"
    strength: float = 1.0
    p0: float | Mapping[str, float] | None = None
    tau: float = 1.0
    prior: tuple[float, float] = JEFFREYS
    max_lucky: float | None = None
    truncated_as: TruncatedAs = "abstain"
    small_groups: SmallGroups = "refuse"
