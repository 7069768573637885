from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twiceshy.attempts.types import Attempt, Outcome, Verdict
from twiceshy.errors import BadInput
from twiceshy.memory.contrast.table import build_table
from twiceshy.memory.contrast.vocabulary import Phrase


class Listed:
    """A vocabulary that reads events from the answer: "a,b"."""

    name = "listed"

    def accepts(self, attempts: Sequence[Attempt]) -> bool:
        return True

    def events(self, attempts: Sequence[Attempt]) -> list[frozenset[str]]:
        return [frozenset(filter(None, (each.answer or "").split(","))) for each in attempts]

    def phrase(self, event: str) -> Phrase:
        return Phrase(trigger="", action=event, family=event[0], is_fault=event == "bad")


def attempt_of(answer: str, *, task: str, outcome: Outcome = Outcome.FAILURE) -> Attempt:
    return Attempt(
        task=task, answer=answer, verdict=Verdict(outcome=outcome), id=f"{task}/{answer}/{outcome}"
    )


def test_rows_are_the_scored_attempts() -> None:
    log = [
        attempt_of("bad", task="t1"),
        attempt_of("bad", task="t2", outcome=Outcome.SUCCESS),
        attempt_of("bad", task="t3", outcome=Outcome.UNSCORED),
        Attempt(task="t4", answer="bad", verdict=Verdict(outcome=Outcome.BROKEN, broken="timeout")),
    ]
    table = build_table(log, vocabulary=Listed(), min_attempts=1, min_tasks=1)
    assert table.attempt_ids == (log[0].id, log[1].id)
    assert table.failed.tolist() == [True, False]
    assert table.task_names == ("t1", "t2")
    assert table.fault.tolist() == [True]
    assert table.families == ("b",)


def test_support_counts_attempts_and_tasks() -> None:
    log = [attempt_of("wide,deep", task=f"t{i}") for i in range(3)]
    log += [attempt_of("deep", task="t0")] * 5
    table = build_table(log, vocabulary=Listed(), min_attempts=3, min_tasks=3, merge_jaccard=1)
    assert table.names == ("deep", "wide")
    assert build_table(log, vocabulary=Listed(), min_attempts=4, min_tasks=1).names == ("deep",)
    assert build_table(log, vocabulary=Listed(), min_attempts=3, min_tasks=4).names == ()


def test_near_identical_events_get_the_simplest_name() -> None:
    log = [attempt_of("aa,bbb,c", task=f"t{i}") for i in range(19)] + [attempt_of("aa", task="z")]
    merged = build_table(log, vocabulary=Listed(), min_attempts=1, min_tasks=1)
    assert merged.names == ("c",)
    assert merged.aliases == (("aa", "bbb"),)
    # Jaccard of aa with the others is 19/20; the other two always occur together.
    apart = build_table(log, vocabulary=Listed(), min_attempts=1, min_tasks=1, merge_jaccard=0.96)
    assert dict(zip(apart.names, apart.aliases, strict=True)) == {"c": ("bbb",), "aa": ()}


def test_an_alias_is_close_to_its_name_and_not_only_to_another_alias() -> None:
    # a-b and b-c have Jaccard 4/5, a-c only 3/5: a absorbs b, c stays.
    log = [attempt_of("a,b,c", task="t")] * 3 + [attempt_of("a,b", task="t")]
    log += [attempt_of("b,c", task="t")]
    table = build_table(log, vocabulary=Listed(), min_attempts=1, min_tasks=1, merge_jaccard=0.8)
    assert dict(zip(table.names, table.aliases, strict=True)) == {"a": ("b",), "c": ()}


def test_nothing_in_gives_an_empty_table() -> None:
    table = build_table([], vocabulary=Listed())
    assert table.present.shape == (0, 0)
    assert table.task.shape == (0,)
    assert table.names == ()


def test_a_log_no_vocabulary_fits_has_rows_and_no_events() -> None:
    table = build_table([attempt_of("words only", task="t")])
    assert table.present.shape == (1, 0)
    assert table.aliases == ()


@pytest.mark.parametrize("value", [0.0, -1.0, 1.5])
def test_a_bad_threshold_is_named(value: float) -> None:
    with pytest.raises(BadInput, match="merge_jaccard"):
        build_table([], merge_jaccard=value)


answers = st.lists(st.sampled_from("abcdef"), max_size=6).map(",".join)
logs = st.lists(st.tuples(answers, st.sampled_from(["t1", "t2", "t3"])), max_size=25)


@given(logs, st.floats(0.3, 1.0))
@settings(max_examples=60, deadline=None)
def test_every_event_is_kept_once_and_close_to_its_name(
    log: list[tuple[str, str]], threshold: float
) -> None:
    attempts = [attempt_of(answer, task=task) for answer, task in log]
    table = build_table(
        attempts, vocabulary=Listed(), min_attempts=1, min_tasks=1, merge_jaccard=threshold
    )
    shows: Mapping[str, set[int]] = {
        name: {i for i, (answer, _) in enumerate(log) if name in answer.split(",")}
        for name in "abcdef"
    }
    everything = [*table.names, *(alias for group in table.aliases for alias in group)]
    assert sorted(everything) == sorted(name for name, rows in shows.items() if rows)
    for name, group in zip(table.names, table.aliases, strict=True):
        for alias in group:
            overlap = len(shows[name] & shows[alias]) / len(shows[name] | shows[alias])
            assert overlap >= threshold - 1e-5
    for column, name in enumerate(table.names):
        assert set(np.flatnonzero(table.present[:, column])) == shows[name]


@given(logs)
@settings(max_examples=30, deadline=None)
def test_flipping_verdicts_changes_only_the_labels(log: list[tuple[str, str]]) -> None:
    attempts = [attempt_of(answer, task=task) for answer, task in log]
    flipped = [
        msgspec.structs.replace(each, verdict=Verdict(outcome=Outcome.SUCCESS)) for each in attempts
    ]
    one = build_table(attempts, vocabulary=Listed(), min_attempts=2, min_tasks=1)
    other = build_table(flipped, vocabulary=Listed(), min_attempts=2, min_tasks=1)
    assert one.names == other.names
    assert np.array_equal(one.present, other.present)
    assert not other.failed.any()
