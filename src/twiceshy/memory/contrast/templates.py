"""Event names and their phrases, written in one place.

A `Template` makes the event's name from values, and the words for a lesson from the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from twiceshy.errors import BadInput
from twiceshy.memory.contrast.vocabulary import Phrase

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Template:
    """A kind of event with named slots.

    Example:
        >>> often = Template(
        ...     name="calls {tool} {k} times or more", family="repetition",
        ...     trigger="when {tool} was called before", action="calling {tool} {k} times or more")
        >>> often(tool="search", k="3")
        'calls search 3 times or more'
        >>> often.read("calls search 3 times or more")
        {'tool': 'search', 'k': '3'}
    """

    name: str
    family: str
    trigger: str
    action: str
    instead: str = ""
    why: str = ""
    fault: bool = False

    def __call__(self, **values: str) -> str:
        """Return the event's name with the slots filled."""
        return self.name.format(**values)

    @cached_property
    def _shape(self) -> re.Pattern[str]:
        parts = _SLOT.split(self.name)
        seen: set[str] = set()
        pattern = ""
        for index, part in enumerate(parts):
            if index % 2 == 0:
                pattern += re.escape(part)
            else:
                pattern += f"(?P={part})" if part in seen else f"(?P<{part}>[^{{}}\n]+?)"
                seen.add(part)
        return re.compile(pattern)

    @property
    def n_fixed(self) -> int:
        """Characters of the name outside its slots."""
        return len(_SLOT.sub("", self.name))

    def read(self, event: str) -> Mapping[str, str] | None:
        """Return the values an event of this template was made from, or None."""
        match = self._shape.fullmatch(event)
        return match.groupdict() if match else None

    def phrase(self, values: Mapping[str, str]) -> Phrase:
        """Return the words with the slots filled."""
        return Phrase(
            trigger=self.trigger.format(**values),
            action=self.action.format(**values),
            instead=self.instead.format(**values),
            why=self.why.format(**values),
            family=self.family,
            is_fault=self.fault,
        )


class Templates:
    """The kinds of event of one vocabulary."""

    def __init__(self) -> None:
        self._all: list[Template] = []

    def add(self, template: Template) -> Template:
        """Register a kind of event and return it."""
        self._all.append(template)
        self._all.sort(key=lambda each: -each.n_fixed)
        return template

    def __iter__(self) -> Iterator[Template]:
        return iter(self._all)

    def phrase(self, event: str) -> Phrase:
        """Return the words of an event by the most specific template whose shape it has.

        The one with most fixed characters wins: "uses {tool} twice" before "uses {tool}".

        Raises:
            BadInput: No template makes such a name.
        """
        for template in self._all:
            values = template.read(event)
            if values is not None:
                return template.phrase(values)
        raise BadInput(
            "the name of an event of this vocabulary",
            got=repr(event[:80]),
            fix="Pass the vocabulary the event was made with.",
        )
