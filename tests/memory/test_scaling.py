from __future__ import annotations

import asyncio
import threading
import time

import pytest
from desk import LOST, WON, item, says
from desk import attempt as make

from twiceshy.attempts import Attempt, Outcome, Step, Verdict
from twiceshy.errors import BadInput
from twiceshy.memory.bank.types import Add
from twiceshy.memory.scaling import (
    Request,
    parallel,
    parallel_async,
    sequential,
    sequential_async,
)

RIGHT = Verdict(outcome=WON, source="verifier")
WRONG = Verdict(outcome=LOST, source="verifier")


def unscored(request: Request, answer: str) -> Attempt:
    calls = ("check_balance", "update_plan") if answer == "right" else ("update_plan",)
    return make(request.task, Outcome.UNSCORED, trial=request.index, calls=calls, answer=answer)


def answers(*given: str):
    def agent(request: Request) -> Attempt:
        if given[request.index] == "raises":
            raise RuntimeError("no connection")
        return unscored(request, given[request.index])

    return agent


def verifier(attempt: Attempt) -> Verdict:
    return RIGHT if attempt.answer == "right" else WRONG


class TestParallel:
    def test_the_judged_success_is_best_and_the_group_teaches_by_contrast(self) -> None:
        said: list[str] = []
        scaled = parallel(
            answers("wrong", "right", "wrong"),
            "t",
            k=3,
            judge=verifier,
            completer=says(item()),
            announce=said.append,
        )
        assert scaled.best == scaled.attempts[1]
        assert (scaled.chosen_by, scaled.tied) == ("judge", ())
        kinds = {e.lesson.kind for e in scaled.proposal.edits if isinstance(e, Add)}
        assert kinds == {"strategy", "demonstration"}
        assert said[0].startswith("at most: 3 attempts, 3 judgements, 0 comparisons, 2 questions")
        assert said[1].startswith("used: 3 attempts, 3 judgements, 0 comparisons, 1 questions")

    def test_an_agent_that_raises_gives_a_broken_attempt_and_not_a_failure(self) -> None:
        scaled = parallel(answers("raises", "wrong"), "t", k=2, judge=verifier)
        broken, wrong = scaled.attempts
        assert broken.outcome is Outcome.BROKEN
        assert broken.verdict.reason == "RuntimeError: no connection"
        assert wrong.outcome is Outcome.FAILURE
        assert scaled.best == wrong
        assert scaled.spent.judgements == 1

    def test_all_broken_chooses_nothing(self) -> None:
        scaled = parallel(answers("raises", "raises"), "t", k=2, judge=verifier)
        assert (scaled.best, scaled.chosen_by, scaled.proposal.edits) == (None, "nothing", ())

    def test_an_attempt_at_another_task_or_no_attempt_is_broken(self) -> None:
        other = parallel(lambda request: make("u"), "t", k=1)
        assert "another task" in other.attempts[0].verdict.reason
        nothing = parallel(lambda request: None, "t", k=1)  # pyrefly: ignore
        assert "NoneType" in nothing.attempts[0].verdict.reason

    def test_ties_are_told_and_a_seeded_coin_decides_among_them_only(self) -> None:
        agent = answers("right", "wrong", "right")
        best = {
            parallel(agent, "t", k=3, judge=verifier, seed=seed).best.trial  # pyrefly: ignore
            for seed in range(4)
        }
        assert best == {"0", "2"}
        scaled = parallel(agent, "t", k=3, judge=verifier, seed=1)
        assert scaled.chosen_by == "coin"
        assert scaled.tied == (scaled.attempts[0].id, scaled.attempts[2].id)
        assert scaled.best == parallel(agent, "t", k=3, judge=verifier, seed=1).best

    def test_without_judge_or_comparison_nothing_is_chosen(self) -> None:
        scaled = parallel(answers("right", "wrong"), "t", k=2)
        assert (scaled.best, scaled.chosen_by) == (None, "nothing")

    def test_the_own_verdict_of_an_attempt_does_not_choose(self) -> None:
        def agent(request: Request) -> Attempt:
            return make("t", WON if request.index else LOST, trial=request.index)

        def fooled(attempt: Attempt) -> Verdict:
            return RIGHT if attempt.outcome is Outcome.FAILURE else WRONG

        scaled = parallel(agent, "t", k=2, judge=fooled)
        assert scaled.best == scaled.attempts[0]
        assert [each.outcome for each in scaled.attempts] == [LOST, WON]  # a test's word stays

    def test_rewards_break_a_tie_only_where_all_have_one(self) -> None:
        def judge(attempt: Attempt) -> Verdict:
            return Verdict(
                outcome=WON, reward={"a": 0.2, "b": 0.9, "c": None}[attempt.answer or ""]
            )

        assert parallel(answers("a", "b"), "t", k=2, judge=judge).best.answer == "b"  # pyrefly: ignore
        assert parallel(answers("a", "c"), "t", k=2, judge=judge).chosen_by == "coin"

    def test_comparisons_in_both_orders_cancel_a_judge_that_favours_a_place(self) -> None:
        def always_the_first(first: Attempt, second: Attempt) -> float:
            return 1.0

        scaled = parallel(answers("a", "b"), "t", k=2, prefer=always_the_first)
        assert (scaled.chosen_by, len(scaled.tied), scaled.spent.comparisons) == ("coin", 2, 2)

        def longer(first: Attempt, second: Attempt) -> float | None:
            if "raises" in (first.answer, second.answer):
                raise ValueError
            return float(len(first.answer or "") > len(second.answer or ""))

        best = parallel(answers("a", "abc", "ab"), "t", k=3, prefer=longer)
        assert (best.best.answer, best.chosen_by) == ("abc", "comparison")  # pyrefly: ignore
        assert best.spent.comparisons == 6

    def test_a_judge_that_raises_leaves_the_attempt_unscored(self) -> None:
        def judge(attempt: Attempt) -> Verdict:
            raise TimeoutError("slow")

        scaled = parallel(answers("right"), "t", k=1, judge=judge)
        assert scaled.attempts[0].outcome is Outcome.UNSCORED
        assert scaled.proposal.edits == ()

    @pytest.mark.parametrize("is_async", [False, True])
    def test_concurrency_is_bounded_for_sync_and_async_agents(self, is_async: bool) -> None:
        lock, running, most = threading.Lock(), 0, 0

        def enter(by: int) -> None:
            nonlocal running, most
            with lock:
                running += by
                most = max(most, running)

        def agent(request: Request) -> Attempt:
            enter(1)
            time.sleep(0.02)
            enter(-1)
            return unscored(request, "a")

        async def async_agent(request: Request) -> Attempt:
            enter(1)
            await asyncio.sleep(0.02)
            enter(-1)
            return unscored(request, "a")

        parallel(async_agent if is_async else agent, "t", k=6, concurrency=2)
        assert most == 2

    def test_the_async_form_gives_the_same(self) -> None:
        agent = answers("wrong", "right")
        apart = parallel(agent, "t", k=2, judge=verifier)
        assert asyncio.run(parallel_async(agent, "t", k=2, judge=verifier)) == apart

    def test_the_sync_form_says_what_to_do_inside_a_loop(self) -> None:
        async def inside() -> None:
            parallel(answers("a"), "t", k=1)

        with pytest.raises(BadInput, match="_async"):
            asyncio.run(inside())

    def test_tokens_are_counted_where_known(self) -> None:
        def agent(request: Request) -> Attempt:
            ids = (1, 2, 3) if request.index == 0 else None
            return make("t", Outcome.UNSCORED, trial=request.index, token_ids=ids)

        spent = parallel(agent, "t", k=2).spent
        assert (spent.tokens, spent.n_tokens_unknown) == (3, 1)
        assert str(spent).endswith("3 tokens (1 attempts do not tell)")
        assert parallel(answers("a"), "t", k=1).spent.tokens is None

    def test_counts_below_one_are_refused(self) -> None:
        with pytest.raises(BadInput, match="k"):
            parallel(answers(), "t", k=0)


class TestSequential:
    def test_each_round_sees_the_last_whole_attempt_and_another_instruction(self) -> None:
        asked: list[Request] = []

        def agent(request: Request) -> Attempt:
            asked.append(request)
            if request.index == 1:
                raise RuntimeError
            return unscored(request, "right" if request.index > 1 else "wrong")

        scaled = sequential(agent, "t", k=4, judge=verifier)
        assert [each.previous.answer if each.previous else None for each in asked] == [
            None,
            "wrong",
            "wrong",
            "right",
        ]
        assert asked[0].note == ""
        assert asked[1].note == asked[2].note != asked[3].note
        assert (scaled.flips_to_success, scaled.flips_to_failure) == (1, 0)
        assert scaled.best == scaled.attempts[3]  # of equals, the last

    def test_a_round_that_loses_is_counted_and_not_chosen(self) -> None:
        scaled = sequential(answers("right", "wrong"), "t", k=2, judge=verifier)
        assert scaled.best == scaled.attempts[0]
        assert (scaled.flips_to_success, scaled.flips_to_failure) == (0, 1)

    def test_without_a_judge_the_last_whole_round_counts(self) -> None:
        scaled = sequential(answers("a", "b", "raises"), "t", k=3)
        assert (scaled.best, scaled.chosen_by) == (scaled.attempts[1], "nothing")

    def test_notes_are_kept(self) -> None:
        def agent(request: Request) -> Attempt:
            said = Step(role="assistant", text=f"round {request.index}")
            return Attempt(task="t", steps=(said,), verdict=Verdict(outcome=Outcome.UNSCORED))

        assert sequential(agent, "t", k=3).notes == ("round 1", "round 2")

    def test_the_async_form_gives_the_same(self) -> None:
        agent = answers("wrong", "right")
        apart = sequential(agent, "t", k=2, judge=verifier)
        assert asyncio.run(sequential_async(agent, "t", k=2, judge=verifier)) == apart
