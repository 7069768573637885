"""A bank in memory for tests of trials: what happened is listed, nothing is searched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from twiceshy.attempts.types import Outcome, Verdict
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson, LessonKind, Status
from twiceshy.memory.bank import BankReader, Decision, OutcomeRecorded, RunStarted, StepCheck
from twiceshy.memory.bank.types import Shown

EVEN: dict[Shown, float] = {"shown": 0.5, "withheld": 0.5}


class TrialBank:
    """Runs are added in order; each is a task, an outcome and the arms of some lessons."""

    def __init__(self, *lessons: Lesson) -> None:
        self._lessons = {each.id: each for each in lessons}
        self._runs: list[RunStarted] = []
        self._decisions: list[Decision] = []
        self._checks: list[StepCheck] = []
        self._outcomes: dict[str, OutcomeRecorded] = {}

    def add(
        self,
        outcome: Outcome | None,
        lessons: Mapping[str, Shown],
        *,
        task: str = "t",
        family: str = "",
        policy: str = "unknown",
        arms: dict[Shown, float] | None = None,
        whole: Shown = "shown",
        whole_arms: dict[Shown, float] | None = None,
        reliability: float | None = None,
        bad: Mapping[str, int] | None = None,
        clean: Mapping[str, int] | None = None,
    ) -> str:
        run_id = f"run-{len(self._runs)}"
        self._runs.append(RunStarted(run_id=run_id, task=task, family=family, policy=policy))
        dealt = EVEN if arms is None else arms
        for lesson_id, arm in lessons.items():
            own: dict[Shown, float] = dealt if whole == "shown" else {whole: 1.0}
            self._decisions.append(
                Decision(
                    run_id=run_id,
                    lesson_id=lesson_id,
                    arm=arm,
                    propensity=own.get(arm, 1.0),
                    arms=own,
                    whole=whole,
                    whole_arms=whole_arms or {},
                )
            )
        for took, counts in ((True, bad or {}), (False, clean or {})):
            for lesson_id, n in counts.items():
                self._checks += [
                    StepCheck(run_id=run_id, lesson_id=lesson_id, step=i, took_bad_action=took)
                    for i in range(n)
                ]
        if outcome is not None:
            verdict = Verdict(outcome=outcome, reliability=reliability)
            self._outcomes[run_id] = OutcomeRecorded(run_id=run_id, verdict=verdict)
        return run_id

    @property
    def reader(self) -> BankReader:
        return cast("BankReader", self)

    def get(self, lesson_id: str) -> Lesson:
        if lesson_id not in self._lessons:
            raise BadInput("a lesson of this bank", got=lesson_id)
        return self._lessons[lesson_id]

    def lessons(self) -> list[Lesson]:
        return list(self._lessons.values())

    def runs(self) -> list[RunStarted]:
        return self._runs

    def decisions(self) -> list[Decision]:
        return self._decisions

    def checks(self) -> list[StepCheck]:
        return self._checks

    def outcomes(self) -> dict[str, OutcomeRecorded]:
        return self._outcomes


def in_trial(
    name: str, *, kind: LessonKind = "avoid", status: Status = Status.SHADOW, text: str = ""
) -> Lesson:
    return Lesson(id=name, kind=kind, text=text or f"Do {name}.", status=status, author="human")
