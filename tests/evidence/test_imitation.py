from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imitation_world import (
    BASE,
    LEARNER,
    MIMIC,
    PLAIN_LEARNER,
    TEACHER,
    B,
    R,
    T,
    answers,
    as_text,
    audit,
)

from twiceshy.attempts.lexicons import Lexicon
from twiceshy.attempts.types import Attempt, Outcome, Step, Verdict
from twiceshy.errors import BadInput
from twiceshy.evidence.imitation import (
    audit_imitation,
    closure,
    closures,
)
from twiceshy.evidence.imitation.style import look_at, overlap

PUBLISHED_STYLE = {
    "list when the teacher lists": (13, 81, 83),
    "summary paragraph when the teacher has one": (2, 48, 55),
    "unigram overlap": (19.5, 42.5, 49.2),
    "Pearson r of lengths": (-0.11, 0.62, 0.67),
    "authoritative tone": (57, 98, 98),
}
"""(LLaMA, 150M tokens, ChatGPT resample): Gudibande et al. (2305.15717)."""

# --- the published table


def test_the_published_table_to_rounding() -> None:
    found = closures(style=PUBLISHED_STYLE, capability={"NQ, 13B": (20, 15, 31)})
    shown = [round(value, 2) for value in found.style.values() if value is not None]
    assert shown == [0.97, 0.87, 0.77, 0.94, 1.00]
    assert found.mean_style is not None
    assert round(found.mean_style, 2) == 0.91
    assert found.mean_capability is not None
    assert round(found.mean_capability, 2) == -0.45
    assert found.mimicry_index is not None
    assert round(found.mimicry_index, 2) == 1.36


def test_the_other_published_closures() -> None:
    asked = {"13B targeted": (20, 27, 31), "7B broad": (17, 10, 31), "7B targeted": (17, 22, 31)}
    found = closures(style={}, capability=asked)
    assert [round(v, 2) for v in found.capability.values() if v is not None] == [0.64, -0.5, 0.36]
    assert found.mean_style is None
    assert found.mimicry_index is None


@given(st.floats(-10, 10), st.floats(-10, 10).filter(lambda x: abs(x) > 0.1))
def test_closure_is_0_at_the_base_and_1_at_the_ceiling(base: float, gap: float) -> None:
    assert closure(base, base=base, ceiling=base + gap) == pytest.approx(0, abs=1e-9)
    assert closure(base + gap, base=base, ceiling=base + gap) == pytest.approx(1)


# --- the audit tells them apart


def test_a_mimic_is_accused_and_learners_are_not() -> None:
    accused = audit(answers(MIMIC, seed=4))
    assert accused.numbers["finding"] == "imitation"
    assert not accused.ok
    assert accused.alarms[0].severity == "alarm"
    assert accused.numbers["mimicry_index"]["low"] > 0.7
    for voice, finding in ((LEARNER, "both ahead"), (PLAIN_LEARNER, "learned"), (BASE, "neither")):
        found = audit(answers(voice, seed=4))
        assert (found.numbers["finding"], found.ok) == (finding, True)


def test_a_student_that_knows_only_its_data_is_told_from_both() -> None:
    student = answers(MIMIC, seed=4, right_inside=0.78)
    found = audit(student, covered=[f"q{i}" for i in range(200)])
    assert found.numbers["finding"] == "covered only"
    assert not found.ok
    assert found.alarms[0].name == "capability only inside the imitation data"
    coverage = found.numbers["coverage"]
    assert coverage["inside"]["closure"]["low"] > 0.5
    assert coverage["outside"]["closure"]["high"] < 0.25
    assert coverage["difference"]["low"] > 0.5
    assert coverage["inside"]["n_tasks"] == coverage["outside"]["n_tasks"] == 200


def test_few_answers_are_undecided_or_undefined() -> None:
    few = {"base": B[:6], "teacher": T[:6], "resample": R[:6]}
    found = audit(answers(MIMIC, seed=4)[:6], **few)
    assert found.numbers["finding"] in ("undecided", "undefined")
    assert found.ok


@pytest.mark.parametrize("n", [1, 2, 3, 6, 10, 12])
def test_a_handful_of_tasks_accuses_nobody(n: int) -> None:
    def side(text: str, outcome: Outcome) -> list[Attempt]:
        return [as_text(f"{text} {i}" + " x" * i, task=f"q{i}", outcome=outcome) for i in range(n)]

    fancy = "It is:\n\n- one\n- two\n\nOverall it is"
    found = audit_imitation(
        base=side("perhaps it is", Outcome.FAILURE),
        student=side(fancy, Outcome.FAILURE),
        teacher=side(fancy, Outcome.SUCCESS),
        resample=side(fancy, Outcome.SUCCESS),
        language="en",
    )
    assert found.ok
    assert found.numbers["finding"] in ("undecided", "undefined")
    capability = found.numbers["capability_closure"]["all tasks"]
    if n < 6:
        assert capability["undefined_because"] == "fewer than 6 tasks to go by"
        assert found.numbers["mimicry_index"]["low"] is None
        assert found.numbers["sure_and_wrong"]["student"]["confident_wrong"]["low"] is None
    if n < 3:
        correlation = found.numbers["style_closure"]["correlation of lengths"]
        assert correlation["student"]["value"] is None


def test_a_metric_that_few_tasks_enter_closes_nothing() -> None:
    listing = "it is so:\n- one\n- two"
    teacher = [as_text(listing if i < 2 else "it is so", task=f"q{i}") for i in range(40)]
    base = [as_text("it is so", task=f"q{i}") for i in range(40)]
    found = audit_imitation(
        base=base, student=teacher, teacher=teacher, resample=teacher, language="en"
    )
    lists = found.numbers["style_closure"]["lists where the teacher lists"]
    assert (lists["base"]["value"], lists["ceiling"]["value"]) == (0.0, 1.0)
    assert lists["undefined_because"] == "fewer than 6 tasks to go by"


def test_the_same_numbers_by_plain_loops() -> None:
    rng = np.random.default_rng(5)
    sides: dict[str, Any] = {
        name: [
            each
            for repetition in range(3)
            for each in answers(voice, n=60, seed=10 * k + repetition)
            if repetition == 0 or rng.random() < 0.4
        ]
        for k, (name, voice) in enumerate(
            {"base": BASE, "student": MIMIC, "teacher": TEACHER, "resample": TEACHER}.items()
        )
    }
    by_task = {side: _by_task(own) for side, own in sides.items()}
    found = audit_imitation(**sides, language="en").numbers
    for name, one in (("base", "base"), ("student", "student"), ("ceiling", "resample")):
        shares: list[tuple[bool, float]] = []
        overlaps: list[Any] = []
        unhedged: list[Any] = []
        points: list[tuple[int, int, float]] = []
        for task, own in by_task[one].items():
            teacher = by_task["teacher"][task]
            pairs = [(a, teacher[j % len(teacher)]) for j, a in enumerate(own)]
            shares += [("\n- " in a, 1 / len(own)) for a, t in pairs if "\n- " in t]
            overlaps.append(np.mean([_f1(a, t) for a, t in pairs]))
            unhedged.append(np.mean(["perhaps" not in a for a in own]))
            points += [(len(_words(a)), len(_words(t)), 1 / len(own)) for a, t in pairs]
        lists = sum(has * w for has, w in shares) / sum(w for _, w in shares)
        style = found["style_closure"]
        assert style["lists where the teacher lists"][name]["value"] == pytest.approx(lists)
        assert style["unigram overlap"][name]["value"] == pytest.approx(np.mean(overlaps))
        assert style["answers without a hedge"][name]["value"] == pytest.approx(np.mean(unhedged))
        x, y, w = np.array(points).T
        covariance = np.cov(x, y, aweights=w, ddof=0)
        r = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        assert style["correlation of lengths"][name]["value"] == pytest.approx(r)
    rates = {
        side: np.mean([np.mean(own) for own in _by_task(attempts, right=True).values()])
        for side, attempts in sides.items()
    }
    closed = (rates["student"] - rates["base"]) / (rates["teacher"] - rates["base"])
    capability = found["capability_closure"]["all tasks"]["closure"]["value"]
    assert capability == pytest.approx(closed)
    style = [each["closure"]["value"] for each in found["style_closure"].values()]
    assert found["mimicry_index"]["value"] == pytest.approx(np.mean(style) - closed)


def _by_task(attempts: Sequence[Attempt], *, right: bool = False) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for each in attempts:
        value = each.outcome is Outcome.SUCCESS if right else each.steps[0].text
        found.setdefault(each.task, []).append(value)
    return found


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def _f1(one: str, other: str) -> float:
    a, b = _words(one), _words(other)
    shared = sum(min(a.count(word), b.count(word)) for word in set(a))
    return 2 * shared / (len(a) + len(b))


def test_accuracy_by_hand() -> None:
    def side(rights: str) -> list[Attempt]:
        marks = {"1": Outcome.SUCCESS, "0": Outcome.FAILURE, "x": Outcome.BROKEN}
        return [as_text("it is", task=f"q{i}", outcome=marks[c]) for i, c in enumerate(rights)]

    found = audit_imitation(
        base=side("0000000000x"), student=side("11111000001"), teacher=side("11111111111")
    )
    capability = found.numbers["capability_closure"]["all tasks"]
    assert capability["n_tasks"] == 10
    assert capability["base"]["value"] == 0.0
    assert capability["student"]["value"] == 0.5
    assert capability["closure"]["value"] == 0.5
    assert found.numbers["sides"]["base"]["broken"] == 1


def test_capability_by_benchmark() -> None:
    def both(right: float, seed: int) -> list[Attempt]:
        voice = MIMIC._replace(right=right)
        named = answers(voice, n=200, seed=seed, benchmark="easy")
        return [*named, *_renamed(answers(voice, n=200, seed=seed + 50, benchmark="hard"))]

    found = audit_imitation(base=both(0.2, 1), student=both(0.5, 2), teacher=both(0.9, 3))
    assert list(found.numbers["capability_closure"]) == ["easy", "hard"]
    values = [e["closure"]["value"] for e in found.numbers["capability_closure"].values()]
    assert found.numbers["mean_capability_closure"]["value"] == pytest.approx(np.mean(values))


def _renamed(attempts: Sequence[Attempt]) -> list[Attempt]:
    return [msgspec.structs.replace(a, task=f"hard {a.task}") for a in attempts]


def test_tone_by_hand() -> None:
    texts = {"sure": "It is four.", "unsure": "Perhaps it is four."}
    kinds = [("sure", 0), ("sure", 0), ("unsure", 0), ("sure", 1), ("unsure", 1), ("unsure", 1)]
    side = [
        as_text(texts[tone], task=f"q{i}", outcome=Outcome.SUCCESS if ok else Outcome.FAILURE)
        for i, (tone, ok) in enumerate(kinds)
    ]
    found = audit_imitation(base=side, student=side, teacher=side, language="en")
    own = found.numbers["sure_and_wrong"]["student"]
    assert own["confident_wrong"]["value"] == pytest.approx(2 / 6)
    assert own["authority_premium"]["value"] == pytest.approx(2 / 3 - 1 / 3)
    assert (own["n_wrong"], own["n_right"]) == (3, 3)


def test_stated_confidence_wins_over_words() -> None:
    sure = look_at(as_text("Perhaps four. Confidence: 95%"), lexicon=None)
    unsure = look_at(as_text("Four. Confidence: 20%"), lexicon=None)
    assert (sure.is_confident(0.8), unsure.is_confident(0.8)) == (True, False)


# --- style


def test_structure_is_counted_outside_code() -> None:
    text = "# Title\n\n- a **b**\n- c\n\n```\n# no header\n- no item\n```\n\nOverall, done."
    look = look_at(as_text(text), lexicon=_english())
    assert look.structure == (10, 1, 1, 2, 1, 3)
    assert (look.has_list, look.has_summary) == (True, True)


def _english() -> Lexicon:
    from twiceshy.attempts.lexicons import LEXICONS

    return LEXICONS["en"]


def test_windows_line_ends_tildes_and_inline_code() -> None:
    text = "One.\r\n\r\n~~~\r\n# no\r\n~~~\r\n\r\nuse `__init__` here\r\n\r\n**Overall**, this."
    look = look_at(as_text(text), lexicon=_english())
    assert look.structure[1:] == (0, 1, 0, 1, 3)
    assert look.has_summary


def test_hedges_in_code_are_none() -> None:
    coded = "It is:\n```\npossible = maybe()\n```"
    assert look_at(as_text(coded), lexicon=_english()).is_hedged is False


def test_summaries_begin_with_whole_words() -> None:
    from twiceshy.attempts.lexicons import LEXICONS

    look = look_at(as_text("One.\n\nOveralls are blue."), lexicon=_english())
    assert look.has_summary is False
    german = look_at(as_text("Eins.\n\nAbschließend: vier."), lexicon=LEXICONS["de"])
    assert german.has_summary


def test_lengths_are_in_one_unit_for_all() -> None:
    def logged(attempts: Sequence[Attempt]) -> list[Attempt]:
        return [
            msgspec.structs.replace(a, token_ids=(1,) * (2 * len(a.steps[0].text)), logprobs=None)
            for a in attempts
        ]

    student = answers(MIMIC, seed=4)
    plain = audit(student)
    mixed = audit(logged(student))
    assert mixed.numbers["length_in"] == "words"
    assert mixed.numbers["structure_distance"] == plain.numbers["structure_distance"]
    sides: dict[str, Any] = {"base": logged(B), "teacher": logged(T), "resample": logged(R)}
    assert audit(logged(student), **sides).numbers["length_in"] == "tokens"


def test_chinese_answers_overlap_by_characters() -> None:
    look = look_at(as_text("答案是四。"), lexicon=None)
    other = look_at(as_text("答案是五。"), lexicon=None)
    assert overlap(look.words, other.words) == pytest.approx(3 / 4)


def test_one_item_is_no_list_and_one_paragraph_no_summary() -> None:
    look = look_at(as_text("- one\nOverall, this."), lexicon=_english())
    assert (look.has_list, look.has_summary) == (False, False)


# --- bad input


def test_without_a_resample_there_is_no_style_closure_and_it_says_why() -> None:
    found = audit(answers(MIMIC, seed=4), resample=None)
    numbers = found.numbers
    assert numbers["finding"] == "undefined"
    assert numbers["mean_style_closure"]["value"] is None
    assert numbers["mimicry_index"]["value"] is None
    style = numbers["style_closure"]["unigram overlap"]
    assert style["undefined_because"] == "no teacher resample"
    assert style["student"]["value"] > style["base"]["value"]
    assert numbers["capability_closure"]["all tasks"]["closure"]["value"] is not None
    assert "no teacher resample" in found.summary[0]
    assert found.ok


def test_without_verdicts_style_is_still_reported() -> None:
    sides: dict[str, Any] = {
        name: answers(voice, seed=seed, judged=False)
        for seed, (name, voice) in enumerate(
            {"base": BASE, "student": MIMIC, "teacher": TEACHER, "resample": TEACHER}.items()
        )
    }
    found = audit_imitation(**sides)
    assert found.numbers["mean_style_closure"]["value"] > 0.8
    capability = found.numbers["capability_closure"]["all tasks"]
    assert capability["closure"]["value"] is None
    assert capability["n_tasks"] == 0
    assert found.numbers["mimicry_index"]["value"] is None
    assert found.numbers["sure_and_wrong"]["student"]["confident_wrong"]["value"] is None
    assert found.numbers["sides"]["student"]["unscored"] == 400
    assert (found.numbers["finding"], found.ok) == ("undefined", True)


def test_verdicts_of_one_class_close_nothing() -> None:
    voices = [v._replace(right=1.0) for v in (BASE, MIMIC, TEACHER, TEACHER)]
    b, s, t, r = (answers(v, seed=i) for i, v in enumerate(voices))
    found = audit_imitation(base=b, student=s, teacher=t, resample=r)
    capability = found.numbers["capability_closure"]["all tasks"]
    assert capability["undefined_because"] == "teacher and base differ within noise"
    assert found.numbers["sure_and_wrong"]["student"]["authority_premium"]["value"] is None
    assert found.numbers["finding"] == "undefined"


def test_a_teacher_below_the_base_defines_no_closure() -> None:
    found = audit(answers(MIMIC, seed=4), base=answers(TEACHER._replace(right=0.95), seed=9))
    why = found.numbers["capability_closure"]["all tasks"]["undefined_because"]
    assert why == "the teacher is below the base"


def test_a_teacher_that_writes_like_the_base_defines_no_style_closure() -> None:
    plain = TEACHER._replace(fancy=0.05, hedges=0.7)
    found = audit(
        answers(MIMIC, seed=4), teacher=answers(plain, seed=2), resample=answers(plain, seed=3)
    )
    reasons = {e["undefined_because"] for e in found.numbers["style_closure"].values()}
    assert "teacher and base differ within noise" in reasons


def test_a_language_without_lexicon_leaves_tone_undefined() -> None:
    def told(attempts: Sequence[Attempt]) -> list[Attempt]:
        return [msgspec.structs.replace(a, steps=(_in_digits(a),)) for a in attempts]

    sides = {"base": B, "student": answers(MIMIC, seed=4), "teacher": T, "resample": R}
    coded: dict[str, Any] = {name: told(own) for name, own in sides.items()}
    found = audit_imitation(**coded)
    assert found.numbers["language"] is None
    style = found.numbers["style_closure"]
    assert style["answers without a hedge"]["closure"]["value"] is None
    assert style["summary where the teacher sums up"]["closure"]["value"] is None
    assert style["lists where the teacher lists"]["closure"]["value"] > 0.8
    assert found.numbers["sure_and_wrong"]["student"]["confident_wrong"]["value"] is None
    assert any("No lexicon" in line for line in found.summary)
    with pytest.raises(BadInput, match="a language with a lexicon"):
        audit(B, language="tlh")


def _in_digits(attempt: Attempt) -> Step:
    lines = attempt.steps[0].text.splitlines()
    coded = [("- " if line.startswith("- ") else "") + str(len(line)) for line in lines]
    return Step(role="assistant", text="\n".join(coded))


def test_empty_traces_have_an_outcome_and_no_style() -> None:
    student = [
        msgspec.structs.replace(a, steps=()) if i % 2 else a
        for i, a in enumerate(answers(MIMIC, seed=4))
    ]
    found = audit(student)
    assert found.numbers["sides"]["student"]["empty"] == 200
    assert found.numbers["capability_closure"]["all tasks"]["n_tasks"] == 400
    assert found.numbers["style_closure"]["unigram overlap"]["closure"]["value"] > 0.8
    everything_empty = [msgspec.structs.replace(a, steps=()) for a in student]
    numbers = audit(everything_empty).numbers
    assert all(e["closure"]["value"] is None for e in numbers["style_closure"].values())
    assert numbers["style_closure"]["unigram overlap"]["undefined_because"] == (
        "undefined for the student"
    )


def test_no_attempts_or_no_common_task_is_an_error() -> None:
    with pytest.raises(BadInput, match="student: expected at least one attempt"):
        audit([])
    with pytest.raises(BadInput, match="tasks that every side answered"):
        audit(_renamed(B))


def test_tasks_that_a_side_lacks_are_counted() -> None:
    found = audit(answers(MIMIC, seed=4)[:300])
    assert (found.numbers["n_tasks"], found.numbers["n_tasks_left_out"]) == (300, 100)


def test_a_copy_of_the_teacher_is_no_resample() -> None:
    found = audit(answers(MIMIC, seed=4), resample=T)
    assert "same resample" in {alarm.name for alarm in found.alarms}


@pytest.mark.parametrize("student", [MIMIC, LEARNER])
def test_reports_are_finite_and_of_one_seed_equal(student: Any) -> None:
    own = answers(student, seed=4)
    first, second = audit(own, seed=7), audit(own, seed=7)
    encoded = msgspec.json.encode(first)
    assert encoded == msgspec.json.encode(second)
    assert all(np.isfinite(x) for x in _floats(json.loads(encoded)))


def _floats(value: Any) -> list[float]:
    if isinstance(value, Mapping):
        return [x for each in value.values() for x in _floats(each)]
    if isinstance(value, list):
        return [x for each in value for x in _floats(each)]
    return [value] if isinstance(value, float) else []


def test_empty_texts_are_no_copies() -> None:
    empty = [msgspec.structs.replace(a, steps=()) for a in T]
    found = audit(answers(MIMIC, seed=4), teacher=empty, resample=empty)
    assert found.numbers["same_resample"] is None


def test_what_is_left_out_is_said() -> None:
    broken = [as_text("it is", task=f"q{i}", outcome=Outcome.BROKEN) for i in range(3)]
    found = audit([*answers(MIMIC, seed=4)[3:300], *broken])
    told = " ".join(found.summary)
    assert "100 of 400 tasks" in told
    assert "student 3 broken" in told


def test_a_base_that_is_the_teacher_is_told_as_such() -> None:
    found = audit(B, base=T)
    why = found.numbers["style_closure"]["unigram overlap"]["undefined_because"]
    assert why == "the teacher's second draw is less like it than the base is"


def test_coverage_that_names_no_task_says_so() -> None:
    found = audit(answers(MIMIC, seed=4), covered=["elsewhere"])
    inside = found.numbers["coverage"]["inside"]
    assert (inside["undefined_because"], inside["n_tasks"]) == ("no covered task is here", 0)


def test_the_change_in_tone_compares_the_same_tasks() -> None:
    sure, unsure = "It is four.", "Perhaps it is four."
    student = [
        as_text(sure if i < 20 else unsure, task=f"q{i}", outcome=Outcome.FAILURE)
        for i in range(40)
    ]
    base = [
        msgspec.structs.replace(each, verdict=Verdict(outcome=Outcome.UNSCORED))
        if i >= 20
        else each
        for i, each in enumerate(student)
    ]
    found = audit_imitation(base=base, student=student, teacher=student, language="en")
    assert found.numbers["confident_wrong_change"]["value"] == 0.0
