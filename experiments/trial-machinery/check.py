"""The same runs through the package's own front door."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from rules import scores
from world import N_FAMILIES, N_LESSONS, Runs, Setting, by_lesson, simulate_runs

from twiceshy.attempts.types import Outcome, Verdict
from twiceshy.lessons import Lesson, Status
from twiceshy.memory.bank.protocol import BankReader
from twiceshy.memory.bank.types import Decision, OutcomeRecorded, RunStarted, Shown
from twiceshy.memory.trials import effect

ARMS: tuple[Shown, ...] = ("shown", "withheld", "placebo")


class OneBank:
    """The log of one simulated bank, as far as `effect` reads it."""

    def __init__(self, runs: Runs, setting: Setting) -> None:
        self._runs, self._setting = runs, setting

    def runs(self) -> list[RunStarted]:
        tasks = self._runs.task[:, 0]
        return [
            RunStarted(run_id=str(n), task=str(task), family=str(task % N_FAMILIES))
            for n, task in enumerate(tasks)
        ]

    def decisions(self) -> list[Decision]:
        shown, withheld = self._setting.shown, self._setting.withheld
        dealt: dict[Shown, float] = dict(
            zip(ARMS, (shown, withheld, 1 - shown - withheld), strict=True)
        )
        found = []
        for n, lesson in zip(*np.nonzero(self._runs.recalled[:, 0]), strict=True):
            held = bool(self._runs.held_out[n, 0])
            arm: Shown = "withheld" if held else ARMS[self._runs.arm[n, 0, lesson]]
            arms: dict[Shown, float] = {"withheld": 1.0} if held else dealt
            found.append(
                Decision(
                    run_id=str(n),
                    lesson_id=f"lesson-{lesson}",
                    arm=arm,
                    propensity=arms[arm],
                    arms=arms,
                    whole="withheld" if held else "shown",
                    whole_arms={"shown": 0.9, "withheld": 0.1},
                )
            )
        return found

    def checks(self) -> list[Any]:
        return []

    def outcomes(self) -> dict[str, OutcomeRecorded]:
        return {
            str(n): OutcomeRecorded(
                run_id=str(n),
                verdict=Verdict(outcome=Outcome.SUCCESS if success else Outcome.FAILURE),
            )
            for n, success in enumerate(self._runs.success[:, 0])
        }

    def lessons(self) -> list[Lesson]:
        return [
            Lesson(id=f"lesson-{n}", kind="avoid", text="", status=Status.SHADOW)
            for n in range(N_LESSONS)
        ]


def agreement_with_effect(setting: Setting, *, seed: int) -> dict[str, Any]:
    """Return the largest difference between this script's estimates and those of `effect`."""
    runs = simulate_runs(setting, 1, rng=np.random.default_rng(seed), n_runs=2000)
    s, _ = scores(sequences := by_lesson(runs, setting), arm=1)
    n = (sequences.arm[:, 0] >= 0).sum(axis=0)
    here = np.where(sequences.arm >= 0, s, 0)[:, 0].sum(axis=0) / n
    found = effect(cast("BankReader", OneBank(runs, setting)))
    there = [each.over_withheld.estimate for each in found.lessons]
    gaps = [abs(a - b) for a, b in zip(here, there, strict=True) if b is not None]
    assert len(gaps) == N_LESSONS
    return {"runs": len(runs.task), "largest_gap": float(max(gaps))}
