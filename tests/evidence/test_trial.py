from __future__ import annotations

import pytest

from twiceshy.attempts import Attempt, Outcome, Verdict
from twiceshy.errors import BadInput
from twiceshy.evidence.trial import compare_policies


def attempts(policy: str, *results: str, ending: str = "stop") -> list[Attempt]:
    """One task a string, one attempt a letter: R right, W wrong, B broken, U unscored."""
    outcome = {
        "R": Outcome.SUCCESS,
        "W": Outcome.FAILURE,
        "B": Outcome.BROKEN,
        "U": Outcome.UNSCORED,
    }
    return [
        Attempt(
            task=f"t{i}", policy=policy, ending=ending, verdict=Verdict(outcome=outcome[letter])
        )
        for i, letters in enumerate(results)
        for letter in letters
    ]


def test_worked_by_hand() -> None:
    # Rates by task: reference 0, 1/2, 1; arm 1, 1, 1. Differences 1, 1/2, 0: mean 1/2.
    result = compare_policies(
        [*attempts("none", "WW", "RW", "RR"), *attempts("both", "RR", "RR", "RR")],
        reference="none",
    )
    base, arm = result.arms
    assert base.difference is None
    assert base.rate.value == pytest.approx(0.5)
    assert arm.difference is not None
    assert arm.difference.difference == pytest.approx(0.5)
    assert arm.difference.n_tasks == 3
    assert arm.flips is not None
    assert arm.flips.right_to_wrong == 0.0
    assert arm.flips.wrong_to_right == pytest.approx((1 + 0.5 + 0) / 3)
    # Re-running the reference flips 1·1/(2·1) in the middle task only.
    assert arm.flips.rerun_right_to_wrong == pytest.approx(0.5 / 3)


def test_broken_and_unscored_attempts_enter_no_rate() -> None:
    plain = compare_policies([*attempts("a", "RW", "R"), *attempts("b", "RR", "W")], reference="a")
    noisy = compare_policies(
        [*attempts("a", "RWB", "RU"), *attempts("b", "RRU", "WBB")], reference="a"
    )
    assert noisy.report.numbers == plain.report.numbers


def test_a_missing_placebo_is_said() -> None:
    both = [*attempts("a", "RW", "R"), *attempts("b", "RR", "W")]
    assert [alarm.name for alarm in compare_policies(both, reference="a").report.alarms] == [
        "no_placebo"
    ]
    placebo = compare_policies([*both, *attempts("p", "RW", "W")], reference="a", placebo="p")
    assert placebo.report.alarms == ()
    over = {arm.policy: arm.over_placebo for arm in placebo.arms}
    assert over["a"] is None
    assert over["p"] is None
    assert over["b"] is not None
    assert over["b"].difference == pytest.approx((0.5 + 0.0) / 2)


def test_nothing_is_undefined_and_not_zero() -> None:
    result = compare_policies([], reference="none")
    assert "n = 0" in result.report.summary[0]
    assert result.arms == ()


def test_tasks_of_one_arm_only_are_left_out_and_counted() -> None:
    result = compare_policies([*attempts("a", "R", "W"), *attempts("b", "R")], reference="a")
    gap = result.arms[1].difference
    assert gap is not None
    assert (gap.n_tasks, gap.n_tasks_left_out) == (1, 1)


def test_an_unknown_reference_is_named() -> None:
    with pytest.raises(BadInput, match=r"Choose one of: a, b"):
        compare_policies([*attempts("a", "R"), *attempts("b", "W")], reference="c")


def test_a_flip_of_every_task_is_clear_although_it_has_no_spread() -> None:
    result = compare_policies([*attempts("a", *"W" * 12), *attempts("b", *"R" * 12)], reference="a")
    arm = result.arms[1]
    assert arm.difference is not None
    assert (arm.difference.difference, arm.difference.low) == (1.0, None)
    assert arm.p_value == 2 / 2**12
    assert arm.is_clear
    assert arm.rate.high == 1.0
    assert arm.rate.low is not None
    assert "1 of 1 arms differ beyond chance" in result.report.summary[0]


def test_many_arms_are_corrected_for() -> None:
    # Six tasks turned of six: p = 2 / 2^6 = 0.031 for each arm, and 0.125 of four.
    base, better = attempts("a", *"W" * 6), "R" * 6
    alone = compare_policies([*base, *attempts("b", *better)], reference="a")
    assert alone.arms[1].is_clear
    four = compare_policies(
        [*base, *(each for name in "bcde" for each in attempts(name, *better))], reference="a"
    )
    assert [arm.p_value for arm in four.arms[1:]] == [2 / 2**6] * 4
    assert not any(arm.is_clear for arm in four.arms)
    assert "0 of 4 arms" in four.report.summary[0]


def test_arms_on_other_tasks_are_told() -> None:
    result = compare_policies(
        [*attempts("a", "RW", "WW", "R"), *attempts("b", "RR", "W"), *attempts("c", "R", "W", "W")],
        reference="a",
    )
    assert "paired over 2 to 3 shared tasks" in result.report.summary[0]
    note = result.report.tables[0].note
    assert "'b' on 2" in note
    assert "'c'" not in note


def test_single_attempts_cannot_tell_how_often_the_reference_flips() -> None:
    result = compare_policies([*attempts("a", *"RW"), *attempts("b", *"WR")], reference="a")
    assert "unknown with one attempt a task" in result.report.tables[0].note


def test_arms_without_a_shared_task_are_not_compared() -> None:
    result = compare_policies(
        [*attempts("a", "R"), *(attempts("b", "", "W"))],
        reference="a",
    )
    assert result.report.summary[0].startswith("Nothing to compare (n = 0)")
    assert result.arms[1].p_value is None
    assert not result.arms[1].is_clear
