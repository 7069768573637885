"""What the policy did by itself, and what tools, pages, files and users said: the second is data.

An injected order reaches a bank by two ways: a writer repeats it, or the policy obeys and its own
call is repeated. So a host, an address or a program counts as the policy's own only where the
policy used it *before* any text it was given had named it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

from twiceshy.attempts.types import Attempt, Step, ToolCall
from twiceshy.memory.contrast.toolcalls_moves import COMMAND_KEYS
from twiceshy.memory.safety.entities import Entity, entities_in, programs_of
from twiceshy.memory.words import runs_in, stems

TRUSTED_ROLES = ("assistant", "system")
"""Roles whose text is not data: the policy, and whoever set it up."""

Run = tuple[str, ...]

_IDENTIFIER = re.compile(r"\b[a-z]\w*_\w+\b")
_SENTENCE = re.compile(r"[.;!?\n]+")
_VALUE = re.compile(r"[=()\[\]{}/|]+")


def data_of(step: Step) -> str:
    """Return what a step says that the policy did not: replies, pages, errors, user messages."""
    own = "" if step.role in TRUSTED_ROLES else step.text
    return f"{own} \n {step.error}" if step.error else own


def copyable_runs(text: str, *, length: int) -> Iterator[Run]:
    """Yield runs of words inside one value or clause; a name with underscores is one word.

    Example:
        >>> list(copyable_runs("pay(to=ann_lee, note=a b c)", length=3))
        [('a', 'b', 'c')]
    """
    for part in _VALUE.split(text.replace("_", "")):
        yield from runs_in(part, length=length)


def own_of(step: Step) -> str:
    """Return what the policy said and called in a step; "" for steps of others."""
    if step.role != "assistant":
        return ""
    calls = (f"{call.name} {_arguments(call)}" for call in step.calls)
    return " \n ".join((step.text, step.reasoning, *calls))


def _arguments(call: ToolCall) -> str:
    if isinstance(call.arguments, str):
        return call.arguments
    return json.dumps(call.arguments, ensure_ascii=False, default=str)


class Seen:
    """Attempts, read for what is the policy's own and what is data.

    Args:
        attempts: All attempts at hand.
        trust_facts: Whether `Step.facts` are words of the caller's own environment, not data.
    """

    def __init__(self, attempts: Sequence[Attempt], *, trust_facts: bool = False) -> None:
        self._trust_facts = trust_facts
        self.by_id = {each.id: each for each in attempts}
        self._attempts = attempts
        self._stems: dict[str, frozenset[str]] = {}

    @cached_property
    def own_entities(self) -> frozenset[Entity]:
        """What the policy named in calls, in some attempt before any text had named it."""
        return frozenset(each for attempt in self._attempts for each in self._untold(attempt))

    @cached_property
    def told_tools(self) -> frozenset[Entity]:
        """Tools that the policy called, but never before some text had named them."""
        called = (Entity("tool", name) for name in self._tools)
        return frozenset(each for each in called if each not in self.own_entities)

    @cached_property
    def _tools(self) -> frozenset[str]:
        return frozenset(
            call.name.lower()
            for each in self._attempts
            for step in each.steps
            for call in step.calls
        )

    def _named_in(self, text: str) -> frozenset[Entity]:
        """Return what a text names; a tool counts where its name is no plain word."""
        words = _IDENTIFIER.findall(text.lower())
        tools = (Entity("tool", word) for word in words if word in self._tools)
        return entities_in(text).union(tools)

    def _untold(self, attempt: Attempt) -> Iterator[Entity]:
        """Yield what the policy named or called before any text had named it."""
        told = set(self._named_in(attempt.prompt or ""))
        for step in attempt.steps:
            told |= self._named_in(" \n ".join(step.facts))
            for call in step.calls:
                named = _named(call) | {Entity("tool", call.name.lower())}
                yield from (each for each in named if each not in told)
            told |= self._named_in(data_of(step))

    def copied(self, wanted: Collection[Run], *, length: int) -> frozenset[Run]:
        """Return which of these runs of words occur in data of any attempt.

        Args:
            wanted: Runs of words in small letters.
            length: Words of each run.
        """
        found: set[Run] = set()
        for text in {text for attempt in self._attempts for text in self._data(attempt)}:
            found.update(run for run in copyable_runs(text, length=length) if run in wanted)
        return frozenset(found)

    def _data(self, attempt: Attempt) -> Iterator[str]:
        yield attempt.prompt or ""
        for step in attempt.steps:
            yield data_of(step)
            yield from () if self._trust_facts else step.facts

    def sentences(self, ids: Collection[str]) -> Iterator[frozenset[str]]:
        """Yield the stems of every sentence of data in these attempts."""
        known = [self.by_id[each] for each in ids if each in self.by_id]
        for text in {text for attempt in known for text in self._data(attempt)}:
            for sentence in _SENTENCE.split(text.replace("_", " ")):
                yield frozenset(stems(sentence))

    def own_stems(self, ids: Collection[str]) -> frozenset[str]:
        """Return the stems of what the policy said and called in these attempts."""
        known = [each for each in ids if each in self.by_id]
        return frozenset().union(*map(self._own_stems, known))

    def _own_stems(self, identity: str) -> frozenset[str]:
        if identity not in self._stems:
            text = " ".join(map(own_of, self.by_id[identity].steps)).replace("_", " ")
            self._stems[identity] = frozenset(stems(text))
        return self._stems[identity]


def _named(call: ToolCall) -> frozenset[Entity]:
    named = entities_in(_arguments(call))
    if isinstance(call.arguments, str):
        return named | programs_of(call.arguments)
    commands = [str(call.arguments[key]) for key in COMMAND_KEYS if key in call.arguments]
    return named.union(*map(programs_of, commands))
