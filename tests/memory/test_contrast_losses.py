"""Losses kept concrete, and habits that count what a move lost."""

from __future__ import annotations

from twiceshy.attempts.types import Attempt, Outcome, Step, ToolCall, Verdict
from twiceshy.memory.contrast.conditions_evidence import SearchSettings
from twiceshy.memory.contrast.conditions_search import search
from twiceshy.memory.contrast.losses import find_losses
from twiceshy.memory.recall import check


def _step(verb: str, *facts: str, text: str = "") -> Step:
    return Step(
        role="assistant", text=text or verb, calls=(ToolCall(name=verb),), facts=tuple(facts)
    )


def _attempt(task: str, name: str, *steps: Step, ending: str) -> Attempt:
    won = ending == "won"
    return Attempt(
        id=name,
        task=task,
        policy="p",
        steps=steps,
        verdict=Verdict(outcome=Outcome.SUCCESS if won else Outcome.FAILURE),
        ending=ending,
        truncated=ending == "max_steps",
    )


def test_the_commonest_fatal_step_of_a_task_is_kept_by_its_shortest_attempt() -> None:
    burn, cut = _step("cook", "food.cooked", text="cook onion"), _step("chop", text="chop onion")
    attempts = [
        _attempt("t", "long", cut, cut, burn, ending="lost"),
        _attempt("t", "short", cut, burn, ending="lost"),
        _attempt("t", "odd", cut, ending="lost"),
        _attempt("t", "slow", burn, cut, ending="max_steps"),
        _attempt("t", "win", cut, ending="won"),
        _attempt("u", "only slow", cut, ending="max_steps"),
    ]
    (lesson,) = find_losses(attempts)
    assert lesson.parents == ("short",)
    assert lesson.action == "cook onion"
    assert lesson.evidence.n_for == 2
    assert lesson.extra["moves"][-1] == {"verb": "cook", "facts": ["food.cooked"]}


def test_losses_come_by_how_often_their_step_was_fatal() -> None:
    burn = _step("cook")
    attempts = [_attempt("t", "1", burn, ending="lost")]
    attempts += [_attempt("u", f"u{k}", burn, ending="lost") for k in range(3)]
    assert [each.evidence.n_for for each in find_losses(attempts)] == [3, 1]
    assert len(find_losses(attempts, max_lessons=1)) == 1
    assert find_losses([]) == []


def test_a_loss_is_no_pattern_to_check_a_step_against() -> None:
    burn = _step("cook")
    (lesson,) = find_losses([_attempt("t", "1", burn, ending="lost")])
    assert [each.verdict for each in check(burn, [lesson])] == ["cannot_check"]


def test_a_move_that_lost_speaks_against_the_habit_of_it() -> None:
    """Both sides use `go` early and survive it when ready; used unready it is the last move.

    Without the last moves of failures `go` alone would look like a habit of winners, since those
    whom it lost would not be counted as having done it.
    """
    attempts: list[Attempt] = []
    for k in range(40):
        look, unready = _step("look"), _step("go")
        ready, finish = _step("go", "ready"), _step("finish")
        attempts.append(_attempt(f"t{k}", f"w{k}", look, ready, finish, ending="won"))
        attempts.append(_attempt(f"t{k}", f"l{k}", look, unready, ending="lost"))
    found = search(attempts, SearchSettings(min_attempts=4))
    assert [str(each.pattern) for each in found.habits if each.pattern.verb == "go"] == [
        "go | ready"
    ]
    assert [each.n_failed for each in found.habits if each.pattern.verb == "go"] == [0]
