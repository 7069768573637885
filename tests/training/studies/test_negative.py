from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.training.base import base_policy
from twiceshy.training.config import ObjectiveConfig, step_objective
from twiceshy.training.loop import RlConfig, train
from twiceshy.training.studies import negative_reinforcement
from twiceshy.training.studies.negative.contrasts import compare_all
from twiceshy.training.studies.negative.curves import (
    Curve,
    at_level,
    equal_rollouts_difference,
    matched_difference,
)
from twiceshy.training.studies.negative.plan import (
    QUESTIONS,
    Contrast,
    Plan,
    Setting,
    full_plan,
    quick_plan,
)
from twiceshy.training.studies.negative.plot import draw_curves
from twiceshy.training.studies.negative.report import report_of
from twiceshy.training.studies.negative.runs import BASE, Job, Point, Run, do_job, jobs_of
from twiceshy.training.studies.negative_reinforcement import (
    finished_runs,
    report_negative_reinforcement,
    run_negative_reinforcement,
)

SETTING = Setting(
    name="small",
    base="countdown-weak",
    objectives=("psr", "nsr"),
    prompts_per_step=2,
    n_steps=2,
    eval_steps=(1, 2),
)


def contrast(outcome: str = "pass@64", how: str = "matched") -> Contrast:
    return msgspec.convert(
        {
            "question": 1,
            "first": ("small", "nsr"),
            "second": ("small", "psr"),
            "outcome": outcome,
            "how": how,
        },
        Contrast,
    )


def plan(n_seeds: int = 2) -> Plan:
    return Plan(
        settings=(SETTING,),
        n_seeds=n_seeds,
        n_prompts=4,
        n_samples=64,
        contrasts=(contrast(), contrast("pass@1", "equal_rollouts")),
    )


def point(step: int, at_1: float, at_64: float) -> Point:
    return Point(
        step=step,
        rollouts=step * 32,
        pass_at_1=at_1,
        pass_at_8=at_1,
        pass_at_64=at_64,
        entropy=1.0,
        distinct=2.0,
        mean_length=7.0,
        skip_rate=0.0,
        training={},
    )


def made(the_plan: Plan, walks: dict[str, list[tuple[float, float]]]) -> dict[str, Run]:
    """Runs with given walks (pass@1, pass@64), by objective, shifted a little from seed to seed."""
    runs: dict[str, Run] = {}
    for job in jobs_of(the_plan):
        shift = 0.001 * job.seed
        walk = walks[job.objective]
        steps = job.eval_steps
        points = tuple(
            point(s, x, y + (0 if job.objective == BASE else shift))
            for s, (x, y) in zip(steps, walk, strict=True)
        )
        runs[job.name] = Run(job=job, points=points, cpu_seconds=1.0)
    return runs


def test_matched_by_hand() -> None:
    """Levels 0.15, 0.175, 0.2 of a common gain of 0.1: the slow one 0.9 throughout."""
    slow = Curve((0, 1), (0.1, 0.2), (0.9, 0.9))
    fast = Curve((0, 1), (0.1, 0.3), (0.9, 0.5))
    assert matched_difference(slow, fast) == pytest.approx((0.1 + 0.15 + 0.2) / 3)
    assert matched_difference(fast, slow) == pytest.approx(-0.15)
    assert equal_rollouts_difference(slow, fast) == pytest.approx(0.4)


def test_the_same_path_at_another_pace_differs_by_nothing() -> None:
    """What matched comparison is for: 0.4 apart at the end, 0 along the way."""
    slow = Curve((0, 1, 2), (0.1, 0.15, 0.2), (0.9, 0.85, 0.8))
    fast = Curve((0, 1, 2), (0.1, 0.3, 0.6), (0.9, 0.7, 0.4))
    assert matched_difference(slow, fast) == pytest.approx(0)
    assert equal_rollouts_difference(slow, fast) == pytest.approx(0.4)


def test_no_common_gain_is_undefined() -> None:
    falls = Curve((0, 1), (0.1, 0.05), (0.9, 0.2))
    rises = Curve((0, 1), (0.1, 0.3), (0.9, 0.8))
    assert matched_difference(falls, rises) is None
    assert matched_difference(rises, falls) is None
    assert equal_rollouts_difference(falls, Curve((0, 7), (0.1, 0.2), (1, 1))) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8))
def test_first_crossing(walk: list[tuple[float, float]]) -> None:
    """It is met at every level up to the largest, inside the range of outcomes, and not above."""
    x, y = zip(*walk, strict=True)
    curve = Curve(tuple(range(len(x))), x, y)
    for share in (0.0, 0.3, 1.0):
        level = x[0] + share * curve.gain * (1 - 1e-9)
        found = at_level(curve, level)
        assert found is not None
        assert min(y) - 1e-9 <= found <= max(y) + 1e-9
    assert at_level(curve, max(x) + 0.01) is None
    assert matched_difference(curve, curve) in (None, 0.0)


def test_contrasts_over_seeds() -> None:
    walks = {
        BASE: [(0.1, 0.9)],
        "psr": [(0.15, 0.85), (0.2, 0.8)],
        "nsr": [(0.12, 0.9), (0.14, 0.9)],
    }
    the_plan = plan(3)
    matched, equal = compare_all(the_plan, made(the_plan, walks))
    # PSR at 0.12, 0.13, 0.14: 0.88, 0.87, 0.86, plus part of the seed's shift.
    assert matched.n_seeds == 3
    assert matched.n_positive == 3
    assert matched.difference == pytest.approx(0.03, abs=0.001)
    assert equal.difference == pytest.approx(-0.06)
    assert equal.low is None  # no spread between seeds: no interval is claimed
    assert equal.p is None


def test_missing_runs_are_not_undefined_ones() -> None:
    the_plan = plan(2)
    walks = {
        BASE: [(0.1, 0.9)],
        "psr": [(0.15, 0.85), (0.2, 0.8)],
        "nsr": [(0.1, 0.9), (0.05, 0.9)],
    }
    runs = made(the_plan, walks)
    (matched, _) = compare_all(the_plan, runs)
    assert (matched.difference, matched.n_seeds, matched.n_undefined) == (None, 0, 2)
    report = report_of(the_plan, {}, manifest={})
    assert "not run 2" in report.summary[1]
    assert report.numbers["contrasts"][0]["difference"] is None
    report = report_of(the_plan, runs, manifest={})
    assert "undefined 1" in report.summary[1]


def test_holm_counts_each_kind_apart() -> None:
    two = (contrast(), contrast("entropy"), contrast("pass@1", "equal_rollouts"))
    the_plan = msgspec.structs.replace(plan(4), contrasts=two)
    walks = {
        BASE: [(0.1, 0.9)],
        "psr": [(0.15, 0.85), (0.2, 0.8)],
        "nsr": [(0.12, 0.95), (0.14, 0.9)],
    }
    runs = made(the_plan, walks)
    jitter = {n: _moved(r) for n, r in runs.items()}
    found = compare_all(the_plan, jitter)
    assert found[0].p is not None
    assert found[0].p_holm == pytest.approx(found[0].p)  # entropy has no spread, so no test
    assert found[2].p_holm == found[2].p


def _moved(run: Run) -> Run:
    rng = np.random.default_rng(run.job.seed)
    points = tuple(
        msgspec.structs.replace(p, pass_at_1=p.pass_at_1 + 1e-3 * rng.random()) for p in run.points
    )
    return run if run.job.objective == BASE else msgspec.structs.replace(run, points=points)


def test_the_plan_compares_what_it_runs() -> None:
    for the_plan in (full_plan(), quick_plan()):
        jobs = jobs_of(the_plan)
        arms = {(job.setting, job.objective) for job in jobs}
        names = [job.name for job in jobs]
        assert len(set(names)) == len(names)
        for each in the_plan.contrasts:
            pairs = [(each.first, each.second), *([each.minus] if each.minus else [])]
            assert all(arm in arms for pair in pairs for arm in pair)
            assert each.question in QUESTIONS
            assert each.fixed_beforehand == (each.question != 7)
        for setting in the_plan.settings:
            per_batch = setting.n_steps * setting.prompts_per_step
            assert per_batch == max(setting.eval_steps) * setting.prompts_per_step


def test_ways_of_training_that_are_compared_use_equal_rollouts() -> None:
    settings = {setting.name: setting for setting in full_plan().settings}
    for each in full_plan().contrasts:
        one, two = settings[each.first[0]], settings[each.second[0]]
        if each.how == "equal_rollouts":
            rollouts = [{s * x.prompts_per_step for s in x.eval_steps} for x in (one, two)]
            assert max(rollouts[0]) == max(rollouts[1])


def test_a_run_repeats_itself_and_differs_from_another_seed() -> None:
    jobs = {job.name: job for job in jobs_of(plan())}
    job = jobs["small.nsr.0"]
    first, again, other = do_job(job), do_job(job), do_job(jobs["small.nsr.1"])
    assert first.points == again.points
    assert first.points != other.points
    assert [p.rollouts for p in first.points] == [32, 64]
    assert first.points[0].training["right_logp_change"] is not None


def test_a_run_that_blows_up_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise BadInput("a finite loss and gradient", got="nan")

    monkeypatch.setattr("twiceshy.training.studies.negative.runs.train", fails)
    run = do_job(_one_job())
    assert run.points == ()
    assert "finite loss" in run.error
    report = report_of(plan(), {run.job.name: run}, manifest={})
    assert report.numbers["n_ended_early"] == 1
    assert report.alarms[0].name == run.job.name


def _one_job() -> Job:
    return next(job for job in jobs_of(plan()) if job.objective == "psr")


def test_whole_study_resumes_and_refuses_another_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(negative_reinforcement, "quick_plan", plan)
    seen: list[str] = []
    report = run_negative_reinforcement(
        tmp_path, quick=True, progress=lambda _, __, name: seen.append(name)
    )
    assert report.numbers["n_runs"] == report.numbers["n_planned"] == len(seen) == 6
    again = run_negative_reinforcement(tmp_path, quick=True, progress=lambda *_: seen.append("x"))
    assert "x" not in seen
    assert (
        again.numbers
        == report.numbers
        == report_negative_reinforcement(tmp_path, quick=True).numbers
    )
    draw_curves(plan(), finished_runs(tmp_path, quick=True), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000
    monkeypatch.setattr(
        negative_reinforcement,
        "quick_plan",
        lambda: msgspec.structs.replace(plan(), n_prompts=5),
    )
    with pytest.raises(BadInput, match="Choose another folder"):
        report_negative_reinforcement(tmp_path, quick=True)


def test_token_mean_is_the_budget_mean_where_all_responses_are_full() -> None:
    """So the denominator is no question on countdown and change; it is asked on the chain."""
    weights = []
    for kind in ("budget", "tokens"):
        policy, card = base_policy("countdown-weak")
        config = msgspec.convert({"name": "nsr", "denominator": kind}, ObjectiveConfig)
        train(
            policy,
            card.task,
            objective=step_objective(config, group_size=4),
            config=RlConfig(n_prompts=20, prompts_per_step=4, group_size=4, n_steps=2),
        )
        weights.append(torch.cat([p.detach().flatten() for p in policy.parameters()]))
    assert torch.equal(weights[0], weights[1])
