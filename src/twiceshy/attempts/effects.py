"""What an attempt changed in the world: calls, their replies, and which of them are writes.

Whether a tool changes state is not in any log format we read, so it is inferred from the tool's
name: a name that begins with a read verb ("get", "search", "check") reads, every other writes. That
errs on the side of "it changed something". Callers who know better name their tools in `reads` and
`writes`, which win over the rule.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from twiceshy.attempts.types import Attempt, Step, ToolCall

_READ_VERBS = frozenset(
    """
    analyze analyse ask browse calculate cat check compare compute count describe echo escalate
    estimate evaluate examine explain fetch filter find get glob grep handoff help inspect inventory
    is list look lookup ls ping plan preview query read recall respond retrieve say scan search show
    stat summarize summarise tail think todo validate verify view wait webfetch websearch
    """.split()  # noqa: SIM905 - sixty quoted words would hide the list
)
"""First words that leave the world as it was (the to-do list is the agent's own scratch pad)."""

_HAND_OVER = frozenset({"agent", "agents", "human", "humans", "operator", "person", "support"})
"""`transfer_to_human_agents` ends a run; `transfer_money` changes the world."""

_NAMESPACE = re.compile(r"__|[./:]")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class CanonicalCall(NamedTuple):
    """A call in a form that is equal exactly when the calls do the same."""

    name: str
    arguments: str
    """JSON with sorted keys, or the raw argument text with its whitespace collapsed."""


class AnsweredCall(NamedTuple):
    """A call with the reply it got."""

    step: int
    """Index of the calling step in `attempt.steps`."""
    call: ToolCall
    reply: Step | None
    """None when the log has no reply to it."""

    @property
    def is_error(self) -> bool:
        """Whether the log types the reply as an error."""
        return self.reply is not None and self.reply.error is not None


def is_state_changing(
    call_name: str, *, reads: Collection[str] = (), writes: Collection[str] = ()
) -> bool:
    """Return whether a tool of this name may change the world.

    The last part of a name with a namespace counts ("mcp__crm__get_user" is "get_user").

    Args:
        call_name: The tool's name as logged.
        reads: Names known to change nothing; they win over the rule.
        writes: Names known to change something; they win over the rule and over `reads`.

    Example:
        >>> [is_state_changing(name) for name in ("get_user", "cancel_order", "calculate")]
        [False, True, False]
        >>> is_state_changing("transfer_to_human_agents"), is_state_changing("transfer_money")
        (False, True)
        >>> is_state_changing("bash", reads={"bash"})
        False
    """
    if call_name in writes:
        return True
    if call_name in reads:
        return False
    words = _words(call_name)
    if not words:
        return True
    if words[0] in ("transfer", "hand", "forward"):
        return not _HAND_OVER.intersection(words)
    return words[0] not in _READ_VERBS and "".join(words) not in _READ_VERBS


def answered_calls(attempt: Attempt) -> Iterator[AnsweredCall]:
    """Yield every call of the attempt with its reply, in order.

    A reply is found by its `call_id`: the first one after the call, since logs reuse ids. Where
    call or reply has no id, the first unnamed reply before the next step with calls is taken.
    """
    by_id: dict[str, deque[tuple[int, Step]]] = {}
    for index, step in enumerate(attempt.steps):
        if step.call_id and _is_reply(step):
            by_id.setdefault(step.call_id, deque()).append((index, step))
    for index, step in enumerate(attempt.steps):
        if not step.calls:
            continue
        unnamed = _unnamed_replies(attempt.steps, index)
        for call in step.calls:
            named = by_id.get(call.id or "", deque())
            while named and named[0][0] <= index:
                named.popleft()
            spare = named or unnamed
            reply = spare.popleft()[1] if spare else None
            yield AnsweredCall(index, call, reply)


def canonical(call: ToolCall) -> CanonicalCall:
    """Return the call with sorted argument names and normalised values.

    Whole floats become integers, whitespace in strings is collapsed, a missing optional argument is
    not the same as one given as null, and the order of lists is kept.

    Example:
        >>> canonical(ToolCall(name="pay", arguments={"to": " a  b ", "amount": 5.0})).arguments
        '{"amount": 5, "to": "a b"}'
    """
    if isinstance(call.arguments, str):
        return CanonicalCall(call.name, " ".join(call.arguments.split()))
    body = json.dumps(_normal(call.arguments), sort_keys=True, ensure_ascii=False, default=str)
    return CanonicalCall(call.name, body)


def successful_writes(
    attempt: Attempt, *, reads: Collection[str] = (), writes: Collection[str] = ()
) -> tuple[CanonicalCall, ...]:
    """Return the attempt's state-changing calls that were not answered by an error, in order.

    A write without any reply in the log counts: nothing says that it failed.

    Args:
        attempt: One attempt with its steps.
        reads: Names of tools known to change nothing.
        writes: Names of tools known to change something.
    """
    return tuple(
        canonical(answered.call)
        for answered in answered_calls(attempt)
        if not answered.is_error
        and is_state_changing(answered.call.name, reads=reads, writes=writes)
    )


def _words(name: str) -> list[str]:
    parts = [part for part in _NAMESPACE.split(name) if part]
    return [word.lower() for word in _WORD.findall(parts[-1])] if parts else []


def _is_reply(step: Step) -> bool:
    return step.role in ("tool", "environment")


def _unnamed_replies(steps: tuple[Step, ...], index: int) -> deque[tuple[int, Step]]:
    replies: deque[tuple[int, Step]] = deque()
    for later in range(index + 1, len(steps)):
        step = steps[later]
        if step.calls:
            break
        if _is_reply(step) and step.call_id is None:
            replies.append((later, step))
    return replies


def _normal(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, Mapping):
        return {str(key): _normal(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_normal(item) for item in value]
    return value
