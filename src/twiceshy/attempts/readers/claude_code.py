"""Claude Code: one session per JSONL file.

The file is a tree, not a list: each entry names its parent. The main chain runs from the last entry
that is no side chain back to the root. Abandoned branches and sub-agents are counted, not read; the
results of tools called in parallel hang off the chain and are put back. Nobody judges a session, so
the verdict is `unscored` unless the run ended in an error of the model's service.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.claude_steps import steps_of
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.peek import has_keys, peek
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.readers.verdicts import broken, unscored
from twiceshy.attempts.types import Attempt, Step, Unreadable, Verdict

NO_JUDGEMENT = "a session log holds no judgement"
_REFUSED = {"rate_limit", "authentication_failed", "billing_error", "overloaded", "invalid_request"}


class _Entry(NamedTuple):
    line: int
    record: Record


class ClaudeCode:
    """Reader for Claude Code sessions."""

    name: Literal["claude_code"] = "claude_code"

    def matches(self, source: Source) -> bool:
        """Whether one of the first lines is an entry of a session."""
        keys = ("uuid", "parentUuid", "sessionId", "type")
        return any(has_keys(found, *keys) for found in peek(source))

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield what cannot be read, then the session as one attempt."""
        entries: list[_Entry] = []
        for line, record in parts.line_records(source):
            if isinstance(record, Unreadable):
                yield record
            elif parts.as_text(record.get("uuid")) is not None:
                entries.append(_Entry(line, record))
        yield _attempt(source, entries=entries, options=options)


def _attempt(
    source: Source, *, entries: list[_Entry], options: ReadOptions
) -> Attempt | Unreadable:
    is_sub_agent = bool(entries) and all(_is_side(entry) for entry in entries)
    chain = _main_chain(entries, with_side=is_sub_agent)
    steps = steps_of([entry.record for entry in chain])
    if not steps:
        return parts.missing(source, 1, expected="a session with messages")
    prompt = parts.first_user_text(steps)
    last = chain[-1].record
    messages = [parts.as_dict(entry.record.get("message")) for entry in chain]
    stop = _last(messages, "stop_reason")
    return Attempt(
        task=parts.task_of_prompt(prompt) if prompt else source.path.stem,
        verdict=_verdict(last),
        policy=_model(messages) or options.policy or "unknown",
        trial=parts.as_text(last.get("sessionId")),
        prompt=prompt,
        steps=steps,
        ending=_ending(last, steps=steps) or stop,
        truncated=stop == "max_tokens" if stop in ("max_tokens", "end_turn") else None,
        provenance=parts.provenance(source, chain[0].line, format="claude_code"),
        extra=_extra(entries, chain=chain, is_sub_agent=is_sub_agent),
    )


def _is_side(entry: _Entry) -> bool:
    return entry.record.get("isSidechain") is True


def _is_message(entry: _Entry) -> bool:
    return entry.record.get("type") in ("user", "assistant") and isinstance(
        entry.record.get("message"), dict
    )


def _main_chain(entries: list[_Entry], *, with_side: bool) -> list[_Entry]:
    """Return the messages of the main chain in the order of the file."""
    known = {str(entry.record["uuid"]): entry for entry in entries}
    ends = [e for e in entries if _is_message(e) and (with_side or not _is_side(e))]
    chain: dict[str, _Entry] = {}
    at: _Entry | None = ends[-1] if ends else None
    while at is not None and str(at.record["uuid"]) not in chain:
        chain[str(at.record["uuid"])] = at
        at = known.get(_parent(at))
    asked = {call for entry in chain.values() for call in _call_ids(entry, kind="tool_use")}
    answered = {call for entry in chain.values() for call in _call_ids(entry, kind="tool_result")}
    for entry in ends:
        replies = _call_ids(entry, kind="tool_result") & asked
        if replies - answered:
            chain[str(entry.record["uuid"])] = entry
            answered |= replies
    found = [entry for entry in chain.values() if _is_message(entry)]
    return sorted(found, key=lambda entry: entry.line)


def _parent(entry: _Entry) -> str:
    """Return the entry's parent; across a compaction it is kept in `logicalParentUuid`."""
    parent = entry.record.get("parentUuid") or entry.record.get("logicalParentUuid")
    return parent if isinstance(parent, str) else ""


def _call_ids(entry: _Entry, *, kind: Literal["tool_use", "tool_result"]) -> set[str]:
    key = "id" if kind == "tool_use" else "tool_use_id"
    message = parts.as_dict(entry.record.get("message"))
    blocks = (parts.as_dict(block) for block in parts.as_list(message.get("content")))
    return {call for b in blocks if b.get("type") == kind and (call := parts.as_text(b.get(key)))}


def _verdict(last: Record) -> Verdict:
    if last.get("isApiErrorMessage") is not True:
        return unscored(NO_JUDGEMENT)
    error = parts.as_text(last.get("error")) or "api_error"
    text = parts.content_text(parts.as_dict(last.get("message")).get("content"))
    kind = "refusal" if error in _REFUSED else "tool_crash"
    return broken(kind, reason=f"{error}: {parts.first_line(text)}")


def _ending(last: Record, *, steps: tuple[Step, ...]) -> str | None:
    if last.get("isApiErrorMessage") is True:
        return "api_error"
    is_cut = steps[-1].role == "user" and steps[-1].text.startswith("[Request interrupted")
    return "interrupted" if is_cut else None


def _last(messages: list[Record], key: str) -> str | None:
    values = [text for message in messages if (text := parts.as_text(message.get(key)))]
    return values[-1] if values else None


def _model(messages: list[Record]) -> str | None:
    models = (parts.as_text(message.get("model")) for message in messages)
    return next((model for model in models if model and model != "<synthetic>"), None)


def _extra(entries: list[_Entry], *, chain: list[_Entry], is_sub_agent: bool) -> Record:
    lines = {entry.line for entry in chain}
    left = [e for e in entries if _is_message(e) and e.line not in lines]
    times = [time for e in chain if (time := parts.as_text(e.record.get("timestamp")))]
    extra: Record = parts.kept(chain[-1].record, names=("version",))
    if is_sub_agent:
        extra["sub_agent"] = True
    counts = {
        "side_chain_messages": sum(_is_side(e) for e in left),
        "other_branch_messages": sum(not _is_side(e) for e in left),
    }
    extra |= {key: n for key, n in counts.items() if n}
    if times:
        extra |= {"started_at": times[0], "ended_at": times[-1]}
    return extra
