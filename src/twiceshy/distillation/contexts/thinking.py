"""Deliberation and the solution proper, told apart."""

from __future__ import annotations

import re

from twiceshy.attempts import Attempt, Step

_TAGGED = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_UNCLOSED = re.compile(r"<(think|thinking|reasoning)>.*\Z", re.DOTALL | re.IGNORECASE)
_UNOPENED = re.compile(r"^.*?</(think|thinking|reasoning)>", re.DOTALL | re.IGNORECASE)


def without_thinking(text: str) -> str:
    """Return a text without the parts in think, thinking or reasoning tags.

    A closing tag without an opening one (a chat template that opens it in the prompt) ends
    deliberation that began with the text. An opening tag without a closing one (a text that was
    cut) begins deliberation that goes on to the end.

    Example:
        >>> without_thinking("<think>hmm, 4?</think>The answer is 5.")
        'The answer is 5.'
        >>> without_thinking("hmm, 4?</think> 5")
        '5'
        >>> without_thinking("It is 5. <think>or is it")
        'It is 5.'
    """
    return _UNCLOSED.sub("", _UNOPENED.sub("", _TAGGED.sub("", text))).strip()


def trace_of(attempt: Attempt) -> str:
    """Return what the policy wrote, deliberation included, one step after the other.

    Example:
        >>> from twiceshy.attempts import Outcome, Verdict
        >>> verdict = Verdict(outcome=Outcome.UNSCORED)
        >>> steps = (Step(role="user", text="2 + 3?"), Step(role="assistant", text="5"))
        >>> trace_of(Attempt(task="sum", verdict=verdict, steps=steps))
        '5'
    """
    said = [written(step) for step in attempt.steps if step.role == "assistant"]
    return "\n".join(text for text in said if text) or (attempt.answer or "")


def solution_of(attempt: Attempt) -> str:
    """Return what the policy wrote without its deliberation."""
    said = [written(step, thinking=False) for step in attempt.steps if step.role == "assistant"]
    return "\n".join(text for text in said if text) or (attempt.answer or "")


def written(step: Step, *, thinking: bool = True) -> str:
    """Return a step of the policy as text: deliberation, words and calls."""
    calls = [f"{call.name} {call.arguments}".strip() for call in step.calls]
    if thinking:
        parts = [f"<think>{step.reasoning}</think>" if step.reasoning else "", step.text, *calls]
    else:
        parts = [without_thinking(step.text), *calls]
    return "\n".join(part for part in parts if part)
