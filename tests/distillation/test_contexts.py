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


def test_another_tasks_attempt_is_refused() -> None:
    with pytest.raises(BadInput, match="an attempt at 'other'"):
        teacher_context(Rung.NONE, WRONG, group=Group("other", "p", ()))
