"""The memory of an agent: a bank, how it is read, and a trial that never stops."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TypedDict, Unpack

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.memory.bank.protocol import BankWriter
from twiceshy.memory.bank.types import OutcomeRecorded, RunStarted, SetEvidence, SetStatus
from twiceshy.memory.recall import Wish
from twiceshy.memory.runs.asynchronous import AsyncRun
from twiceshy.memory.runs.dealing import Dealer
from twiceshy.memory.runs.run import ACTOR, Run, Told, verdict_of
from twiceshy.memory.trials.design import TrialDesign
from twiceshy.memory.trials.effects import Effects, effect
from twiceshy.memory.trials.verdicts import Rule, verdicts


class About(TypedDict, total=False):
    """What a run is about; all may be left out."""

    text: str
    """The task in words, which recall searches with. Default: its identity."""
    family: str
    """The task's family."""
    scope: Mapping[str, str]
    """What holds here (tenant, repository, tool version)."""
    policy: str
    """The model or agent, with its version."""
    model_family: str
    """Effects differ between families of models."""
    parent: str | None
    """A run that this one goes on from."""
    same_task: bool
    """Whether lessons that rest only on this very task may be told (a retry)."""
    run_id: str | None
    """Default: a new one."""


class Memory:
    """Tells an agent's runs what earlier ones taught, and measures whether that helps.

    Several runs may be open at once, in threads or tasks. Nothing is promoted, retired or written
    into the bank as a lesson by itself: `verdicts` returns edits for `bank.apply`.

    Args:
        bank: Where lessons and what happens are kept.
        recall: How lessons are found: places, budget, embedding model, form. Scope, family and task
            are a run's own.
        trial: With what chance a lesson is shown, withheld or replaced. Default: `TrialDesign()`;
            `ALWAYS_SHOWN` for no trial, after which nothing can be said about what helps.
        seed: Secret of the coins.
        told_after_errors: Lessons told after failed calls, at most, in one run.

    Example:
        >>> from twiceshy.lessons import Lesson, Status
        >>> from twiceshy.memory.bank import Add, Bank
        >>> from twiceshy.memory.trials import ALWAYS_SHOWN
        >>> lesson = Lesson(
        ...     id="a",
        ...     kind="strategy",
        ...     text="Read the recipe before cooking.",
        ...     trigger="when a meal is to be cooked",
        ...     status=Status.ACTIVE,
        ...     author="human",
        ... )
        >>> with Bank.open(":memory:") as bank:
        ...     _ = bank.apply([Add(lesson=lesson)])
        ...     memory = Memory(bank, recall=Wish(embedder=None, floor=0.0), trial=ALWAYS_SHOWN)
        ...     with memory.run("meal-1", text="Cook the meal.") as run:
        ...         _ = run.end("success", source="test")
        ...     run.text.splitlines()[2], memory.effect().counts.n_scored
        ('- Read the recipe before cooking.', 1)
    """

    def __init__(
        self,
        bank: BankWriter,
        *,
        recall: Wish | None = None,
        trial: TrialDesign | None = None,
        seed: int = 0,
        told_after_errors: int = 3,
    ) -> None:
        if told_after_errors < 0:
            raise BadInput("at least 0", got=str(told_after_errors), where="told_after_errors")
        self.bank = bank
        self._told_after_errors = told_after_errors
        self._dealer = Dealer(
            reader=bank, wish=recall or Wish(), design=trial or TrialDesign(), seed=seed
        )

    def start(self, task: str, **about: Unpack[About]) -> Run:
        """Start a run whose end you tell yourself; `run` is the same as a block.

        Args:
            task: Identity of the task, the same in every run at it.
            **about: As in `About`.

        Raises:
            BadInput: The task is empty, or a run of this id has started.
        """
        if not task:
            raise BadInput("the identity of a task", got="nothing", where="task")
        started = RunStarted(
            run_id=about.get("run_id") or uuid.uuid4().hex,
            task=task,
            text=about.get("text", ""),
            family=about.get("family", ""),
            scope=dict(about.get("scope", {})),
            policy=about.get("policy", "unknown"),
            model_family=about.get("model_family", ""),
            parent=about.get("parent"),
        )
        wish = replace(
            self._dealer.wish,
            scope={**self._dealer.wish.scope, **started.scope},
            family=started.family,
            task_id=task,
            same_task=about.get("same_task", False),
        )
        run = Run(self.bank, self._dealer, started=started, wish=wish)
        run.open(told_after_errors=self._told_after_errors)
        return run

    @contextmanager
    def run(self, task: str, **about: Unpack[About]) -> Generator[Run]:
        """Start a run; leaving the block without an outcome makes it unscored, an error broken.

        Arguments are those of `start`. The error goes on.
        """
        run = self.start(task, **about)
        with _closing(run):
            yield run

    @asynccontextmanager
    async def arun(self, task: str, **about: Unpack[About]) -> AsyncGenerator[AsyncRun]:
        """As `run`, for `async with`; the run's calls are awaited."""
        run = await asyncio.to_thread(self.start, task, **about)
        with _closing(run):
            yield AsyncRun(run)

    def outcome(self, run_id: str, outcome: Outcome | str, **told: Unpack[Told]) -> OutcomeRecorded:
        """Tell how a run ended, later than the run itself (a review, a test in the night).

        Of several outcomes the bank keeps all; the most reliable judge's is in force, and
        `bank.conflicts` shows those that differ.

        Raises:
            BadInput: There is no such run, or the verdict is impossible.
        """
        recorded = OutcomeRecorded(run_id=run_id, verdict=verdict_of(outcome, **told))
        self.bank.record([recorded], actor=ACTOR)
        return recorded

    def effect(
        self, *, lesson_id: str | None = None, policy: str | None = None, level: float = 0.95
    ) -> Effects:
        """Return what the trial says so far; see `trials.effect`."""
        return effect(self.bank, lesson_id=lesson_id, policy=policy, level=level)

    def verdicts(
        self, *, rule: Rule | None = None, policy: str | None = None
    ) -> list[SetStatus | SetEvidence]:
        """Return the edits that follow from the trial, for `bank.apply`; nothing is written."""
        found = self.effect(policy=policy)
        return verdicts(found, lessons=self.bank.lessons(), rule=rule)


@contextmanager
def _closing(run: Run) -> Generator[None]:
    """End the run when the block ends, by what was raised in it if anything was."""
    try:
        yield
    except BaseException as error:
        run.close(error)
        raise
    run.close()
