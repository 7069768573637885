"""Patterns of the tool-call vocabulary, held against one step after those before it.

Whether the bad action was taken is asked of the vocabulary itself: a pattern that the steps up to
and with this one show, and those before it do not, was made at this step. A pattern shown earlier
in the run is not counted again. A change whose reply has not come yet counts as carried out.
Whether the trigger was seen is in `_TRIGGERS`, by kind of pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from twiceshy.attempts.effects import answered_calls
from twiceshy.attempts.types import Attempt, Outcome, Step, Verdict
from twiceshy.lessons import Lesson
from twiceshy.memory.contrast import toolcalls_kinds as kinds
from twiceshy.memory.contrast.templates import Template
from twiceshy.memory.contrast.toolcalls import Context, events_of_one
from twiceshy.memory.contrast.toolcalls_moves import Move, move_name, read_moves
from twiceshy.memory.contrast.toolcalls_records import facts_of, read_actions
from twiceshy.memory.contrast.wording_conditions import JOIN

Result = tuple[Literal["not_triggered", "complied", "violated", "cannot_check"], str]

_AT_THE_END = (
    kinds.NO_CALL,
    kinds.NO_WRITE,
    kinds.LAST,
    kinds.FEW_CALLS,
    kinds.FEW_MESSAGES,
    kinds.STOPS_AFTER_ERROR,
    kinds.LONG_TEXTS,
)
"""Kinds that a later step can still undo."""


class _Moment(NamedTuple):
    """A step with what went before it."""

    earlier: Sequence[Move]
    now: Sequence[Move]
    """Calls of this step."""
    replied: frozenset[str]
    """Tools of the calls whose reply this step is."""
    records: frozenset[tuple[str, str]]
    """(field, value) of the records that the calls of this step act on."""


_Trigger = Callable[[Mapping[str, str], _Moment], bool]


def _calls(slot: str) -> _Trigger:
    return lambda values, at: any(move.name == values[slot] for move in at.now)


def _first_call_of(slot: str) -> _Trigger:
    def seen(values: Mapping[str, str], at: _Moment) -> bool:
        tool = values[slot]
        return any(m.name == tool for m in at.now) and all(m.name != tool for m in at.earlier)

    return seen


def _reply_of(values: Mapping[str, str], at: _Moment) -> bool:
    return values["tool"] in at.replied


def _any_reply(_values: Mapping[str, str], at: _Moment) -> bool:
    return bool(at.replied)


def _any_call(_values: Mapping[str, str], at: _Moment) -> bool:
    return bool(at.now)


def _first_call(_values: Mapping[str, str], at: _Moment) -> bool:
    return bool(at.now) and not at.earlier


def _called_before(values: Mapping[str, str], at: _Moment) -> bool:
    return bool(at.now) and any(move.name == values["tool"] for move in at.earlier)


def _again(values: Mapping[str, str], at: _Moment) -> bool:
    return _calls("tool")(values, at) and _called_before(values, at)


def _second_call(_values: Mapping[str, str], at: _Moment) -> bool:
    return bool(at.now) and bool(at.earlier)


def _right_after(values: Mapping[str, str], at: _Moment) -> bool:
    return bool(at.now) and bool(at.earlier) and at.earlier[-1].name == values["first"]


def _after_error(_values: Mapping[str, str], at: _Moment) -> bool:
    return bool(at.now) and bool(at.earlier) and at.earlier[-1].is_error


def _acts_on(values: Mapping[str, str], at: _Moment) -> bool:
    if (values["field"], values["value"]) not in at.records:
        return False
    return "field2" not in values or (values["field2"], values["value2"]) in at.records


def _writes(_values: Mapping[str, str], at: _Moment) -> bool:
    return any(move.is_write for move in at.now)


_TRIGGERS: Mapping[Template, _Trigger] = {
    kinds.FIRST: _first_call,
    kinds.OFTEN: _called_before,
    kinds.IDENTICAL: _second_call,
    kinds.IDENTICAL_TOOL: _again,
    kinds.WRITES_TWICE: _called_before,
    kinds.BEFORE: _first_call_of("then"),
    kinds.WITHOUT: _first_call_of("then"),
    kinds.DIRECTLY: _right_after,
    kinds.ERROR: _any_reply,
    kinds.ERRORS: _any_reply,
    kinds.ERROR_OF: _reply_of,
    kinds.ERRORS_OF: _reply_of,
    kinds.ERROR_KIND: _reply_of,
    kinds.RETRY: _after_error,
    kinds.AFTER_ERROR: _after_error,
    kinds.TALKS_AFTER_ERROR: _after_error,
    kinds.UNSEEN: _calls("tool"),
    kinds.WITH_VALUE: _calls("tool"),
    kinds.CHANGE: _calls("tool"),
    kinds.NOT_LOOKED_UP: _calls("tool"),
    kinds.SITUATION: _acts_on,
    kinds.SITUATION_PAIR: _acts_on,
    kinds.SITUATION_CHANGE: _acts_on,
    kinds.UNAFFIRMED: _writes,
    kinds.UNAFFIRMED_TOOL: _calls("tool"),
    kinds.SEVERAL_WRITES: _writes,
    kinds.TEXT_AND_CALL: _any_call,
}
"""When a kind's trigger is seen at a step. A kind that is not here, such as "calls pay" in a run,
has the whole run as its trigger: at a step it is violated or not triggered, and only the end of the
run can say that it was complied with."""


class CallChecks:
    """The checks of some lessons of the vocabulary.

    Args:
        lessons: Lessons with vocabulary `toolcalls`.
    """

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        self._read = {each.id: _parts(each.pattern) for each in lessons}
        self._sought = [part for parts in self._read.values() for part in parts]

    def on_step(self, step: Step, *, before: Sequence[Step]) -> dict[str, Result]:
        """Return what each lesson says of a step, by lesson id."""
        if not self._read:
            return {}
        had, has = self._events(before), self._events([*before, step])
        at = _moment(step, before)
        return {
            lesson_id: _on_step(parts, had=had, has=has, at=at)
            for lesson_id, parts in self._read.items()
        }

    def at_end(self, steps: Sequence[Step]) -> dict[str, Result]:
        """Return what only the end of a run decides, by lesson id.

        Lessons decided at steps, and those violated at one, are left out.
        """
        if not self._read:
            return {}
        has = self._events(steps)
        found = {each: _at_end(parts, has) for each, parts in self._read.items()}
        return {each: result for each, result in found.items() if result is not None}

    def _events(self, steps: Sequence[Step]) -> frozenset[str]:
        attempt = _attempt(steps)
        tools = {move.name for move in read_moves(attempt)}
        named = [values for _, _, values in self._sought]
        texts = {str(values[slot]) for values in named for slot in _TOOL_SLOTS if slot in values}
        sought = Context(
            ordered=frozenset(tools | texts),
            known_words=frozenset(w for values in named for w in values.get("error", "").split()),
            situation=frozenset(v[s] for v in named for s in ("field", "field2") if s in v),
            told_arguments=frozenset(
                (values["tool"], values["argument"])
                for _, template, values in self._sought
                if template is kinds.WITH_VALUE
            ),
            is_dialogue=True,
        )
        return events_of_one(attempt, sought)


_TOOL_SLOTS = ("tool", "first", "then")
_Part = tuple[str, Template, Mapping[str, str]]


def _parts(pattern: str) -> tuple[_Part, ...]:
    """Read a pattern, or the two that a narrowed one is joined from; () when it cannot be read."""
    whole = _read(pattern)
    if whole is not None:
        return (whole,)
    parts = [_read(part) for part in pattern.split(JOIN)]
    found = tuple(part for part in parts if part is not None)
    return found if len(found) == len(parts) else ()


def _read(pattern: str) -> _Part | None:
    for template in kinds.KINDS:
        values = template.read(pattern)
        if values is not None:
            return pattern, template, values
    return None


def _on_step(
    parts: Sequence[_Part], *, had: frozenset[str], has: frozenset[str], at: _Moment
) -> Result:
    if not parts:
        return "cannot_check", "the pattern is not one of this vocabulary"
    if any(template in _AT_THE_END for _, template, _ in parts):
        return "cannot_check", "only the end of the run decides it"
    names = frozenset(name for name, _, _ in parts)
    if names <= had:
        return "not_triggered", ""
    if names <= has:
        return "violated", ""
    if len(parts) > 1:
        return "not_triggered", ""
    _, template, values = parts[0]
    trigger = _TRIGGERS.get(template)
    return ("complied" if trigger is not None and trigger(values, at) else "not_triggered"), ""


def _at_end(parts: Sequence[_Part], has: frozenset[str]) -> Result | None:
    is_late = any(template in _AT_THE_END for _, template, _ in parts)
    is_shown = all(name in has for name, _, _ in parts)
    if not parts or (not is_late and (is_shown or _TRIGGERS.get(parts[0][1]) is not None)):
        return None
    return ("violated" if is_shown else "complied"), ""


def _attempt(steps: Sequence[Step]) -> Attempt:
    return Attempt(task="", verdict=Verdict(outcome=Outcome.UNSCORED), steps=tuple(steps))


def _moment(step: Step, before: Sequence[Step]) -> _Moment:
    place, whole = len(before), _attempt([*before, step])
    moves = read_moves(whole)
    actions = [each for each in read_actions(moves) if each.move.step == place]
    return _Moment(
        earlier=[move for move in moves if move.step < place],
        now=[move for move in moves if move.step == place],
        replied=frozenset(
            move_name(each.call) for each in answered_calls(whole) if each.reply is step
        ),
        records=frozenset(
            (fact.field, fact.value)
            for action in actions
            for record in action.records
            for fact in facts_of(record)
        ),
    )
