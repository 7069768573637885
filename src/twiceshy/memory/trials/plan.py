"""Before a question is asked: how many tasks would answer it?"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.planning import arms_needed, betting_needed, paired_needed
from twiceshy.lessons import Status
from twiceshy.memory.trials.design import TrialDesign

Question = Literal["pair", "bank", "lesson"]
"""Each task with and without the bank; the bank by a coin for each run; one lesson by its coin."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a question costs."""

    question: Question
    difference: float
    at_once: int
    """Tasks when the result is looked at once, at the end (two-sided alpha)."""
    anytime: int | None
    """Tasks when it is looked at all the while, as `effect` allows (one-sided alpha); None: more
    than eight times `at_once`."""
    runs: int
    """Runs of the agent behind `at_once`."""
    assumptions: str


def tasks_needed_for(
    question: Question,
    *,
    difference: float,
    design: TrialDesign | None = None,
    status: Status = Status.SHADOW,
    rate: float = 0.5,
    explained: float = 0.0,
    discordant: float = 0.25,
    recalled: float = 1.0,
    alpha: float = 0.05,
    power: float = 0.8,
    seed: int = 0,
) -> Plan:
    """Return how many tasks a question needs before it is asked.

    Args:
        question: "pair": each task with and without the bank. "bank": the coin that holds back a
            run's whole set. "lesson": the coin of one lesson, shown against withheld.
        difference: Gain in P(success) that should not be missed, in (0, 1).
        design: Chances of the coins. Default: `TrialDesign()`.
        status: Of the lesson: its coin depends on it.
        rate: P(success) without lessons.
        explained: Share of the outcome's variance that the difficulty of tasks explains.
        discordant: For "pair": share of tasks that come out differently.
        recalled: Share of tasks for which the lesson (or, for "bank", any) is recalled.
        alpha: Error rate.
        power: Wanted chance of finding the difference.
        seed: Seed of the simulation behind `anytime`.

    Raises:
        BadInput: A value is out of range, or the design never draws one of the arms.

    Example:
        >>> tasks_needed_for("pair", difference=0.10).at_once
        189
        >>> plan = tasks_needed_for("lesson", difference=0.10, recalled=0.2)
        >>> plan.at_once, plan.anytime > plan.at_once
        (6478, True)
    """
    if not 0 < recalled <= 1:
        raise BadInput("a share of tasks in (0, 1]", got=repr(recalled), where="recalled")
    if question == "pair":
        return _pair(difference, discordant=discordant, alpha=alpha, power=power, seed=seed)
    chosen = design or TrialDesign()
    arms = chosen.whole_arms if question == "bank" else chosen.arms(status)
    shown, withheld = arms.get("shown", 0.0), arms.get("withheld", 0.0)
    if not shown or not withheld:
        raise BadInput(
            "a design that both shows and withholds",
            got=", ".join(f"{name} {chance:g}" for name, chance in arms.items()),
            where="design",
            fix="Give each a chance of at least 0.01.",
        )
    at_once = arms_needed(
        difference,
        first=shown,
        second=withheld,
        rate=min(1.0, rate + difference / 2),
        explained=explained,
        alpha=alpha,
        power=power,
    )
    found = _bets(shown, withheld, difference=difference, rate=rate, explained=explained)
    anytime = betting_needed(*found, at_once=at_once, alpha=alpha, power=power, seed=seed)
    told = recalled * (1.0 if question == "bank" else chosen.whole_arms["shown"])
    return Plan(
        question=question,
        difference=difference,
        at_once=math.ceil(at_once / told),
        anytime=None if anytime.n_tasks is None else math.ceil(anytime.n_tasks / told),
        runs=math.ceil(at_once / told),
        assumptions=f"P(success) {rate:g} without, shown {shown:g}, withheld {withheld:g}, "
        f"recalled for {recalled:.0%} of tasks, difficulty explains {explained:.0%}",
    )


def _pair(difference: float, *, discordant: float, alpha: float, power: float, seed: int) -> Plan:
    at_once = paired_needed(difference, discordant=discordant, alpha=alpha, power=power)
    up, down = (discordant + difference) / 2, (discordant - difference) / 2
    anytime = betting_needed(
        [1.0, -1.0, 0.0],
        [up, down, 1 - discordant],
        at_once=at_once,
        alpha=alpha,
        power=power,
        seed=seed,
    )
    return Plan(
        question="pair",
        difference=difference,
        at_once=at_once,
        anytime=anytime.n_tasks,
        runs=2 * at_once,
        assumptions=f"{discordant:.0%} of tasks come out differently in the two runs",
    )


def _bets(
    shown: float, withheld: float, *, difference: float, rate: float, explained: float
) -> tuple[list[float], list[float]]:
    """Return the possible gains of `contrast`'s bet and their chances.

    Tasks are of two kinds, whose rates lie as far apart as `explained` asks for.
    """
    apart = math.sqrt(explained * rate * (1 - rate))
    scale = 1 + 1 / min(shown, withheld)
    gains, chances = [0.0], [1 - shown - withheld]
    for expected in (rate - apart, rate + apart):
        for chance, sign, p in ((shown, 1, expected + difference), (withheld, -1, expected)):
            success = min(1.0, max(0.0, p))
            gains += [sign * (1 - expected) / chance / scale, -sign * expected / chance / scale]
            chances += [chance * success / 2, chance * (1 - success) / 2]
    return gains, [max(0.0, each) for each in chances]
