from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trial_bank import in_trial

from twiceshy.errors import BadInput
from twiceshy.lessons import Status
from twiceshy.memory.trials import ALWAYS_SHOWN, TrialDesign, decide

DESIGN = TrialDesign(
    hold_out=0.2,
    whole_placebo=0.1,
    shadow_withheld=0.3,
    shadow_placebo=0.2,
    active_withheld=0.1,
    active_placebo=0.0,
)
TWO = [in_trial("a"), in_trial("b", status=Status.ACTIVE)]


def test_the_same_seed_run_and_lesson_meet_the_same_fate() -> None:
    first = decide(TWO, run_id="r", design=DESIGN, seed=4)
    assert first == decide(TWO, run_id="r", design=DESIGN, seed=4)
    alone = decide(TWO[1:], run_id="r", design=DESIGN, seed=4, moment="after_error", step=3)
    assert alone[0].arm == first[1].arm


def test_seed_run_and_lesson_each_matter() -> None:
    def arms(**given: object) -> list[str]:
        ids = given.get("ids", range(40))
        lessons = [in_trial(str(n)) for n in ids]  # pyrefly: ignore[not-iterable]
        run = str(given.get("run", "r"))
        seed = int(str(given.get("seed", 0)))
        return [each.arm for each in decide(lessons, run_id=run, seed=seed, design=no_hold_out)]

    no_hold_out = TrialDesign(hold_out=0.0)
    assert arms() != arms(seed=1)
    assert arms() != arms(run="s")
    assert arms() != arms(ids=range(40, 80))


def test_chances_are_those_logged() -> None:
    """Every joint outcome of a run's coins comes as often as the logged propensities say."""
    n, seen, said = 20_000, Counter[tuple[str, ...]](), dict[tuple[str, ...], float]()
    for run in range(n):
        found = decide(TWO, run_id=str(run), design=DESIGN, seed=5)
        joint = (found[0].whole, *(each.arm for each in found))
        seen[joint] += 1
        said[joint] = found[0].whole_arms[found[0].whole] * (
            found[0].propensity * found[1].propensity
        )
    assert sum(said.values()) == pytest.approx(1.0)
    for joint, chance in said.items():
        assert abs(seen[joint] / n - chance) < 4 * (chance * (1 - chance) / n) ** 0.5


def test_the_joint_chances_by_hand() -> None:
    dealt = [(0.7 * 0.5 * 0.9), (0.7 * 0.3 * 0.9), (0.7 * 0.2 * 0.9)]
    dealt += [(0.7 * 0.5 * 0.1), (0.7 * 0.3 * 0.1), (0.7 * 0.2 * 0.1)]
    assert sum(dealt) + 0.2 + 0.1 == pytest.approx(1.0)
    found = next(
        each
        for each in (decide(TWO, run_id=str(n), design=DESIGN) for n in range(500))
        if [each[0].whole, each[0].arm, each[1].arm] == ["shown", "placebo", "withheld"]
    )
    assert found[0].whole_arms["shown"] * found[0].propensity * found[1].propensity == (
        pytest.approx(dealt[5])
    )


def test_what_is_held_back_is_held_back_whole() -> None:
    for run in range(300):
        found = decide(TWO, run_id=str(run), design=DESIGN)
        if found[0].whole != "shown":
            assert {each.arm for each in found} == {found[0].whole}
            assert all(each.propensity == 1.0 for each in found)


@pytest.mark.parametrize("status", [Status.CANDIDATE, Status.RETIRED, Status.QUARANTINED])
def test_only_lessons_in_use_are_ever_told(status: Status) -> None:
    lessons = [in_trial("x", status=status)]
    for run, design in product(range(100), (DESIGN, ALWAYS_SHOWN)):
        (found,) = decide(lessons, run_id=str(run), design=design)
        assert (found.arm, found.propensity, found.whole_arms) == ("withheld", 1.0, {})


def test_a_candidate_stays_withheld_where_the_set_gets_placebos() -> None:
    lessons = [*TWO, in_trial("x", status=Status.CANDIDATE)]
    wholes = set[str]()
    for run in range(200):
        found = decide(lessons, run_id=str(run), design=DESIGN)
        wholes.add(found[0].whole)
        assert found[2].arm == "withheld"
    assert wholes == {"shown", "withheld", "placebo"}


def test_without_a_trial_all_is_shown() -> None:
    assert {each.arm for n in range(50) for each in decide(TWO, run_id=str(n), design=ALWAYS_SHOWN)}
    found = decide(TWO, run_id="r", design=ALWAYS_SHOWN)
    assert [(each.arm, each.arms) for each in found] == [("shown", {"shown": 1.0})] * 2


def test_a_lesson_named_twice_is_decided_once_and_ranks_are_places() -> None:
    found = decide([TWO[0], TWO[0], TWO[1]], run_id="r", scores={"b": 0.5})
    assert [(each.lesson_id, each.rank, each.score) for each in found] == [
        ("a", 0, None),
        ("b", 1, 0.5),
    ]
    assert decide([], run_id="r") == ()


@settings(max_examples=60, deadline=None)
@given(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))
def test_a_design_is_a_distribution_or_refused(withheld: float, placebo: float) -> None:
    try:
        design = TrialDesign(shadow_withheld=withheld, shadow_placebo=placebo)
    except BadInput:
        return
    arms = design.arms(Status.SHADOW)
    assert sum(arms.values()) == pytest.approx(1.0)
    assert all(0.01 <= chance <= 1 for chance in arms.values())


@pytest.mark.parametrize("share", [-0.1, 0.005, 0.995, 1.2, float("nan")])
def test_impossible_chances(share: float) -> None:
    with pytest.raises(BadInput, match="hold_out"):
        TrialDesign(hold_out=share)
