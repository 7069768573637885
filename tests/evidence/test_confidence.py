from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

from twiceshy.attempts.groups import group_attempts
from twiceshy.attempts.lexicons import LEXICONS
from twiceshy.attempts.stated import confidence_in, stated_confidence
from twiceshy.attempts.types import Attempt, Outcome, Step, Verdict
from twiceshy.evidence.confidence import (
    Voiced,
    audit_confidence,
    decisiveness,
    faithfulness,
    meanings_of,
    self_consistency,
    stated,
    voiced,
)

S, F = Outcome.SUCCESS, Outcome.FAILURE


def attempt(answer: str | None, outcome: Outcome = S, *, task: str = "q", **more: Any) -> Attempt:
    text = more.pop("text", "")
    steps = (Step(role="assistant", text=text),) if text else ()
    return Attempt(task=task, answer=answer, verdict=Verdict(outcome=outcome), steps=steps, **more)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Answer: 4\nConfidence: 85%", 0.85),
        ("**Confidence**: 0.4", 0.4),
        ("Confidence: 7/10", 0.7),
        ("confidence = 90", 0.9),
        ("Confidence: 3", None),
        ("Konfidenz: 62,5 %", 0.625),
        ("I am 70% sure it is 4, no, 20% sure", 0.2),
        ("Confidence: 120%", None),
        ("It is 80% of 5", None),
        ("I'm not 100% sure.", None),
        ("Ich bin nicht 100 % sicher.", None),
        ("less than 50% sure", None),
        ("confidence: 1e-05", 1e-05),
        ("Confidence: 1/5", 0.2),
        ("Confidence: .85", 0.85),
        ('```json\n{"answer": 4, "confidence": 0.8}\n```', 0.8),
        ("```python\nfit(confidence = 0.5)\n```", None),
        ("Confidence: 70%\n~~~\nconfidence = 0.5\n~~~", 0.7),
        ("", None),
    ],
)
def test_stated_confidence(text: str, value: float | None) -> None:
    assert confidence_in(text) == value


def test_a_logged_number_wins() -> None:
    one = attempt("4", text="Confidence: 10%", extra={"confidence": 0.9})
    assert stated_confidence(one) == 0.9
    assert stated_confidence(attempt("4", extra={"confidence": True})) is None


def test_a_logged_text_is_read_as_a_number() -> None:
    logged = ("85%", "0.85", "high", "8/10")
    found = [stated_confidence(attempt("4", extra={"confidence": x})) for x in logged]
    assert found == [0.85, 0.85, None, 0.8]


def test_one_log_has_one_scale() -> None:
    rows = [attempt("4", extra={"confidence": x}) for x in (1, 90, 5, 100)]
    assert [each.confidence for each in stated(rows)] == [0.01, 0.9, 0.05, 1.0]
    shares = [attempt("4", extra={"confidence": x}) for x in (1, 0.9, 0)]
    assert [each.confidence for each in stated(shares)] == [1.0, 0.9, 0.0]
    mixed = [attempt("4", extra={"confidence": x}) for x in (1, 0.9, 90)]
    assert [each.confidence for each in stated(mixed)] == [1.0, 0.9, 0.9]


def test_a_pathological_text_is_read_in_a_moment() -> None:
    text = "1" * 100_000 + " % confidence" + " " * 100_000
    started = time.perf_counter()
    assert confidence_in(text) is None
    assert time.perf_counter() - started < 1


def test_semantic_entropy_by_hand_and_with_an_equivalence() -> None:
    (group,) = group_attempts([attempt(a) for a in ("4", "four", "5", "4")])
    plain = meanings_of(group)
    assert [len(c) for c in plain.clusters] == [2, 1, 1]
    assert plain.entropy == pytest.approx(-(0.5 * math.log(0.5) + 0.5 * math.log(0.25)))
    known = {"four": "4"}
    joined = meanings_of(group, equivalent=lambda a, b: known.get(a, a) == known.get(b, b))
    assert [len(c) for c in joined.clusters] == [3, 1]
    assert joined.entropy == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    (lone,) = group_attempts([attempt("4"), attempt(None, F)])
    assert meanings_of(lone).entropy is None


def test_self_consistency_by_hand() -> None:
    rows = [attempt("4", S), attempt("4", S), attempt("5", F), attempt("4", Outcome.UNSCORED)]
    groups = [(g, meanings_of(g)) for g in group_attempts(rows)]
    assert self_consistency(groups) == [("q", 0.75, True)]
    unscored = [(g, meanings_of(g)) for g in group_attempts([attempt("4", Outcome.BROKEN)] * 2)]
    assert self_consistency(unscored) == []


def test_answers_of_broken_attempts_do_not_vote() -> None:
    rows = [attempt("4", S), attempt("4", S), attempt("error", Outcome.BROKEN)]
    groups = [(g, meanings_of(g)) for g in group_attempts(rows)]
    assert self_consistency(groups) == [("q", 1.0, True)]


def test_code_does_not_hedge() -> None:
    coded = attempt("4", text="It is:\n```\npossible = maybe()\n```\nand `might` too.")
    assert decisiveness(coded, lexicon=LEXICONS["en"]) == 1.0


def test_decisiveness_of_words() -> None:
    english = LEXICONS["en"]
    told = ("It is 4.", "Perhaps it is 4.", "I don't know.", "Perhaps 4. Confidence: 90%")
    found = [decisiveness(attempt("4", text=text), lexicon=english) for text in told]
    assert found == [1.0, 0.5, 0.0, 0.9]
    assert decisiveness(attempt("4", text="Es sind 4."), lexicon=None) is None
    assert decisiveness(attempt(None), lexicon=english) is None


def test_faithfulness_by_hand() -> None:
    rows = [
        attempt("4", text="It is 4."),
        attempt("4", text="Maybe it is 4."),
        attempt("5", text="It is 5."),
    ]
    groups = [(g, meanings_of(g)) for g in group_attempts(rows)]
    found = voiced(groups, lexicon=LEXICONS["en"])
    assert [(v.decisiveness, v.agreement) for v in found] == [(1.0, 0.5), (0.5, 0.5), (1.0, 0.0)]
    assert faithfulness(found)[0].value == pytest.approx((0.5 + 1.0 + 0.0) / 3)


def test_sounding_always_sure_scores_a_half_over_levels() -> None:
    always = [Voiced("q", 1.0, float(x)) for x in np.linspace(0.05, 0.95, 10)]
    mean, over_levels = faithfulness(always)
    assert over_levels == pytest.approx(0.5)
    skewed = [*always, *[Voiced("q", 1.0, 0.95)] * 90]
    assert faithfulness(skewed)[1] == pytest.approx(0.5, abs=0.01)
    assert (faithfulness(skewed)[0].value or 0) > 0.8
    assert mean.value == pytest.approx(0.5)


def run(policy: str, *, sure: float, right: float, n: int = 200) -> list[Attempt]:
    rng = np.random.default_rng(0)
    return [
        attempt(
            "4",
            S if rng.random() < right else F,
            task=f"q{i}",
            policy=policy,
            text=f"It is the answer that we have. Confidence: {sure:.0%}",
        )
        for i in range(n)
    ]


def test_over_confidence_fails_the_audit_and_calibration_passes() -> None:
    bad = audit_confidence(run("bold", sure=0.95, right=0.5))
    assert not bad.ok
    assert bad.alarms[0].value == pytest.approx(0.45, abs=0.1)
    assert "bold" in bad.summary[0]
    assert audit_confidence(run("fair", sure=0.5, right=0.5)).ok
    assert audit_confidence(run("bold", sure=0.95, right=0.5, n=20)).ok  # too few to fail anyone


def test_always_wrong_and_always_equally_sure_fails_the_audit() -> None:
    found = audit_confidence(run("liar", sure=0.95, right=-1.0, n=60))
    gap = found.numbers["policies"]["liar"]["sources"]["stated"]["over_confidence"]
    assert gap["value"] == pytest.approx(0.95)
    assert gap["low"] == pytest.approx(0.95 - (1 - 0.025 ** (1 / 60)))
    assert not found.ok
    assert "liar" in found.summary[0]


def test_what_is_left_out_and_too_little_is_said() -> None:
    few = audit_confidence([*run("p", sure=0.9, right=0.5, n=5), attempt("4", Outcome.BROKEN)])
    told = " ".join(few.summary)
    assert "Too few answers with a confidence" in told
    assert "n = 5" in told
    assert "1 broken" in told


def test_an_audit_of_lone_attempts_has_no_table_of_meanings() -> None:
    found = audit_confidence(run("p", sure=0.9, right=0.5))
    assert [bool(table.rows) for table in found.tables] == [True, True, True, False]


def test_the_brier_parts_in_the_table_add_up() -> None:
    rng = np.random.default_rng(3)
    rows = [
        attempt("4", S if rng.random() < 0.5 else F, task=f"q{i}", extra={"confidence": q})
        for i, q in enumerate(rng.random(100).round(4))
    ]
    (row,) = audit_confidence(rows).tables[1].rows
    parts: list[Any] = list(row[2:7])
    score, reliability, resolution, uncertainty, within = parts
    assert within != 0
    assert score == pytest.approx(reliability - resolution + uncertainty + within)


def test_policies_are_measured_apart() -> None:
    found = audit_confidence(
        [*run("bold", sure=0.95, right=0.5), *run("fair", sure=0.5, right=0.5)]
    )
    policies = found.numbers["policies"]
    assert set(policies) == {"bold", "fair"}
    assert policies["bold"]["sources"]["stated"]["n"] == 200


def test_token_probability_is_the_geometric_mean() -> None:
    rows = [
        attempt("4", S, task=f"q{i}", logprobs=(math.log(0.5), math.log(0.125))) for i in range(3)
    ]
    found = audit_confidence(rows).numbers["policies"]["unknown"]["sources"]["token probability"]
    assert found["confidence"] == pytest.approx(0.25)


def test_nothing_unscored_and_one_class_are_undefined() -> None:
    assert "n = 0" in audit_confidence([]).summary[0]
    unscored = audit_confidence([attempt("4", Outcome.UNSCORED, text="Confidence: 90%")])
    assert "No attempt has a verdict" in unscored.summary[0]
    assert unscored.numbers["policies"]["unknown"]["sources"]["stated"]["ece"]["value"] is None
    one_class = audit_confidence(run("lucky", sure=0.9, right=1.1))
    found = one_class.numbers["policies"]["lucky"]["sources"]["stated"]
    assert found["auroc"]["auroc"] is None
    assert found["confidence_when_wrong"] is None
    assert any("every answer is right (n = 200)" in line for line in one_class.summary)
    mute = audit_confidence([attempt("4", task=f"q{i}") for i in range(5)])
    assert "No scored attempt states" in mute.summary[0]


def test_broken_attempts_are_counted_and_left_out() -> None:
    rows = [*run("p", sure=0.5, right=0.5), attempt("4", Outcome.BROKEN, text="Confidence: 99%")]
    found = audit_confidence(rows)
    assert found.numbers["n_broken"] == 1
    assert sum(own["sources"]["stated"]["n"] for own in found.numbers["policies"].values()) == 200
