"""The audit's judge: preferences against verdicts, both orders, what a reply names."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from imitation_world import MIMIC, answers, as_text, audit

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.evidence.imitation import (
    Preference,
    Question,
    ask_judge,
    audit_imitation,
    battles,
    read_preferences,
)
from twiceshy.evidence.imitation.style import overlap
from twiceshy.models import ScriptedCompleter


def judgement(first: str, second: str, winner: Any, *, task: str = "q") -> Preference:
    return Preference(task=task, first=first, second=second, winner=winner)


def test_orders_that_disagree_are_a_draw() -> None:
    agreeing = [judgement("student", "teacher", "first"), judgement("teacher", "student", "second")]
    found, hygiene = battles(agreeing)
    assert (found[0].first, found[0].score, hygiene.n_disagreeing) == ("student", 1.0, 0)
    always_first = [
        judgement("student", "teacher", "first"),
        judgement("teacher", "student", "first"),
    ]
    found, hygiene = battles(always_first)
    assert (found[0].score, hygiene.first_wins, hygiene.draws) == (0.5, 1.0, 1.0)
    one_draw = [judgement("student", "teacher", "draw"), judgement("teacher", "student", "second")]
    assert battles(one_draw)[0][0].score == 0.5


def test_repeated_draws_are_averaged() -> None:
    three = [judgement("student", "base", w) for w in ("first", "first", "second")]
    found, hygiene = battles(three)
    assert (found[0].second, found[0].score) == ("student", 0.0)
    assert (hygiene.n_judgements, hygiene.n_battles, hygiene.n_both_orders) == (3, 1, 0)


def test_preference_against_verdicts_by_hand() -> None:
    rights = {"student": "0011", "teacher": "1111", "base": "0000"}
    sides: dict[str, Any] = {
        name: [
            as_text(
                f"it is {i}", task=f"q{i}", outcome=Outcome.SUCCESS if c == "1" else Outcome.FAILURE
            )
            for i, c in enumerate(marks)
        ]
        for name, marks in rights.items()
    }
    wins = ["first", "second", "first", "draw"]
    found = audit_imitation(
        **sides,
        preferences=[judgement("student", "teacher", w, task=f"q{i}") for i, w in enumerate(wins)],
    ).numbers["preference"]
    assert found["student_level_or_above"]["value"] == 3 / 4
    assert found["verified_level_or_above"]["value"] == 2 / 4
    assert found["preference_verification_gap"]["value"] == pytest.approx(1 / 4)
    assert (found["wrong_but_preferred"]["value"], found["wrong_but_preferred"]["n"]) == (0.5, 2)
    assert found["student_against_teacher"]["raw"] == 2.5 / 4


def test_judging_by_a_language_model_in_both_orders() -> None:
    question = Question("q", "2 + 2?", "student", "teacher", "It is 4.", "5")
    asked = ask_judge([question], judge=ScriptedCompleter({"Answer A:\nIt is 4.": "A", "2": "B."}))
    assert battles(asked.preferences)[0][0].score == 1.0
    for reply, n in (("Neither", 2), ("A or B", 2), ("TIE", 0)):
        asked = ask_judge([question], judge=ScriptedCompleter({"2 + 2?": reply}))
        assert asked.n_unreadable == n


@pytest.mark.parametrize(
    ("reply", "winner"),
    [
        ("A", ["first"] * 2),
        ("b.", ["second"] * 2),
        ("**Answer: B**", ["second"] * 2),
        ("B is a better answer", ["second"] * 2),
        ("A better answer is B", ["second"] * 2),
        ("It's a tie", ["draw"] * 2),
        ("As a language model", []),
        ("There is a clear", []),
        ("A and B are equal", []),
    ],
)
def test_a_reply_names_an_answer_or_none(reply: str, winner: list[str]) -> None:
    question = Question("q", "2 + 2?", "student", "teacher", "It is 4.", "5")
    asked = ask_judge([question], judge=ScriptedCompleter({"2 + 2?": reply}))
    assert [each.winner for each in asked.preferences] == winner


def test_the_judge_has_a_table_and_no_judgement_is_said() -> None:
    rows = [judgement("student", "teacher", "first", task=f"q{i}") for i in range(20)]
    found = audit(answers(MIMIC, seed=4), preferences=rows)
    (table,) = (each for each in found.tables if each.title == "The judge")
    told = {row[0]: row[1:] for row in table.rows}
    assert told["student level with the teacher or above"] == (1.0, None, None, 20)
    assert told["the two orders disagree"] == (None, None, None, 0)
    strength = found.numbers["preference"]["strength"]["teacher"]
    assert (strength["low"], strength["high"]) == (None, None)
    nothing = audit(answers(MIMIC, seed=4), preferences=[])
    assert "There is no judgement among the preferences." in nothing.summary


def test_preferences_from_a_file(tmp_path: Any) -> None:
    path = tmp_path / "judge.jsonl"
    path.write_text('{"task": "q", "first": "student", "second": "base", "winner": "draw"}\n\n')
    assert read_preferences(path)[0].winner == "draw"
    path.write_text('{"task": "q", "first": "student", "second": "base", "winner": "left"}\n')
    with pytest.raises(BadInput, match=r"judge.jsonl:1: expected a judgement"):
        read_preferences(path)
    with pytest.raises(BadInput, match="a side: base, student"):
        audit(answers(MIMIC, seed=4), preferences=[judgement("gpt", "base", "draw", task="q0")])
    with pytest.raises(BadInput, match="two different sides"):
        battles([judgement("base", "base", "draw")])


def test_judgements_without_an_answer_are_counted() -> None:
    only = [judgement("student", "teacher", "first", task="elsewhere")]
    found = audit(answers(MIMIC, seed=4), preferences=only).numbers["preference"]
    assert found["n_unusable"] == 1
    assert found["preference_verification_gap"]["value"] is None
    assert found["style_only_judge"]["auc"] is None


def test_two_empty_texts_have_no_overlap_to_speak_of() -> None:
    some: Counter[str] = Counter(["a"])
    nothing: Counter[str] = Counter()
    assert overlap(nothing, nothing) is None
    assert overlap(some, nothing) == 0.0
    assert overlap(some, some) == 1.0
