"""Who is told what: every recalled lesson is shown, withheld or replaced, by a logged coin.

Three ideas:

1. A coin is a function of (seed, run, lesson). It needs no state, two processes agree about it, and
   a lesson recalled twice in one run meets the same fate both times.
2. A first coin may hold back the whole set, which measures the bank; the coins of single lessons
   are tossed only where it did not, because what a lesson adds depends on what is beside it.
3. What may happen to a lesson depends on its status: a candidate is never told to anybody, a lesson
   in trial (shadow) by an even coin, an active one nearly always.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from twiceshy.errors import BadInput
from twiceshy.lessons import Status
from twiceshy.memory.bank.types import Decision, Moment, Shown

Arms = dict[Shown, float]
"""Probability of each arm; those that cannot happen are left out."""

_TOLD = (Status.SHADOW, Status.ACTIVE)
"""Statuses whose lessons an agent may be told; the others are withheld, and logged as such."""
_MIN_CHANCE = 0.01
"""An arm drawn less often would give one run a hundred times the weight of another. Ours."""


class Candidate(Protocol):
    """A lesson that recall proposes for a run."""

    @property
    def id(self) -> str:
        """Id of the lesson."""
        ...

    @property
    def status(self) -> Status:
        """What is done with it."""
        ...


class TrialDesign(msgspec.Struct, frozen=True, kw_only=True):
    """With what chance a recalled lesson is shown, withheld, or replaced by a placebo.

    Raises:
        BadInput: Chances outside [0, 1], with a sum above 1, or between 0 and 0.01.

    Example:
        >>> TrialDesign(shadow_withheld=0.3, shadow_placebo=0.2).arms(Status.SHADOW)
        {'shown': 0.5, 'withheld': 0.3, 'placebo': 0.2}
    """

    hold_out: float = 0.1
    """That a run gets no lesson at all."""
    whole_placebo: float = 0.0
    """That a run gets placebos only."""
    shadow_withheld: float = 0.25
    shadow_placebo: float = 0.25
    active_withheld: float = 0.1
    active_placebo: float = 0.1

    def __post_init__(self) -> None:
        for name, first, second in (
            ("hold_out, whole_placebo", self.hold_out, self.whole_placebo),
            ("shadow", self.shadow_withheld, self.shadow_placebo),
            ("active", self.active_withheld, self.active_placebo),
        ):
            shares = (first, second, 1 - (first + second))
            if any(share != 0 and not _MIN_CHANCE <= share <= 1 for share in shares):
                raise BadInput(
                    "chances of 0 or at least 0.01 that add up to at most 0.99 or to 1",
                    got=f"{first}, {second}",
                    where=name,
                )

    def arms(self, status: Status) -> Arms:
        """Return the chance of each arm of one lesson, where the set is not held back."""
        if status is Status.SHADOW:
            return _arms(self.shadow_withheld, self.shadow_placebo)
        if status is Status.ACTIVE:
            return _arms(self.active_withheld, self.active_placebo)
        return {"withheld": 1.0}

    @property
    def whole_arms(self) -> Arms:
        """Chance of what becomes of a run's lessons as a whole."""
        return _arms(self.hold_out, self.whole_placebo)


ALWAYS_SHOWN = TrialDesign(
    hold_out=0.0,
    shadow_withheld=0.0,
    shadow_placebo=0.0,
    active_withheld=0.0,
    active_placebo=0.0,
)
"""No trial: whatever recall finds is shown, and nothing can be said about what it does."""


def decide(
    candidates: Sequence[Candidate],
    *,
    run_id: str,
    design: TrialDesign | None = None,
    seed: int = 0,
    scores: Mapping[str, float] | None = None,
    moment: Moment = "start",
    step: int | None = None,
) -> tuple[Decision, ...]:
    """Toss the coins of one run's candidates; nothing is written anywhere.

    P(all arms of a run) = whole_arms[whole] · Π propensity

    Args:
        candidates: Lessons that recall proposes, best first. A lesson named twice counts once.
        run_id: The run; with the seed and the lesson it fixes the coin.
        design: The chances. Default: `TrialDesign()`.
        seed: Secret of the coins: who knows it before a run can foresee them.
        scores: Recall's score of each lesson, to be logged.
        moment: When they were recalled.
        step: After which step, for "after_error".

    Returns:
        One decision a candidate, in their order.

    Example:
        >>> from twiceshy.lessons import Lesson
        >>> lesson = Lesson(id="a", kind="avoid", text="Do Y.", status=Status.SHADOW)
        >>> [first] = decide([lesson], run_id="run-1", seed=7)
        >>> first == decide([lesson], run_id="run-1", seed=7)[0], first.arms[first.arm]
        (True, 0.5)
    """
    chosen, once = design or TrialDesign(), {each.id: each for each in candidates}
    can_be_shown = any(each.status in _TOLD for each in once.values())
    whole_arms = chosen.whole_arms if can_be_shown else {}
    whole = _draw(whole_arms, seed=seed, names=(run_id,)) if whole_arms else "shown"

    def toss(rank: int, each: Candidate) -> Decision:
        arms = _arms_within(chosen, each.status, whole=whole)
        arm = _draw(arms, seed=seed, names=(run_id, each.id))
        return Decision(
            run_id=run_id,
            lesson_id=each.id,
            arm=arm,
            propensity=arms[arm],
            arms=arms,
            whole=whole,
            whole_arms=whole_arms,
            score=(scores or {}).get(each.id),
            rank=rank,
            moment=moment,
            step=step,
        )

    return tuple(toss(rank, each) for rank, each in enumerate(once.values()))


def _arms_within(design: TrialDesign, status: Status, *, whole: Shown) -> Arms:
    if whole == "shown" or status not in _TOLD:
        return design.arms(status)
    return {whole: 1.0}


def _arms(withheld: float, placebo: float) -> Arms:
    arms: Arms = {"shown": 1.0 - (withheld + placebo), "withheld": withheld, "placebo": placebo}
    return {name: chance for name, chance in arms.items() if chance > 0}


def _draw(arms: Arms, *, seed: int, names: Iterable[str]) -> Shown:
    """Return the arm in which a number in [0, 1) falls that seed and names fix."""
    key = "\x1f".join((str(seed), *names)).encode()
    place = int.from_bytes(hashlib.blake2b(key, digest_size=7).digest()) / 2**56
    for arm, chance in arms.items():
        place -= chance
        if place < 0:
            return arm
    return next(reversed(arms))
