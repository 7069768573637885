"""What a vocabulary is, and which one fits a log.

A vocabulary turns attempts into *events*: short phrases a person can read ("never subtracts, the
question says 'left'"), true or false of each attempt. Lessons are mined from them and tested on
them. Three rules:

1. Label-free. Events are computed from what was done and seen, never from a verdict. The content
   of other attempts at the same task (how many steps they took) may be used, their outcome and
   their answers may not.
2. Text that came from a tool or a user is data. An event names a tool, a field or a short value;
   it never quotes a sentence.
3. `phrase` can be rebuilt from the event's name alone, because a bank stores only the name.

To add one, write a class with these four members and put it in `built_in_vocabularies`:

    class Greetings:
        name = "greetings"

        def accepts(self, attempts):
            return any(attempt.steps for attempt in attempts)

        def events(self, attempts):
            return [frozenset({"says hello"} if greets(a) else ()) for a in attempts]

        def phrase(self, event):
            return Phrase(trigger="at the start", action="saying hello", family="greeting")

`templates.Template` writes names and phrases from the same place, for vocabularies with
parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from twiceshy.attempts.types import Attempt

SAMPLE_SIZE = 200
"""How many attempts are looked at to see whether a vocabulary fits."""


class Phrase(NamedTuple):
    """The words for one event, from which a lesson's sentence is built."""

    trigger: str
    """When it applies ("when the question says 'left'")."""
    action: str
    """What the attempt does, as a gerund ("never subtracting")."""
    instead: str = ""
    """The positive alternative as an imperative ("Check whether ..."); empty when none is known."""
    why: str = ""
    """Why it could matter; empty when the vocabulary does not know."""
    family: str = ""
    """Family of patterns ("dataflow", "order", "situation")."""
    is_fault: bool = False
    """Whether the vocabulary's author named it a fault before seeing any label."""


class Vocabulary(Protocol):
    """Turns attempts into events a person can read."""

    @property
    def name(self) -> str:
        """Short name, stored in `Lesson.vocabulary`."""
        ...

    def accepts(self, attempts: Sequence[Attempt]) -> bool:
        """Whether this kind of log fits. Cheap; must not raise."""
        ...

    def events(self, attempts: Sequence[Attempt]) -> list[frozenset[str]]:
        """Return the events of each attempt, in order. Must not look at any verdict or raise."""
        ...

    def phrase(self, event: str) -> Phrase:
        """Return the words for an event this vocabulary produced."""
        ...


def built_in_vocabularies() -> tuple[Vocabulary, ...]:
    """Return the vocabularies that ship with the package, most specific first."""
    from twiceshy.memory.contrast.calculations import Calculations
    from twiceshy.memory.contrast.conditions import Conditions
    from twiceshy.memory.contrast.toolcalls import ToolCalls

    return (Conditions(), ToolCalls(), Calculations())


def choose_vocabulary(attempts: Sequence[Attempt]) -> Vocabulary | None:
    """Return the first built-in vocabulary that fits, or None when no one does.

    Example:
        >>> choose_vocabulary([]) is None
        True
    """
    sample = spread_sample(attempts)
    return next((each for each in built_in_vocabularies() if each.accepts(sample)), None)


def spread_sample(attempts: Sequence[Attempt]) -> Sequence[Attempt]:
    """Return at most `SAMPLE_SIZE` attempts, evenly spread over the sequence.

    Example:
        >>> from twiceshy.attempts.types import Outcome, Verdict
        >>> a = Attempt(task="t", verdict=Verdict(outcome=Outcome.SUCCESS))
        >>> len(spread_sample([a] * 5000))
        200
    """
    if len(attempts) <= SAMPLE_SIZE:
        return attempts
    return [attempts[i * len(attempts) // SAMPLE_SIZE] for i in range(SAMPLE_SIZE)]
