from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.held_out import Baseline, HeldOut, Miner, Validity, needed_tasks, prove
from twiceshy.evidence.held_out.runs import (
    declared_folds,
    folds_by_task,
    shuffled_within_tasks,
)
from twiceshy.evidence.held_out.transfer import transfers
from twiceshy.evidence.held_out.verdict import verdict
from twiceshy.evidence.stats.fixed_effects import within_effects
from twiceshy.evidence.stats.ranking import Auc
from twiceshy.evidence.tables import EventTable


def _table(
    present: NDArray[np.bool_],
    failed: NDArray[np.bool_],
    *,
    per_task: int,
    policies: int = 1,
    fault: bool = True,
) -> EventTable:
    n, m = present.shape
    n_tasks = n // per_task
    return EventTable(
        present=present,
        failed=failed,
        task=np.repeat(np.arange(n_tasks), per_task),
        policy=np.arange(n, dtype=np.int64) % policies,
        attempt_ids=tuple(f"a{row}" for row in range(n)),
        names=tuple(f"event {column}" for column in range(m)),
        families=("made up",) * m,
        fault=np.full(m, fault),
        task_names=tuple(f"t{code}" for code in range(n_tasks)),
        policy_names=tuple(f"p{code}" for code in range(policies)),
    )


def _planted(n_tasks: int, *, strength: float, seed: int = 0, policies: int = 1) -> EventTable:
    """Event 0 makes failure likelier by `strength` inside every task; four more do nothing."""
    rng = np.random.default_rng(seed)
    present = rng.random((4 * n_tasks, 5)) < 0.4
    failed = rng.random(4 * n_tasks) < 0.3 + strength * present[:, 0]
    return _table(present, failed, per_task=4, policies=policies)


def _hard_tasks(n_tasks: int, seed: int = 1) -> EventTable:
    """Hard tasks fail more and show event 0 more; inside a task the two are independent."""
    rng = np.random.default_rng(seed)
    hard = np.repeat(rng.random(n_tasks) < 0.5, 4)
    present = rng.random((4 * n_tasks, 3)) < np.where(hard, 0.8, 0.2)[:, None]
    failed = rng.random(4 * n_tasks) < np.where(hard, 0.75, 0.25)
    return _table(present, failed, per_task=4)


class WithinEffect:
    """A minimal within-task miner: the effect of every event whose |t| is above 2.5."""

    def __init__(self, table: EventTable) -> None:
        self._table = table
        self.n_calls = 0

    def __call__(
        self, rows: NDArray[np.int64], failed: NDArray[np.bool_], /
    ) -> NDArray[np.float64]:
        self.n_calls += 1
        table = self._table
        found = within_effects(
            table.present[rows],
            failed=failed[rows],
            task=table.task[rows],
            policy=table.policy[rows],
        )
        strong = np.abs(found.effect) > 2.5 * found.standard_error
        return np.where(strong & np.isfinite(found.standard_error), found.effect, 0.0)


class PooledLift:
    """The naive miner: P(failure | event) - P(failure | no event) over all training attempts."""

    def __init__(self, table: EventTable) -> None:
        self._present = table.present

    def __call__(
        self, rows: NDArray[np.int64], failed: NDArray[np.bool_], /
    ) -> NDArray[np.float64]:
        present, labels = self._present[rows], failed[rows]
        return np.array([labels[x].mean() - labels[~x].mean() for x in present.T])


def _prove(table: EventTable, *, n_null: int = 30, seed: int = 0) -> HeldOut:
    miners: dict[str, Miner] = {"within": WithinEffect(table), "pooled": PooledLift(table)}
    return prove(
        table,
        miners,
        n_splits=2,
        n_null=n_null,
        seed=seed,
        naive=frozenset({"pooled"}),
        n_draws=200,
    )


def test_a_planted_pattern_is_proved() -> None:
    found = _prove(_planted(150, strength=0.35))
    main = found.main
    assert main.name == "within"
    assert main.held_out.within.value is not None
    assert main.held_out.within.low is not None
    assert main.held_out.within.value > 0.62
    assert main.held_out.within.low > 0.5
    assert main.null is not None
    assert main.null.n == 30
    assert main.null.p_value == 1 / 31
    assert main.null.low <= main.null.mean <= main.null.high
    assert main.placebo is not None
    assert abs(main.placebo.mean - 0.5) < 0.03
    assert found.verdict[0].startswith("The mined lessons rank failures above successes")
    planted = next(each for each in main.transfers if each.column == 0)
    assert planted.selection_frequency == 1.0
    assert planted.held_out.estimate == pytest.approx(0.35, abs=0.12)
    assert main.lift.within is not None
    assert main.lift.within > 0.2


def test_knowing_hard_tasks_is_not_a_lesson() -> None:
    found = _prove(_hard_tasks(150))
    pooled = found.arms["pooled"]
    assert pooled.held_out.overall.value is not None
    assert pooled.held_out.overall.value > 0.65
    assert pooled.held_out.within.value == pytest.approx(0.5, abs=0.05)
    assert pooled.lift.pooled is not None
    assert pooled.lift.pooled > 0.2
    # Shuffling inside tasks keeps difficulty, so it is no null for this arm: none is reported.
    assert pooled.null is None
    assert pooled.placebo is not None
    main = found.main
    assert main.held_out.within.low is not None
    assert main.held_out.within.low <= 0.5
    assert found.verdict[0].startswith("No lesson held up on unseen tasks")


def test_policies_are_adjusted_for_only_when_there_are_several() -> None:
    one = _prove(_planted(40, strength=0.3), n_null=2)
    several = _prove(_planted(40, strength=0.3, policies=4), n_null=2)
    assert one.main.held_out.adjusted is None
    assert one.main.null_adjusted is None
    assert several.main.held_out.adjusted is not None
    assert several.main.null_adjusted is not None


def _told_by_policy(*, weak_passes: float) -> HeldOut:
    """The only event marks the weak one of two policies, one attempt each at 150 tasks."""
    rng = np.random.default_rng(3)
    weak = np.tile([False, True], 150)
    failed = rng.random(300) < np.where(weak, 1 - weak_passes, 0.1)
    if weak_passes == 0.0:
        failed &= weak
    table = replace(_table(weak[:, None], failed, per_task=2), policy=weak.astype(np.int64))

    def mark(rows: NDArray[np.int64], labels: NDArray[np.bool_], /) -> NDArray[np.float64]:
        return np.ones(1)

    return prove(table, {"mark": mark}, n_splits=1, n_null=30, n_draws=200)


def test_telling_policies_apart_is_not_a_lesson() -> None:
    found = _told_by_policy(weak_passes=0.2)
    main = found.main
    # Better than chance and than every shuffled run, because shuffling mixes the policies up ...
    assert main.held_out.within.low is not None
    assert main.held_out.within.low > 0.8
    assert main.null is not None
    assert main.null.p_value == 1 / 31
    # ... and nothing once each policy's own level is removed.
    assert main.held_out.adjusted is not None
    assert main.held_out.adjusted.value == 0.5
    assert found.holds is False
    assert "with each policy's own level removed 0.500" in found.verdict[0]


def test_policies_that_never_change_places_decide_nothing() -> None:
    found = _told_by_policy(weak_passes=0.0)
    assert found.main.held_out.within.value == 1.0
    assert found.holds is None
    assert found.verdict[0].startswith("Lessons and policies cannot be told apart")


def test_a_few_shuffled_runs_are_said_to_be_few() -> None:
    found = _prove(_planted(150, strength=0.35), n_null=4)
    assert "p cannot be lower than 0.200" in found.verdict[0]


def test_few_mixed_tasks_cannot_decide_and_it_says_how_many_would() -> None:
    found = _prove(_planted(25, strength=0.5), n_null=20)
    assert found.n_mixed_tasks < 30
    assert found.verdict[0].startswith(f"{found.n_mixed_tasks} mixed tasks cannot decide")
    needed = found.needed[0].n_tasks
    assert needed is not None
    assert needed > found.n_mixed_tasks
    assert f"about {needed} for odds ratio 5" in found.verdict[1]


def test_without_shuffled_runs_there_is_no_verdict() -> None:
    found = _prove(_planted(150, strength=0.35), n_null=0)
    assert found.main.null is None
    assert found.main.placebo is None
    assert found.verdict[0].startswith("No verdict without runs on shuffled labels")


def test_the_same_seed_gives_the_same_result() -> None:
    table = _planted(40, strength=0.3)
    first, again, other = (_prove(table, n_null=3, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.main.held_out != other.main.held_out


def test_the_p_value_ranks_the_real_run_among_single_null_runs(tmp_path: Path) -> None:
    table, path = _planted(30, strength=0.1), tmp_path / "null.jsonl"
    found = prove(
        table, {"within": WithinEffect(table)}, n_splits=1, n_null=12, n_draws=0, checkpoint=path
    )
    real = found.main.held_out.within.value
    null = [json.loads(line)["within"]["within"] for line in path.read_text().splitlines()]
    assert len(null) == 12
    assert real is not None
    assert found.main.null is not None
    assert found.main.null.p_value == (1 + sum(each >= real for each in null)) / 13
    assert found.main.null.mean == pytest.approx(sum(null) / 12)


def test_an_interrupted_proof_goes_on(tmp_path: Path) -> None:
    table, path = _planted(30, strength=0.3), tmp_path / "deep" / "null.jsonl"

    def run(miner: WithinEffect, *, n_null: int, configuration: str = "") -> HeldOut:
        return prove(
            table,
            {"within": miner},
            n_splits=1,
            n_null=n_null,
            n_draws=0,
            configuration=configuration,
            checkpoint=path,
        )

    run(WithinEffect(table), n_null=4)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:20])  # as if killed while writing
    resumed = WithinEffect(table)
    found = run(resumed, n_null=6)
    assert resumed.n_calls == 5 * (1 + 3)
    fresh = prove(table, {"within": WithinEffect(table)}, n_splits=1, n_null=6, n_draws=0)
    assert found == fresh
    # Another configuration shares nothing.
    other = WithinEffect(table)
    run(other, n_null=2, configuration="other")
    assert other.n_calls == 5 * (1 + 2)


def test_miners_see_whole_training_tasks_and_nothing_else() -> None:
    table = _planted(23, strength=0.3)
    seen: list[set[int]] = []

    def spy(rows: NDArray[np.int64], failed: NDArray[np.bool_], /) -> NDArray[np.float64]:
        seen.append(set(rows.tolist()))
        return np.zeros(5)

    prove(table, {"spy": spy}, folds=4, n_splits=3, n_null=0, n_draws=0)
    assert len(seen) == 12
    for rows in seen:
        tasks = {int(table.task[row]) for row in rows}
        assert rows == {row for row in range(92) if int(table.task[row]) in tasks}
    for split in range(3):
        left_out = [set(range(92)) - rows for rows in seen[4 * split : 4 * split + 4]]
        assert sorted(row for rows in left_out for row in rows) == list(range(92))


def test_progress_counts_the_real_run_and_every_null_run() -> None:
    steps: list[tuple[int, int]] = []
    table = _planted(12, strength=0.3)
    prove(
        table,
        {"within": WithinEffect(table)},
        n_splits=1,
        n_null=3,
        n_draws=0,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_baselines_need_no_label() -> None:
    table = _planted(60, strength=0.4)
    length = np.arange(240, dtype=np.float64)
    found = prove(
        table,
        {"within": WithinEffect(table)},
        n_splits=1,
        n_null=0,
        scores={"length": length},
        n_draws=100,
    )
    assert set(found.baselines) == {"hand_checks", "oddness", "length"}
    hand = found.baselines["hand_checks"].held_out.within
    assert hand.value is not None
    assert hand.value > 0.5
    plain = _table(table.present, table.failed, per_task=4, fault=False)
    without = prove(plain, {"within": WithinEffect(plain)}, n_splits=1, n_null=0, n_draws=0)
    assert "hand_checks" not in without.baselines


@pytest.mark.parametrize("n_tasks", [0, 1, 2])
def test_nothing_to_compare_is_undefined(n_tasks: int) -> None:
    present = np.zeros((2 * n_tasks, 2), dtype=bool)
    table = _table(present, np.ones(2 * n_tasks, dtype=bool), per_task=2)
    found = prove(
        table, {"spy": lambda rows, failed, /: np.zeros(2)}, n_splits=2, n_null=2, n_draws=10
    )
    assert found.main.held_out.within == (None, None, None, 0, 0)
    assert found.main.held_out.overall.value is None
    assert found.main.null is None
    assert found.needed[0].n_tasks is None
    assert found.verdict[0].startswith("Nothing can be tested: 0 tasks")


def test_bad_calls_are_refused() -> None:
    table = _planted(5, strength=0.3)
    with pytest.raises(BadInput, match="at least one miner"):
        prove(table, {})
    with pytest.raises(BadInput, match="folds >= 2"):
        prove(table, {"within": WithinEffect(table)}, folds=1)
    with pytest.raises(BadInput, match="one score per attempt"):
        prove(table, {"within": WithinEffect(table)}, scores={"length": np.zeros(3)})


def test_a_pattern_selected_everywhere_keeps_its_full_effect() -> None:
    table = _planted(30, strength=0.3)
    fold = folds_by_task(table.task, n_folds=5, n_splits=2, seed=0)
    weights = np.zeros((2, 5, 5))
    weights[:, :, 0] = 1.0
    (found,) = transfers(table, fold=fold, weights=weights)
    full = within_effects(table.present, failed=table.failed, task=table.task, policy=table.policy)
    assert found.held_out.estimate == pytest.approx(full.effect[0])
    assert found.held_out.n_tasks == full.n_informative[0]
    x = table.present[:, 0]
    assert found.pooled_lift == pytest.approx(table.failed[x].mean() - table.failed[~x].mean())


def test_a_pattern_selected_once_is_measured_on_the_fold_left_out() -> None:
    table = _planted(30, strength=0.3)
    fold = folds_by_task(table.task, n_folds=5, n_splits=1, seed=0)
    weights = np.zeros((1, 5, 5))
    weights[0, 2, 0] = -1.0
    (found,) = transfers(table, fold=fold, weights=weights)
    test = fold[0] == 2
    alone = within_effects(
        table.present[test],
        failed=table.failed[test],
        task=table.task[test],
        policy=table.policy[test],
    )
    assert found.selection_frequency == pytest.approx(0.2)
    assert not found.is_usual
    assert found.mean_weight == -1.0
    assert found.held_out.estimate == pytest.approx(alone.effect[0])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_shuffling_keeps_the_failures_of_every_task(seed: int) -> None:
    rng = np.random.default_rng(seed)
    task, labels = rng.integers(0, 7, 40), rng.random(40) < 0.4
    shuffled = shuffled_within_tasks(labels, task=task, rng=rng)
    np.testing.assert_array_equal(
        np.bincount(task, weights=shuffled), np.bincount(task, weights=labels)
    )


def test_shuffling_reaches_every_order() -> None:
    rng = np.random.default_rng(0)
    task, labels = np.zeros(3, dtype=np.int64), np.array([True, False, False])
    places = [
        int(np.flatnonzero(shuffled_within_tasks(labels, task=task, rng=rng))[0])
        for _ in range(300)
    ]
    assert min(places.count(place) for place in range(3)) > 70


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(2, 6), st.integers(0, 1000))
def test_folds_keep_tasks_whole_and_even(n_tasks: int, n_folds: int, seed: int) -> None:
    task = np.repeat(np.arange(n_tasks), 3)
    fold = folds_by_task(task, n_folds=min(n_folds, n_tasks), n_splits=2, seed=seed)
    for split in fold:
        by_task = split.reshape(n_tasks, 3)
        assert (by_task == by_task[:, :1]).all()
        sizes = np.bincount(by_task[:, 0])
        assert sizes.max() - sizes.min() <= 1


def test_rarer_and_wider_searches_need_more_tasks() -> None:
    table = _planted(20, strength=0.3)
    narrow, wide = needed_tasks(table, n_searched=1), needed_tasks(table, n_searched=1000)
    assert narrow[0].n_tasks is not None
    assert wide[0].n_tasks is not None
    assert wide[1].n_tasks is not None
    assert narrow[0].n_tasks < wide[0].n_tasks < wide[1].n_tasks


def test_a_declared_split_mines_one_side_and_tests_the_other() -> None:
    table = _planted(60, strength=0.5)
    test = table.task >= 40
    seen: list[NDArray[np.int64]] = []

    def miner(rows: NDArray[np.int64], failed: NDArray[np.bool_], /) -> NDArray[np.float64]:
        seen.append(rows)
        return np.array([1.0, 0.0, 0.0, 0.0, 0.0])

    found = prove(table, {"planted": miner}, declared=test, n_null=3, seed=0)
    assert all((table.task[rows] < 40).all() for rows in seen)
    assert len(seen) == 1 + 3
    assert found.n_test_tasks == 20
    mixed = {
        code
        for code in range(40, 60)
        if 0 < table.failed[table.task == code].sum() < (table.task == code).sum()
    }
    assert found.main.held_out.within.n_tasks == len(mixed)
    assert found.main.held_out.overall.n_pairs == int(
        table.failed[test].sum() * (~table.failed[test]).sum()
    )


def test_a_task_on_both_sides_is_refused() -> None:
    table = _planted(4, strength=0.5)
    test = np.zeros(16, dtype=np.bool_)
    test[:2] = True
    with pytest.raises(BadInput, match="task 't0' in both splits"):
        declared_folds(table, test)


def test_a_lead_within_the_interval_is_called_that() -> None:
    found = _prove(_planted(150, strength=0.35), n_null=1)
    value, low = found.main.held_out.within[:2]
    assert value is not None
    assert low is not None
    for rival, expected in (
        (value, "Mining is no better than counting"),
        ((low + value) / 2, "Mining is ahead, but within its interval, of counting"),
        (low - 0.01, "Mining is ahead of counting"),
    ):
        area = Auc(rival, None, None, 9, 9)
        checks = Baseline("hand_checks", Validity(area, None, area))
        said = verdict(
            found.main, baselines=[checks], n_mixed=found.n_mixed_tasks, needed=found.needed
        )
        assert any(each.startswith(expected) for each in said), said
