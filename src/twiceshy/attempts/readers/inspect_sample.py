"""One sample of an Inspect log, as an attempt."""

from __future__ import annotations

import msgspec

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.readers.verdicts import broken, unscored, verdict_from_reward
from twiceshy.attempts.types import Attempt, Step, Unreadable, Verdict, VerdictSource

_LETTERS = {"C": 1.0, "I": 0.0, "N": 0.0, "P": 0.5}
"""Inspect's own values: correct, incorrect, no answer, partly correct."""
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_CHECKER_FAULTS = {"grader_failed", "scoring_failed"}
_CUT = {"max_tokens", "model_length"}


def attempt_of(
    source: Source, index: int, *, sample: Record, header: Record, options: ReadOptions
) -> Attempt | Unreadable:
    """Return a sample as an attempt.

    Args:
        source: The log.
        index: 1-based place of the sample in the log.
        sample: The sample as plain data.
        header: `status` and `eval` of the log.
        options: What the caller said.
    """
    spec = parts.as_dict(header.get("eval"))
    key = parts.as_id(sample.get("id"))
    if key is None:
        return parts.missing(source, index, expected="a sample with an id")
    output = parts.as_dict(sample.get("output"))
    steps = _steps(sample)
    stop = _stop_reason(output)
    name = parts.as_text(spec.get("task"))
    limit = parts.as_text(parts.as_dict(sample.get("limit")).get("type"))
    return Attempt(
        task=f"{name}/{key}" if name else key,
        verdict=_verdict(sample, options=options),
        policy=parts.as_text(spec.get("model")) or options.policy or "unknown",
        trial=parts.as_id(sample.get("epoch")),
        prompt=_prompt(sample, steps=steps),
        steps=steps,
        answer=_answer(sample) or parts.as_text(output.get("completion")),
        ending=f"{limit} limit" if limit else ("error" if "error" in sample else stop),
        truncated=True if limit or stop in _CUT else (False if stop == "stop" else None),
        provenance=parts.provenance(source, index, format="inspect_log"),
        extra=parts.kept(sample, names=("target", "started_at", "completed_at", "uuid")),
    )


def _steps(sample: Record) -> tuple[Step, ...]:
    steps = (_step(parts.as_dict(message)) for message in parts.as_list(sample.get("messages")))
    return tuple(step for step in steps if step is not None)


def _step(message: Record) -> Step | None:
    blocks = [parts.as_dict(block) for block in parts.as_list(message.get("content"))]
    thoughts = [parts.as_text(block.get("reasoning")) for block in blocks]
    step = parts.chat_step(
        {
            **message,
            "name": message.get("function"),
            "reasoning": "\n".join(thought for thought in thoughts if thought),
        }
    )
    error = parts.as_dict(message.get("error"))
    if step is None or not error:
        return step
    said = [parts.as_text(error.get("type")), parts.as_text(error.get("message"))]
    return msgspec.structs.replace(step, error=": ".join(text for text in said if text))


def _prompt(sample: Record, *, steps: tuple[Step, ...]) -> str | None:
    given = sample.get("input")
    if isinstance(given, str) and given:
        return given
    return parts.first_user_text(parts.chat_steps(given)) or parts.first_user_text(steps)


def _stop_reason(output: Record) -> str | None:
    choices = parts.as_list(output.get("choices"))
    return parts.as_text(parts.as_dict(choices[0]).get("stop_reason")) if choices else None


def _answer(sample: Record) -> str | None:
    scores = parts.as_dict(sample.get("scores")).values()
    answers = (parts.as_text(parts.as_dict(score).get("answer")) for score in scores)
    return next((answer for answer in answers if answer), None)


def _verdict(sample: Record, *, options: ReadOptions) -> Verdict:
    said = _scored(sample, options=options)
    if (invalidation := sample.get("invalidation")) is not None:
        reason = parts.as_text(parts.as_dict(invalidation).get("reason")) or "no reason given"
        return broken("checker_error", reason=f"invalidated: {reason}", recorded=said)
    if error := parts.as_dict(sample.get("error")):
        text = parts.first_line(parts.as_text(error.get("message")) or "error")
        kind = "timeout" if "timeout" in text.lower() else "tool_crash"
        return broken(kind, reason=f"error: {text}", recorded=said)
    if limit := parts.as_dict(sample.get("limit")):
        reason = f"{limit.get('type')} limit of {limit.get('limit')}"
        return broken("limit", reason=reason, recorded=said)
    return said


def _scored(sample: Record, *, options: ReadOptions) -> Verdict:
    scores = parts.as_dict(sample.get("scores"))
    if not scores:
        return unscored("the sample has no score")
    name = options.mapping.get("reward") or options.mapping.get("success")
    if name is None and len(scores) > 1:
        listed = ", ".join(sorted(scores))
        return unscored(f"several scores ({listed}); declare one with --map reward=NAME")
    name = name or next(iter(scores))
    scorer, _, key = name.partition(".")
    score = parts.as_dict(scores.get(name) if name in scores else scores.get(scorer))
    value = score.get("value")
    if isinstance(value, dict) and (key or len(value) == 1):
        value = value.get(key) if key else next(iter(value.values()))
    return _judged(value, name=name, score=score, options=options)


def _judged(value: object, *, name: str, score: Record, options: ReadOptions) -> Verdict:
    if type(value) in (dict, list):
        said = unscored("the score is not a single value; declare one with --map reward=SCORER.KEY")
    else:
        explanation = parts.first_line(parts.as_text(score.get("explanation")) or "")
        said = verdict_from_reward(
            _number(value),
            threshold=options.threshold,
            source=_source(name),
            evidence=f"{name}: {explanation}" if explanation else name,
        )
    cause = score.get("reason")
    if isinstance(cause, str) and cause in _CHECKER_FAULTS:
        return broken("checker_error", reason=f"{name}: {cause}", recorded=said)
    return said


def _number(value: object) -> object:
    """Return what Inspect's letters and words stand for; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value in _LETTERS:
        return _LETTERS[value]
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    try:
        return float(value)
    except ValueError:
        return value


def _source(name: str) -> VerdictSource:
    return "judge" if "model_graded" in name else "verifier"
