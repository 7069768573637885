"""Ways to judge a lesson: the trial machinery, and what is done without one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from world import Floats, Sequences

from twiceshy.evidence.stats.confidence import log_capital_path
from twiceshy.evidence.stats.shrinkage import fit_prior, shrink_towards
from twiceshy.memory.trials.verdicts import Rule

RULE, LEVEL = Rule(), 0.95
EARLY, SHRUNK_AT, EVERY = 20, 150, 25
Bools = NDArray[np.bool_]


class Judged(NamedTuple):
    """Shape (banks, lessons), or (looks, banks, lessons) for what ends in `_by`."""

    truth: Floats
    n: NDArray[np.int64]
    estimate: Floats
    ever_promoted: Bools
    ever_supported: Bools
    ever_quarantined: Bools
    ever_retired: Bools
    ever_uncovered: Bools
    wald_ever_uncovered: Bools
    promoted_by: Bools
    quarantined_by: Bools
    retired_by: Bools
    uncovered_by: Bools
    wald_uncovered_by: Bools
    naive_difference: Floats
    naive_kept: Bools
    naive_dropped: Bools
    early_retired: Bools
    early_difference_retired: Bools
    raw_error: Floats
    shrunk_error: Floats


def judge(trial: Sequences, always: Sequences) -> Judged:
    """Judge a chunk by its randomised log, and by the log of a world without trials."""
    s, bound = scores(trial, arm=1)
    is_there, truth = trial.arm >= 0, trial.truth

    def log_e(values: Floats, *, mean: Floats | float, limit: float = bound) -> Floats:
        return log_capital_path(np.where(is_there, values, mean), bounds=limit, mean=mean)

    over_placebo, placebo_bound = scores(trial, arm=2)
    one, two = math.log(1 / RULE.alpha), math.log(2 / (1 - LEVEL))
    late = (np.arange(len(s)) + 1 >= RULE.min_scored)[:, None, None]
    better = log_e(s, mean=0.0) >= one
    content = log_e(over_placebo, mean=0.0, limit=placebo_bound) >= one
    worse, small = log_e(-s, mean=0.0) >= one, log_e(-s, mean=-RULE.worth) >= two
    stops = late & (worse | small)
    first = ever(stops) & ~shifted(ever(stops))
    quarantined, retired = ever(first & worse), ever(first & ~worse)
    going = ~shifted(ever(stops)) & ~stops & late
    promoted, supported = ever(better & going), ever(better & content & going)
    wrong = (log_e(s, mean=truth) >= two) | (log_e(-s, mean=-truth) >= two)
    wald = ever(wald_wrong(s, is_there, truth))
    n = is_there.sum(axis=0)
    naive = Naive.of(always)
    return Judged(
        truth=truth,
        n=n,
        estimate=np.where(is_there, s, 0).sum(axis=0) / n,
        ever_promoted=promoted[-1],
        ever_supported=supported[-1],
        ever_quarantined=quarantined[-1],
        ever_retired=retired[-1],
        ever_uncovered=ever(wrong)[-1],
        wald_ever_uncovered=wald[-1],
        promoted_by=promoted[EVERY - 1 :: EVERY],
        quarantined_by=quarantined[EVERY - 1 :: EVERY],
        retired_by=retired[EVERY - 1 :: EVERY],
        uncovered_by=ever(wrong)[EVERY - 1 :: EVERY],
        wald_uncovered_by=wald[EVERY - 1 :: EVERY],
        naive_difference=naive.difference,
        naive_kept=naive.kept,
        naive_dropped=naive.dropped,
        early_retired=naive.early_retired,
        early_difference_retired=early_difference(trial) <= -0.10,
        **errors_at(s[:SHRUNK_AT], truth),
    )


def scores(trial: Sequences, *, arm: int) -> tuple[Floats, float]:
    """The score of `contrast`: shown against another arm."""
    shown, withheld = trial.setting.shown, trial.setting.withheld
    other = withheld if arm == 1 else 1 - shown - withheld
    sign = np.select([trial.arm == 0, trial.arm == arm], [1 / shown, -1 / other], 0.0)
    return sign * (trial.success - trial.expected), 1 / min(shown, other)


def ever(events: Bools) -> Bools:
    return np.logical_or.accumulate(events, axis=0)


def shifted(events: Bools) -> Bools:
    """The state before each decision."""
    return np.concatenate([np.zeros_like(events[:1]), events[:-1]])


def wald_wrong(s: Floats, is_there: Bools, truth: Floats) -> Bools:
    """Whether mean ± 1.96 standard errors misses the truth, after each decision from EARLY on."""
    n = np.maximum(np.cumsum(is_there, axis=0), 1)
    mean = np.cumsum(s * is_there, axis=0) / n
    error = np.sqrt(np.maximum(np.cumsum(s**2 * is_there, axis=0) / n - mean**2, 1e-12) / n)
    return (np.abs(mean - truth) > 1.96 * error) & (n >= EARLY) & is_there


class Naive(NamedTuple):
    """Counters of a world in which everything recalled is shown."""

    difference: Floats
    kept: Bools
    dropped: Bools
    early_retired: Bools

    @classmethod
    def of(cls, always: Sequences) -> Naive:
        is_there = always.arm >= 0
        n, wins = is_there.sum(axis=0), (always.success & is_there).sum(axis=0)
        a, b = 1 + wins, 1 + n - wins
        mean = a / (a + b)
        sd = np.sqrt(a * b / ((a + b) ** 2 * (a + b + 1)))
        early = always.success[:EARLY].sum(axis=0)
        return cls(
            difference=wins / n - always.overall,
            kept=mean - sd > always.overall,
            dropped=mean + sd < always.overall,
            early_retired=(2 * early - EARLY) / EARLY <= -0.10,
        )


def early_difference(trial: Sequences) -> Floats:
    """Success rate shown minus withheld in the first EARLY decisions; NaN without one of them."""
    first, success = trial.arm[:EARLY], trial.success[:EARLY]
    with np.errstate(invalid="ignore"):
        rates = [
            (success & (first == arm)).sum(axis=0) / (first == arm).sum(axis=0) for arm in (0, 1)
        ]
    return rates[0] - rates[1]


def errors_at(s: Floats, truth: Floats) -> dict[str, Floats]:
    """Errors of the raw and of the shrunk estimates from the first decisions, all of one kind."""
    raw = s.mean(axis=0)
    error = s.std(axis=0) / math.sqrt(len(s))
    shrunk = np.empty_like(raw)
    for bank, (values, errors) in enumerate(zip(raw, error, strict=True)):
        prior = fit_prior(values.tolist(), errors.tolist())
        assert prior is not None  # six lessons a bank
        shrunk[bank] = [
            shrink_towards(prior, float(value), error=float(each)).value
            for value, each in zip(values, errors, strict=True)
        ]
    return {"raw_error": raw - truth, "shrunk_error": shrunk - truth}
