"""What every kind of row in every distinct group gets: state, advantage, P(lucky), keep, why.

Millions of rows fall into a few hundred such cases, which are ruled on here, once each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twiceshy.choices import require_between
from twiceshy.errors import BadInput
from twiceshy.frontier.columns import OUTCOMES
from twiceshy.frontier.groups import STATES, GroupState, group_states
from twiceshy.frontier.luck import p_lucky
from twiceshy.frontier.rates import FloatArray, IntArray
from twiceshy.frontier.weights.formulas import counts_of, find_formula, group_advantages
from twiceshy.frontier.weights.settings import WeightSettings

TRUNCATED = len(OUTCOMES)
"""Kind of a row that abstains because it was cut off. The kinds before it are `OUTCOMES`."""
N_KINDS = TRUNCATED + 1
_SUCCESS, _FAILURE = OUTCOMES.index("success"), OUTCOMES.index("failure")


class Why(StrEnum):
    """Why a row is kept or left out."""

    HAS_GRADIENT = "has_gradient"
    """Kept: its advantage is not 0."""
    NO_GRADIENT = "no_gradient"
    """Left out: the objective gives it exactly 0."""
    ALL_WRONG = "all_wrong"
    """Left out: its group is all wrong, and such groups were to be dropped."""
    LUCKY = "lucky"
    """Left out, without advantage: a success more likely undeserved than allowed."""
    SMALL_GROUP = "small_group"
    """Left out, without advantage: too few rows to compare."""
    BROKEN = "broken"
    """Left out, without advantage: the world failed."""
    UNSCORED = "unscored"
    """Left out, without advantage: nobody judged it."""
    TRUNCATED = "truncated"
    """Left out, without advantage: cut at a length limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """Distinct groups, every array of shape (n_profiles,)."""

    n_rows: IntArray
    n_success: IntArray
    """Without those that abstain as truncated; so are failures."""
    n_failure: IntArray
    n_broken: IntArray
    p0: FloatArray
    """NaN where no rate of undeserved reward is known."""


def check_settings(settings: WeightSettings) -> None:
    """Refuse settings that can be refused without data.

    Raises:
        BadInput: A name or an option is unknown or out of range.
    """
    if settings.max_lucky is not None:
        require_between(settings.max_lucky, low=0, high=1, where="max_lucky")
        if settings.p0 is None:
            raise BadInput(
                "the rate of undeserved reward, which P(lucky) follows from",
                got="none",
                where="max_lucky",
                fix="Give it with p0 (--p0).",
            )
    tried = counts_of([1.0], [1.0], p_lucky=0.0 if settings.p0 is not None else np.nan)
    _advantages(settings, tried)


def least_rows(settings: WeightSettings) -> int:
    """Return how many rows, abstaining ones included, a group needs under these settings."""
    return find_formula(settings.objective).least(settings.options)


def rule(profiles: Profiles, settings: WeightSettings) -> dict[str, NDArray[Any]]:
    """Return columns of n_profiles × `N_KINDS` rulings, profile by profile.

    Columns are state, advantage (float32), p_lucky, keep and why. NaN stands for none.

    Raises:
        BadInput: The settings do not fit the groups.
    """
    right, wrong = profiles.n_success, profiles.n_failure
    lucky = _luck(profiles, settings)
    given = _advantages(settings, counts_of(right, wrong, p_lucky=lucky))
    states = group_states(right, wrong, n_broken=profiles.n_broken)
    shape = (len(right), N_KINDS)
    advantage, shown = np.full(shape, np.nan, np.float32), np.full(shape, np.nan)
    advantage[:, _SUCCESS], advantage[:, _FAILURE] = given
    shown[:, _SUCCESS] = lucky
    why = np.full(shape, None, dtype=object)
    why[:] = [Why.HAS_GRADIENT, Why.HAS_GRADIENT, Why.BROKEN, Why.UNSCORED, Why.TRUNCATED]
    why[:, : _FAILURE + 1][advantage[:, : _FAILURE + 1] == 0] = Why.NO_GRADIENT
    if settings.all_wrong == "drop":
        why[states == STATES.index(GroupState.ALL_WRONG), _FAILURE] = Why.ALL_WRONG
    if settings.max_lucky is not None:
        why[lucky > settings.max_lucky, _SUCCESS] = Why.LUCKY
    why[profiles.n_rows < least_rows(settings), : _FAILURE + 1] = Why.SMALL_GROUP
    advantage[(why == Why.LUCKY) | (why == Why.SMALL_GROUP)] = np.nan
    labels = np.array([state.value for state in STATES], dtype=object)
    return {
        "state": np.repeat(labels[states], N_KINDS),
        "advantage": advantage.ravel(),
        "p_lucky": shown.ravel(),
        "keep": (why == Why.HAS_GRADIENT).ravel(),
        "why": np.array([each.value for each in why.ravel()], dtype=object),
    }


def _advantages(settings: WeightSettings, counts: Any) -> Any:
    return group_advantages(
        settings.objective,
        counts,
        options=settings.options,
        all_wrong=settings.all_wrong,
        strength=settings.strength,
    )


def _luck(profiles: Profiles, settings: WeightSettings) -> FloatArray:
    """Return P(lucky) of a success in each profile; NaN without one, or where p0 is unknown.

    One call a group size: the grid of `p_lucky` follows the largest, and the same group should get
    the same number whatever lies beside it.
    """
    r, n = profiles.n_success, profiles.n_success + profiles.n_failure
    lucky = np.full(len(r), np.nan)
    judged = (r > 0) & ~np.isnan(profiles.p0)
    for size in np.unique(n[judged]):
        these = judged & (n == size)
        lucky[these] = p_lucky(
            r[these], n[these], p0=profiles.p0[these], tau=settings.tau, prior=settings.prior
        )
    return lucky
