from __future__ import annotations

import pytest
from msgspec.structs import replace
from trial_bank import in_trial

from twiceshy.errors import BadInput
from twiceshy.lessons import EvidenceLevel, Status
from twiceshy.memory.bank import SetEvidence, SetStatus
from twiceshy.memory.trials import (
    Contrast,
    Effects,
    LessonEffect,
    Rule,
    TrialDesign,
    ruling,
    tasks_needed_for,
    verdicts,
)
from twiceshy.memory.trials.log import Counts, Reliability
from twiceshy.memory.trials.verdicts import hoeffding_runs

HELPS = Contrast(
    estimate=0.2, low=0.05, high=0.3, error=0.04, e_better=50.0, e_worse=0.01, n=200,
    n_first=100, n_second=50,
)  # fmt: skip
UNCLEAR = replace(HELPS, estimate=0.02, low=-0.1, high=0.12, e_better=1.0, e_worse=0.4)
HARMS = replace(HELPS, estimate=-0.2, low=-0.3, high=-0.05, e_better=0.01, e_worse=50.0)
USELESS = replace(HELPS, estimate=0.0, low=-0.04, high=0.04, e_better=0.5, e_worse=0.5)


def an_effect(
    found: Contrast, *, status: Status = Status.SHADOW, placebo: Contrast = UNCLEAR, n: int = 9
) -> LessonEffect:
    return LessonEffect(
        lesson_id="a",
        kind="avoid",
        status=status,
        n_recalled=n,
        arms={},
        over_withheld=found,
        over_placebo=placebo,
        shrunk=None,
        near=None,
    )


def effects(one: LessonEffect) -> Effects:
    none = dict.fromkeys(Counts.__struct_fields__, 0)
    return Effects(
        whole_over_withheld=UNCLEAR,
        whole_over_placebo=UNCLEAR,
        lessons=(one,),
        counts=Counts(**none),
        reliability=Reliability(mean=None, attenuation=None, n_told=0, n_unknown=0),
        level=0.95,
    )


@pytest.mark.parametrize(
    ("found", "status", "then"),
    [
        (HELPS, Status.SHADOW, Status.ACTIVE),
        (HELPS, Status.ACTIVE, Status.ACTIVE),
        (UNCLEAR, Status.SHADOW, Status.SHADOW),
        (UNCLEAR, Status.ACTIVE, Status.ACTIVE),
        (USELESS, Status.SHADOW, Status.RETIRED),
        (USELESS, Status.ACTIVE, Status.RETIRED),
        (HARMS, Status.SHADOW, Status.QUARANTINED),
        (HARMS, Status.ACTIVE, Status.QUARANTINED),
        (HARMS, Status.RETIRED, Status.RETIRED),
        (HELPS, Status.QUARANTINED, Status.QUARANTINED),
    ],
)
def test_the_rule(found: Contrast, status: Status, then: Status) -> None:
    assert ruling(an_effect(found, status=status))[0] is then


@pytest.mark.parametrize("found", [HELPS, HARMS, USELESS])
def test_nothing_is_decided_on_a_handful(found: Contrast) -> None:
    few = an_effect(replace(found, n=95))
    assert ruling(few)[0] is Status.SHADOW
    assert ruling(few, rule=Rule(min_scored=20))[0] is not Status.SHADOW


def test_where_the_least_number_of_runs_comes_from() -> None:
    assert Rule().min_scored == hoeffding_runs(0.25) == 96
    assert hoeffding_runs(0.55) == 20  # why a verdict at 20 runs is noise


def test_a_candidate_is_tried_once_it_is_recalled_often_enough() -> None:
    none = replace(UNCLEAR, estimate=None, low=None, high=None, n=0)
    assert ruling(an_effect(none, status=Status.CANDIDATE, n=2))[0] is Status.CANDIDATE
    assert ruling(an_effect(none, status=Status.CANDIDATE, n=3))[0] is Status.SHADOW
    lesson = in_trial("a", status=Status.CANDIDATE)
    edits = verdicts(effects(an_effect(none, status=Status.CANDIDATE)), lessons=[lesson])
    assert [type(each) for each in edits] == [SetStatus]


def test_supported_needs_the_placebo_beaten_as_well() -> None:
    lesson = in_trial("a")
    only = verdicts(effects(an_effect(HELPS)), lessons=[lesson])
    assert [type(each) for each in only] == [SetStatus, SetEvidence]
    assert isinstance(only[1], SetEvidence)
    assert only[1].level is EvidenceLevel.DESCRIBED
    both = verdicts(effects(an_effect(HELPS, placebo=HELPS)), lessons=[lesson])
    assert isinstance(both[1], SetEvidence)
    assert both[1].level is EvidenceLevel.SUPPORTED_IN_TRIAL


def test_evidence_is_told_as_a_difference_in_failure() -> None:
    (_, told) = verdicts(effects(an_effect(HELPS)), lessons=[in_trial("a")])
    assert isinstance(told, SetEvidence)
    trial = told.evidence.trial
    assert trial is not None
    assert (trial.estimate, trial.low, trial.high) == (-0.2, -0.3, -0.05)
    assert (trial.n_attempts, trial.extra["n_shown"]) == (200, 100)
    assert "e = 50" in told.because


def test_a_level_from_a_trial_is_taken_back_by_a_trial() -> None:
    lesson = replace(in_trial("a", status=Status.ACTIVE), level=EvidenceLevel.SUPPORTED_IN_TRIAL)
    edits = verdicts(effects(an_effect(HARMS, status=Status.ACTIVE)), lessons=[lesson])
    assert isinstance(edits[1], SetEvidence)
    assert edits[1].level is EvidenceLevel.DESCRIBED


def test_no_edit_where_nothing_changes_or_nothing_is_known() -> None:
    assert verdicts(effects(an_effect(UNCLEAR)), lessons=[in_trial("a")]) == []
    assert verdicts(effects(an_effect(HELPS)), lessons=[in_trial("other")]) == []


def test_plans() -> None:
    assert tasks_needed_for("pair", difference=0.05).runs == 2 * 778
    whole = tasks_needed_for("bank", difference=0.1, rate=0.45)
    assert whole.at_once == 2181  # 7.849 · 0.25 · (1/0.9 + 1/0.1) / 0.1²
    often = tasks_needed_for("lesson", difference=0.1)
    seldom = tasks_needed_for("lesson", difference=0.1, recalled=0.1)
    assert seldom.at_once == pytest.approx(10 * often.at_once, rel=0.01)
    easier = tasks_needed_for("lesson", difference=0.1, explained=0.5)
    assert easier.at_once < 0.6 * often.at_once
    assert often.anytime is not None
    assert often.at_once < often.anytime < 2.5 * often.at_once
    active = tasks_needed_for("lesson", difference=0.1, status=Status.ACTIVE)
    assert active.at_once > often.at_once


@pytest.mark.parametrize(
    "given",
    [
        {"difference": 0.1, "recalled": 0.0},
        {"difference": 0.1, "design": TrialDesign(shadow_withheld=0.0)},
        {"difference": 0.1, "status": Status.CANDIDATE},
        {"difference": 0.0},
        {"difference": 0.1, "rate": 1.0},
    ],
)
def test_questions_that_cannot_be_asked(given: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        tasks_needed_for("lesson", **given)  # pyrefly: ignore[bad-argument-type]


@pytest.mark.parametrize(
    ("found", "whole", "then"),
    [
        (replace(UNCLEAR, n=5), HELPS, Status.ACTIVE),  # too rare for a verdict of its own
        (UNCLEAR, HELPS, Status.ACTIVE),
        (HARMS, HELPS, Status.QUARANTINED),  # its own trial counts more
        (USELESS, HELPS, Status.RETIRED),
        (UNCLEAR, replace(HELPS, n=95), Status.SHADOW),
        (UNCLEAR, UNCLEAR, Status.SHADOW),
        (UNCLEAR, HARMS, Status.SHADOW),
        (UNCLEAR, None, Status.SHADOW),
    ],
)
def test_a_lesson_in_trial_is_promoted_with_a_set_that_helps(
    found: Contrast, whole: Contrast | None, then: Status
) -> None:
    rule = Rule(by_set=True)
    assert ruling(an_effect(found), rule=rule, whole=whole)[0] is then
    candidate = an_effect(found, status=Status.CANDIDATE, n=2)
    assert ruling(candidate, rule=rule, whole=whole)[0] is Status.CANDIDATE
    if then is Status.ACTIVE:
        assert ruling(an_effect(found), rule=Rule(), whole=whole)[0] is Status.SHADOW
        told = replace(effects(an_effect(found)), whole_over_withheld=whole)
        lesson = in_trial("a", status=Status.SHADOW)
        edit = verdicts(told, lessons=[lesson], rule=rule)[0]
        assert isinstance(edit, SetStatus)
        assert edit.status is then
