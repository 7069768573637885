from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from desk import LOST, WON, Model, attempt, group, item, lesson, says
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from twiceshy.attempts import Outcome
from twiceshy.lessons import SITUATIONS, TASKS, Effect, Evidence, EvidenceLevel, Lesson, Status
from twiceshy.memory.bank import Bank
from twiceshy.memory.bank.types import Add, Merge, Refine, SetEvidence, SetStatus, Split
from twiceshy.memory.contrast import learn
from twiceshy.memory.safety import vet
from twiceshy.memory.writing import propose_edits
from twiceshy.memory.writing.contradictions import find_contradictions
from twiceshy.memory.writing.deltas import CONTRADICTED, find_deltas
from twiceshy.memory.writing.evidence import TOLD, is_told
from twiceshy.memory.writing.likeness import Likeness
from twiceshy.memory.writing.types import Proposal, Reason, SetAside


def told(identity: str, action: str, *, ids: tuple[str, ...] = ("a",), **fields: object) -> Lesson:
    evidence = Evidence(attempts_for=ids, n_for=len(ids), n_tasks=1)
    tasks = {TASKS: [f"task of {ids[0]}"]}
    made = {
        "author": "model",
        "evidence": evidence,
        "extra": tasks,
        "action": action,
        "flags": (TOLD,),
    } | fields
    return lesson(identity, "strategy", **made)


def counted(
    identity: str, kind: str, *, n: int, estimate: float, low: float, high: float
) -> Lesson:
    within = Effect(estimate=estimate, low=low, high=high)
    evidence = Evidence(attempts_for=("a",), n_for=1, n_informative_tasks=n, within_task=within)
    return lesson(
        identity, kind, pattern="calls pay twice", vocabulary="toolcalls", evidence=evidence
    )


class TestWhatMayTeach:
    def test_broken_unscored_and_held_out_attempts_are_set_aside_and_counted(self) -> None:
        attempts = [
            *group("t"),
            attempt("t", Outcome.BROKEN, trial=8),
            attempt("t", Outcome.UNSCORED, trial=9),
            attempt("v", split="Validation"),
            attempt("v", trial=1),
        ]
        proposal = propose_edits(attempts, [])
        assert proposal.set_aside == {
            SetAside.BROKEN: 1,
            SetAside.UNSCORED: 1,
            SetAside.HELD_OUT: 1,
            SetAside.HELD_OUT_TASK: 1,
        }
        assert (proposal.n_attempts, proposal.n_learned_from) == (8, 4)
        ids = {each.id for each in attempts[4:]}
        assert not ids & {name for edit in proposal.edits for name in ids_in(edit)}

    def test_failures_that_nobody_contrasts_teach_nothing(self) -> None:
        lost = [attempt("t", LOST, trial=at) for at in range(4)]
        model = says(item(kind="avoid", attempts=["F1"]))
        proposal = propose_edits(lost, [], completer=model)
        assert proposal.edits == ()
        assert proposal.n_without_success == 4
        assert model.prompts == []

    def test_what_was_learned_from_held_out_attempts_is_learned_again(self) -> None:
        kept = attempt("v", split="validation")
        attempts = [*group("t"), kept]
        proposal = propose_edits(attempts, [], learned=learn(attempts))
        assert kept.id not in {name for edit in proposal.edits for name in ids_in(edit)}

    def test_nothing_in_nothing_out(self) -> None:
        assert propose_edits([], []).edits == ()


GROUP = group("t")
LEARNED = learn(GROUP)


def ask(model: Model, **settings: Any) -> Proposal:
    return propose_edits(GROUP, [], learned=LEARNED, completer=model, **settings)


def ids_in(edit: object) -> set[str]:
    assert isinstance(edit, Add)
    evidence = edit.lesson.evidence
    return {*evidence.attempts_for, *evidence.attempts_against, *edit.lesson.parents}


class TestAsking:
    def test_a_success_becomes_a_demonstration_and_a_told_lesson_names_its_contrast(self) -> None:
        proposal = ask(says(item()))
        lessons = {
            each.lesson.kind: each.lesson for each in proposal.edits if isinstance(each, Add)
        }
        assert set(lessons) == {"demonstration", "strategy"}
        strategy = lessons["strategy"]
        assert strategy.text == "Before changing a plan: Call check_balance before update_plan."
        assert strategy.level is EvidenceLevel.DESCRIBED
        assert strategy.status is Status.CANDIDATE
        assert strategy.contrast[0].success_text == "I use check_balance"
        assert proposal.asked.n_accepted == 1

    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            ({"attempts": ["S9"]}, Reason.UNKNOWN_ATTEMPT),
            ({"quotes": [{"attempt": "S1", "step": 1, "text": "I fly"}]}, Reason.NOT_QUOTED),
            ({"quotes": [{"attempt": "S1", "step": 99, "text": "ok"}]}, Reason.NOT_QUOTED),
            ({"quotes": [{"attempt": "S1", "step": 2, "text": "ok"}]}, Reason.QUOTES_DATA),
            ({"kind": "avoid"}, Reason.WRONG_SIDE),
            ({"attempts": ["F1"]}, Reason.WRONG_SIDE),
            ({"kind": "principle"}, Reason.UNREADABLE),
            ({"action": "x" * 201}, Reason.UNREADABLE),
            ({"surplus": 1}, Reason.UNREADABLE),
        ],
    )
    def test_what_is_wrong_is_turned_down_with_the_reason_and_asked_once_more(
        self, wrong: dict[str, object], reason: Reason
    ) -> None:
        model = says(item(**wrong))
        proposal = ask(model)
        assert [each.reason for each in proposal.rejected] == [reason, reason]
        assert len(model.prompts) == 2
        assert reason.value in model.prompts[1]
        assert not any(e.lesson.author == "model" for e in proposal.edits if isinstance(e, Add))

    def test_an_answer_without_items_is_an_answer(self) -> None:
        model = says()
        assert ask(model).rejected == ()
        assert len(model.prompts) == 1

    def test_a_model_that_fails_is_left_alone_after_two_calls_and_costs_nothing(self) -> None:
        def fails(data: object) -> str:
            raise OSError("no route")

        model = Model(fails)
        attempts = [each for name in "abc" for each in group(name, n=1)]
        proposal = propose_edits(attempts, [], completer=model)
        assert proposal.asked.errors == ("OSError: no route",) * 2
        assert any(isinstance(each, Add) for each in proposal.edits)

    def test_one_question_for_every_attempt_with_a_success_beside_each_failure(self) -> None:
        model = says()
        ask(model, extraction="each")
        shown = [[a["attempt"] for a in data(prompt)["attempts"]] for prompt in model.prompts]
        assert shown == [["S1"], ["S1"], ["S1", "F1"], ["S1", "F1"]]

    def test_secrets_do_not_reach_the_model(self) -> None:
        model = says()
        propose_edits(group("t", reply="token AKIAIOSFODNN7EXAMPLE"), [], completer=model)
        assert "AKIA" not in model.prompts[0]

    @given(st.text(max_size=300))
    def test_no_answer_raises(self, text: str) -> None:
        assert ask(Model(lambda data: text))


def data(prompt: str) -> dict[str, list[dict[str, str]]]:
    start = prompt.index("{", prompt.index("\nDATA "))
    return json.JSONDecoder().raw_decode(prompt[start:])[0]


class TestDeltas:
    def test_found_again_changes_nothing_and_new_evidence_changes_only_evidence(self) -> None:
        old = counted("x", "avoid", n=5, estimate=0.3, low=0.1, high=0.5)
        same = find_deltas([old], [old])
        assert (same.edits, same.rejected[0].reason) == ([], Reason.KNOWN)
        more = counted("y", "avoid", n=9, estimate=0.2, low=0.1, high=0.3)
        (edit,) = find_deltas([more], [old]).edits
        assert isinstance(edit, SetEvidence)
        assert (edit.lesson_id, edit.evidence.n_informative_tasks) == ("x", 9)

    def test_a_smaller_finding_that_points_the_other_way_is_flagged(self) -> None:
        old = counted("x", "avoid", n=9, estimate=0.3, low=0.1, high=0.5)
        less = counted("x", "avoid", n=2, estimate=-0.2, low=-0.6, high=0.2)
        (edit,) = find_deltas([less], [old]).edits
        assert isinstance(edit, Refine)
        assert edit.lesson.evidence == old.evidence
        assert len(edit.lesson.flags) == 1

    def test_told_lessons_that_say_the_same_are_folded_with_their_evidence(self) -> None:
        one = told("x", "Check the balance before the change", ids=("a",))
        two = told("y", "Before the change check the balance", ids=("b",))
        (edit,) = find_deltas([one, two], []).edits
        assert isinstance(edit, Add)
        assert set(edit.lesson.evidence.attempts_for) == {"a", "b"}
        assert edit.lesson.evidence.n_tasks == 2

    def test_one_more_attempt_refines_a_known_told_lesson_and_counts_each_once(self) -> None:
        known = told("x", "Check the balance before the change", ids=("a", "b"))
        again = told("y", "Check the balance before the change", ids=("b", "c"))
        (edit,) = find_deltas([again], [known]).edits
        assert isinstance(edit, Refine)
        assert (edit.lesson.id, edit.lesson.evidence.n_for) == ("x", 3)

    def test_names_numbers_and_negations_keep_lessons_apart(self) -> None:
        actions = ["Call pay 2 times", "Call pay 3 times", "Never call pay 2 times"]
        edits = find_deltas([told(each, each, ids=(each,)) for each in actions], []).edits
        assert len(edits) == 3

    def test_known_duplicates_are_merged_into_the_one_with_more_evidence(self) -> None:
        one = told("x", "Check the balance before the change", ids=("a",))
        two = told("y", "Before the change check the balance", ids=("b", "c"))
        (edit,) = find_deltas([], [one, two]).edits
        assert isinstance(edit, Merge)
        assert (edit.lesson.id, edit.absorbed) == ("y", ("x",))
        assert edit.lesson.evidence.n_for == 3

    def test_dense_vectors_find_what_words_do_not(self) -> None:
        one = told("x", "Check the balance before a plan change")
        two = told("y", "Look at the balance before a plan update", ids=("b",))

        def alike(first: Sequence[str], second: Sequence[str]) -> NDArray[np.float64]:
            return np.full((len(first), len(second)), 0.95)

        assert Likeness([one, two]).same_as(0) == []
        assert Likeness([one, two], similarity=alike).same_as(0) == [1]

    def test_what_was_retired_does_not_come_back(self) -> None:
        gone = told("x", "Check the balance", status=Status.RETIRED)
        deltas = find_deltas([told("x", "Check the balance")], [gone])
        assert (deltas.edits, deltas.rejected[0].reason) == ([], Reason.GONE)

    def test_a_better_supported_narrower_lesson_splits_its_parent(self) -> None:
        parent = counted("x", "avoid", n=5, estimate=0.3, low=0.1, high=0.5)
        narrower = msgspec.structs.replace(
            parent,
            id="y",
            pattern="calls pay twice & late",
            parents=("x",),
            level=EvidenceLevel.SUGGESTED,
            extra={"all_of": ["calls pay twice", "late"]},
        )
        (edit,) = find_deltas([narrower], [parent]).edits
        assert isinstance(edit, Split)
        assert (edit.lesson_id, [each.id for each in edit.into]) == ("x", ["y"])

    def test_newer_evidence_retires_the_opposite_but_never_what_is_in_use(self) -> None:
        old = counted("x", "avoid", n=5, estimate=0.1, low=-0.1, high=0.3)
        new = counted("y", "strategy", n=12, estimate=-0.3, low=-0.5, high=-0.1)
        edits = find_deltas([new], [old]).edits
        assert [type(each) for each in edits] == [SetStatus, Add]
        active = msgspec.structs.replace(old, status=Status.ACTIVE)
        deltas = find_deltas([new], [active])
        (add,) = deltas.edits
        assert isinstance(add, Add)
        assert add.lesson.flags == (CONTRADICTED,)
        assert {deltas.contradictions[0].first, deltas.contradictions[0].second} == {"x", "y"}
        few = counted("y", "strategy", n=9, estimate=-0.3, low=-0.5, high=-0.1)
        assert not any(isinstance(each, SetStatus) for each in find_deltas([few], [old]).edits)

    def test_an_avoid_of_what_another_offers_instead_is_a_contradiction(self) -> None:
        one = lesson("x", trigger="after an error", action="asking the user", instead="Retry once")
        two = lesson("y", trigger="after an error", action="retry once", instead="Stop")
        assert len(find_contradictions([one, two])) == 1
        elsewhere = msgspec.structs.replace(two, scope={"family": "other"})
        mine = msgspec.structs.replace(one, scope={"family": "mine"})
        assert find_contradictions([mine, elsewhere]) == ()

    def test_the_cap_evicts_by_evidence_and_spares_what_is_in_use(self) -> None:
        weak = told("weak", "Look twice")
        used = told("used", "Ask first", status=Status.ACTIVE)
        strong = counted("strong", "avoid", n=9, estimate=0.3, low=0.2, high=0.5)
        edits = find_deltas([strong], [weak, used], cap=2).edits
        assert {type(each).__name__ for each in edits} == {"SetStatus", "Add"}
        assert next(each for each in edits if isinstance(each, SetStatus)).lesson_id == "weak"
        poor = find_deltas([told("poor", "Wait a bit")], [strong, used], cap=2)
        assert (poor.edits, poor.rejected[0].reason) == ([], Reason.OVER_CAP)

    def test_families_have_caps_of_their_own(self) -> None:
        one, two = (
            told(name, f"Watch the {name}", scope={"family": name}, ids=(name,))
            for name in ("kitchen", "garden")
        )
        assert len(find_deltas([one, two], [], cap=1).edits) == 2

    @given(
        st.lists(st.sampled_from("abcdef"), max_size=8),
        st.lists(st.sampled_from("abcdef"), max_size=8),
    )
    def test_every_lesson_is_added_updated_or_turned_down_and_none_twice(
        self, found: list[str], known: list[str]
    ) -> None:
        words = {"a": "Open door", "b": "Close window", "c": "Never open door", "d": "Feed cats",
                 "e": "Open door slowly", "f": "Wash hands"}  # fmt: skip

        def make(names: list[str]) -> list[Lesson]:
            return [told(name, words[name], ids=(name,)) for name in dict.fromkeys(names)]

        deltas = find_deltas(make(found), make(known), cap=3)
        added = [each.lesson.id for each in deltas.edits if isinstance(each, Add)]
        assert len(added) == len(set(added))
        assert not set(added) & set(known)
        gone = [e.lesson_id for e in deltas.edits if isinstance(e, SetStatus)]
        gone += [name for e in deltas.edits if isinstance(e, Merge) for name in e.absorbed]
        assert len(gone) == len(set(gone))
        assert set(gone) <= set(known)


def test_families_come_from_the_log_and_lessons_keep_them() -> None:
    attempts = group("t", extra={"family": "plans"})
    lessons = [e.lesson for e in propose_edits(attempts, []).edits if isinstance(e, Add)]
    assert {each.scope.get("family") for each in lessons} == {"plans"}


def test_a_proposal_is_data() -> None:
    proposal = ask(says(item()))
    assert msgspec.json.decode(msgspec.json.encode(proposal), type=type(proposal)) == proposal
    assert proposal.numbers["edits"] == {"add": 2}


def test_wins_only_are_asked_about_without_warnings() -> None:
    model = says(item())
    propose_edits([attempt("t", WON)], [], completer=model)
    assert '"avoid"' not in model.prompts[0].split("DATA")[0].split('"kind"')[1].split("\n")[0]


def test_a_bank_takes_the_edits_and_the_second_time_there_is_nothing_to_edit() -> None:
    with Bank.open(":memory:") as bank:
        first = ask(says(item()))
        bank.apply(vet(first.edits, GROUP).edits)
        assert {each.kind for each in bank.lessons()} == {"demonstration", "strategy"}
        again = propose_edits(GROUP, bank.lessons(), learned=LEARNED, completer=says(item()))
        assert again.edits == ()
        assert {each.reason for each in again.rejected} == {Reason.KNOWN}
        (strategy,) = bank.lessons(kinds=["strategy"])
        bank.apply([SetStatus(lesson_id=strategy.id, status=Status.RETIRED)])
        later = propose_edits(GROUP, bank.lessons(), learned=LEARNED, completer=says(item()))
        assert later.edits == ()
        assert Reason.GONE in {each.reason for each in later.rejected}


def test_lessons_keep_the_tasks_they_were_learned_at() -> None:
    attempts = [
        msgspec.structs.replace(each, prompt=f"Please   do {each.task}.")
        for name in ("t1", "t2", "t3", "t4", "t5")
        for each in group(name)
    ]
    lessons = [each.lesson for each in propose_edits(attempts, []).edits if isinstance(each, Add)]
    assert lessons
    for each in lessons:
        tasks = each.extra[TASKS]
        assert set(tasks) <= {"t1", "t2", "t3", "t4", "t5"}
        assert len(set(tasks)) == len(tasks)
        assert 1 <= len(each.extra[SITUATIONS]) <= 3
        assert all(text.startswith("Please do t") for text in each.extra[SITUATIONS])
        assert not is_told(each)
