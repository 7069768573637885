"""Statistics on counts, rates and pairs: arrays in, named tuples out, nothing else of ours."""

from twiceshy.evidence.stats.crossed import Crossed, crossed_bootstrap
from twiceshy.evidence.stats.fdr import holm, q_values
from twiceshy.evidence.stats.intervals import (
    Estimate,
    beta_interval,
    bootstrap,
    bounded_mean,
    clopper_pearson,
    clustered_mean,
    wilson,
)
from twiceshy.evidence.stats.paired import (
    Flips,
    PairedDifference,
    TestResult,
    flips,
    mcnemar_exact,
    paired_difference,
    permutation_test,
    sign_test,
)
from twiceshy.evidence.stats.passk import PassRate, pass_at_k, pass_curve, pass_hat_k
from twiceshy.evidence.stats.power import Needed, power_within_task, tasks_needed
from twiceshy.evidence.stats.sequential import Betting, BettingTest, betting_test

__all__ = [
    "Betting",
    "BettingTest",
    "Crossed",
    "Estimate",
    "Flips",
    "Needed",
    "PairedDifference",
    "PassRate",
    "TestResult",
    "beta_interval",
    "betting_test",
    "bootstrap",
    "bounded_mean",
    "clopper_pearson",
    "clustered_mean",
    "crossed_bootstrap",
    "flips",
    "holm",
    "mcnemar_exact",
    "paired_difference",
    "pass_at_k",
    "pass_curve",
    "pass_hat_k",
    "permutation_test",
    "power_within_task",
    "q_values",
    "sign_test",
    "tasks_needed",
    "wilson",
]
