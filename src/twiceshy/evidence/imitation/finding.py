"""What the closures amount to, in one word, and the thresholds behind it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from twiceshy.evidence.imitation.closure import Spread

STYLE_CLOSED = 0.5
"""Style counts as closed when the whole interval of the mean closure is above this (ours)."""
CAPABILITY_OPEN = 0.25
"""Capability counts as not closed when the whole interval is below this (ours); as closed when the
interval is above 0 and its middle above this."""
ENOUGH_TASKS = 13
"""Tasks with verdicts below which nothing is found (ours): with fewer, none right of them all still
leaves a quarter possible, as the exact 95 % interval of 0 of 12 ends at 0.26."""

Finding = Literal[
    "imitation", "covered only", "learned", "both ahead", "neither", "undecided", "undefined"
]


class Verdict(NamedTuple):
    """The finding with its sentence."""

    finding: Finding
    sentence: str

    @property
    def fails(self) -> bool:
        """Whether the audit fails: style without capability, everywhere or outside the coverage."""
        return self.finding in ("imitation", "covered only")


def verdict_on(
    *,
    style: Spread,
    capability: Spread,
    inside: Spread,
    outside: Spread,
    why_not: str,
    n_tasks: int,
) -> Verdict:
    """Return the finding from mean style closure and mean capability closure.

    Args:
        style: Mean style closure.
        capability: Mean capability closure over all tasks.
        inside: Capability closure on tasks that the imitation data cover; undefined when unknown.
        outside: On the others.
        why_not: Why a closure is undefined, for the sentence.
        n_tasks: Tasks with verdicts.

    Example:
        >>> nothing = Spread(None, None, None)
        >>> verdict_on(style=Spread(0.9, 0.85, 0.95), capability=Spread(-0.4, -0.7, -0.1),
        ...            inside=nothing, outside=nothing, why_not="", n_tasks=200).finding
        'imitation'
    """
    gains = capability.low is not None and _closes(capability)
    if style.low is None or capability.low is None or capability.high is None:
        if gains and n_tasks >= ENOUGH_TASKS:
            said = f"The student closed {_shown(capability)} of the gap in capability"
            return Verdict("learned", f"{said}; its style cannot be compared: {why_not}.")
        return Verdict("undefined", f"Whether this is imitation cannot be said: {why_not}.")
    closed = style.low > STYLE_CLOSED
    opened = capability.high < CAPABILITY_OPEN
    sizes = f"style closed {_shown(style)} of the gap, capability {_shown(capability)}"
    if n_tasks < ENOUGH_TASKS:
        few = f"{n_tasks} tasks with verdicts are too few, {ENOUGH_TASKS} would be the least"
        return Verdict("undecided", f"Nothing is found: {few} ({sizes}).")
    if closed and _only_covered(inside, outside):
        return Verdict(
            "covered only",
            f"The student learned what its data cover and imitates elsewhere: capability closed "
            f"{_shown(inside)} inside the coverage and {_shown(outside)} outside.",
        )
    if closed and opened:
        return Verdict("imitation", f"Imitation without capability: {sizes}.")
    if closed and gains:
        return Verdict("both ahead", f"The student took over style and capability: {sizes}.")
    if gains:
        return Verdict("learned", f"The student gained capability, not just style: {sizes}.")
    if style.high is not None and style.high < STYLE_CLOSED and opened:
        return Verdict("neither", f"The student is still much like the base: {sizes}.")
    return Verdict("undecided", f"Too few answers to tell imitation from learning: {sizes}.")


def _closes(capability: Spread) -> bool:
    return (capability.low or 0) > 0 and (capability.value or 0) > CAPABILITY_OPEN


def _only_covered(inside: Spread, outside: Spread) -> bool:
    return _closes(inside) and outside.high is not None and outside.high < CAPABILITY_OPEN


def _shown(found: Spread) -> str:
    if found.value is None:
        return "an undefined share"
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
