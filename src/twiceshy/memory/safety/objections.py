"""Why a lesson may not enter a bank, or only in quarantine."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import NamedTuple

from twiceshy.attempts.splits import is_held_out
from twiceshy.lessons import Lesson
from twiceshy.memory.safety.entities import EntityKind, entities_in, is_allowed
from twiceshy.memory.safety.policy import Policy, highest_tier
from twiceshy.memory.safety.secrets import scrub
from twiceshy.memory.safety.seen import Run, Seen, copyable_runs
from twiceshy.memory.words import ORDER, names_in, occurs, stems

GROUNDED = 1 / 3
"""Share of the words of a told lesson's acts that the policy must have used itself; ours."""


RESTATED = 0.7
"""Share of the words of a told lesson's acts in one sentence of data that makes it a copy; ours."""


class Ground(StrEnum):
    """Why."""

    NO_EVIDENCE = "no attempt speaks for it"
    UNKNOWN_EVIDENCE = "an attempt of its evidence is not known"
    UNUSABLE_EVIDENCE = "an attempt of its evidence is broken, unscored or kept for testing"
    LINK = "names a host that the policy did not use by itself"
    RECIPIENT = "names an address that the policy did not use by itself"
    COMMAND = "names a command that the policy did not use by itself"
    TOOL = "names a tool that the policy called only where some text had named it"
    ORDER = "gives orders beyond a lesson"
    SECRET = "its pattern holds what may be a secret"
    COPIED = "repeats what a tool, a page or a user said"
    UNGROUNDED = "tells acts or names that the policy never used"
    LOW_TIER = "rests on outcomes that nobody trustworthy judged"
    ORIGIN = "too many lessons rest on this one task"
    NOT_ACTIVE = "is quarantined; only a person frees it"


QUARANTINED = frozenset({Ground.COPIED, Ground.UNGROUNDED, Ground.LOW_TIER, Ground.ORIGIN})
"""Grounds that keep a lesson aside for a person; every other ground keeps it out."""
_BY_KIND: dict[EntityKind, Ground] = {
    "link": Ground.LINK,
    "recipient": Ground.RECIPIENT,
    "command": Ground.COMMAND,
    "tool": Ground.TOOL,
}


class Objection(NamedTuple):
    """One ground and what it was found on."""

    ground: Ground
    detail: str = ""


def told_parts(lesson: Lesson) -> tuple[str, ...]:
    """Return every text of a lesson that an agent may be shown."""
    return (
        lesson.text,
        lesson.trigger,
        lesson.action,
        lesson.instead,
        lesson.why,
        *lesson.steps,
    )


def runs_of(lesson: Lesson, *, length: int) -> frozenset[Run]:
    """Return the runs of words of a lesson that could be copied: those with two that mean much."""
    return frozenset(
        run
        for part in told_parts(lesson)
        for run in copyable_runs(part, length=length)
        if len(stems(" ".join(run))) >= 2
    )


def evidence_ids(lesson: Lesson) -> tuple[str, ...]:
    """Return the attempts that a lesson rests on: its evidence, its pairs, what it demonstrates."""
    pairs = [each for pair in lesson.contrast for each in (pair.failure_id, pair.success_id)]
    return (*lesson.evidence.attempts_for, *lesson.evidence.attempts_against, *pairs)


def object_to(
    lesson: Lesson,
    *,
    seen: Seen,
    known_ids: Collection[str],
    copied: Collection[Run],
    policy: Policy,
) -> Iterator[Objection]:
    """Yield everything that speaks against a lesson.

    Args:
        lesson: The lesson as it would be stored.
        seen: The attempts at hand.
        known_ids: Attempts that lessons of the bank rest on.
        copied: Runs of words that occur in data of the attempts.
        policy: The rules.
    """
    yield from _against_evidence(lesson, seen=seen, known_ids=known_ids, policy=policy)
    yield from _against_names(lesson, seen=seen, policy=policy)
    text = " \n ".join(told_parts(lesson))
    order = ORDER.search(text)
    if order:
        yield Objection(Ground.ORDER, order.group())
    if scrub(lesson.pattern, keep=policy.allowed).n_hidden:
        yield Objection(Ground.SECRET)
    repeated = sorted(runs_of(lesson, length=policy.copied_words) & frozenset(copied))
    if repeated:
        yield Objection(Ground.COPIED, " ".join(repeated[0]))
    yield from _against_acts(lesson, seen=seen)


def _against_evidence(
    lesson: Lesson, *, seen: Seen, known_ids: Collection[str], policy: Policy
) -> Iterator[Objection]:
    if lesson.author == "human":
        return
    ids = evidence_ids(lesson)
    if not lesson.evidence.attempts_for:
        yield Objection(Ground.NO_EVIDENCE)
    unknown = next((each for each in ids if each not in seen.by_id and each not in known_ids), None)
    if unknown is not None:
        yield Objection(Ground.UNKNOWN_EVIDENCE, unknown)
    at_hand = [seen.by_id[each] for each in ids if each in seen.by_id]
    unusable = [each for each in at_hand if is_held_out(each) or not each.outcome.is_scored]
    if unusable:
        yield Objection(Ground.UNUSABLE_EVIDENCE, unusable[0].id)
    tier = highest_tier(at_hand)
    if tier is not None and tier < policy.least_tier:
        yield Objection(Ground.LOW_TIER, tier.name.lower())


def _against_names(lesson: Lesson, *, seen: Seen, policy: Policy) -> Iterator[Objection]:
    """Object to what an agent could act on and the policy did not use by itself."""
    named = {each for part in told_parts(lesson) for each in entities_in(part)}
    for entity in sorted(named):
        own = policy.trust_own_calls and entity in seen.own_entities
        if not own and not is_allowed(entity, policy.allowed):
            yield Objection(_BY_KIND[entity.kind], entity.name)
    text = " \n ".join(told_parts(lesson)).lower()
    for tool in sorted(seen.told_tools):
        if occurs(tool.name, text) and not is_allowed(tool, policy.allowed):
            yield Objection(Ground.TOOL, tool.name)


def _against_acts(lesson: Lesson, *, seen: Seen) -> Iterator[Objection]:
    """Object to a told lesson whose acts or names the policy never used in its evidence."""
    ids = [each for each in evidence_ids(lesson) if each in seen.by_id]
    if lesson.author != "model" or lesson.vocabulary or not ids:
        return
    own = seen.own_stems(ids)
    acts = stems(f"{lesson.action} {lesson.instead}".replace("_", " "))
    foreign = sorted(acts - own)
    if acts and len(foreign) > (1 - GROUNDED) * len(acts):
        yield Objection(Ground.UNGROUNDED, ", ".join(foreign))
    if len(acts) >= 3 and any(
        len(acts & sentence) >= RESTATED * len(acts) for sentence in seen.sentences(ids)
    ):
        yield Objection(Ground.COPIED, "in other words")
    for name in names_in(" ".join((lesson.trigger, lesson.action, lesson.instead))):
        missing = stems(name.replace("_", " ")) - own
        if missing and not name.isdigit():
            yield Objection(Ground.UNGROUNDED, name)
