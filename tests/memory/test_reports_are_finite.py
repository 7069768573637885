"""Whatever the attempts, no report of ours holds NaN or infinity, and undefined is null."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twiceshy.attempts.types import Attempt, Outcome, Step, Verdict
from twiceshy.evidence.audits import audit_collapse, audit_passk, audit_shortcuts
from twiceshy.evidence.report import Report
from twiceshy.evidence.trial import compare_policies
from twiceshy.frontier import triage
from twiceshy.memory.contrast.learning import learn
from twiceshy.memory.contrast.vocabulary import Phrase


class Words:
    """Every word of the text is an event."""

    name = "words"

    def accepts(self, attempts: Sequence[Attempt]) -> bool:
        return True

    def events(self, attempts: Sequence[Attempt]) -> list[frozenset[str]]:
        return [frozenset(each.steps[0].text.split()) for each in attempts]

    def phrase(self, event: str) -> Phrase:
        return Phrase(trigger="", action=event, family="words", is_fault=event == "a")


def _attempt(task: str, *, policy: str, words: str, outcome: Outcome, number: int) -> Attempt:
    return Attempt(
        task=task,
        policy=policy,
        id=str(number),
        steps=(Step(role="assistant", text=words),),
        verdict=Verdict(outcome=outcome, broken="timeout" if outcome is Outcome.BROKEN else None),
        answer=words[:1],
    )


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for place, each in enumerate(value):
            yield from _leaves(each, f"{path}[{place}]")
    else:
        yield path, value


def _check(report: Report) -> None:
    plain = msgspec.to_builtins(report)
    bad = [
        (path, value)
        for path, value in _leaves(plain)
        if isinstance(value, float) and not math.isfinite(value)
    ]
    assert bad == []
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report).numbers is not None
    said = " ".join((*report.summary, *(alarm.message for alarm in report.alarms)))
    assert "nan" not in said.split()
    assert "None" not in said


def _check_all(attempts: list[Attempt]) -> None:
    vocabulary = Words()
    _check(triage(attempts).report)
    learned = learn(attempts, vocabulary=vocabulary, n_null=2)
    _check(learned.report)
    assert learned.proof is not None
    _check(learned.proof)
    for audit in (audit_passk, audit_collapse, audit_shortcuts):
        _check(audit(attempts))
    scored = [each for each in attempts if each.outcome.is_scored] or attempts
    reference = scored[0].policy if scored else "p"
    _check(compare_policies(attempts, reference=reference).report)


_CASES = {
    "nothing": (0, 0, 1, "F"),
    "one attempt": (1, 1, 1, "F"),
    "one task": (1, 12, 1, "FS"),
    "one attempt a task": (20, 1, 1, "FS"),
    "all pass": (12, 4, 2, "S"),
    "all fail": (12, 4, 2, "F"),
    "all broken": (12, 4, 1, "B"),
    "none scored": (12, 4, 1, "U"),
    "two tasks, many policies": (2, 12, 6, "FS"),
    "policies decide": (40, 2, 2, "FS"),
    "mixed": (40, 4, 2, "FSSFSFBU"),
}


@pytest.mark.parametrize("case", _CASES)
@pytest.mark.parametrize("words", ["a", "a b", "shifting"])
def test_edge_cases(case: str, words: str) -> None:
    n_tasks, each, n_policies, letters = _CASES[case]
    outcomes = {"F": Outcome.FAILURE, "S": Outcome.SUCCESS, "B": Outcome.BROKEN}
    made = [
        _attempt(
            f"t{i // max(each, 1)}",
            policy=f"p{i % n_policies}",
            words=words if words != "shifting" else " ".join("abcde"[j] for j in range(i % 4 + 1)),
            outcome=outcomes.get(letters[i % len(letters)], Outcome.UNSCORED),
            number=i,
        )
        for i in range(n_tasks * each)
    ]
    _check_all(made)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 6),
            st.sampled_from("pq"),
            st.sets(st.sampled_from("abc"), min_size=1),
            st.sampled_from(list(Outcome)),
        ),
        max_size=60,
    )
)
def test_any_attempts(drawn: list[tuple[int, str, set[str], Outcome]]) -> None:
    _check_all(
        [
            _attempt(f"t{task}", policy=p, words=" ".join(sorted(w)), outcome=outcome, number=i)
            for i, (task, p, w, outcome) in enumerate(drawn)
        ]
    )
