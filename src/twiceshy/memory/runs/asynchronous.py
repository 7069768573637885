"""The async twin of a run: the same calls, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Unpack

from twiceshy.attempts.types import Outcome, Step
from twiceshy.lessons import Lesson
from twiceshy.memory.bank.types import Decision, OutcomeRecorded
from twiceshy.memory.runs.run import Advice, Run, Told


class AsyncRun:
    """A `Run` whose calls are awaited; each runs in a thread, so that the loop is never held up."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @property
    def id(self) -> str:
        """As `Run.id`."""
        return self.run.id

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """As `Run.lessons`."""
        return self.run.lessons

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """As `Run.decisions`."""
        return self.run.decisions

    @property
    def text(self) -> str:
        """As `Run.text`."""
        return self.run.text

    async def check(self, step: Step, *, options: Sequence[Step] | None = None) -> Advice:
        """As `Run.check`."""
        return await asyncio.to_thread(self.run.check, step, options=options)

    async def step(self, step: Step, *, options: Sequence[Step] | None = None) -> Advice:
        """As `Run.step`."""
        return await asyncio.to_thread(self.run.step, step, options=options)

    async def end(self, outcome: Outcome | str, **told: Unpack[Told]) -> OutcomeRecorded:
        """As `Run.end`."""
        return await asyncio.to_thread(self.run.end, outcome, **told)
