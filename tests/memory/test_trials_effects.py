from __future__ import annotations

import math
import random

import numpy as np
import pytest
from trial_bank import EVEN, TrialBank, in_trial

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.lessons import Status
from twiceshy.memory.bank.types import Shown
from twiceshy.memory.trials import TrialDesign, decide, effect
from twiceshy.memory.trials.effects import Draw, contrast
from twiceshy.memory.trials.log import Difficulty, read_log

WON, LOST = Outcome.SUCCESS, Outcome.FAILURE
THREE: dict[Shown, float] = {"shown": 0.5, "withheld": 0.25, "placebo": 0.25}


def test_inverse_propensity_difference_by_hand() -> None:
    draws = [
        Draw("shown", THREE, good=True, expected=0.6),  # +0.4 / 0.5 = 0.8
        Draw("shown", THREE, good=False, expected=0.6),  # −0.6 / 0.5 = −1.2
        Draw("withheld", THREE, good=False, expected=0.5),  # −(−0.5) / 0.25 = 2
        Draw("placebo", THREE, good=True, expected=0.5),  # neither: 0
        Draw("withheld", THREE, good=True, expected=0.9),  # −0.1 / 0.25 = −0.4
    ]
    found = contrast(draws, second="withheld")
    assert found.estimate == pytest.approx((0.8 - 1.2 + 2 + 0 - 0.4) / 5)
    assert (found.n, found.n_first, found.n_second) == (5, 2, 2)
    placebo = contrast(draws, second="placebo")
    assert placebo.estimate == pytest.approx((0.8 - 1.2 + 0 - 0.5 / 0.25 + 0) / 5)


def test_draws_without_a_chance_of_both_arms_are_left_out() -> None:
    draws = [
        Draw("shown", {"shown": 1.0}, good=True, expected=0.5),
        Draw("withheld", {"withheld": 1.0}, good=False, expected=0.5),
    ]
    found = contrast(draws, second="withheld")
    assert (found.estimate, found.n, found.e_better) == (None, 0, 1.0)


def test_one_empty_arm_is_undefined_with_its_n() -> None:
    found = contrast([Draw("shown", EVEN, good=True, expected=0.5)] * 3, second="withheld")
    assert (found.estimate, found.low, found.n, found.n_first, found.n_second) == (
        None,
        None,
        3,
        3,
        0,
    )


def test_an_estimate_is_cut_to_what_a_difference_can_be() -> None:
    tight: dict[Shown, float] = {"shown": 0.9, "withheld": 0.1}
    draws = [
        Draw("shown", tight, good=True, expected=0.5),
        Draw("withheld", tight, good=False, expected=0.5),
    ]
    assert contrast(draws, second="withheld").estimate == 1.0  # (0.5/0.9 + 0.5/0.1) / 2 is above 1


def test_an_empty_bank() -> None:
    found = effect(TrialBank().reader)
    assert found.lessons == ()
    assert (found.whole_over_withheld.estimate, found.whole_over_withheld.n) == (None, 0)
    assert found.counts.n_runs == 0
    assert (found.reliability.mean, found.reliability.attenuation) == (None, None)


def test_expected_comes_from_earlier_runs_only() -> None:
    bank = TrialBank(in_trial("a"))
    for outcome in (WON, WON, LOST):
        bank.add(outcome, {"a": "shown"}, task="t", family="f")
    expected = [run.expected for run in read_log(bank.reader).runs]
    # nothing known; then all 2/3, family (1 + 2·2/3)/3 = 7/9, task (1 + 2·7/9)/3 = 23/27
    assert expected[:2] == pytest.approx([0.5, 23 / 27])
    # all 3/4, family (2 + 2·3/4)/4 = 7/8, task (2 + 2·7/8)/4
    assert expected[2] == pytest.approx(15 / 16)


def test_tasks_are_apart_by_policy_and_an_unnamed_family_is_none() -> None:
    past = Difficulty()
    past.add(True, task="t", family="", policy="p")
    assert past.rate("t", family="", policy="p") == pytest.approx((1 + 2 * 2 / 3) / 3)
    assert past.rate("t", family="", policy="q") == pytest.approx(2 / 3)


def test_broken_unscored_and_open_runs_are_counted_and_never_enter() -> None:
    bank = TrialBank(in_trial("a"))
    whole_arms: dict[Shown, float] = {"shown": 0.9, "withheld": 0.1}
    bank.add(WON, {"a": "shown"}, whole_arms=whole_arms)
    bank.add(LOST, {"a": "withheld"}, whole_arms=whole_arms)
    before = effect(bank.reader)
    for outcome in (Outcome.BROKEN, Outcome.UNSCORED, None, None):
        bank.add(outcome, {"a": "shown"}, whole_arms=whole_arms, bad={"a": 3})
    found = effect(bank.reader)
    counts = found.counts
    assert (counts.n_runs, counts.n_scored, counts.n_broken) == (6, 2, 1)
    assert (counts.n_unscored, counts.n_open, counts.n_engaged) == (1, 2, 2)
    assert found.lessons[0].over_withheld == before.lessons[0].over_withheld
    assert found.lessons[0].near is None
    assert found.lessons[0].n_recalled == 6


def test_runs_in_which_the_set_was_held_back_say_nothing_about_one_lesson() -> None:
    bank = TrialBank(in_trial("a"))
    whole_arms: dict[Shown, float] = {"shown": 0.5, "withheld": 0.5}
    bank.add(WON, {"a": "shown"}, whole_arms=whole_arms)
    bank.add(LOST, {"a": "withheld"}, whole="withheld", whole_arms=whole_arms)
    found = effect(bank.reader)
    assert (found.lessons[0].over_withheld.n, found.lessons[0].arms["withheld"]) == (1, 0)
    whole = found.whole_over_withheld
    assert (whole.n, whole.n_first, whole.n_second) == (2, 1, 1)
    # (1 − 1/2) / (1/2), and −(0 − 5/6) / (1/2): all 2/3, task (1 + 4/3) / 3 = 7/9
    assert whole.estimate == pytest.approx(min(1.0, (1 + 2 * 7 / 9) / 2))


def test_a_lesson_recalled_twice_in_a_run_counts_once() -> None:
    bank = TrialBank(in_trial("a"))
    bank.add(WON, {"a": "shown"})
    bank.decisions().append(bank.decisions()[0])
    found = effect(bank.reader)
    assert (found.lessons[0].over_withheld.n, found.counts.n_repeated) == (1, 1)


def test_a_decision_without_the_chances_of_its_arms_is_left_out_and_counted() -> None:
    bank = TrialBank(in_trial("a"))
    bank.add(WON, {"a": "shown"}, arms={})
    found = effect(bank.reader)
    assert (found.lessons[0].over_withheld.n, found.counts.n_untold) == (0, 1)


def test_one_lesson_one_policy_and_unknown_ones() -> None:
    bank = TrialBank(in_trial("a"), in_trial("b"), in_trial("never"))
    bank.add(WON, {"a": "shown", "b": "withheld"}, policy="p")
    bank.add(LOST, {"a": "withheld", "b": "shown"}, policy="q")
    assert [each.lesson_id for each in effect(bank.reader).lessons] == ["a", "b"]
    assert [each.lesson_id for each in effect(bank.reader, lesson_id="b").lessons] == ["b"]
    assert effect(bank.reader, policy="q").lessons[0].over_withheld.n_first == 0
    (never,) = effect(bank.reader, lesson_id="never").lessons
    assert (never.over_withheld.estimate, never.n_recalled) == (None, 0)
    with pytest.raises(BadInput):
        effect(bank.reader, lesson_id="z")


def test_reliability_of_judges() -> None:
    bank = TrialBank(in_trial("a"))
    for reliability in (0.9, 0.7, None):
        bank.add(WON, {"a": "shown"}, reliability=reliability)
    told = effect(bank.reader).reliability
    assert (told.mean, told.attenuation) == (pytest.approx(0.8), pytest.approx(0.6))
    assert (told.n_told, told.n_unknown) == (2, 1)


def test_the_near_signal_by_hand() -> None:
    bank = TrialBank(in_trial("a"))
    bank.add(WON, {"a": "shown"}, clean={"a": 3}, bad={"a": 1})
    bank.add(WON, {"a": "shown"}, clean={"a": 2})
    bank.add(LOST, {"a": "withheld"}, bad={"a": 2})
    bank.add(LOST, {"a": "withheld"})
    near = effect(bank.reader).lessons[0].near
    assert near is not None
    assert near.exposures == {"shown": 6, "withheld": 2, "placebo": 0}
    assert near.compliance == pytest.approx(5 / 6)
    assert [near.recurrence(arm) for arm in ("shown", "withheld", "placebo")] == [
        pytest.approx(1 / 6),
        1.0,
        None,
    ]
    assert near.runs == {"shown": 2, "withheld": 1, "placebo": 0}
    # clean runs foreseen at 1/2, 1/3, 1/2, 2/5: −1/2, +2/3, +1/2, −3/5, each over 1/2, over 4
    assert near.over_withheld.estimate == pytest.approx(2 * (-1 / 2 + 2 / 3 + 1 / 2 - 3 / 5) / 4)


def test_three_lessons_of_a_kind_shrink_and_two_do_not() -> None:
    bank = TrialBank(*(in_trial(n) for n in "abc"), *(in_trial(n, kind="recover") for n in "xy"))
    flip = random.Random(1)
    for _ in range(60):
        arms: dict[str, Shown] = {n: flip.choice(["shown", "withheld"]) for n in "abcxy"}
        won = flip.random() < (0.9 if arms["a"] == "shown" else 0.3)
        bank.add(WON if won else LOST, arms)
    by_id = {each.lesson_id: each for each in effect(bank.reader).lessons}
    shrunk = by_id["a"].shrunk
    assert shrunk is not None
    assert by_id["x"].shrunk is None
    estimate = by_id["a"].over_withheld.estimate
    assert estimate is not None
    assert shrunk.prior_mean < shrunk.estimate < estimate
    assert shrunk.n_lessons == 3


def test_unbiased_although_the_lesson_is_recalled_on_hard_tasks() -> None:
    """The mean of many banks' estimates is the truth; the success rate when present is not."""
    truth = 0.2
    estimates: list[float | None] = []
    naive: list[float] = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        bank = TrialBank(in_trial("a"), in_trial("b", status=Status.ACTIVE))
        rates: list[tuple[bool, bool]] = []
        for run in range(150):
            hard = bool(rng.random() < 0.5)
            recalled = rng.random() < (0.9 if hard else 0.2)
            made = decide(
                [bank.get("a"), bank.get("b")] if recalled else [],
                run_id=f"run-{run}",
                seed=seed,
                design=TrialDesign(hold_out=0.1),
            )
            told = {each.lesson_id: each.arm for each in made}
            p = (0.2 if hard else 0.7) + truth * (told.get("a") == "shown")
            won = bool(rng.random() < p)
            add_decided(bank, won, made, task="hard" if hard else "easy")
            rates.append((told.get("a") == "shown", won))
        estimates.append(effect(bank.reader).lessons[0].over_withheld.estimate)
        shown = [won for was, won in rates if was]
        naive.append(float(np.mean(shown) - np.mean([won for was, won in rates if not was])))
    assert all(each is not None for each in estimates)
    values = np.array(estimates, dtype=float)
    assert abs(values.mean() - truth) < 3 * values.std() / math.sqrt(len(values))
    assert np.mean(naive) < truth - 0.1


def add_decided(bank: TrialBank, won: bool, made: object, *, task: str) -> None:
    run_id = bank.add(WON if won else LOST, {}, task=task)
    assert isinstance(made, tuple)
    bank.decisions().extend(made)
    assert all(each.run_id == run_id for each in made)
