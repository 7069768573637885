"""Why nobody in an all-wrong group got it: broken, truncated, collapse, cliff, or unknown.

The four call for opposite cures, so they are told apart before anything is learned from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from twiceshy.attempts.types import Outcome
from twiceshy.frontier.facts import NO_WRITE, AttemptFacts, mode_of

HALF = 0.5
"""Share of the group that must be broken or truncated to name the group after it. Ours."""
COLLAPSE_SHARE = 0.75
"""Modal share of one wrong mode from which a group counts as collapsed. Ours."""
MIN_FAILURES = 2
"""Recorded failures from which a group without a success counts as all-wrong."""
MIN_MODES = 2
"""Failures of known mode that are needed to speak of collapse or cliff. Ours."""


class DeadKind(StrEnum):
    """Why a group has no success."""

    BROKEN = "broken"
    """The task, its checker or the world failed; the policy was not tested."""
    TRUNCATED = "truncated"
    """The attempts were cut off."""
    COLLAPSE = "collapse"
    """The same wrong thing again and again: more attempts repeat it."""
    CLIFF = "cliff"
    """Different failures: the task is beyond reach for now."""
    UNKNOWN = "unknown"
    """The log does not tell."""


CURES: Mapping[DeadKind, str] = {
    DeadKind.BROKEN: "check the task and its checker, then run it again",
    DeadKind.TRUNCATED: "raise the length or step limit; mask these, do not penalise them",
    DeadKind.COLLAPSE: "seek diversity first (temperature, a hint, another prompt)",
    DeadKind.CLIFF: "defer it, or give a hint, a solution prefix or an easier inverse task",
    DeadKind.UNKNOWN: "defer it and try again later; zero of a few is weak evidence",
}


class DeadGroup(NamedTuple):
    """An all-wrong group with the reason for its state."""

    task: str
    policy: str
    kind: DeadKind
    rule: str
    """What in the log decided it."""
    cure: str
    n_failure: int
    n_broken: int


def classify_dead(
    group: Sequence[AttemptFacts], *, tools: bool, passed_modes: Collection[str] = ()
) -> DeadGroup | None:
    """Return why an all-wrong group is one; None when the group is not all-wrong as recorded.

    The first rule that holds decides:

    1. broken: at least half of what the log counts as failed broke (limits apart), or a failure
       came down to exactly what passed at the same task elsewhere (the checker contradicts itself);
    2. truncated: at least half of what the log counts as failed was cut off or hit a limit;
    3. collapse: one mode holds at least three quarters of the failures whose mode is known;
    4. cliff: the known modes differ;
    5. unknown.

    Source: the split cliff / collapse is asked for in HuggingEnvs pull request 10; truncated apart
    after DAPO (2503.14476). Thresholds are ours.

    Args:
        group: All attempts at one task by one policy.
        tools: Whether the log is one of tool use; see `facts.mode_of`.
        passed_modes: Modes that were judged a success at this task, by any policy.
    """
    outcomes = Counter(fact.outcome for fact in group)
    recorded_failures = [fact for fact in group if fact.recorded is Outcome.FAILURE]
    if outcomes[Outcome.SUCCESS] or len(recorded_failures) < MIN_FAILURES:
        return None
    failures = [fact for fact in recorded_failures if fact.outcome is Outcome.FAILURE]
    modes = [mode for fact in failures if (mode := mode_of(fact, tools=tools)) is not None]
    kind, rule = (
        _broken(recorded_failures, contradicted=_common(modes, passed_modes))
        or _truncated(recorded_failures)
        or _by_modes(modes)
    )
    first = group[0]
    return DeadGroup(
        first.task, first.policy, kind, rule, CURES[kind], len(failures), outcomes[Outcome.BROKEN]
    )


def _broken(
    recorded_failures: Sequence[AttemptFacts], *, contradicted: int
) -> tuple[DeadKind, str] | None:
    n = len(recorded_failures)
    n_broken = sum(
        fact.outcome is Outcome.BROKEN and fact.broken != "limit" for fact in recorded_failures
    )
    if n_broken >= HALF * n:
        return DeadKind.BROKEN, f"{n_broken} of {n} recorded failures broke"
    if contradicted:
        return DeadKind.BROKEN, f"{contradicted} of {n} failures equal an attempt that passed"
    return None


def _truncated(recorded_failures: Sequence[AttemptFacts]) -> tuple[DeadKind, str] | None:
    n = len(recorded_failures)
    n_cut = sum(fact.truncated is True or fact.broken == "limit" for fact in recorded_failures)
    if n_cut >= HALF * n:
        return DeadKind.TRUNCATED, f"{n_cut} of {n} recorded failures were cut off"
    return None


def _by_modes(modes: Sequence[str]) -> tuple[DeadKind, str]:
    if len(modes) < MIN_MODES:
        return DeadKind.UNKNOWN, f"what it came down to is known for {len(modes)} failures"
    top = Counter(modes).most_common(1)[0][1]
    if top >= COLLAPSE_SHARE * len(modes):
        return DeadKind.COLLAPSE, f"{top} of {len(modes)} failures came down to the same"
    return DeadKind.CLIFF, f"{len(set(modes))} different ends among {len(modes)} failures"


def _common(modes: Sequence[str], passed: Collection[str]) -> int:
    # Two attempts without a write may still differ in what they said.
    return sum(mode in passed and mode != NO_WRITE for mode in modes)
