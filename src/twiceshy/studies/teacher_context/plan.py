"""The arms of the study, what is compared between them, and how much of everything."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec

from twiceshy.errors import BadInput
from twiceshy.studies.teacher_context.problems import HARD, TRAINED, Rung

Kind = Literal["traces", "on-policy"]
Edit = Literal["", "unmarked", "short", "marked", "matched"]


class Arm(NamedTuple):
    """How a student is taught."""

    name: str
    rung: Rung
    kind: Kind = "traces"
    edit: Edit = ""
    """What is done to the teacher's traces, or which of them are taken."""
    rate: float = 0.0
    """How fast an on-policy teacher follows the student."""


ARMS = (
    Arm("none", "none"),
    Arm("critique", "critique"),
    Arm("hint", "hint"),
    Arm("solution", "solution"),
    Arm("none, short", "none", edit="short"),
    Arm("none, unmarked", "none", edit="unmarked"),
    Arm("solution, marked", "solution", edit="marked"),
    Arm("none, matched", "none", edit="matched"),
    Arm("solution, matched", "solution", edit="matched"),
    Arm("on-policy critique", "critique", kind="on-policy"),
    Arm("on-policy solution", "solution", kind="on-policy"),
    Arm("on-policy solution, moving", "solution", kind="on-policy", rate=0.05),
)
BY_NAME = {arm.name: arm for arm in ARMS}

Claim = Literal["below 0", "above 0", "not below 0", ""]


class Contrast(NamedTuple):
    """A comparison of two arms that was fixed beforehand."""

    arm: str
    other: str
    problems: str
    asks: str
    claim: Claim = ""
    """Where arm − other was said to lie; nothing was said where it is empty."""


CONTRASTS = (
    Contrast("solution", "none", HARD, "rich context costs robustness (below 0)", "below 0"),
    Contrast("critique", "solution", HARD, "a critique keeps it (above 0)", "above 0"),
    Contrast(
        "solution",
        "none",
        TRAINED,
        "and in domain it costs nothing (not below 0)",
        "not below 0",
    ),
    Contrast("none, short", "none", HARD, "length alone"),
    Contrast("none, unmarked", "none", HARD, "markers alone, search kept"),
    Contrast("solution, marked", "solution", HARD, "markers added, no search"),
    Contrast("solution, matched", "none, matched", HARD, "context, at equal length and problems"),
)
"""Everything else that is reported is an afterthought. The last was added after one run each of
"none" and "solution" at another rate."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything.

    Raises:
        BadInput: When something is less than one, epochs do not rise from 0, or an arm is unknown.

    Example:
        >>> Size(epochs=(1, 2))
        Traceback (most recent call last):
        ...
        twiceshy.errors.BadInput: epochs: expected rising numbers from 0 on, got (1, 2).
    """

    n_seeds: int = 10
    n_traces: int = 800
    """Right traces a student learns from, as in the source."""
    epochs: tuple[int, ...] = (0, 1, 2, 4, 8)
    """When the student is evaluated."""
    batch: int = 64
    rate: float = 3e-4
    """Of learning, in all arms; chosen by the arm "none", see the experiment's README."""
    n_eval: int = 300
    n_samples: int = 2
    arms: tuple[str, ...] = tuple(BY_NAME)

    def __post_init__(self) -> None:
        for name in ("n_seeds", "n_traces", "batch", "n_eval", "n_samples"):
            if getattr(self, name) < 1:
                raise BadInput("at least 1", got=str(getattr(self, name)), where=name)
        rises = all(one < other for one, other in pairwise(self.epochs))
        if len(self.epochs) < 2 or self.epochs[0] != 0 or not rises:
            raise BadInput("rising numbers from 0 on", got=str(self.epochs), where="epochs")
        if not self.arms or not set(self.arms) <= set(BY_NAME):
            raise BadInput(f"arms among {'; '.join(BY_NAME)}", got=str(self.arms), where="arms")


FULL = Size()
QUICK = Size(n_seeds=2, n_traces=300, epochs=(0, 2, 4), n_eval=100, n_samples=1)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One student."""

    arm: str
    seed: int
    size: Size

    @property
    def name(self) -> str:
        """File name of the result."""
        return f"{self.arm.replace(',', '').replace(' ', '-')}-{self.seed}"


def jobs_of(size: Size) -> list[Job]:
    """Return all runs, seed by seed, so that a stop leaves whole seeds.

    Example:
        >>> [job.name for job in jobs_of(Size(n_seeds=1, arms=("none", "solution, marked")))]
        ['none-0', 'solution-marked-0']
    """
    return [
        Job(arm=arm.name, seed=seed, size=size)
        for seed in range(size.n_seeds)
        for arm in ARMS
        if arm.name in size.arms
    ]
