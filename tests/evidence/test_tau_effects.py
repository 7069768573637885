from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations

from twiceshy.attempts.effects import answered_calls, is_state_changing, successful_writes
from twiceshy.attempts.types import Attempt, Outcome


def test_calls_writes_and_errors(tau_attempts: tuple[Attempt, ...]) -> None:
    calls = [answered for attempt in tau_attempts for answered in answered_calls(attempt)]
    assert len(calls) == 1164
    assert all(answered.reply is not None for answered in calls)
    writes = [answered for answered in calls if is_state_changing(answered.call.name)]
    assert len(writes) == 250
    assert sum(answered.is_error for answered in calls) == 73
    assert sum(answered.is_error for answered in writes) == 73
    assert sum(len(successful_writes(attempt)) for attempt in tau_attempts) == 177
    assert {answered.call.name for answered in writes} == {
        "book_reservation",
        "cancel_reservation",
        "update_reservation_flights",
        "update_reservation_baggages",
        "update_reservation_passengers",
        "send_certificate",
    }


def test_attempts_that_changed_nothing(tau_attempts: tuple[Attempt, ...]) -> None:
    idle = [attempt for attempt in tau_attempts if not successful_writes(attempt)]
    passed = [a for a in idle if a.verdict.as_recorded is Outcome.SUCCESS]
    assert (len(idle), len(passed)) == (87, 57)


def test_successes_agree_on_writes_and_failures_do_not(tau_attempts: tuple[Attempt, ...]) -> None:
    by_task: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in tau_attempts:
        by_task[attempt.task].append(attempt)
    agree: Counter[tuple[bool, bool]] = Counter()
    pairs: Counter[tuple[bool, bool]] = Counter()
    same_by_task: Counter[str] = Counter()
    for task, group in by_task.items():
        for one, two in combinations(group, 2):
            won = sorted(a.verdict.as_recorded is Outcome.SUCCESS for a in (one, two))
            same = successful_writes(one) == successful_writes(two)
            agree[won[1], won[0] == won[1]] += same
            pairs[won[1], won[0] == won[1]] += 1
            same_by_task[task] += same and won == [False, True]
    assert (agree[True, True], pairs[True, True]) == (82, 82)
    assert (agree[True, False], pairs[True, False]) == (88 - 81, 88)
    assert (agree[False, True], pairs[False, True]) == (41, 130)
    assert +same_by_task == {"44": 4, "46": 2, "2": 1}
