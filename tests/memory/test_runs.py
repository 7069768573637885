from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from twiceshy.attempts.types import Outcome, Step, ToolCall
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson, Status
from twiceshy.memory import Memory
from twiceshy.memory.bank import Add, Bank, SetStatus
from twiceshy.memory.recall import Wish, allowed, estimate_tokens
from twiceshy.memory.trials import ALWAYS_SHOWN, Rule, TrialDesign
from twiceshy.models.embedder import unit


class Words:
    """Two things to be about: invoices, and calls that fail."""

    name = "two-words"
    dimensions = 3

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = [[each.count("invoice"), each.count("fails"), 0.01] for each in texts]
        return unit(np.array(found, dtype=np.float32))


TASK = "Pay the invoice of the customer."
NEVER = TrialDesign(
    hold_out=0.0, shadow_withheld=1.0, shadow_placebo=0.0, active_withheld=1.0, active_placebo=0.0
)
PLACEBO = replace(NEVER, shadow_withheld=0.0, shadow_placebo=1.0, active_withheld=0.0)
PLACEBO = replace(PLACEBO, active_placebo=1.0)

CHECK_FIRST = Lesson(
    id="check-first",
    kind="avoid",
    text="Before paying an invoice, check it instead of paying at once.",
    vocabulary="toolcalls",
    pattern="calls pay without check before it",
    trigger="when an invoice is to be paid",
    action="paying at once",
    instead="check it",
    status=Status.ACTIVE,
    author="human",
)
AFTER_EXPIRY = Lesson(
    id="after-expiry",
    kind="recover",
    text="When the card is expired, ask for another card.",
    vocabulary="toolcalls",
    pattern="error: pay: card expired",
    trigger="when pay fails",
    status=Status.ACTIVE,
    author="human",
)
WAITING = Lesson(
    id="waiting",
    kind="strategy",
    text="Look up the customer of the invoice.",
    trigger="when an invoice is to be paid",
    status=Status.CANDIDATE,
    author="human",
)


def act(tool: str, call: str = "1") -> Step:
    return Step(role="assistant", calls=(ToolCall(name=tool, id=call),))


EXPIRED = Step(role="tool", call_id="1", name="pay", error="Error", text="card expired")


@pytest.fixture
def bank() -> Iterator[Bank]:
    with Bank.open(":memory:") as opened:
        opened.apply([Add(lesson=each) for each in (CHECK_FIRST, AFTER_EXPIRY, WAITING)])
        yield opened


def a_memory(bank: Bank, trial: TrialDesign = ALWAYS_SHOWN, **more: int) -> Memory:
    return Memory(bank, recall=Wish(embedder=Words(), floor=0.5), trial=trial, **more)


def test_a_run_from_start_to_end(bank: Bank) -> None:
    with a_memory(bank).run("t1", text=TASK, family="f", policy="p", run_id="r1") as run:
        assert "check it instead of paying at once" in run.text
        assert [each.id for each in run.lessons] == ["check-first"]
        before = run.check(act("pay"))
        assert (before.veto, [each.id for each in before.violated]) == (True, ["check-first"])
        assert "check it instead" in before.text
        assert bank.checks() == []
        assert not run.step(act("check")).veto
        assert not run.step(act("pay", "2")).veto
        run.end("success", source="test", reliability=0.99, evidence="test_pay", reward=1.0)
    (started,) = bank.runs()
    assert (started.run_id, started.task, started.family, started.policy) == ("r1", "t1", "f", "p")
    verdict = bank.outcomes()["r1"].verdict
    assert (verdict.outcome, verdict.source, verdict.reward) == (Outcome.SUCCESS, "test", 1.0)
    assert {each.took_bad_action for each in bank.checks()} == {False}
    told = {each.lesson_id: (each.arm, each.propensity) for each in bank.decisions()}
    assert told == {"check-first": ("shown", 1.0), "waiting": ("withheld", 1.0)}


def test_a_mistake_is_logged_with_and_without_the_lesson(bank: Bank) -> None:
    for design, speaks in ((ALWAYS_SHOWN, True), (NEVER, False), (PLACEBO, False)):
        with a_memory(bank, design).run("t1", text=TASK) as run:
            assert run.check(act("pay")).veto is speaks
            advice = run.step(act("pay"))
            assert (advice.veto, bool(advice.text)) == (speaks, speaks)
            assert bool(allowed([act("pay"), act("check")], run.lessons) == [1]) is speaks
        own = [each for each in bank.checks() if each.run_id == run.id]
        assert [(each.lesson_id, each.took_bad_action) for each in own] == [("check-first", True)]


def test_a_placebo_is_as_long_as_what_it_replaces_and_says_nothing_of_it(bank: Bank) -> None:
    shown = a_memory(bank).start("t1", text=TASK)
    placebo = a_memory(bank, PLACEBO).start("t1", text=TASK)
    assert placebo.lessons == ()
    assert abs(estimate_tokens(placebo.text) - estimate_tokens(shown.text)) <= 3
    assert "invoice" not in placebo.text
    assert a_memory(bank, NEVER).start("t1", text=TASK).text == ""


def test_after_an_error_lessons_that_fit_it_are_told_once(bank: Bank) -> None:
    with a_memory(bank).run("t1", text=TASK) as run:
        run.step(act("check"))
        run.step(act("pay"))
        advice = run.step(EXPIRED)
        assert [each.id for each in advice.lessons] == ["after-expiry"]
        assert "ask for another card" in advice.text
        assert run.step(EXPIRED).lessons == ()
    told = [each for each in bank.decisions() if each.lesson_id == "after-expiry"]
    assert [(each.moment, each.step) for each in told] == [("after_error", 2)]


def test_what_is_told_after_errors_is_capped(bank: Bank) -> None:
    with a_memory(bank, told_after_errors=0).run("t1", text=TASK) as run:
        run.step(act("pay"))
        assert run.step(EXPIRED).lessons == ()


def test_left_without_an_outcome_is_unscored_and_an_error_is_broken(bank: Bank) -> None:
    memory = a_memory(bank)
    with memory.run("t1", run_id="left"):
        pass
    for run_id, error in (("crash", ValueError("key=secret")), ("late", TimeoutError())):
        with pytest.raises(type(error)), memory.run("t1", run_id=run_id):
            raise error
    with pytest.raises(KeyboardInterrupt), memory.run("t1", run_id="stopped"):
        raise KeyboardInterrupt
    told = {run_id: each.verdict for run_id, each in bank.outcomes().items()}
    assert told["left"].outcome is Outcome.UNSCORED
    assert [(told[each].outcome, told[each].broken) for each in ("crash", "late", "stopped")] == [
        (Outcome.BROKEN, "tool_crash"),
        (Outcome.BROKEN, "timeout"),
        (Outcome.BROKEN, "limit"),
    ]
    assert told["crash"].reason == "ValueError"
    assert memory.effect().counts.n_broken == 3


def test_an_error_after_the_outcome_leaves_the_outcome(bank: Bank) -> None:
    def fails_late() -> None:
        with a_memory(bank).run("t1", run_id="r") as run:
            run.end("failure", source="test")
            raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        fails_late()
    assert bank.outcomes()["r"].verdict.outcome is Outcome.FAILURE


def test_a_second_outcome_is_refused_in_the_run_and_kept_beside_it_later(bank: Bank) -> None:
    memory = a_memory(bank)
    with memory.run("t1", run_id="r") as run:
        run.end("success", source="judge", reliability=0.7)
        with pytest.raises(BadInput, match="has ended"):
            run.end("failure")
        with pytest.raises(BadInput, match="has ended"):
            run.step(act("pay"))
    memory.outcome("r", "failure", source="test", reliability=0.99)
    assert bank.outcomes()["r"].verdict.outcome is Outcome.FAILURE
    assert [each.run_id for each in bank.conflicts()] == ["r"]
    memory.outcome("r", "success", source="heuristic")
    assert bank.outcomes()["r"].verdict.outcome is Outcome.FAILURE


def test_late_outcomes(bank: Bank) -> None:
    memory = a_memory(bank)
    run = memory.start("t1")
    assert memory.effect().counts.n_open == 1
    memory.outcome(run.id, Outcome.SUCCESS, source="human")
    assert memory.effect().counts.n_scored == 1


def test_bad_input(bank: Bank) -> None:
    memory = a_memory(bank)
    with pytest.raises(BadInput, match="run that has started"):
        memory.outcome("nobody", "success")
    with pytest.raises(BadInput, match="success, failure, broken, unscored"):
        memory.outcome(memory.start("t1").id, "won")
    with pytest.raises(BadInput, match="reliability"):
        memory.start("t1").end("success", reliability=1.5)
    with pytest.raises(BadInput, match="broken only"):
        memory.start("t1").end("success", broken="limit")
    with pytest.raises(BadInput, match="identity of a task"):
        memory.start("")
    memory.start("t1", run_id="twice")
    with pytest.raises(BadInput, match="has started"):
        memory.start("t1", run_id="twice")
    with pytest.raises(BadInput, match="told_after_errors"):
        Memory(bank, told_after_errors=-1)


def test_an_empty_bank_tells_nothing_and_says_why() -> None:
    with Bank.open(":memory:") as bank, a_memory(bank).run("t1", text=TASK) as run:
        assert (run.text, run.lessons, run.decisions) == ("", (), ())
        assert any("empty" in note for note in run.notes)
        run.end("success")


def test_a_rollback_reaches_what_was_written_under_a_lessons_influence(bank: Bank) -> None:
    with a_memory(bank).run("t1", text=TASK) as run:
        run.end("failure", source="test")
    written = Lesson(id="child", kind="strategy", text="Ask first.", author="model")
    child = run.descended(run.descended(written))
    assert child.parents == (run.id,)
    bank.apply([Add(lesson=child)])
    assert bank.rollback("check-first", because="poisoned") == ["check-first", "child"]
    assert bank.get("child").status is Status.QUARANTINED


def test_what_was_withheld_had_no_influence(bank: Bank) -> None:
    run = a_memory(bank, NEVER).start("t1", text=TASK)
    written = Lesson(id="child", kind="strategy", text="Ask first.", author="model")
    bank.apply([Add(lesson=run.descended(written))])
    assert bank.rollback("check-first", because="poisoned") == ["check-first"]


def test_verdicts_are_edits_that_nobody_applied(bank: Bank) -> None:
    memory = a_memory(bank)
    for _ in range(3):
        memory.start("t1", text=TASK)
    edits = memory.verdicts(rule=Rule())
    assert edits == [
        SetStatus(
            lesson_id="waiting",
            status=Status.SHADOW,
            because="recalled in 3 runs: worth a trial",
        )
    ]
    assert bank.get("waiting").status is Status.CANDIDATE
    bank.apply(edits)
    assert memory.verdicts() == []


def test_several_runs_at_once(bank: Bank) -> None:
    memory = Memory(bank, recall=Wish(embedder=Words(), floor=0.5), trial=TrialDesign())

    def one(n: int) -> str:
        with memory.run(f"t{n % 5}", text=TASK, run_id=f"run-{n}") as run:
            run.step(act("check"))
            run.step(act("pay", "2"))
            run.end("success" if n % 3 else "failure")
            return run.text

    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(one, range(40)))
    assert len(bank.runs()) == 40
    assert memory.effect().counts.n_scored == 40
    assert len(set(texts)) == 3  # the lesson, its placebo, nothing
    again = Memory(bank, recall=Wish(embedder=Words(), floor=0.5), trial=TrialDesign())
    first = next(each for each in bank.decisions() if each.run_id == "run-0")
    with Bank.open(":memory:") as other:
        other.apply([Add(lesson=each) for each in (CHECK_FIRST, WAITING)])
        run = a_memory(other, TrialDesign()).start("t0", text=TASK, run_id="run-0")
        assert run.decisions[0].arm == first.arm
    assert again.effect() == memory.effect()


def test_the_async_twin(bank: Bank) -> None:
    memory = a_memory(bank)

    async def one(n: int) -> str:
        async with memory.arun("t1", text=TASK) as run:
            assert (await run.check(act("pay"))).veto
            assert (await run.step(act("pay"))).veto
            if n == 0:
                raise ValueError("broken")
            await run.end("success", source="test")
            assert run.text
            assert [each.id for each in run.lessons] == ["check-first"]
            assert run.decisions
            return run.id

    async def several() -> list[str | BaseException]:
        return await asyncio.gather(*(one(n) for n in range(4)), return_exceptions=True)

    ended = asyncio.run(several())
    assert isinstance(ended[0], ValueError)
    counts = memory.effect().counts
    assert (counts.n_scored, counts.n_broken) == (3, 1)
    assert len(bank.checks()) == 4
