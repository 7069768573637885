"""Reading, comparing, condensing and splitting: by hand, by properties, and on bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson
from twiceshy.models import ScriptedCompleter
from twiceshy.principles import (
    Asker,
    CopyGuard,
    Example,
    Locked,
    Mistake,
    Retrieval,
    by_cause,
    by_delta,
    by_groups,
    example,
    filler,
    irrelevant,
    principle,
    principle_block,
    read_answer,
    read_examples,
    split,
    summarise,
)
from twiceshy.principles.condensing import groups_of_root
from twiceshy.principles.lessons import read_list, read_principle
from twiceshy.principles.similar import Words
from twiceshy.principles.splits import Scorer

ASKED = example("Ann has 3 red apples and eats one. How many are left?", "2")


def low(text: str, *, question: str = "How many are left?") -> Lesson:
    asked = example(question, "2")
    mistake = Mistake(id=f"{asked.id}#{text}", example=asked, text="Answer: 3", answer="3")
    return principle(text, height="low", writer="m", mistakes=[mistake], parents=[mistake.id])


@pytest.mark.parametrize(
    ("text", "reader", "answer"),
    [
        ("First 7.\nAnswer: $1,200.00", "marked", "1200"),
        ("7 and then 8", "marked", None),
        ("7 and then -8", "number", "-8"),
        ("Answer: 5 apples, not 6", "number", "6"),
        ("(A) is wrong, so (B)", "choice", "b"),
        ("A dog is not a cat", "choice", "a"),
        ("", "whole", None),
        ("Yes.", "whole", "yes"),
    ],
)
def test_readers(text: str, reader: str, answer: str | None) -> None:
    assert read_answer(text, reader=reader) == answer  # type: ignore[arg-type]


@settings(max_examples=40)
@given(st.text(), st.sampled_from(["marked", "number", "choice", "whole"]))
def test_readers_never_raise(text: str, reader: str) -> None:
    read_answer(text, reader=reader)  # type: ignore[arg-type]
    read_principle(text)
    assert len(read_list(text, most=5)) <= 5


def test_nearest_and_groups_by_hand() -> None:
    """Without shared words the cosine is 0; of equal texts it is 1."""
    words = Words(["carry the one", "carry the one", "check signs"])
    assert words.cosines("carry the one") == pytest.approx([1, 1, 0])
    assert words.groups() == [[0, 1], [2]]
    assert Words([]).groups() == []
    assert Words(["a"]).nearest("zebra", most=3) == []


def test_mistakes_are_retrieved_by_question_and_grouped_by_cause() -> None:
    carry = low("Carry the one to the left.", question="What is 17 + 25?")
    units = low("Convert all units first.", question="How many metres are 3 km?")
    found = Retrieval([carry, units])
    assert found.for_question("How many metres are 4 km?", most=1) == (units,)
    assert found.for_question("zebra") == ()
    with pytest.raises(BadInput):
        Retrieval([])
    groups = by_cause([carry, units, low("Carry the one to the next column.")])
    assert [len(each) for each in groups] == [2, 1]


def test_copies_are_found_and_general_words_are_not() -> None:
    guard = CopyGuard([ASKED, example("small red K", "up")])
    copied = guard.copied("If ann has 3 red apples, subtract.")
    assert copied is not None
    assert (copied.example_id, copied.words) == (ASKED.id, "ann has 3 red apples")
    assert guard.copied("When it is a small red K parcel, take up.") is not None
    assert guard.copied("When somebody eats apples, subtract.") is None
    assert guard.copied("") is None


@given(st.integers(0, 200), st.integers(0, 5))
def test_groups_of_root_deal_everything_once(n: int, seed: int) -> None:
    groups = groups_of_root(n, seed=seed)
    assert sorted(place for group in groups for place in group) == list(range(n))
    assert len(groups) == math.ceil(math.sqrt(n))
    if groups:
        assert max(map(len, groups)) - min(map(len, groups)) <= 1


def test_condensing_by_groups_calls_root_n_plus_one() -> None:
    model = ScriptedCompleter(lambda _: "- Carry the one.\n- Ann has 3 red apples and eats one.")
    lessons = [low(f"Principle number {n}.") for n in range(9)]
    found = by_groups(Asker(model), lessons, guard=CopyGuard([ASKED]))
    assert found.n_calls == len(model.requests) == 4
    assert [each.text for each in found.principles] == ["Carry the one."]
    assert found.n_copied == 1
    assert set(found.principles[0].parents) == {each.id for each in lessons}
    nothing = by_groups(Asker(model), [])
    assert (nothing.principles, nothing.n_calls) == ((), 0)


def test_condensing_by_delta_changes_what_it_names_and_nothing_else() -> None:
    said = "REPLACE p2: Check the sign twice.\nADD: Convert units first.\nDROP p9\nSure!"
    current = [low("Carry the one."), low("Check the sign.")]
    found = by_delta(Asker(ScriptedCompleter(lambda _: said)), current, [low("Sign!")], most=3)
    texts = [each.text for each in found.principles]
    assert texts == ["Carry the one.", "Check the sign twice.", "Convert units first."]
    assert found.principles[0] == current[0]
    assert current[1].id in found.principles[1].parents
    full = by_delta(Asker(ScriptedCompleter(lambda _: said)), current, [low("Sign!")], most=2)
    assert len(full.principles) == 2
    none = by_delta(Asker(ScriptedCompleter(lambda _: "NONE")), current, [low("Sign!")])
    assert (none.principles, none.n_unusable) == (tuple(current), 0)
    chatter = by_delta(Asker(ScriptedCompleter(lambda _: "Well")), current, [low("Sign!")])
    assert (chatter.principles, chatter.n_unusable) == (tuple(current), 1)


def test_a_pool_is_summarised_when_enough_agree() -> None:
    model = ScriptedCompleter(lambda _: "Principle: Carry into the next column.")
    alike = [low(f"Carry the one to column {n}.") for n in ("two", "three", "four")]
    lonely = low("Convert units.")
    pooled = summarise(Asker(model), [*alike, lonely])
    assert [each.text for each in pooled.principles] == ["Carry into the next column."]
    assert len(pooled.principles[0].contrast) == 3
    assert pooled.left == (lonely,)
    assert len(model.requests) == 1


def test_controls_are_about_as_long() -> None:
    block = principle_block(
        ["Carry the one to the left when two digits add up to ten or more."] * 4
    )
    for control in (filler(block), irrelevant(block)):
        assert abs(len(control.split()) - len(block.split())) <= 14
        assert "Carry" not in control


def test_examples_are_read_and_bad_lines_told(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    records = [
        {"prompt": "2 + 3?", "target": 5, "rationale": "Count."},
        {"question": "?"},
        {"question": "2 + 3?", "answer": "5"},
    ]
    lines = [*map(json.dumps, records), "{", "", "[]", json.dumps(records[0])]
    path.write_text("\n".join(lines))
    found = read_examples(path)
    assert [(each.answer, each.reasoning) for each in found.examples] == [("5", "Count.")]
    assert [each.where.rpartition(":")[2] for each in found.unreadable] == ["2", "4", "6"]
    assert found.n_repeated == 2
    mapped = read_examples(path, mapping={"question": "question", "answer": "question"})
    assert [each.answer for each in mapped.examples] == ["?", "2 + 3?"]
    path.write_text("{}\n")
    with pytest.raises(BadInput, match="--map"):
        read_examples(path)
    with pytest.raises(BadInput, match="a file of examples"):
        read_examples(tmp_path / "none.jsonl")


def items(n: int) -> list[Example]:
    return [example(f"What is {n} + 1?", str(n + 1)) for n in range(n)]


def test_splits_share_nothing_and_honour_what_is_declared() -> None:
    splits = split(items(43), n_train=3, seed=1)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (3, 20, 20)
    assert not {each.id for each in splits.train} & {each.id for each in splits.validation}
    declared = [
        Example(id=str(n), question="?", answer="1", extra={"split": name})
        for n, name in enumerate(["train", "train", "validation", "test"])
    ]
    found = split(declared, n_train=2)
    assert {each.id for each in found.train} == {"0", "1"}
    assert [each.id for each in found.validation] == ["2"]
    with pytest.raises(BadInput, match="at least 3 examples"):
        split(items(2))


def test_the_lock_gives_out_counts_only() -> None:
    lock = Locked(items(3))
    assert not any(each.question in repr(vars(lock)) for each in items(3))
    assert repr(lock) == "Locked(3 examples)"
    arms: dict[str, Scorer] = {
        "none": lambda asked: np.array([1.0, 0.0, 0.0]),
        "low": lambda asked: np.ones(3),
    }
    (tested,) = lock.measure(arms, against="none")
    assert (tested.wrong_to_right, tested.right_to_wrong) == (2, 0)
    assert tested.difference.difference == pytest.approx(2 / 3)
    assert lock.openings == ("none, low",)
    with pytest.raises(BadInput, match="an arm among"):
        lock.measure(arms, against="other")
