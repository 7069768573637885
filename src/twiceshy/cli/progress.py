"""Progress with the time left, on stderr, and only when something takes longer than two seconds."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from twiceshy.cli.grid import printable
from twiceshy.cli.output import notes

_PATIENCE_SECONDS = 2.0


@contextmanager
def _bar(label: str) -> Iterator[Callable[[float, float], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    bar = Progress(*columns, console=notes, transient=True)
    task = bar.add_task(label, total=None)
    visible = False

    def advance(done: float, total: float) -> None:
        nonlocal visible
        if not visible and time.monotonic() - started > _PATIENCE_SECONDS:
            bar.start()
            visible = True
        bar.update(task, completed=done, total=total or None)

    try:
        yield advance
    finally:
        if visible:
            bar.stop()


@contextmanager
def going_on(where: str) -> Iterator[None]:
    """Say after Ctrl-C, on one line however long, which command goes on, and where it was."""
    try:
        yield
    except KeyboardInterrupt:
        command = shlex.join(["twiceshy", *sys.argv[1:]])
        line = printable(f"Go on with: {command}   # {where}")
        notes.print(line, markup=False, soft_wrap=True)
        raise


@contextmanager
def staged_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback (stage, steps done, steps in all); each stage has a bar of its own."""
    with ExitStack() as stack:
        bars: dict[str, Callable[[float, float], None]] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                stack.close()
                bars[stage] = stack.enter_context(_bar(stage))
            bars[stage](done, total)

        yield advance


@contextmanager
def byte_progress(label: str) -> Iterator[Callable[[int, int, int], None]]:
    """Yield a callback (bytes done, bytes in all, attempts read)."""
    with _bar(label) as advance:
        yield lambda done, total, _n_read: advance(done, total)


@contextmanager
def step_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback (steps done, steps in all)."""
    with _bar(label) as advance:
        yield lambda done, total: advance(done, total)
