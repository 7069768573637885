"""What the held-out test says, in sentences, and how many tasks would be needed when it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twiceshy.evidence.stats.power import tasks_needed
from twiceshy.evidence.stats.ranking import Auc
from twiceshy.evidence.tables import EventTable

if TYPE_CHECKING:
    from twiceshy.evidence.held_out.procedure import Arm, Baseline, NullRank

MIXED_TO_SUGGEST = 30
"""Mixed tasks below which nothing is suggested."""
MIXED_TO_CLAIM = 100
"""Mixed tasks below which nothing is claimed. Both numbers are ours: searches for strong effects in
samples of question-answering logs mostly found nothing below the first, and something from the
second on."""

ODDS_RATIOS, PREVALENCE, TARGET_POWER = (5.0, 3.0), 0.4, 0.8
"""Strength of the patterns that the needed number of tasks is told for; ours."""
_MAX_KINDS = 200
_FEWEST_NULLS = 19
"""Shuffled runs from which p can reach 0.05."""


class Decisive(NamedTuple):
    """The ranking that the verdict rests on."""

    area: Auc
    null: NullRank | None
    is_adjusted: bool
    """Whether each policy's own level was removed."""


def decisive(arm: Arm) -> Decisive:
    """Return the policy-adjusted ranking where several policies made the attempts, else the plain.

    Shuffling within tasks hands a strong policy's successes to a weak one: a score that merely
    tells policies apart would look better than every shuffled run.
    """
    if arm.held_out.adjusted is None:
        return Decisive(arm.held_out.within, arm.null, is_adjusted=False)
    return Decisive(arm.held_out.adjusted, arm.null_adjusted, is_adjusted=True)


class NeededTasks(NamedTuple):
    """How many mixed tasks like these would find one pattern of this strength."""

    n_tasks: int | None
    """None: more than the power search tries, or no mixed task to learn the mix from."""
    odds_ratio: float
    prevalence: float
    alpha: float
    """Level of one test, 0.05 over the patterns searched."""
    power: float


def needed_tasks(table: EventTable, *, n_searched: int, seed: int = 0) -> tuple[NeededTasks, ...]:
    """Return how many mixed tasks of this table's mix find one pattern 4 times out of 5.

    For odds ratio 5 and 3, shown by about 4 in 10 attempts; searched among `n_searched` patterns,
    so each is tested at 0.05 / n_searched. Weaker or rarer patterns need more.

    Args:
        table: Gives the mix of attempts and failures per mixed task.
        n_searched: Patterns searched; at least 1.
        seed: Seed of the power simulation.
    """
    alpha = 0.05 / max(n_searched, 1)
    mix = _mix(table, seed)
    found = [
        tasks_needed(
            mix,
            odds_ratio=odds_ratio,
            prevalence=PREVALENCE,
            alpha=alpha,
            target=TARGET_POWER,
            seed=seed,
        )
        for odds_ratio in ODDS_RATIOS
    ]
    return tuple(
        NeededTasks(None if each is None else each.n_tasks, odds, PREVALENCE, alpha, TARGET_POWER)
        for each, odds in zip(found, ODDS_RATIOS, strict=True)
    )


def _mix(table: EventTable, seed: int) -> list[tuple[int, int]]:
    """(attempts, failures) of the mixed tasks, a random sample of them when they are many."""
    if table.failed.size == 0:
        return []
    size = np.bincount(table.task)
    failures = np.bincount(table.task, weights=table.failed).astype(np.int64)
    mixed = np.flatnonzero((failures > 0) & (failures < size))
    if mixed.size > _MAX_KINDS:
        mixed = np.random.default_rng(seed).choice(mixed, _MAX_KINDS, replace=False)
    return [(int(size[code]), int(failures[code])) for code in mixed]


def verdict(
    primary: Arm, *, baselines: Sequence[Baseline], n_mixed: int, needed: Sequence[NeededTasks]
) -> tuple[str, ...]:
    """Say in sentences what the proof shows, the decision first."""
    if primary.held_out.within.value is None:
        return (
            f"Nothing can be tested: {n_mixed} tasks have both a success and a failure, and no"
            " held-out pair can be compared (n = 0).",
        )
    if decisive(primary).area.value is None:
        first: tuple[str, ...] = (_inseparable(primary),)
    elif n_mixed >= MIXED_TO_CLAIM and primary.null is None:
        first = (_untested(primary),)
    elif holds(primary, n_mixed):
        first = _supported(primary)
    else:
        first = _undecided(primary, n_mixed=n_mixed, needed=needed)
    return (*first, *_beside(primary, baselines))


def holds(arm: Arm, n_mixed: int) -> bool | None:
    """Whether an arm ranks unseen attempts better than chance and than its shuffled runs.

    None when that cannot be told: without shuffled runs, with too few mixed tasks, or where one
    policy of every pair always fails. With fewer than 19 shuffled runs, all of them must stay below
    the real one.
    """
    area, null, _ = decisive(arm)
    if null is None or n_mixed < MIXED_TO_CLAIM:
        return None
    level = max(0.05, 1 / (1 + null.n))
    return area.low is not None and area.low > 0.5 and null.p_value <= level


def _inseparable(arm: Arm) -> str:
    return (
        "Lessons and policies cannot be told apart: wherever two policies differ at an unseen task,"
        " it is always the same one that fails. Within-task AUC, policies mixed in,"
        f" {_area(arm.held_out.within)}."
    )


def _untested(arm: Arm) -> str:
    return (
        f"No verdict without runs on shuffled labels: within-task AUC {_measured(arm)}"
        " on unseen tasks."
    )


def _supported(arm: Arm) -> tuple[str, ...]:
    null = decisive(arm).null
    few = (
        ""
        if null is None or null.n >= _FEWEST_NULLS
        else f" With {null.n} shuffled runs p cannot be lower than {1 / (1 + null.n):.3f}; at least"
        f" {_FEWEST_NULLS} are needed to tell this from luck."
    )
    return (
        "The mined lessons rank failures above successes of the same unseen task: within-task AUC"
        f" {_measured(arm)}{_null(arm)}.{few}",
        "That is prediction. Only a randomised trial says whether telling the agent helps.",
    )


def _undecided(arm: Arm, *, n_mixed: int, needed: Sequence[NeededTasks]) -> tuple[str, ...]:
    if n_mixed >= MIXED_TO_CLAIM:
        opening = f"No lesson held up on unseen tasks, with {n_mixed} mixed tasks to find one"
    else:
        opening = f"{n_mixed} mixed tasks cannot decide"
    told = " and ".join(
        f"about {each.n_tasks} for odds ratio {each.odds_ratio:g}"
        for each in needed
        if each.n_tasks is not None
    )
    return (
        f"{opening}: within-task AUC {_measured(arm)} on unseen tasks{_null(arm)}."
        + _nothing_selected(arm),
        "Mixed tasks of this kind that it takes to find one pattern, seen in 4 of 10 attempts, 4"
        f" times out of 5 in a search this wide: {told or 'more than could be tried'}; nothing is"
        f" claimed below {MIXED_TO_CLAIM}.",
    )


def _nothing_selected(arm: Arm) -> str:
    if arm.share_empty < 0.005:
        return ""
    return f" Nothing was selected in {arm.share_empty:.0%} of the training sets."


def _beside(arm: Arm, baselines: Sequence[Baseline]) -> tuple[str, ...]:
    said: list[str] = []
    within = arm.held_out.within.value
    for each in baselines:
        rival = each.held_out.within
        if each.name != "hand_checks" or rival.value is None or within is None:
            continue
        low = arm.held_out.within.low
        if within <= rival.value:
            relation = "is no better than"
        elif low is not None and low > rival.value:
            relation = "is ahead of"
        else:
            relation = "is ahead, but within its interval, of"
        said.append(
            f"Mining {relation} counting the hand-written checks, which need no labels"
            f" ({_area(rival)})."
        )
    if arm.lift.n_signs_differ:
        said.append(
            f"Of {arm.lift.n_usual} usually selected patterns {arm.lift.n_signs_differ} point the"
            " other way when all attempts are pooled; the pooled lift is not evidence."
        )
    return tuple(said)


def _null(arm: Arm) -> str:
    null = decisive(arm).null
    if null is None:
        return ""
    return (
        f"; among {null.n} runs of the whole procedure on shuffled labels (95% range"
        f" {null.low:.3f} to {null.high:.3f}) that ranks at p = {null.p_value:.3f}"
    )


def _measured(arm: Arm) -> str:
    area, _, is_adjusted = decisive(arm)
    plain = _area(arm.held_out.within)
    return f"{plain}, with each policy's own level removed {_area(area)}" if is_adjusted else plain


def _area(area: Auc) -> str:
    if area.value is None:
        return "undefined (n = 0)"
    if area.low is None or area.high is None:
        return f"{area.value:.3f}"
    return f"{area.value:.3f} [{area.low:.3f}, {area.high:.3f}]"
