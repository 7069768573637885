"""Attempts as data in a prompt: numbered steps that say who spoke, cut short, secrets hidden."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import Any, Literal, NamedTuple

import msgspec

from twiceshy.attempts.types import Attempt, Outcome, Step
from twiceshy.memory.contrast.deeds import call_text
from twiceshy.memory.safety.secrets import scrub

Question = Literal["success", "failure", "contrast"]
"""Which prompt asks: about one success, one failure beside a success, or a whole group."""
MAX_STEPS = 30
"""Steps of an attempt that are shown; of a longer one its beginning and its end."""
MAX_OWN = 400
"""Characters of what the policy said in a step."""
MAX_DATA = 200
"""Characters of what a tool, a user or a page said in a step."""
LONGEST_FIELD = 200
"""Characters of one field of an item."""
MOST_ITEMS: dict[Question, int] = {"success": 3, "failure": 3, "contrast": 5}
"""Items an answer may have: as ReasoningBank (2509.25140), 3 for an attempt and 5 for a group."""


class Shown(NamedTuple):
    """One question and the attempts it shows, by label."""

    question: Question
    attempts: dict[str, Attempt]

    @property
    def prompt(self) -> str:
        """The question with its data, fenced by a mark that the data cannot hold."""
        data = msgspec.json.format(msgspec.json.encode(self._data()), indent=1).decode()
        return Template(prompt_text(self.question)).substitute(
            shape=_shape(self.question), data=data, fence=sha256(data.encode()).hexdigest()[:12]
        )

    def _data(self) -> dict[str, Any]:
        first = next(iter(self.attempts.values()))
        return {
            "task": _cut(first.prompt or first.task, MAX_OWN),
            "attempts": [_attempt(label, each) for label, each in self.attempts.items()],
        }


def show(passed: Sequence[Attempt], failed: Sequence[Attempt], *, question: Question) -> Shown:
    """Return a question about attempts at one task, labelled S1, S2, … and F1, F2, …."""
    labelled = {f"S{n}": each for n, each in enumerate(passed, start=1)}
    return Shown(question, labelled | {f"F{n}": each for n, each in enumerate(failed, start=1)})


def _shape(question: Question) -> str:
    warns = question != "success"
    return Template(prompt_text("shape")).substitute(
        most=MOST_ITEMS[question],
        kinds='"avoid", "strategy" or "recover"' if warns else '"strategy" or "recover"',
        action=('for "avoid", what the failing policy did, as "calling …"; else ' if warns else "")
        + 'what to do, as "Call …"',
        longest=LONGEST_FIELD,
    )


def _attempt(label: str, attempt: Attempt) -> dict[str, Any]:
    steps = list(enumerate(attempt.steps))
    if len(steps) > MAX_STEPS:
        steps = steps[: MAX_STEPS // 3] + steps[-(MAX_STEPS - MAX_STEPS // 3) :]
    return {
        "attempt": label,
        "ended": "success" if attempt.outcome is Outcome.SUCCESS else "failure",
        "steps": [_step(number, each) for number, each in steps],
    }


def _step(number: int, step: Step) -> dict[str, Any]:
    if is_own(step):
        return {"step": number, "by": "policy", "said": _cut(own_words(step), MAX_OWN)}
    error = {"error": _cut(step.error, MAX_DATA)} if step.error else {}
    return {"step": number, "by": step.role, "said": _cut(step.text, MAX_DATA), **error}


def is_own(step: Step) -> bool:
    """Whether the policy made the step; everything else is data."""
    return step.role == "assistant"


def own_words(step: Step) -> str:
    """Return what the policy thought, said and called in a step, as one line."""
    parts = (step.reasoning, step.text, *map(call_text, step.calls))
    return " ".join(" ".join(part.split()) for part in parts if part)


def _cut(text: str, longest: int) -> str:
    tidy = scrub(" ".join(text.split())).text
    return tidy if len(tidy) <= longest else f"{tidy[: longest - 1]}…"


@cache
def prompt_text(name: str) -> str:
    """Return one of the prompts that ship with the package."""
    file = files("twiceshy.memory.writing") / "prompts" / f"{name}.txt"
    return file.read_text(encoding="utf-8").strip()
