"""verl: rollout and validation dumps, `<dir>/<global_step>.jsonl`.

One object per sampled output: `input` and `output` (decoded text), `gts`, `score`, `step`, then
whatever the reward function returned. When it returned `acc`, that is what verl itself takes as
correctness, and so does this reader. There is no policy name, no token and no truncation flag.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.peek import has_keys, peek
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.readers.verdicts import verdict_from_reward
from twiceshy.attempts.types import Attempt, Step, Unreadable, Verdict

_KNOWN = frozenset({"input", "output", "score"})


class Verl:
    """Reader for verl's rollout dumps."""

    name: Literal["verl"] = "verl"

    def matches(self, source: Source) -> bool:
        """Whether the first object has the columns that verl always writes."""
        wanted = ("input", "output", "score", "step")
        return any(has_keys(found, *wanted) for found in peek(source)[:1])

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield one attempt per line."""
        run = options.policy or source.path.parent.name or "verl"
        for line, record in parts.line_records(source):
            if isinstance(record, Unreadable):
                yield record
            else:
                yield _attempt(source, line, record=record, run=run, options=options)


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
    name = declared or "score"
    if declared is None and options.threshold is None and record.get("acc") in (0, 1):
        name = "acc"
    return verdict_from_reward(
        record.get(name), threshold=options.threshold, source="verifier", evidence=name
    )
