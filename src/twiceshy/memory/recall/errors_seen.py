"""What a failed tool call looks like: its signature, and which errors a lesson is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from twiceshy.attempts.effects import answered_calls
from twiceshy.attempts.types import Attempt, Outcome, Step, Verdict
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson
from twiceshy.memory.contrast import toolcalls_kinds as kinds
from twiceshy.memory.contrast.toolcalls_moves import error_kind, move_name

MAX_MESSAGE = 400
"""Characters of an error's text that are looked at."""
ANY = frozenset[str]()
"""Stands for any error."""

_RECOVER = re.compile(r"error: (?P<tool>[^:]+): (?P<error>.+)")
_CODE = re.compile(
    r"\b(?:[A-Za-z]+[-_])*[A-Za-z]+\d{2,}\w*|\b(?:[A-Za-z]+[-_])+\d+\b|\b[45]\d\d\b|\b[A-Z_]{4,}\b"
)
_NOISE = (
    (re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8}[0-9a-f-]{4,}\b", re.IGNORECASE), "#"),
    (re.compile(r"(?:/[\w.@+-]+){2,}|\b[A-Za-z]:\\\S+"), "PATH"),
    (re.compile(r"\d+"), "#"),
    (re.compile(r"\s+"), " "),
)


class Symptom(NamedTuple):
    """The errors a lesson names."""

    tool: str
    """"" for any tool."""
    words: frozenset[str]
    """Words of the error's kind; empty for any error."""


class Signature(NamedTuple):
    """A failed call, without what varies from one time to the next."""

    tool: str
    """As lessons name it: the tool, or the verb of a shell command; "" when not known."""
    code: str
    """The first thing in the error that looks like a code ("ERR_SEAT_4012"); "" without one."""
    message: str
    """Type and text with numbers, hashes and paths replaced. From outside: searched with, never
    shown to the agent as advice."""

    def matches(self, symptom: Symptom) -> float:
        """Return in [0, 1] how well a lesson's symptom fits: 1 for every word of its kind.

        An error of the tool, whichever, counts half; any error of any tool a quarter.
        """
        if symptom.tool not in ("", self.tool):
            return 0.0
        if not symptom.words:
            return 0.5 if symptom.tool else 0.25
        own = set(error_kind(self.message, known=symptom.words).split())
        return len(own & symptom.words) / len(symptom.words)

    @property
    def query(self) -> str:
        """The words recall searches with."""
        return " ".join(part for part in (self.tool, "fails with", self.code, self.message) if part)


def signature_of(step: Step, *, before: Sequence[Step] = ()) -> Signature:
    """Return the signature of a tool's reply that the log types as an error.

    Args:
        step: The reply.
        before: The steps before it; the call is looked for there.

    Raises:
        BadInput: The step is not an error.

    Example:
        >>> signature_of(Step(role="tool", name="book", error="ERR_SEAT_4012", text="row 17 taken"))
        Signature(tool='book', code='ERR_SEAT_4012', message='err_seat_# row # taken')
    """
    if step.error is None:
        raise BadInput(
            "a reply that is typed as an error",
            got=f"a step of role {step.role!r} without `error`",
            fix="Set Step.error to the error's type or text.",
        )
    raw = f"{step.error} {step.text[:MAX_MESSAGE]}".strip()
    code = _CODE.search(raw)
    return Signature(
        tool=_tool(step, before),
        code=code[0] if code else "",
        message=_normal(raw),
    )


def _normal(text: str) -> str:
    for shape, stand_in in _NOISE:
        text = shape.sub(stand_in, text)
    return text.lower().strip()


def _tool(step: Step, before: Sequence[Step]) -> str:
    whole = Attempt(task="", verdict=Verdict(outcome=Outcome.UNSCORED), steps=(*before[-40:], step))
    for answered in answered_calls(whole):
        if answered.reply is step:
            return move_name(answered.call)
    return step.name or ""


def symptom_of(lesson: Lesson) -> Symptom | None:
    """Return the errors a `recover` or `avoid` is about by its pattern; None when it names none.

    Example:
        >>> lesson = Lesson(id="x", kind="recover", text="", pattern="error: pay: card expired")
        >>> symptom_of(lesson).tool
        'pay'
    """
    if lesson.kind == "recover" and (read := _RECOVER.fullmatch(lesson.pattern)):
        return Symptom(read["tool"], frozenset(read["error"].split()))
    if lesson.kind == "avoid" and lesson.vocabulary == "toolcalls":
        return _avoided(lesson.pattern)
    return None


def _avoided(pattern: str) -> Symptom | None:
    if values := kinds.ERROR_KIND.read(pattern):
        return Symptom(values["tool"], frozenset(values["error"].split()))
    for template in (kinds.ERRORS_OF, kinds.ERROR_OF):
        if values := template.read(pattern):
            return Symptom(values["tool"], ANY)
    after = (kinds.RETRY, kinds.AFTER_ERROR, kinds.STOPS_AFTER_ERROR, kinds.TALKS_AFTER_ERROR)
    if any(template.read(pattern) is not None for template in after):
        return Symptom("", ANY)
    return None
