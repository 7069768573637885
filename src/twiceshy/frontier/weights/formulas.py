"""Advantages from the counts of a group, in numpy: the numbers of `twiceshy.objectives`.

Every objective there gives all successes of a group one number and all its failures another, and
both follow from how many there are. So millions of rows need only their few distinct groups. The
numbers are the same to the last bit (single precision), or within two units of the last place where
a square root is taken, which torch does not round correctly. A test compares every objective on
random groups, and fails when one is added there and not here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twiceshy.choices import require_between, require_choice, unknown_name
from twiceshy.errors import BadInput
from twiceshy.frontier.weights.settings import AllWrong, Option

Single = NDArray[np.float32]


class GroupCounts(NamedTuple):
    """Distinct groups, each array float32 (n_groups,)."""

    right: Single
    """Verified successes."""
    wrong: Single
    """Verified failures. Abstaining rows are in neither."""
    p_lucky: Single
    """Chance that a success was undeserved; NaN where it is not known."""

    @property
    def n(self) -> Single:
        """Scored attempts."""
        return self.right + self.wrong


class BySign(NamedTuple):
    """What a group's rows get, float32 (n_groups,); meaningless where it has no such row."""

    right: Single
    wrong: Single


class Formula(NamedTuple):
    """One objective."""

    advantages: Callable[..., BySign]
    least: Callable[[Mapping[str, Option]], int]
    """Fewest rows, abstaining ones included, that a group may have under these options."""

    @property
    def options(self) -> tuple[str, ...]:
        """Names of its options."""
        return tuple(inspect.signature(self.advantages).parameters)[1:]


def counts_of(right: ArrayLike, wrong: ArrayLike, *, p_lucky: ArrayLike = np.nan) -> GroupCounts:
    """Return counts as single precision, which holds them exactly up to 2²⁴."""
    columns = np.broadcast_arrays(right, wrong, p_lucky)
    return GroupCounts(*(np.asarray(column, np.float32) for column in columns))


def group_advantages(
    name: str,
    counts: GroupCounts,
    *,
    options: Mapping[str, Option],
    all_wrong: AllWrong = "as_is",
    strength: float = 1.0,
) -> BySign:
    """Return what an objective gives the successes and the failures of each group.

    Args:
        name: As in `twiceshy.objectives`.
        counts: The groups.
        options: Keyword options of the objective.
        all_wrong: What a group of two or more failures and no success gets.
        strength: Its scale, 0 to 1.

    Raises:
        BadInput: A name or an option is unknown or out of range, or needs what a file of outcomes
            does not hold.

    Example:
        >>> both = group_advantages("grpo", counts_of([1], [3]), options={})
        >>> both.right.tolist(), both.wrong.tolist()
        ([1.5], [-0.5])
    """
    formula = find_formula(name)
    for option in options:
        if option not in formula.options:
            raise unknown_name(option, known=formula.options, where=f"objective {name}")
    require_choice(all_wrong, known=get_args(AllWrong), where="all_wrong")
    require_between(strength, low=0, high=1, where="strength")
    given = formula.advantages(counts, **options)
    wrong = _treat(given.wrong, counts, policy=all_wrong, strength=strength)
    return BySign(given.right, wrong)


def find_formula(name: str) -> Formula:
    """Return an objective by name.

    Raises:
        BadInput: If there is none, with the nearest names.
    """
    require_choice(name, known=FORMULAS, where="objective")
    return FORMULAS[name]


def signed(
    counts: GroupCounts,
    *,
    lambda_pos: float = 1.0,
    lambda_neg: float = 1.0,
    baseline: str = "none",
) -> BySign:
    """See `twiceshy.objectives.signed_reinforce`."""
    if baseline == "batch":
        raise BadInput(
            "a baseline of none, group_mean or leave_one_out",
            got="batch",
            where="baseline",
            fix="The trainer makes the batches; subtract their mean there.",
        )
    require_choice(baseline, known=("none", "group_mean", "leave_one_out"), where="baseline")
    require_between(lambda_pos, low=0, high=1, where="lambda_pos")
    require_between(lambda_neg, low=0, high=1, where="lambda_neg")
    if lambda_pos == 0 and lambda_neg == 0:
        raise BadInput("a weight above 0", got="0 and 0", where="lambda_pos, lambda_neg")
    rewards = [np.full_like(counts.n, lambda_pos), np.full_like(counts.n, -lambda_neg)]
    if baseline == "none":
        return BySign(*rewards)
    total = lambda_pos * counts.right - lambda_neg * counts.wrong
    if baseline == "group_mean":
        return BySign(*(reward - _ratio(total, counts.n) for reward in rewards))
    several = (counts.n > 1).astype(np.float32)
    return BySign(*((r - _ratio(total - r, counts.n - 1)) * several for r in rewards))


def psr(counts: GroupCounts) -> BySign:
    """See `twiceshy.objectives.psr`."""
    return signed(counts, lambda_neg=0.0)


def nsr(counts: GroupCounts) -> BySign:
    """See `twiceshy.objectives.nsr`."""
    return signed(counts, lambda_pos=0.0)


def w_reinforce(counts: GroupCounts, *, lambda_pos: float = 0.1) -> BySign:
    """See `twiceshy.objectives.w_reinforce`."""
    return signed(counts, lambda_pos=lambda_pos)


def reinforce(counts: GroupCounts, *, baseline: str = "none") -> BySign:
    """See `twiceshy.objectives.reinforce`."""
    return signed(counts, baseline=baseline)


def grpo(counts: GroupCounts, *, epsilon: float = 0.0) -> BySign:
    """See `twiceshy.objectives.grpo`."""
    require_between(epsilon, low=0, high=1, where="epsilon")
    return _standardised(counts.n, counts.right, epsilon=epsilon)


def ngrpo(counts: GroupCounts) -> BySign:
    """See `twiceshy.objectives.ngrpo`."""
    return _standardised(counts.n + 1, counts.right + 1)


def dr_grpo(counts: GroupCounts) -> BySign:
    """See `twiceshy.objectives.dr_grpo`."""
    mean = _ratio(counts.right, counts.n)
    return BySign(1 - mean, 0 - mean)


def rloo(counts: GroupCounts) -> BySign:
    """See `twiceshy.objectives.rloo`."""
    several = (counts.n > 1).astype(np.float32)
    of_right = (1 - _ratio(counts.right - 1, counts.n - 1)) * several
    return BySign(of_right, (0 - _ratio(counts.right, counts.n - 1)) * several)


def maxrl(counts: GroupCounts) -> BySign:
    """See `twiceshy.objectives.maxrl`."""
    of_right = _ratio(counts.n - counts.right, counts.right)
    return BySign(of_right, _ratio(0 - counts.right, counts.right))


def pass_at_k(counts: GroupCounts, *, k: int = 4) -> BySign:
    """See `twiceshy.objectives.pass_at_k`."""
    if not isinstance(k, int) or k < 1:
        raise BadInput("a whole k of at least 1", got=str(k), where="k")
    fail = _choose_ratio(counts.wrong, counts.n, k=k)
    fail_with_me = _choose_ratio(counts.wrong - 1, counts.n - 1, k=k - 1)
    std, enough = np.sqrt(fail * (1 - fail)), (counts.n >= k).astype(np.float32)
    return BySign(_ratio(fail, std) * enough, _ratio(fail - fail_with_me, std) * enough)


def asymre(counts: GroupCounts, *, margin: float = 0.1) -> BySign:
    """See `twiceshy.objectives.asymre`."""
    require_between(margin, low=0, high=1, where="margin")
    value = _ratio(counts.right, counts.n) - margin
    return BySign(1 - value, 0 - value)


def sign_balanced(counts: GroupCounts, *, scale: float = 1.0) -> BySign:
    """See `twiceshy.objectives.sign_balanced`."""
    require_between(scale, low=0, high=10, where="scale")
    both = (counts.wrong > 0).astype(np.float32)
    return BySign(scale * both, scale * (0 - _ratio(counts.right, counts.wrong)) * both)


def luck_capped(counts: GroupCounts, *, cap: float = 1.0) -> BySign:
    """See `twiceshy.objectives.luck_capped`."""
    require_between(cap, low=1e-6, high=1e6, where="cap")
    if np.isnan(counts.p_lucky[counts.right > 0]).any():
        raise BadInput(
            "P(lucky) of every success",
            got="none",
            where="objective luck_capped",
            fix="Give the rate of undeserved reward with p0 (--p0), for every task with a success.",
        )
    plain = grpo(counts)
    return BySign(np.minimum(plain.right, np.float32(cap)) * (1 - counts.p_lucky), plain.wrong)


def _always(n: int) -> Callable[[Mapping[str, Option]], int]:
    return lambda _options: n


def _with_baseline(options: Mapping[str, Option]) -> int:
    return 1 if options.get("baseline", "none") == "none" else 2


def _at_least_k(options: Mapping[str, Option]) -> int:
    k = options.get("k", 4)
    return max(k, 2) if isinstance(k, int) else 2


FORMULAS: dict[str, Formula] = {
    "psr": Formula(psr, _always(1)),
    "nsr": Formula(nsr, _always(1)),
    "w_reinforce": Formula(w_reinforce, _always(1)),
    "reinforce": Formula(reinforce, _with_baseline),
    "signed": Formula(signed, _with_baseline),
    "grpo": Formula(grpo, _always(2)),
    "dr_grpo": Formula(dr_grpo, _always(2)),
    "rloo": Formula(rloo, _always(2)),
    "maxrl": Formula(maxrl, _always(2)),
    "ngrpo": Formula(ngrpo, _always(2)),
    "pass_at_k": Formula(pass_at_k, _at_least_k),
    "asymre": Formula(asymre, _always(2)),
    "sign_balanced": Formula(sign_balanced, _always(2)),
    "luck_capped": Formula(luck_capped, _always(2)),
}


def _treat(wrong: Single, counts: GroupCounts, *, policy: AllWrong, strength: float) -> Single:
    """See `twiceshy.objectives.treat_all_wrong`."""
    if policy == "as_is":
        return wrong
    all_wrong = (counts.n > 1) & (counts.right == 0)
    penalty = np.full_like(counts.n, -strength if policy == "constant" else 0.0)
    if policy == "ngrpo":
        penalty = (1 / np.sqrt(counts.n + 1)) * -strength
    return np.where(all_wrong, penalty, wrong).astype(np.float32)


def _standardised(n: Single, n_right: Single, *, epsilon: float = 0.0) -> BySign:
    mean = _ratio(n_right, n)
    std = np.sqrt(_ratio(n_right * (n - n_right), n * n) * _ratio(n, n - 1))
    below = (std + np.float32(epsilon)) * (std > 0)
    return BySign(_ratio(1 - mean, below), _ratio(0 - mean, below))


def _choose_ratio(some: Single, of: Single, *, k: int) -> Single:
    """Return C(some, k) / C(of, k) as a product; 0 where some < k."""
    product = np.ones_like(some)
    for i in range(k):
        product = product * _ratio(np.maximum(some - i, 0), of - i)
    return product


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> Single:
    """Return above / below, and 0 where `below` is not positive."""
    safe = np.where(below > 0, below, np.float32(1))
    return np.where(below > 0, above / safe, np.float32(0))
