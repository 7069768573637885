"""What a language model may answer about attempts, and why an item is turned down.

An item must name attempts that it was shown, quote the policy's own steps word for word, and rest
on attempts that ended as its kind needs. What it says is checked by `memory.safety`, in one place.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.lessons import TASKS, ContrastPair, Evidence, Lesson
from twiceshy.memory.contrast.lessons import lesson_id, scope_of, sentence
from twiceshy.memory.contrast.vocabulary import Phrase
from twiceshy.memory.words import unfenced
from twiceshy.memory.writing.evidence import TOLD
from twiceshy.memory.writing.showing import LONGEST_FIELD, MOST_ITEMS, Shown, is_own, own_words
from twiceshy.memory.writing.types import Reason

LONGEST_ANSWER = 8_000
"""Characters of a whole answer; longer ones are not parsed."""

_Text = Annotated[str, msgspec.Meta(max_length=LONGEST_FIELD)]
_Needed = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_FIELD)]


class Quote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words of one step."""

    attempt: str
    step: int
    text: _Needed


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One lesson as a model tells it."""

    kind: Literal["avoid", "strategy", "recover"]
    trigger: _Text = ""
    action: _Needed
    instead: _Text = ""
    why: _Text = ""
    attempts: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=10)]
    quotes: Annotated[tuple[Quote, ...], msgspec.Meta(min_length=1, max_length=3)]


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    items: tuple[Item, ...]


class Objection(NamedTuple):
    """Why an item is turned down."""

    reason: Reason
    detail: str = ""


def read_items(text: str, *, most: int) -> tuple[Item, ...] | None:
    """Return the items of an answer, or None when it does not have the asked shape.

    Example:
        >>> read_items('{"items": []}', most=3), read_items("Sure!", most=3)
        ((), None)
    """
    if len(text) > LONGEST_ANSWER:
        return None
    try:
        items = msgspec.json.decode(unfenced(text), type=_Answer).items
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    return items if len(items) <= most else None


def most_items(shown: Shown) -> int:
    """Return how many items an answer to a question may have."""
    return MOST_ITEMS[shown.question]


def objection(item: Item, shown: Shown) -> Objection | None:
    """Return why an item must not become a lesson, or None.

    Args:
        item: What the model said.
        shown: What it was shown.
    """
    named = (*item.attempts, *(quote.attempt for quote in item.quotes))
    unknown = next((each for each in named if each not in shown.attempts), None)
    if unknown is not None:
        return Objection(Reason.UNKNOWN_ATTEMPT, unknown)
    for quote in item.quotes:
        reason = _against_quote(quote, shown.attempts[quote.attempt])
        if reason is not None:
            return Objection(reason, quote.text)
    outcomes = {shown.attempts[each].outcome for each in item.attempts}
    needed = Outcome.FAILURE if item.kind == "avoid" else Outcome.SUCCESS
    if needed not in outcomes:
        return Objection(Reason.WRONG_SIDE, f"no {needed.value} among {', '.join(item.attempts)}")
    if item.kind == "avoid" and not _of(shown, Outcome.SUCCESS):
        return Objection(Reason.NO_CONTRAST)
    return None


def _against_quote(quote: Quote, attempt: Attempt) -> Reason | None:
    if not 0 <= quote.step < len(attempt.steps):
        return Reason.NOT_QUOTED
    step = attempt.steps[quote.step]
    if not is_own(step):
        return Reason.QUOTES_DATA
    said = " ".join(quote.text.lower().split())
    return None if said and said in own_words(step).lower() else Reason.NOT_QUOTED


def _of(shown: Shown, outcome: Outcome) -> list[Attempt]:
    return [each for each in shown.attempts.values() if each.outcome is outcome]


def lesson_of(item: Item, shown: Shown) -> Lesson:
    """Return an item that passed as a lesson: described, a candidate, told by a model.

    No effect is given, because nothing was counted; the attempts it names are its evidence.
    """
    named = [shown.attempts[each] for each in dict.fromkeys(item.attempts)]
    agrees = Outcome.FAILURE if item.kind == "avoid" else Outcome.SUCCESS
    rests_on = tuple(each.id for each in named if each.outcome is agrees)
    scope = scope_of(named)
    trigger, action, instead, why = map(_tidy, (item.trigger, item.action, item.instead, item.why))
    return Lesson(
        id=lesson_id(item.kind, f"told: {trigger} | {action} | {instead}".lower(), scope=scope),
        kind=item.kind,
        text=_told(item, trigger=trigger, action=action, instead=instead),
        trigger=trigger,
        action=action,
        instead=instead if item.kind == "avoid" else "",
        why=why,
        scope=scope,
        author="model",
        evidence=Evidence(attempts_for=rests_on, n_for=len(rests_on), n_tasks=1),
        contrast=_contrast(item, shown),
        steps=(action,) if item.kind == "recover" else (),
        flags=(TOLD,),
        extra={TASKS: [named[0].task]},
    )


def _tidy(text: str) -> str:
    return " ".join(text.split()).rstrip(".:,; ")


def _told(item: Item, *, trigger: str, action: str, instead: str) -> str:
    if item.kind == "avoid":
        return sentence(Phrase(trigger=trigger, action=action), kind="avoid", instead=instead)
    return f"{trigger[:1].upper()}{trigger[1:]}: {action}." if trigger else f"{action}."


def _contrast(item: Item, shown: Shown) -> tuple[ContrastPair, ...]:
    """Pair a failing with a passing attempt, the quoted ones first."""
    quotes = {quote.attempt: quote for quote in reversed(item.quotes)}
    order = [*dict.fromkeys((*quotes, *item.attempts, *shown.attempts))]
    failed = [each for each in order if shown.attempts[each].outcome is Outcome.FAILURE]
    passed = [each for each in order if shown.attempts[each].outcome is Outcome.SUCCESS]
    if not failed or not passed:
        return ()
    failure, success = shown.attempts[failed[0]], shown.attempts[passed[0]]
    there, here = quotes.get(failed[0]), quotes.get(passed[0])
    pair = ContrastPair(
        task=failure.task,
        failure_id=failure.id,
        success_id=success.id,
        failure_step=there.step if there else None,
        success_step=here.step if here else None,
        failure_text=there.text if there else "",
        success_text=here.text if here else "",
        ending=failure.ending,
    )
    return (pair,)
