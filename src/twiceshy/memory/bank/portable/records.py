"""What every import returns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from twiceshy.attempts.types import Unreadable
from twiceshy.lessons import EvidenceLevel, Lesson, LessonKind, Status

ORIGIN = "origin"
"""Key of `Lesson.extra` that says where an imported lesson comes from."""


_SET_ASIDE = (Status.QUARANTINED, Status.RETIRED)


class Imported(NamedTuple):
    """Lessons read from a file or folder; nothing has been stored."""

    format: str
    lessons: tuple[Lesson, ...]
    unreadable: tuple[Unreadable, ...] = ()
    """Records that could not be used, each with its place."""


def foreign(
    kind: LessonKind,
    text: str,
    *,
    origin: Mapping[str, Any],
    scope: Mapping[str, str],
    action: str = "",
    instead: str = "",
    trigger: str = "",
    why: str = "",
    extra: Mapping[str, Any] | None = None,
) -> Lesson:
    """Return a lesson that another system wrote: a candidate that nothing is known of.

    Its parent is the record it was, as `format:id`. The same record gives the same id again.
    """
    said = "\n".join((kind, text, action, instead, trigger, *map(str, sorted(scope.items()))))
    return Lesson(
        id=hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=8).hexdigest(),
        kind=kind,
        text=text,
        trigger=trigger,
        action=action,
        instead=instead,
        why=why,
        family=scope.get("family", ""),
        scope=dict(scope),
        author="model",
        parents=(f"{origin['format']}:{origin['id']}",),
        extra={**(extra or {}), ORIGIN: dict(origin)},
    )


def as_candidate(lesson: Lesson, *, file: str) -> Lesson:
    """Return a lesson of another bank as a candidate, with what it was there kept beside it.

    One that was quarantined or retired there stays so.
    """
    origin = {
        "format": "twiceshy",
        "file": file,
        "status": lesson.status.value,
        "level": lesson.level.value,
        **({"before": held} if (held := lesson.extra.get(ORIGIN)) else {}),
    }
    return replace(
        lesson,
        status=Status.CANDIDATE if lesson.status not in _SET_ASIDE else lesson.status,
        level=EvidenceLevel.DESCRIBED,
        extra={**lesson.extra, ORIGIN: origin},
    )
