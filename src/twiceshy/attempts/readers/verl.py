"""verl: rollout and validation dumps, `<dir>/<global_step>.jsonl`.

One object per sampled output: `input` and `output` (decoded text), `gts`, `score`, `step`, `uid`
(the key `{prompt}_{session}_{index}`), and in a validation dump whatever the reward function
returned. A session with several outputs is one attempt, judged once. There is no policy name, no
token and no truncation flag.

What counts as the verdict, the first that is there: `outcome`, as twiceshy's reward manager writes
it; `acc`, what verl itself takes as correctness; `score`, where 1 is a success, 0 and −1 (of verl's
own scorers) are failures, and two small numbers say that nobody judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.peek import has_keys, peek
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.readers.verdicts import broken, unscored, verdict_from_reward
from twiceshy.attempts.types import Attempt, Outcome, Step, Unreadable, Verdict

UNSCORED_SCORE, BROKEN_SCORE = -(2.0**-10), -(2.0**-9)
"""Rewards that twiceshy's reward manager gives an attempt nobody judged, and one the world broke.

A dump of training holds no other word on it. Exact in every float type, near 0 so that verl's own
means hardly move, and nothing a scorer gives.
"""

_KNOWN = frozenset({"input", "output", "score"})
_LAST = "last_uid"
"""Where a session of several outputs keeps the key of its last one."""
_PATTERN = 3  # parts of a whole key


class _Key(NamedTuple):
    session: str
    """Prompt and session."""
    index: int


class Verl:
    """Reader for verl's rollout dumps."""

    name: Literal["verl"] = "verl"

    def matches(self, source: Source) -> bool:
        """Whether the first object has the columns that verl always writes."""
        wanted = ("input", "output", "score", "step")
        return any(has_keys(found, *wanted) for found in peek(source)[:1])

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield one attempt a session; the outputs of one stand on lines that follow each other."""
        run = options.policy or source.path.parent.name or "verl"
        held: Attempt | None = None
        for line, record in parts.line_records(source):
            found: Attempt | Record | Unreadable = record
            if not isinstance(record, Unreadable):
                found = _attempt(source, line, record=record, run=run, options=options)
            before, held = _folded(held, found, where=f"{source.label}:{line}")
            yield from before
        if held is not None:
            yield held


def _folded(
    held: Attempt | None, found: Attempt | Record | Unreadable, *, where: str
) -> tuple[list[Attempt | Unreadable], Attempt | None]:
    """Return what is complete once this line is read, and what may still go on."""
    done: list[Attempt | Unreadable] = [] if held is None else [held]
    if not isinstance(found, Attempt):
        return [*done, found] if isinstance(found, Unreadable) else done, None
    last, key = _key(held.extra.get(_LAST) or held.trial) if held else None, _key(found.trial)
    if held is None or last is None or key is None or last.session != key.session:
        return done, found
    if last.index >= key.index:
        return [Unreadable(where, "each uid once, in order", f"{found.trial} again")], held
    return [], _joined(held, found)


def _key(uid: str | None) -> _Key | None:
    """Return session and index of a whole key; None for an id of another form."""
    fields = (uid or "").rsplit("_", 2)
    if len(fields) != _PATTERN or not (fields[1].isdecimal() and fields[2].isdecimal()):
        return None
    return _Key(f"{fields[0]}_{fields[1]}", int(fields[2]))


def _joined(first: Attempt, further: Attempt) -> Attempt:
    """Return a session's attempt with one more output; the verdict is the last output's."""
    middle = Step(role="user", text=further.prompt or "")
    return msgspec.structs.replace(
        first,
        steps=(*first.steps, middle, *further.steps),
        verdict=further.verdict,
        extra={**first.extra, _LAST: further.trial},
    )


def _attempt(
    source: Source, line: int, *, record: Record, run: str, options: ReadOptions
) -> Attempt | Unreadable:
    prompt, output = parts.as_text(record.get("input")), record.get("output")
    task = parts.task_of_prompt(prompt) if prompt else parts.as_id(record.get("uid"))
    if task is None or not isinstance(output, str):
        wanted = "a rollout with input (or uid), output and score"
        return parts.missing(source, line, expected=wanted, got=parts.names(record))
    step = parts.as_id(record.get("step"))
    return Attempt(
        task=task,
        verdict=_verdict(record, options=options),
        policy=f"{run}@{step}" if step is not None else run,
        trial=parts.as_id(record.get("uid")) or parts.as_id(record.get("request_id")),
        prompt=prompt,
        steps=(Step(role="assistant", text=output),),
        provenance=parts.provenance(source, line, format="verl"),
        extra={key: value for key, value in record.items() if key not in _KNOWN},
    )


def _verdict(record: Record, *, options: ReadOptions) -> Verdict:
    declared = options.mapping.get("reward") or options.mapping.get("success")
    plain = declared is None and options.threshold is None
    said = None if declared else _not_judged(record)
    if plain and said is None:
        said = _judged(record)
    if said is not None:
        return said
    name = "acc" if plain and record.get("acc") in (0, 1) else declared or "score"
    return verdict_from_reward(
        record.get(name), threshold=options.threshold, source="verifier", evidence=name
    )


def _not_judged(record: Record) -> Verdict | None:
    """Return that nobody judged, where twiceshy's reward manager wrote so."""
    score, outcome, reason = record.get("score"), record.get("outcome"), record.get("reason")
    why = reason if isinstance(reason, str) else "nobody judged it"
    if outcome == Outcome.BROKEN or score == BROKEN_SCORE:
        kind = "timeout" if record.get("failure_class") == "timeout" else "checker_error"
        return broken(kind, reason=why)
    if outcome == Outcome.UNSCORED or score == UNSCORED_SCORE:
        return unscored(why)
    return None


def _judged(record: Record) -> Verdict | None:
    """Return a verdict in words, or that of verl's own scorers, of which -1 is a failure."""
    score, outcome = record.get("score"), record.get("outcome")
    if outcome in (Outcome.SUCCESS, Outcome.FAILURE):
        return verdict_from_reward(
            outcome == Outcome.SUCCESS, source="verifier", evidence="outcome"
        )
    if score == -1 and record.get("acc") is None:
        return verdict_from_reward(False, source="verifier", evidence="score")
    return None
