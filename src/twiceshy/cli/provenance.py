"""What a run was: enough to repeat it."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

import twiceshy
from twiceshy.evidence.report import Report


def manifest(paths: Sequence[str], *, seconds: float, **more: Any) -> dict[str, Any]:
    """Return versions, command, inputs and wall time in seconds."""
    return {
        "twiceshy": twiceshy.__version__,
        "python": platform.python_version(),
        "command": ["twiceshy", *sys.argv[1:]],
        "inputs": list(paths),
        "seconds": round(seconds, 3),
        **more,
    }


@contextmanager
def with_manifest(paths: Sequence[str], **more: Any) -> Iterator[Callable[[Report], Report]]:
    """Yield a function that completes a report's manifest with what this run was.

    What the report already says about itself (its seed, its configuration) is kept.
    """
    started = time.monotonic()

    def stamp(report: Report) -> Report:
        run = manifest(paths, seconds=time.monotonic() - started, **more)
        return msgspec.structs.replace(report, manifest={**run, **report.manifest})

    yield stamp
