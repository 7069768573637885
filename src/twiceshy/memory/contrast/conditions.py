"""Patterns over an action and what was true of it: "cook | food.cooked & tool is oven".

For environments that tell facts (`Step.facts`: the literals that held just before the action). A
pattern is a verb and at most two literals; a literal written with `not` in front holds when the
step does not list it. `matches` decides for one step, so that a lesson mined here can be checked,
or enforced, step by step.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from twiceshy.attempts.types import Attempt, Step
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson
from twiceshy.memory.contrast.vocabulary import Phrase

NAME = "conditions"
_NOT = "not "


class Pattern(NamedTuple):
    """A verb and the literals that must hold, in order of their text."""

    verb: str
    literals: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.verb} | {' & '.join(self.literals)}" if self.literals else self.verb


def parse_pattern(text: str) -> Pattern:
    """Read a pattern back from its text.

    Raises:
        BadInput: The text has no verb, or an empty literal.

    Example:
        >>> parse_pattern("cook | food.cooked & not tool is oven").literals
        ('food.cooked', 'not tool is oven')
        >>> str(parse_pattern("prepare"))
        'prepare'
    """
    verb, bar, rest = text.partition(" | ")
    literals = tuple(part.strip() for part in rest.split(" & ")) if bar else ()
    if not verb.strip() or not all(literals):
        raise BadInput('a pattern such as "cook | food.cooked"', got=repr(text[:80]))
    return Pattern(verb.strip(), literals)


def holds(pattern: Pattern, *, verb: str, facts: Collection[str]) -> bool:
    """Return whether a pattern holds for an action given by its verb and its literals.

    Example:
        >>> holds(parse_pattern("cook | not food.cooked"), verb="cook", facts={"tool is oven"})
        True
        >>> holds(parse_pattern("cook | not food.cooked"), verb="cook", facts={"food.cooked"})
        False
    """
    return pattern.verb == verb and all(
        (literal[len(_NOT) :] not in facts) if is_negated(literal) else literal in facts
        for literal in pattern.literals
    )


def is_negated(literal: str) -> bool:
    """Return whether a literal says that something does not hold."""
    return literal.startswith(_NOT)


def verb_of(step: Step) -> str | None:
    """Return the action's name; None for a step that is not an action of the policy."""
    return step.calls[0].name if step.role == "assistant" and step.calls else None


def matches(rule: Pattern | Lesson, step: Step) -> bool:
    """Return whether a step is an action to which a rule (or a lesson mined here) applies.

    Example:
        >>> from twiceshy.attempts.types import ToolCall
        >>> burn = Step(role="assistant", calls=(ToolCall(name="cook"),), facts=("food.cooked",))
        >>> matches(parse_pattern("cook | food.cooked"), burn)
        True
        >>> matches(parse_pattern("eat"), burn)
        False
    """
    pattern = parse_pattern(rule.pattern) if isinstance(rule, Lesson) else rule
    verb = verb_of(step)
    return verb is not None and holds(pattern, verb=verb, facts=step.facts)


def tells_facts(attempts: Sequence[Attempt]) -> bool:
    """Return whether at least half of the attempts have an action with facts."""
    return bool(attempts) and 2 * sum(map(_has_facts, attempts)) >= len(attempts)


def _has_facts(attempt: Attempt) -> bool:
    return any(step.facts and verb_of(step) is not None for step in attempt.steps)


class Conditions:
    """The vocabulary of patterns: an attempt shows a pattern if any of its steps matches it.

    There are thousands; without looking at any verdict those that too few attempts show are left
    out, and those that nearly the same attempts show as a simpler one with the same verb.

    Args:
        min_attempts: Attempts that must show a pattern.
        max_literals: Literals in a pattern, at most 2.
        merge_jaccard: In (0, 1]: Jaccard index of two patterns' attempts from which the simpler
            one stands for both.
        max_events: Patterns kept, those with the fewest literals first.
    """

    name = NAME

    def __init__(
        self,
        *,
        min_attempts: int = 8,
        max_literals: int = 2,
        merge_jaccard: float = 0.8,
        max_events: int = 4000,
    ) -> None:
        if not 0 <= max_literals <= 2:
            raise BadInput("max_literals of 0, 1 or 2", got=str(max_literals))
        if not 0 < merge_jaccard <= 1:
            raise BadInput("merge_jaccard in (0, 1]", got=str(merge_jaccard))
        self.min_attempts = min_attempts
        self.max_literals = max_literals
        self.merge_jaccard = merge_jaccard
        self.max_events = max_events

    def accepts(self, attempts: Sequence[Attempt]) -> bool:
        """Whether the log tells facts."""
        return tells_facts(attempts)

    def events(self, attempts: Sequence[Attempt]) -> list[frozenset[str]]:
        """Return the patterns each attempt shows."""
        from twiceshy.memory.contrast.conditions_table import attempt_events

        return attempt_events(
            attempts,
            min_attempts=self.min_attempts,
            max_literals=self.max_literals,
            merge_jaccard=self.merge_jaccard,
            max_events=self.max_events,
        )

    def phrase(self, event: str) -> Phrase:
        """Return the words for a pattern."""
        pattern = parse_pattern(event)
        return Phrase(trigger=situation_words(pattern), action=f"'{pattern.verb}'", family=NAME)


def situation_words(pattern: Pattern) -> str:
    """Return when a pattern applies, in words.

    Example:
        >>> situation_words(parse_pattern("cook | food.cooked & not tool is oven"))
        'when food is cooked and not (tool is oven)'
        >>> situation_words(parse_pattern("prepare"))
        'at any time'
    """
    words = [_literal_words(literal) for literal in pattern.literals]
    return f"when {' and '.join(words)}" if words else "at any time"


def _literal_words(literal: str) -> str:
    if is_negated(literal):
        return f"not ({_literal_words(literal[len(_NOT) :])})"
    return literal.replace(".", " is ").replace("_", " ")
