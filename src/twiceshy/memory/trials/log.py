"""What a bank knows about its runs, in order, ready to be compared.

Three ideas:

1. Only runs that somebody judged a success or a failure enter; the others are counted.
2. What a run was expected to come to is taken from earlier runs alone, of the same task, the same
   family, any task. So it cannot depend on this run's coins, and taking it off removes difficulty
   from the comparison without adding bias.
3. A lesson recalled twice in one run was decided once: only the first decision counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import msgspec

from twiceshy.attempts.types import Outcome
from twiceshy.memory.bank.protocol import BankReader
from twiceshy.memory.bank.types import Decision, OutcomeRecorded, RunStarted, StepCheck

Item = TypeVar("Item")
Name = TypeVar("Name", bound=Hashable)

PSEUDO_RUNS = 2.0
"""How many runs a wider rate (family, all) weighs against a narrower one (task, family). Ours."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs there are and what became of them."""

    n_runs: int
    n_scored: int
    n_broken: int
    n_unscored: int
    n_open: int
    """Runs without any outcome so far."""
    n_engaged: int
    """Scored runs for which recall found a lesson that may be shown, with a coin for the whole."""
    n_decisions: int
    n_repeated: int
    """Decisions about a lesson already decided in the same run; left out."""
    n_untold: int
    """Decisions without the chances of their arms; left out."""


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """How far the judges of the scored runs are to be trusted."""

    mean: float | None
    """Mean probability that a verdict is right, where it was told."""
    attenuation: float | None
    """Mean of 2·reliability − 1: the share of a true difference that is left when verdicts are
    flipped by chance alone, as often for successes as for failures."""
    n_told: int
    n_unknown: int


class ScoredRun(NamedTuple):
    """A run with a verdict."""

    run_id: str
    success: bool
    expected: float
    """Rate of success of earlier runs at the task, pulled towards its family and all."""


@dataclass(frozen=True, slots=True)
class TrialLog:
    """Scored runs in order, the coins tossed in them, and the steps checked."""

    runs: tuple[ScoredRun, ...]
    wholes: tuple[tuple[ScoredRun, Decision], ...]
    """Scored runs with a coin for all their lessons, in order, with one decision that bears it."""
    coins: dict[str, tuple[tuple[ScoredRun, Decision], ...]]
    """By lesson, in order of runs: first decisions where the set was not held back."""
    recalled: Counter[str]
    """Runs in which each lesson was recalled, whatever became of them."""
    checks: dict[tuple[str, str], tuple[StepCheck, ...]]
    """By run and lesson."""
    counts: Counts
    reliability: Reliability


class Difficulty:
    """Success rates so far: of a task, pulled towards its family's, pulled towards all.

    rate(task) = (s_task + k·rate(family)) / (n_task + k)
    rate(family) = (s_family + k·rate(all)) / (n_family + k)
    rate(all) = (s + 1) / (n + 2)

    with k = 2. Tasks and families are kept apart by policy.

    Example:
        >>> past = Difficulty()
        >>> past.rate("t", family="f", policy="p")
        0.5
        >>> past.add(True, task="t", family="f", policy="p")
        >>> round(past.rate("t", family="f", policy="p"), 4)  # (1 + 2·(1 + 2·2/3) / 3) / 3
        0.8519
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])

    def rate(self, task: str, *, family: str, policy: str) -> float:
        """Return the rate to expect at a task."""
        successes, n = self._seen[()]
        found = (successes + 1) / (n + 2)
        for key in _keys(task, family=family, policy=policy)[1:]:
            successes, n = self._seen[key]
            found = (successes + PSEUDO_RUNS * found) / (n + PSEUDO_RUNS)
        return found

    def add(self, success: bool, *, task: str, family: str, policy: str) -> None:
        """Take one more run into account."""
        for key in _keys(task, family=family, policy=policy):
            counts = self._seen[key]
            counts[0] += success
            counts[1] += 1


def read_log(reader: BankReader, *, policy: str | None = None) -> TrialLog:
    """Return what a bank knows about its runs.

    Args:
        reader: The bank.
        policy: Only runs of this policy. None: of all.
    """
    started = [run for run in reader.runs() if policy in (None, run.policy)]
    outcomes = reader.outcomes()
    ends = {run.run_id: _end(outcomes.get(run.run_id)) for run in started}
    scored = {run_id for run_id, end in ends.items() if end is not None and end.is_scored}
    made = [each for each in reader.decisions() if each.run_id in ends]
    first: dict[tuple[str, str], Decision] = {}
    for each in made:
        first.setdefault((each.run_id, each.lesson_id), each)
    told = [each for each in first.values() if each.arms and each.run_id in scored]
    by_run = _grouped(told, key=lambda each: each.run_id)
    runs = _scored(started, ends=ends)
    made_in = [(run, each) for run in runs for each in by_run.get(run.run_id, ())]
    wholes = {run.run_id: (run, each) for run, each in reversed(made_in) if each.whole_arms}
    checks = (check for check in reader.checks() if check.run_id in scored)
    number = Counter(ends.values())
    return TrialLog(
        runs=tuple(runs),
        wholes=tuple(wholes.values())[::-1],
        coins=_grouped(
            (pair for pair in made_in if pair[1].whole == "shown"),
            key=lambda pair: pair[1].lesson_id,
        ),
        recalled=Counter(each.lesson_id for each in first.values()),
        checks=_grouped(checks, key=lambda check: (check.run_id, check.lesson_id)),
        counts=Counts(
            n_runs=len(started),
            n_scored=len(scored),
            n_broken=number[Outcome.BROKEN],
            n_unscored=number[Outcome.UNSCORED],
            n_open=number[None],
            n_engaged=len(wholes),
            n_decisions=len(made),
            n_repeated=len(made) - len(first),
            n_untold=sum(not each.arms for each in first.values()),
        ),
        reliability=_reliability([outcomes[run_id] for run_id in ends if run_id in scored]),
    )


def _scored(started: Iterable[RunStarted], *, ends: dict[str, Outcome | None]) -> list[ScoredRun]:
    """Return scored runs, each with what the runs before it lead to expect."""
    past = Difficulty()
    found: list[ScoredRun] = []
    for run in started:
        end = ends[run.run_id]
        if end is None or not end.is_scored:
            continue
        success = end is Outcome.SUCCESS
        expected = past.rate(run.task, family=run.family, policy=run.policy)
        found.append(ScoredRun(run.run_id, success, expected))
        past.add(success, task=run.task, family=run.family, policy=run.policy)
    return found


def _end(recorded: OutcomeRecorded | None) -> Outcome | None:
    return None if recorded is None else recorded.verdict.outcome


def _reliability(outcomes: Sequence[OutcomeRecorded]) -> Reliability:
    told = [each.verdict.reliability for each in outcomes if each.verdict.reliability is not None]
    mean = sum(told) / len(told) if told else None
    return Reliability(
        mean=mean,
        attenuation=None if mean is None else 2 * mean - 1,
        n_told=len(told),
        n_unknown=len(outcomes) - len(told),
    )


def _grouped(items: Iterable[Item], *, key: Callable[[Item], Name]) -> dict[Name, tuple[Item, ...]]:
    groups: dict[Name, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return {name: tuple(found) for name, found in groups.items()}


def _keys(task: str, *, family: str, policy: str) -> list[tuple[str, ...]]:
    families = [("family", family, policy)] if family else []
    return [(), *families, ("task", task, policy)]
