"""What Harbor's trial result says about the trajectory beside it.

A trial's folder has `result.json` (task, agent, rewards, exception) and `agent/trajectory.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.protocol import ReadOptions
from twiceshy.attempts.readers.verdicts import broken, unscored, verdict_from_reward
from twiceshy.attempts.types import BrokenKind, Unreadable, Verdict

NO_RESULT = "no Harbor trial result found beside the trajectory"

_KINDS: dict[str, BrokenKind] = {
    "AgentTimeoutError": "limit",
    "ContextLengthExceededError": "limit",
    "OutputLengthExceededError": "limit",
    "AgentSetupTimeoutError": "timeout",
    "EnvironmentStartTimeoutError": "timeout",
    "VerifierTimeoutError": "checker_error",
    "VerifierOutputParseError": "checker_error",
    "RewardFileNotFoundError": "checker_error",
    "RewardFileEmptyError": "checker_error",
    "AddTestsDirError": "checker_error",
    "DownloadVerifierDirError": "checker_error",
}
"""Any other exception is a `tool_crash`."""


class Trial(NamedTuple):
    """What a trial result gives."""

    task: str | None
    name: str | None
    ending: str | None
    verdict: Verdict
    extra: Record


def trial_of(trajectory: Path, *, options: ReadOptions) -> Trial:
    """Return the result of the trial that a trajectory belongs to.

    Looks beside the trajectory and one folder up.
    """
    record = _find(trajectory)
    if record is None:
        return Trial(None, None, None, unscored(NO_RESULT), {})
    exception = parts.as_dict(record.get("exception_info"))
    return Trial(
        task=parts.as_text(record.get("task_name")),
        name=parts.as_text(record.get("trial_name")),
        ending=parts.as_text(exception.get("exception_type")),
        verdict=_verdict(record, exception=exception, options=options),
        extra=parts.kept(record, names=("source", "task_checksum", "started_at", "finished_at")),
    )


def _find(trajectory: Path) -> Record | None:
    parents = trajectory.absolute().parents
    for folder in parents[:2]:
        file = folder / "result.json"
        try:
            found = parts.decode(file.read_bytes(), where=str(file))
        except OSError:
            continue
        if not isinstance(found, Unreadable) and "trial_name" in found:
            return found
    return None


def _verdict(record: Record, *, exception: Record, options: ReadOptions) -> Verdict:
    said = _rewards(record, options=options)
    name = parts.as_text(exception.get("exception_type"))
    if name is None:
        return said
    message = parts.first_line(parts.as_text(exception.get("exception_message")) or "")
    reason = f"{name}: {message}" if message else name
    return broken(_KINDS.get(name, "tool_crash"), reason=reason, recorded=said)


def _rewards(record: Record, *, options: ReadOptions) -> Verdict:
    rewards = parts.as_dict(parts.as_dict(record.get("verifier_result")).get("rewards"))
    if not rewards:
        return unscored("the trial has no verifier result")
    declared = options.mapping.get("reward") or options.mapping.get("success")
    name = declared or ("reward" if "reward" in rewards else "")
    if not name and len(rewards) > 1:
        listed = ", ".join(sorted(rewards))
        return unscored(f"several rewards ({listed}); declare one with --map reward=NAME")
    name = name or next(iter(rewards))
    return verdict_from_reward(
        rewards.get(name),
        threshold=options.threshold,
        source="verifier",
        evidence=f"verifier_result.rewards.{name}",
        extra={"rewards": rewards} if len(rewards) > 1 else {},
    )
