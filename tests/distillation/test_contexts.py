"""Teacher contexts: what each rung shows, where it is from, and when there is nothing to show."""

from __future__ import annotations

import pytest

from twiceshy.attempts import Attempt, Group, Outcome, Step, ToolCall, Verdict
from twiceshy.distillation.contexts import (
    Material,
    NoContext,
    Rung,
    TeacherContext,
    failing_step,
    ladder,
    teacher_context,
    teacher_prompt,
    without_thinking,
)
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson


def tried(
    id: str,
    *words: str,
    outcome: Outcome = Outcome.FAILURE,
    answer: str | None = None,
    evidence: str = "",
) -> Attempt:
    steps = tuple(Step(role="assistant", text=word) for word in words)
    verdict = Verdict(outcome=outcome, evidence=evidence)
    return Attempt(task="t", id=id, steps=steps, verdict=verdict, answer=answer)


WRONG = tried("w", "open", "fry", "eat", answer="6", evidence="expected 5, got 6")
RIGHT = tried(
    "r", "open", "<think>fry? no</think>roast", "eat", outcome=Outcome.SUCCESS, answer="5"
)
GROUP = Group("t", "p", (WRONG, RIGHT))
AVOID = Lesson(
    id="l",
    kind="avoid",
    text="Roast.",
    trigger="the recipe says roast",
    action="frying",
    instead="use the oven",
)
MATERIAL = Material(
    hints={"t": "Mind the heat."},
    answers={"t": "5"},
    solutions={"t": "<think>2 and 3</think>It is 5."},
    lessons={"t": (AVOID,)},
)


def text_of(rung: Rung, attempt: Attempt = WRONG, material: Material | None = None) -> str:
    context = teacher_context(rung, attempt, group=GROUP, material=material)
    assert isinstance(context, TeacherContext), context
    return context.text


def why_not(rung: Rung, attempt: Attempt, group: Group = GROUP) -> str:
    context = teacher_context(rung, attempt, group=group)
    assert isinstance(context, NoContext), context
    return context.why


def test_each_rung_by_hand() -> None:
    assert text_of(Rung.NONE) == ""
    assert text_of(Rung.HINT, material=MATERIAL) == "A hint:\nMind the heat."
    assert text_of(Rung.CRITIQUE) == (
        "An earlier attempt at this failed.\nIt went wrong here:\nfry\n"
        "An attempt that succeeded did this there instead:\nroast"
    )
    assert text_of(Rung.SKILL_MISTAKE, material=MATERIAL) == (
        "From earlier attempts at tasks like this:\n"
        "- When the recipe says roast: use the oven. Common mistake: frying."
    )
    assert text_of(Rung.ANSWER) == "The right answer is: 5"
    assert (
        text_of(Rung.SOLUTION_WITHOUT_THINKING, material=MATERIAL) == "A right solution:\nIt is 5."
    )
    assert "<think>2 and 3</think>" in text_of(Rung.SOLUTION, material=MATERIAL)
    assert text_of(Rung.SOLUTION) == "A right solution:\nopen\n<think>fry? no</think>roast\neat"
    assert text_of(Rung.VERIFIER_OUTPUT).endswith("The checker said:\nexpected 5, got 6")


def test_richer_rungs_reveal_the_answer_and_thin_ones_do_not() -> None:
    def reveals(rung: Rung) -> bool | None:
        context = teacher_context(rung, WRONG, group=GROUP, material=MATERIAL)
        assert isinstance(context, TeacherContext)
        return context.reveals_answer

    shown = {rung: reveals(rung) for rung in Rung}
    assert not any(
        shown[rung] for rung in (Rung.NONE, Rung.HINT, Rung.CRITIQUE, Rung.SKILL_MISTAKE)
    )
    # This checker prints the answer: "expected 5".
    rich = (Rung.ANSWER, Rung.SOLUTION, Rung.SOLUTION_WITHOUT_THINKING, Rung.VERIFIER_OUTPUT)
    assert all(shown[rung] for rung in rich)


def test_an_answer_inside_a_longer_number_is_not_revealed() -> None:
    material = Material(hints={"t": "Not 15 and not 5.5x."}, answers={"t": "15.5"})
    context = teacher_context(Rung.HINT, WRONG, group=GROUP, material=material)
    assert isinstance(context, TeacherContext)
    assert context.reveals_answer is False


def test_without_a_reference_it_is_not_known_whether_the_answer_shows() -> None:
    alone = Group("t", "p", (WRONG,))
    context = teacher_context(Rung.VERIFIER_OUTPUT, WRONG, group=alone)
    assert isinstance(context, TeacherContext)
    assert context.reveals_answer is None


def test_nobody_is_shown_its_own_success() -> None:
    only = Group("t", "p", (RIGHT, WRONG))
    assert "no other attempt" in why_not(Rung.SOLUTION, RIGHT, only)
    twice = tried("r2", "open", "bake", outcome=Outcome.SUCCESS)
    context = teacher_context(Rung.SOLUTION, RIGHT, group=Group("t", "p", (RIGHT, twice)))
    assert isinstance(context, TeacherContext)
    assert context.sources == ("r2",)


def test_what_cannot_be_built_says_why() -> None:
    alone = Group("t", "p", (tried("w", "whole answer"),))
    wrong = alone.attempts[0]
    assert why_not(Rung.CRITIQUE, RIGHT) == "only a failure can be criticised; this is a success"
    assert "no error is logged" in why_not(Rung.CRITIQUE, wrong, alone)
    assert "no hint" in why_not(Rung.HINT, wrong, alone)
    assert "no lesson" in why_not(Rung.SKILL_MISTAKE, wrong, alone)
    assert "no reference answer" in why_not(Rung.ANSWER, wrong, alone)
    assert "no solution" in why_not(Rung.SOLUTION, wrong, alone)
    assert "no evidence" in why_not(Rung.VERIFIER_OUTPUT, wrong, alone)
    silent = tried("s", "<think>only thought</think>", outcome=Outcome.SUCCESS)
    both = Group("t", "p", (wrong, silent))
    assert "empty once" in why_not(Rung.SOLUTION_WITHOUT_THINKING, wrong, both)


def test_broken_and_unscored_attempts_teach_nothing() -> None:
    others = (tried("b", "x", outcome=Outcome.BROKEN), tried("u", "x", outcome=Outcome.UNSCORED))
    group = Group("t", "p", (*others, WRONG))
    seen = {context.attempt for context in ladder([group], rungs=[Rung.NONE, Rung.ANSWER])}
    assert seen == {"w"}
    assert why_not(Rung.CRITIQUE, others[0], group).endswith("a broken attempt")


def test_the_step_somebody_named_comes_first_then_errors_then_contrast() -> None:
    call = Step(role="assistant", calls=(ToolCall(name="cook", arguments="egg"),))
    reply = Step(role="tool", text="?", error="no such tool")
    broke = Attempt(
        task="t", verdict=Verdict(outcome=Outcome.FAILURE), steps=(WRONG.steps[0], call, reply)
    )
    by_error = failing_step(broke, right=[RIGHT])
    assert by_error is not None
    assert (by_error.index, by_error.why, by_error.reply) == (1, "error", "no such tool")
    assert by_error.instead == "roast"  # the departure is at the same step
    by_word = failing_step(WRONG, right=[RIGHT], told=2)
    assert by_word is not None
    assert (by_word.index, by_word.why, by_word.instead) == (2, "told", "")
    by_contrast = failing_step(WRONG, right=[tried("x", "close"), RIGHT])
    assert by_contrast is not None
    assert (by_contrast.index, by_contrast.sibling) == (1, "r")
    assert failing_step(WRONG) is None


def test_a_critics_words_replace_the_siblings_step() -> None:
    material = Material(critiques={"w": "Roasting was asked for."})
    text = text_of(Rung.CRITIQUE, material=material)
    assert "Roasting was asked for." in text
    assert "succeeded" not in text


def test_thinking_is_cut_whatever_its_tags() -> None:
    assert without_thinking("<THINK>a\nb</THINK> c <reasoning>d</reasoning>e") == "c e"
    assert without_thinking("a</think>b") == "b"
    assert without_thinking("a < b and c > d") == "a < b and c > d"


def test_the_teacher_is_asked_the_task_and_shown_the_context() -> None:
    context = teacher_context(Rung.ANSWER, WRONG, group=GROUP)
    assert isinstance(context, TeacherContext)
    prompt = teacher_prompt("2 + 3?", context)
    assert prompt.startswith("2 + 3?\n\nThe right answer is: 5")


def reveals(hint: str, answer: str) -> bool | None:
    material = Material(hints={"t": hint}, answers={"t": answer})
    context = teacher_context(Rung.HINT, WRONG, group=GROUP, material=material)
    assert isinstance(context, TeacherContext)
    return context.reveals_answer


def test_our_own_words_reveal_nothing_and_decimals_are_one_number() -> None:
    assert reveals("Mind the heat.", "A") is False  # our heading is "A hint:"
    assert reveals("Take A.", "A") is True
    assert reveals("Not 15.5, not 5.5, not 0.5.", "5") is False
    assert reveals("It is 5.", "5") is True
    assert reveals("It is 5.5.", "5.5") is True


def test_deliberation_that_never_ends_is_cut() -> None:
    assert without_thinking("It is 5. <think>or is it 6") == "It is 5."
    assert without_thinking("<think>or is it 6") == ""


def test_an_empty_right_attempt_gives_way_to_the_next() -> None:
    silent = tried("s", "<think>only thought</think>", outcome=Outcome.SUCCESS)
    nothing = tried("n", outcome=Outcome.SUCCESS)
    group = Group("t", "p", (nothing, silent, WRONG, RIGHT))
    blank = Material(answers={"t": " "}, solutions={"t": ""})
    for rung in (Rung.SOLUTION_WITHOUT_THINKING, Rung.ANSWER):
        context = teacher_context(rung, WRONG, group=group, material=blank)
        assert isinstance(context, TeacherContext), context
        assert context.sources == ("r",)
    only = Group("t", "p", (nothing, WRONG))
    assert why_not(Rung.SOLUTION, WRONG, only) == "every right attempt at this task is empty"


def test_a_named_step_that_is_not_the_policys_is_not_passed_over() -> None:
    for step in (3, -1):
        material = Material(failing_steps={"w": step})
        context = teacher_context(Rung.CRITIQUE, WRONG, group=GROUP, material=material)
        assert isinstance(context, NoContext)
        assert "no step of the policy" in context.why
    reply = Step(role="tool", text="?")
    with pytest.raises(BadInput, match="a step of the policy: 1, got 0"):
        failing_step(
            Attempt(task="t", verdict=WRONG.verdict, steps=(reply, WRONG.steps[0])), told=0
        )


def test_the_error_of_any_of_several_calls_is_the_reply() -> None:
    ask = Step(role="assistant", calls=(ToolCall(name="a"), ToolCall(name="b")))
    fine, bad = Step(role="tool", text="ok"), Step(role="tool", text="?", error="no such file")
    found = failing_step(Attempt(task="t", verdict=WRONG.verdict, steps=(ask, fine, bad, ask)))
    assert found is not None
    assert (found.index, found.why, found.reply) == (0, "error", "no such file")
    own = Step(role="assistant", text="x", error="cannot be parsed")
    found = failing_step(Attempt(task="t", verdict=WRONG.verdict, steps=(ask, fine, own)))
    assert found is not None
    assert (found.index, found.reply) == (2, "cannot be parsed")


def test_attempts_that_differ_from_the_start_locate_nothing() -> None:
    other = tried("o", "close", "roast", "eat", outcome=Outcome.SUCCESS)
    assert failing_step(WRONG, right=[other]) is None
    assert "no error is logged" in why_not(Rung.CRITIQUE, WRONG, Group("t", "p", (WRONG, other)))


def test_sentences_of_a_lesson_end_once() -> None:
    avoid = Lesson(
        id="l", kind="avoid", text="Roast.", trigger="told to roast", action="Frying.",
        instead="Use the oven.",
    )  # fmt: skip
    assert text_of(Rung.SKILL_MISTAKE, material=Material(lessons={"t": (avoid,)})).endswith(
        "- When told to roast: Use the oven. Common mistake: Frying."
    )


def test_an_unknown_rung_is_told() -> None:
    with pytest.raises(BadInput, match="one of none, hint, critique"):
        teacher_context("critic", WRONG, group=GROUP)  # pyrefly: ignore
    with pytest.raises(BadInput, match="rung"):
        list(ladder([GROUP], rungs=["critic"]))  # pyrefly: ignore


def test_another_tasks_attempt_is_refused() -> None:
    with pytest.raises(BadInput, match="an attempt at 'other'"):
        teacher_context(Rung.NONE, WRONG, group=Group("other", "p", ()))
