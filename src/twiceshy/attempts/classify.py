"""What was broken, as opposed to failed: typed fields first, then text, then the user's own rules.

It errs on the side of `failure`. An error reply that the policy earned (bad arguments, a record
that does not exist) is an ordinary step. An attempt is broken only when the log types its end as
the world's doing, when its very last word is an infrastructure error, or when a user's rule says
so. A recorded success is never reclassified here, except by a user's rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from twiceshy.attempts.types import Attempt, BrokenKind, Outcome, Verdict

Rule = Callable[[Attempt], str | None]
"""A user's own rule: the reason why an attempt is broken, or None."""

_ENDINGS: dict[BrokenKind, str] = {
    "limit": "max_steps max_turns max_iterations max_messages max_tool_calls step_limit turn_limit "
    "message_limit token_limit cost_limit budget_exceeded context_window_exceeded "
    "context_length_exceeded",
    "timeout": "timeout timed_out time_limit tool_timeout deadline_exceeded",
    "refusal": "rate_limit rate_limited overloaded api_error server_error service_unavailable "
    "infrastructure_error provider_error content_filter content_filtered",
    "tool_crash": "tool_crash tool_error environment_error sandbox_error container_error "
    "environment_crash user_simulator_error",
    "checker_error": "checker_error scorer_error scoring_error grader_error verifier_error "
    "evaluation_error",
}
_KIND_OF_ENDING: dict[str, BrokenKind] = {
    ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()
}

_TEXT_RULES: tuple[tuple[BrokenKind, re.Pattern[str]], ...] = (
    (
        "refusal",
        re.compile(
            r"\brate.?limit|too many requests|\boverloaded|content.?(filter|policy|management)"
            r"|insufficient_quota|service unavailable|bad gateway|internal server error"
            r"|\b(http|status|code|error)\W{0,10}(429|5\d\d)\b"
            r"|\b(429|5\d\d)\W{1,3}(client |server )?error",
            re.IGNORECASE,
        ),
    ),
    (
        "timeout",
        re.compile(r"\btimed?[ _-]?out\b|TimeoutError|deadline exceeded", re.IGNORECASE),
    ),
    (
        "limit",
        re.compile(
            r"(context|token|prompt).{0,30}(length|window|limit).{0,20}exceed"
            r"|maximum context length|recursion limit",
            re.IGNORECASE,
        ),
    ),
    (
        "tool_crash",
        re.compile(
            r"Traceback \(most recent call last\)|connection (refused|reset|aborted|error)"
            r"|ConnectionError|broken pipe|sandbox (died|crashed|error)"
            r"|container .{0,30}(died|exited)|out of memory|segmentation fault",
            re.IGNORECASE,
        ),
    ),
)


class Fault(NamedTuple):
    """Which boundary broke, and how that is known."""

    kind: BrokenKind
    reason: str


def classify(attempt: Attempt, rules: Sequence[Rule] = (), *, typed: bool = True) -> Attempt:
    """Return the attempt with a `broken` verdict when the world, not the policy, ended it.

    What the log said stays in `Verdict.recorded` and `Verdict.reward`.

    Args:
        attempt: As its reader gave it.
        rules: The user's own rules, tried last; the first reason wins.
        typed: Whether to look at the ending and at the last step. Off for attempts that were
            classified before they were stored.

    Raises:
        Exception: Whatever a user's rule raises.

    Example:
        >>> failed = Verdict(outcome=Outcome.FAILURE, reward=0.0)
        >>> verdict = classify(Attempt(task="t", verdict=failed, ending="rate_limit")).verdict
        >>> verdict.broken, verdict.reason, verdict.recorded.value
        ('refusal', 'ended with rate_limit', 'failure')
    """
    if attempt.verdict.outcome is Outcome.BROKEN:
        return attempt
    fault = _typed_fault(attempt) if typed else None
    if fault is None:
        fault = _first_reason(attempt, rules)
    return attempt if fault is None else _as_broken(attempt, fault=fault)


def broken_kind_of_text(text: str) -> BrokenKind | None:
    """Return the kind of infrastructure error that a message tells of, or None for any other.

    Example:
        >>> broken_kind_of_text("Error code: 429 - rate limit reached")
        'refusal'
        >>> broken_kind_of_text("Error: reservation not found") is None
        True
    """
    for kind, pattern in _TEXT_RULES:
        if pattern.search(text):
            return kind
    return None


def _typed_fault(attempt: Attempt) -> Fault | None:
    if attempt.verdict.outcome is Outcome.SUCCESS:
        return None
    if attempt.ending is not None:
        ending = attempt.ending.strip().lower().replace("-", "_").replace(" ", "_")
        kind = _KIND_OF_ENDING.get(ending)
        if kind is not None:
            return Fault(kind, f"ended with {attempt.ending}")
    return _fault_of_texts(_last_words(attempt))


def _last_words(attempt: Attempt) -> Iterable[str]:
    """Yield the errors after which nothing followed: the record's own, and a last tool reply's."""
    for name in ("error", "exception"):
        said = attempt.extra.get(name) if attempt.extra else None
        if said and isinstance(said, (str, dict)):
            yield str(said)
    if attempt.steps:
        last = attempt.steps[-1]
        if last.role in ("tool", "environment") and last.error is not None:
            yield last.text if last.error in last.text else f"{last.error} {last.text}"


def _fault_of_texts(texts: Iterable[str]) -> Fault | None:
    for text in texts:
        kind = broken_kind_of_text(text)
        if kind is not None:
            return Fault(kind, f"last error: {' '.join(text.split())[:120]}")
    return None


def _first_reason(attempt: Attempt, rules: Sequence[Rule]) -> Fault | None:
    for rule in rules:
        reason = rule(attempt)
        if reason:
            return Fault("user_rule", str(reason))
    return None


def _as_broken(attempt: Attempt, *, fault: Fault) -> Attempt:
    said = attempt.verdict
    verdict = Verdict(
        outcome=Outcome.BROKEN,
        broken=fault.kind,
        reason=fault.reason,
        recorded=said.outcome,
        reward=said.reward,
        source=said.source,
        evidence=said.evidence,
        extra=said.extra,
    )
    return msgspec.structs.replace(attempt, verdict=verdict)
