"""What happened: the records every part of the package shares.

All are frozen msgspec structs. JSON goes through `twiceshy.attempts.codec`, which keeps fields it
does not know in `extra` so that a round trip loses nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, NamedTuple

import msgspec

SCHEMA_VERSION = 1

Role = Literal["system", "user", "assistant", "tool", "environment"]
VerdictSource = Literal["test", "verifier", "human", "judge", "heuristic", "log"]
BrokenKind = Literal["tool_crash", "timeout", "limit", "refusal", "checker_error", "user_rule"]


class Outcome(StrEnum):
    """How an attempt ended. Compare with `is`; never negate (every member is truthy)."""

    SUCCESS = "success"
    """The task was solved, as far as the checker can tell."""
    FAILURE = "failure"
    """The task was not solved, and that is the policy's doing."""
    BROKEN = "broken"
    """The world failed: a crash, a tool's timeout, a limit, a faulty checker."""
    UNSCORED = "unscored"
    """Nobody judged the attempt."""

    @property
    def is_scored(self) -> bool:
        """Whether the attempt may enter a rate or a loss."""
        return self in (Outcome.SUCCESS, Outcome.FAILURE)


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An outcome with its grounds."""

    outcome: Outcome
    reward: float | None = None
    """The number the log gave, untouched; None when it gave none (never 0 in its place)."""
    source: VerdictSource | None = None
    """Who judged."""
    reliability: float | None = None
    """Probability in [0, 1] that the verdict is right, when known."""
    evidence: str = ""
    """What the judge pointed at: a test name, a message, a hash."""
    broken: BrokenKind | None = None
    """Which boundary broke; set exactly when `outcome` is `broken`."""
    reason: str = ""
    """Why the outcome is `broken` or `unscored`, in words."""
    recorded: Outcome | None = None
    """What the log itself said, when classification moved the attempt to `broken`."""
    extra: dict[str, Any] = {}

    @property
    def as_recorded(self) -> Outcome:
        """The outcome as the log's own scoring counts it (a limit-hit run may count as failed)."""
        return self.recorded if self.recorded is not None else self.outcome


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of a tool by the policy."""

    name: str
    arguments: dict[str, Any] | str = {}
    """Parsed arguments; the raw string when it is not a JSON object."""
    id: str | None = None
    extra: dict[str, Any] = {}


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message or one action.

    A tool's reply is a step of its own with role `tool`; `call_id` points at the call.
    In an environment without messages an action is an `assistant` step with one call, and `facts`
    holds what was true just before it.
    """

    role: Role
    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None
    name: str | None = None
    """For role `tool`: the tool's name, when the log gives it."""
    error: str | None = None
    """For role `tool`: the error's type or text when the log *types* it as an error."""
    facts: tuple[str, ...] = ()
    """Literals that held just before the action, for environments that tell them."""
    time: str | None = None
    """ISO 8601, as logged."""
    extra: dict[str, Any] = {}


class Provenance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an attempt was read from."""

    file: str = ""
    line: int | None = None
    """1-based line, or 1-based index of the record in a file that is not by lines."""
    format: str = ""
    extra: dict[str, Any] = {}


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try at one task by one policy."""

    task: str
    """Identity of the task: the same string in every attempt at it."""
    verdict: Verdict
    policy: str = "unknown"
    """The model or agent (with its version where known) that made the attempt."""
    trial: str | None = None
    """Which repetition, as the log names it (trial, epoch, seed, sample id)."""
    prompt: str | None = None
    """The task in words, when it is apart from the steps."""
    steps: tuple[Step, ...] = ()
    answer: str | None = None
    """The final answer, when the log gives one apart from the last step."""
    ending: str | None = None
    """How the run ended, in the log's or environment's words ("stop", "lost", "max_steps")."""
    truncated: bool | None = None
    """Whether the output was cut at a length or step limit; None when unknown."""
    split: str | None = None
    """"train" or "test" when the log says; lessons are mined on one and tested on the other."""
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    """Natural-log probabilities of `token_ids` under the policy, in nats."""
    provenance: Provenance = Provenance()
    extra: dict[str, Any] = {}
    id: str = ""
    """Content hash; see `codec.attempt_id`. Empty only before a reader has sealed it."""
    version: int = SCHEMA_VERSION

    @property
    def outcome(self) -> Outcome:
        """Shorthand for `verdict.outcome`."""
        return self.verdict.outcome


class Group(NamedTuple):
    """All attempts at one task by one policy."""

    task: str
    policy: str
    attempts: tuple[Attempt, ...]


class Unreadable(NamedTuple):
    """A record a reader could not use; counted and shown, never dropped in silence."""

    where: str
    """`file:line`."""
    expected: str
    got: str
    fix: str = ""
