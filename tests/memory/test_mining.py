from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twiceshy.attempts.types import Attempt
from twiceshy.errors import BadInput
from twiceshy.evidence.held_out.runs import shuffled_within_tasks
from twiceshy.evidence.stats.fdr import q_values
from twiceshy.evidence.stats.fixed_effects import within_effects
from twiceshy.evidence.stats.shrinkage import shrink_to_zero
from twiceshy.evidence.stats.stratified import stratified_test
from twiceshy.evidence.tables import EventTable
from twiceshy.lessons import EvidenceLevel
from twiceshy.memory.contrast.arms import PooledMiner, arms
from twiceshy.memory.contrast.mining import TrainingTests, mine
from twiceshy.memory.contrast.pooled import mine_pooled
from twiceshy.memory.contrast.table import build_table


def make_table(
    present: NDArray[np.bool_],
    failed: NDArray[np.bool_],
    *,
    task: NDArray[np.int64],
    policy: NDArray[np.int64] | None = None,
) -> EventTable:
    n, m = present.shape
    return EventTable(
        present=present,
        failed=failed,
        task=task,
        policy=np.zeros(n, dtype=np.int64) if policy is None else policy,
        attempt_ids=tuple(f"a{row}" for row in range(n)),
        names=tuple(f"event {column}" for column in range(m)),
        families=("made up",) * m,
        fault=np.zeros(m, dtype=np.bool_),
        task_names=tuple(f"t{code}" for code in range(int(task.max(initial=-1)) + 1)),
        policy_names=("p",),
    )


def _pairs(n_tasks: int, *, agree: float, seed: int = 0, policies: int = 1) -> EventTable:
    """One failure and one success a task; event 0 is in the failure in a share `agree` of tasks."""
    rng = np.random.default_rng(seed)
    failed = np.tile([True, False], n_tasks)
    swap = rng.random(n_tasks) < 0.5
    failed = np.where(np.repeat(swap, 2), ~failed, failed)
    agrees = np.repeat(rng.random(n_tasks) < agree, 2)
    present = np.stack([np.where(agrees, failed, ~failed), *(rng.random((3, 2 * n_tasks)) < 0.4)])
    policy = np.tile(np.arange(2), n_tasks) % policies
    return make_table(
        present.T.astype(bool), failed, task=np.repeat(np.arange(n_tasks), 2), policy=policy
    )


@pytest.mark.parametrize(
    ("n_tasks", "gate", "level"),
    [
        (29, "describe", EvidenceLevel.DESCRIBED),
        (30, "suggest", EvidenceLevel.SUGGESTED),
        (99, "suggest", EvidenceLevel.SUGGESTED),
        (100, "claim", EvidenceLevel.SUPPORTED_WITHIN_TASK),
    ],
)
def test_what_may_be_said_depends_on_mixed_tasks(
    n_tasks: int, gate: str, level: EvidenceLevel
) -> None:
    mined = mine(_pairs(n_tasks, agree=0.95))
    pattern = mined.patterns[0]
    assert mined.gate == gate
    assert mined.n_mixed_tasks == mined.n_pairs == n_tasks
    # However small q is, too few mixed tasks allow no claim.
    assert pattern.within.q_value is not None
    assert pattern.within.q_value < 0.001
    assert pattern.level is level
    assert len(mined.supported) == (1 if gate == "claim" else 0)


def test_one_pattern_worked_by_hand() -> None:
    # 100 tasks with a failure and a success; the event marks the failure in 80, the success in 20.
    failed = np.tile([True, False], 100)
    present = np.concatenate([np.tile([True, False], 80), np.tile([False, True], 20)])[:, None]
    mined = mine(make_table(present, failed, task=np.repeat(np.arange(100), 2)))
    (pattern,) = mined.patterns
    assert mined.method == "exact"
    assert (pattern.n_attempts, pattern.n_failed, pattern.n_tasks) == (100, 80, 100)
    assert pattern.failure_rate_with == pytest.approx(0.8)
    assert pattern.failure_rate_without == pytest.approx(0.2)
    assert pattern.within.estimate == pytest.approx(0.6)
    assert pattern.pooled.estimate == pytest.approx(0.6)
    # Mantel-Haenszel: sum(ad/n) = 80/2, sum(bc/n) = 20/2.
    assert pattern.log_odds_ratio == pytest.approx(np.log(40.5 / 10.5))
    # Sign test: 80 or more of 100 fair coins, doubled.
    assert pattern.within.p_value == pytest.approx(1.1159e-9, rel=1e-3)
    assert pattern.within.q_value == pattern.within.p_value
    assert mined.n_tested == 1
    assert not pattern.signs_differ


def test_support_is_counted_in_informative_tasks() -> None:
    table = _pairs(150, agree=0.9)
    # Event 1 marks the failure, but in 5 tasks only; in all others it is in both attempts.
    present = table.present.copy()
    present[:, 1] = True
    present[:10, 1] = table.failed[:10]
    rare = make_table(present, table.failed, task=table.task)
    pattern = mine(rare).patterns[1]
    assert pattern.n_attempts == 295
    assert pattern.n_informative == 5
    assert pattern.within.p_value is None
    assert pattern.within.q_value is None
    assert pattern.shrunk == 0.0
    assert pattern.level is EvidenceLevel.DESCRIBED
    assert mine(rare, min_informative=5).patterns[1].within.p_value is not None


def test_a_policys_habit_is_not_a_lesson() -> None:
    # Policy 1 fails far more and has a habit; inside one policy the habit says nothing.
    rng = np.random.default_rng(3)
    task, policy = np.repeat(np.arange(200), 4), np.tile([0, 0, 1, 1], 200)
    failed = rng.random(800) < np.where(policy == 1, 0.8, 0.2)
    habit = rng.random(800) < np.where(policy == 1, 0.9, 0.1)
    table = make_table(habit[:, None], failed, task=task, policy=policy)
    adjusted, blind = mine(table), mine(make_table(habit[:, None], failed, task=task))
    assert blind.patterns[0].level is EvidenceLevel.SUPPORTED_WITHIN_TASK
    assert adjusted.method == "fixed_effects"
    assert adjusted.patterns[0].level is not EvidenceLevel.SUPPORTED_WITHIN_TASK
    assert adjusted.patterns[0].log_odds_ratio is None


def _reversal() -> EventTable:
    """Easy tasks show the event (and pass); inside every task it goes with failure."""
    rng = np.random.default_rng(0)
    easy = np.repeat(rng.random(300) < 0.5, 4)
    present = rng.random(1200) < np.where(easy, 0.8, 0.2)
    failed = rng.random(1200) < np.where(easy, 0.2, 0.85) + np.where(present, 0.12, -0.12)
    return make_table(present[:, None], failed, task=np.repeat(np.arange(300), 4))


def test_a_reversal_inside_tasks_is_flagged() -> None:
    table = _reversal()
    mined = mine(table)
    (pattern,) = mined.patterns
    assert pattern.pooled.estimate is not None
    assert pattern.within.estimate is not None
    assert pattern.pooled.estimate < -0.1
    assert pattern.within.estimate > 0.1
    assert pattern.signs_differ
    assert pattern.clearly_reversed
    pooled = mine_pooled(table, mined)
    assert pooled.discoveries == pooled.opposite == pooled.reversed == (pattern,)


def test_the_pooled_miner_finds_hard_tasks_and_the_other_does_not() -> None:
    rng = np.random.default_rng(5)
    hard = np.repeat(rng.random(150), 4)
    present = rng.random((600, 40)) < (0.2 + 0.6 * hard)[:, None]
    failed = rng.random(600) < 0.15 + 0.7 * hard
    table = make_table(present, failed, task=np.repeat(np.arange(150), 4))
    mined = mine(table)
    pooled = mine_pooled(table, mined)
    assert len(pooled.discoveries) >= 30
    assert len(mined.supported) <= 1
    assert pooled.n_within <= 6


def test_false_alarms_of_the_search() -> None:
    """Labels shuffled within tasks: a search at 5 % rarely claims anything."""
    rng = np.random.default_rng(2)
    table = _pairs(120, agree=0.5, seed=1, policies=2)
    tests, rows = TrainingTests(table), np.arange(240)
    alarms = 0
    for _ in range(100):
        labels = shuffled_within_tasks(table.failed, task=table.task, rng=rng)
        alarms += bool((np.nan_to_num(tests.fit(rows, labels).q_value, nan=1.0) <= 0.05).any())
    assert alarms <= 14


def _copies(rng: np.random.Generator, *, n_tasks: int, n_events: int = 20) -> EventTable:
    """Eight attempts a task, each a copy of one of three; events have nothing to do with labels."""
    kind = np.repeat(np.arange(n_tasks), 8) * 3 + rng.integers(0, 3, 8 * n_tasks)
    present, failed = rng.random((3 * n_tasks, n_events)) < 0.4, rng.random(3 * n_tasks) < 0.5
    return make_table(present[kind], failed[kind], task=np.repeat(np.arange(n_tasks), 8))


def test_copies_within_tasks_are_no_evidence() -> None:
    rng = np.random.default_rng(11)
    tables = [_copies(rng, n_tasks=200) for _ in range(40)]
    alone = [
        stratified_test(each.present, failed=each.failed, stratum=each.task).p_value
        for each in tables
    ]
    # Taken for independent draws, copies are "significant" in nearly every data set ...
    assert sum((q_values(each) <= 0.05).any() for each in alone) >= 30
    # ... and no claim in about 95 of 100: at most 6 of 40 happens 99 times in 100 at 5 %.
    found = [mine(each) for each in tables]
    assert all(each.gate == "claim" and each.n_tested == 20 for each in found)
    assert sum(bool(each.supported) for each in found) <= 6


def test_a_near_copy_of_a_policys_name_is_not_tested() -> None:
    rng = np.random.default_rng(5)
    task, policy = np.repeat(np.arange(300), 4), np.tile(np.arange(4), 300)
    failed = rng.random(1200) < 1 / (1 + np.exp(-(policy - 1.5)))
    present = np.repeat((policy == 3)[:, None], 10, axis=1)
    for column in range(10):
        other = rng.choice(1200, 8, replace=False)
        present[other, column] = ~present[other, column]
    table = make_table(present, failed, task=task, policy=policy)
    mined = mine(table)
    # It varies in every mixed task, and is told from the policy in about eight.
    assert all(each.n_informative >= 200 for each in mined.patterns)
    assert mined.n_tested == 0
    assert mined.supported == ()
    within = within_effects(present, failed=failed, task=task, policy=policy)
    assert (within.n_effective < 10).all()
    freely = mine(table, min_informative=2)
    assert freely.n_tested == 10
    assert all((each.within.q_value or 0.0) > 0.05 for each in freely.patterns)


@pytest.mark.parametrize("policies", [1, 2])
def test_kept_designs_give_the_fresh_result(policies: int) -> None:
    table = _pairs(60, agree=0.8, policies=policies)
    rows = np.flatnonzero(table.task % 5 != 0)
    labels = shuffled_within_tasks(table.failed, task=table.task, rng=np.random.default_rng(0))
    kept = TrainingTests(table)
    kept.fit(rows, table.failed)
    again, fresh = kept.fit(rows, labels), TrainingTests(table).fit(rows, labels)
    for one, other in zip(again, fresh, strict=True):
        np.testing.assert_allclose(one, other)
    # Labels with other failures per task need another design, and get it.
    turned = ~table.failed
    turned[:10] = True
    for one, other in zip(
        kept.fit(rows, turned), TrainingTests(table).fit(rows, turned), strict=True
    ):
        np.testing.assert_allclose(one, other)


def test_training_never_looks_at_the_other_rows() -> None:
    table = _pairs(60, agree=0.8)
    rows = np.flatnonzero(table.task % 5 != 0)
    labels = table.failed.copy()
    labels[np.setdiff1d(np.arange(120), rows)] = True
    for miner in arms(table).values():
        np.testing.assert_array_equal(miner(rows, table.failed), miner(rows, labels))


def test_arms_split_by_side() -> None:
    table = _pairs(150, agree=0.9)
    present = table.present.copy()
    present[:, 1] = ~present[:, 0] ^ (np.random.default_rng(1).random(300) < 0.1)
    both_sides = make_table(present, table.failed, task=table.task)
    found = {name: miner(np.arange(300), table.failed) for name, miner in arms(both_sides).items()}
    assert next(iter(found)) == "both"
    assert found["both"][0] > 0 > found["both"][1]
    np.testing.assert_array_equal(found["failure_only"], np.maximum(found["both"], 0))
    np.testing.assert_array_equal(found["success_only"], np.minimum(found["both"], 0))
    assert (found["ranking"] != 0).sum() == 4
    assert isinstance(arms(both_sides)["pooled"], PooledMiner)


def test_shrinkage_worked_by_hand() -> None:
    # t^2 = ((9 - 1) + (1 - 1)) / (1 + 1) = 4; shrunk = effect * 4 / 5.
    found = shrink_to_zero(np.array([3.0, -1.0, 5.0]), error=np.array([1.0, 1.0, np.nan]))
    assert found.tolist() == pytest.approx([2.4, -0.8, 0.0])
    # Effects no larger than their noise leave nothing.
    assert shrink_to_zero(np.array([0.5, -0.5]), error=np.array([1.0, 1.0])).tolist() == [0.0, 0.0]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_shrinkage_never_grows_or_turns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    effect, error = rng.normal(size=20), rng.exponential(size=20)
    shrunk = shrink_to_zero(effect, error=error)
    assert (np.abs(shrunk) <= np.abs(effect)).all()
    assert (shrunk * effect >= 0).all()


def test_no_attempts_and_no_events() -> None:
    nothing = mine(
        make_table(
            np.zeros((0, 2), dtype=bool),
            np.zeros(0, dtype=bool),
            task=np.zeros(0, dtype=np.int64),
        )
    )
    assert (nothing.n_mixed_tasks, nothing.n_pairs, nothing.n_tested) == (0, 0, 0)
    assert nothing.gate == "describe"
    assert nothing.patterns[0].failure_rate_with is None
    assert nothing.patterns[0].pooled.estimate is None
    assert nothing.patterns[0].within.estimate is None
    bare = mine(
        make_table(
            np.zeros((4, 0), dtype=bool), np.array([True, False] * 2), task=np.array([0, 0, 1, 1])
        )
    )
    assert bare.patterns == ()
    assert bare.n_mixed_tasks == 2


def test_alpha_is_checked() -> None:
    with pytest.raises(BadInput, match="alpha in"):
        mine(_pairs(5, agree=0.5), alpha=1.0)


def test_tau_bench_holds_no_lesson_within_tasks(tau_attempts: list[Attempt]) -> None:
    table = build_table(tau_attempts)
    mined = mine(table, alpha=0.1, min_informative=3)
    assert mined.n_mixed_tasks == 26
    assert mined.gate == "describe"
    assert mined.n_tested >= 100
    assert all(each.within.q_value is None or each.within.q_value > 0.1 for each in mined.patterns)
    assert mined.supported == ()
    pooled = mine_pooled(table, mine(table))
    assert 40 <= len(pooled.discoveries) <= 200
    assert len(pooled.opposite) >= 5
    assert pooled.n_few_tasks >= 10


def test_gsm8k_holds_lessons_and_pooling_turns_some_round(gsm8k_attempts: list[Attempt]) -> None:
    table = build_table(gsm8k_attempts)
    mined = mine(table)
    assert (mined.n_mixed_tasks, mined.n_pairs, mined.method) == (731, 2429, "fixed_effects")
    assert 15 <= len(mined.supported) <= 45
    effects = [each.within.estimate or 0.0 for each in mined.supported]
    assert sum(effect > 0 for effect in effects) > sum(effect < 0 for effect in effects)
    short = next(each for each in mined.patterns if each.name == "shorter than 120 characters")
    assert short.pooled.estimate == pytest.approx(-0.205, abs=0.005)
    assert short.within.estimate == pytest.approx(0.120, abs=0.005)
    assert short.within.high is not None
    assert short.within.high - (short.within.estimate or 0.0) == pytest.approx(0.106, abs=0.005)
    assert short.signs_differ
    assert short.clearly_reversed
    pooled = mine_pooled(table, mined)
    assert len(pooled.discoveries) > len(mined.supported)
    assert len(pooled.opposite) >= 3
