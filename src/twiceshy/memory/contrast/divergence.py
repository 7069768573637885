"""Where failing attempts part from passing ones at the same task.

Attempts are compared on what changed something (successful writes), on computed results, or on
actions; comparing all steps finds noise. A divergence says *where*, not *why*, and where the
checker compares end states it is partly a tautology. So every count comes with the rate at which
two successes differ, and with the count of its opposite.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import NamedTuple

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.evidence.report import Table
from twiceshy.lessons import ContrastPair
from twiceshy.memory.contrast.deeds import Deed, Level, choose_level, deeds_of, is_lost
from twiceshy.memory.contrast.difference import (
    Difference,
    DivergenceType,
    first_difference,
    kind_of,
    opposite_of,
)

MAX_ATTEMPTS = 60
"""Attempts of one task that are compared; more are left out, evenly, and counted."""

_USUALLY = 0.5
"""Share of success-success pairs that differ, above which divergence tells nothing; ours."""


class Divergence(NamedTuple):
    """A failing and a passing attempt at one task, compared."""

    task: str
    failure_id: str
    success_id: str
    difference: Difference
    ending: str | None
    """How the failing attempt ended, as logged."""
    fatal_step: int | None
    """Step of the failing attempt's last action when the log says that it was lost."""

    @property
    def kind(self) -> str:
        """The difference in words that other pairs can share ("extra cancel_order")."""
        return kind_of(self.difference)


class Agreement(NamedTuple):
    """How often pairs of one sort differ."""

    n_pairs: int
    n_different: int

    @property
    def rate(self) -> float | None:
        """Share of pairs that differ; None without pairs."""
        return self.n_different / self.n_pairs if self.n_pairs else None


class KindCount(NamedTuple):
    """How often one kind of difference is the first."""

    kind: str
    n_pairs: int
    n_tasks: int
    opposite: str
    """The kind in the other direction, "" when it has none."""
    n_pairs_opposite: int


class SameDeeds(NamedTuple):
    """Attempts at one task that did the same and were judged differently."""

    task: str
    n_pairs: int
    failure_ids: tuple[str, ...]
    success_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceStudy:
    """All fail-success pairs of a log, with the rates they must be read against."""

    level: Level | None
    """None when no level fits the log; then there are no pairs."""
    pairs: tuple[Divergence, ...]
    success_success: Agreement
    failure_failure: Agreement
    n_mixed_tasks: int
    n_left_out: int
    """Attempts left out because their task has more than `MAX_ATTEMPTS`."""

    @property
    def failure_success(self) -> Agreement:
        """How often a failing and a passing attempt differ."""
        different = sum(pair.difference.type != "none" for pair in self.pairs)
        return Agreement(len(self.pairs), different)

    def types(self) -> Counter[DivergenceType]:
        """Return pairs by type of the first difference."""
        return Counter(pair.difference.type for pair in self.pairs)

    def kinds(self) -> tuple[KindCount, ...]:
        """Return the kinds of first difference, most frequent first, each with its opposite."""
        pairs, tasks = Counter[str](), defaultdict[str, set[str]](set)
        for pair in self.pairs:
            if pair.difference.type != "none":
                pairs[pair.kind] += 1
                tasks[pair.kind].add(pair.task)
        opposites = {kind: opposite_of(kind) for kind in pairs}
        counts = [
            KindCount(kind, n, len(tasks[kind]), opposites[kind], pairs[opposites[kind]])
            for kind, n in pairs.items()
        ]
        return tuple(sorted(counts, key=lambda c: (-c.n_pairs, -c.n_tasks, c.kind)))

    def concentration(self, top: int) -> float | None:
        """Return the share of differing pairs that the `top` kinds cover; None without any."""
        counts = [count.n_pairs for count in self.kinds()]
        return sum(counts[:top]) / sum(counts) if counts else None


def find_divergences(
    attempts: Sequence[Attempt], *, level: Level | None = None, as_recorded: bool = False
) -> DivergenceStudy:
    """Compare every failing attempt with every passing one at the same task.

    Args:
        attempts: Any attempts.
        level: What to compare on; None chooses it by the kind of log.
        as_recorded: Take the log's own scoring, so that a run which hit a limit counts as the
            log counted it. By default broken attempts are left out.
    """
    chosen = level if level is not None else choose_level(attempts)
    kept, n_left_out = _by_task(attempts if chosen is not None else (), as_recorded)
    pairs: list[Divergence] = []
    successes = failures = Agreement(0, 0)
    for task, group in kept.items():
        passed = [_Done(a, deeds_of(a, chosen or "actions")) for a in group.passed]
        failed = [_Done(a, deeds_of(a, chosen or "actions")) for a in group.failed]
        pairs += [_compare(task, f, s) for f, s in product(failed, passed)]
        successes = _tally(successes, passed)
        failures = _tally(failures, failed)
    return DivergenceStudy(
        level=chosen,
        pairs=tuple(pairs),
        success_success=successes,
        failure_failure=failures,
        n_mixed_tasks=sum(bool(g.passed and g.failed) for g in kept.values()),
        n_left_out=n_left_out,
    )


class _Judged(NamedTuple):
    passed: list[Attempt]
    failed: list[Attempt]


class _Done(NamedTuple):
    attempt: Attempt
    deeds: tuple[Deed, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(deed.key for deed in self.deeds)


def _by_task(attempts: Iterable[Attempt], as_recorded: bool) -> tuple[Mapping[str, _Judged], int]:
    """Return the judged attempts of each task, and how many were left out."""
    groups: defaultdict[str, _Judged] = defaultdict(lambda: _Judged([], []))
    n_left_out = 0
    for attempt in attempts:
        outcome = attempt.verdict.as_recorded if as_recorded else attempt.outcome
        if outcome.is_scored:
            group = groups[attempt.task]
            side = group.passed if outcome is Outcome.SUCCESS else group.failed
            side.append(attempt)
    for group in groups.values():
        for side in group:
            n_left_out += max(0, len(side) - MAX_ATTEMPTS // 2)
            side[:] = _spread(side, MAX_ATTEMPTS // 2)
    return groups, n_left_out


def _spread(attempts: list[Attempt], most: int) -> list[Attempt]:
    if len(attempts) <= most:
        return attempts
    return [attempts[i * len(attempts) // most] for i in range(most)]


def _tally(so_far: Agreement, side: Sequence[_Done]) -> Agreement:
    different = sum(a.keys != b.keys for a, b in combinations(side, 2))
    n_pairs = len(side) * (len(side) - 1) // 2
    return Agreement(so_far.n_pairs + n_pairs, so_far.n_different + different)


def _compare(task: str, failed: _Done, passed: _Done) -> Divergence:
    last = failed.deeds[-1].step if failed.deeds and is_lost(failed.attempt) else None
    return Divergence(
        task=task,
        failure_id=failed.attempt.id,
        success_id=passed.attempt.id,
        difference=first_difference(failed.deeds, passed.deeds),
        ending=failed.attempt.ending,
        fatal_step=last,
    )


def same_deeds_other_verdict(study: DivergenceStudy) -> tuple[SameDeeds, ...]:
    """Return the tasks where the same deeds were judged differently.

    A cheap detector of attempts that are broken, or judged on something else than their deeds (a
    spoken answer, a limit).
    """
    found: defaultdict[str, list[Divergence]] = defaultdict(list)
    for pair in study.pairs:
        if pair.difference.type == "none":
            found[pair.task].append(pair)
    return tuple(
        SameDeeds(
            task,
            len(pairs),
            tuple(dict.fromkeys(pair.failure_id for pair in pairs)),
            tuple(dict.fromkeys(pair.success_id for pair in pairs)),
        )
        for task, pairs in sorted(found.items(), key=lambda item: -len(item[1]))
    )


def divergence_tables(study: DivergenceStudy, *, top: int = 10) -> tuple[Table, ...]:
    """Return the study as tables: agreement, kinds with their opposites, same deeds.

    Where successes of the same task usually differ among themselves, where a failure first differs
    says nothing, and the kinds are left out.
    """
    agreement = _agreement_table(study)
    if (study.success_success.rate or 0.0) > _USUALLY:
        return (agreement,)
    kinds = study.kinds()
    hidden = f" {len(kinds) - top} rarer kinds are not shown." if len(kinds) > top else ""
    return (
        agreement,
        Table(
            title="First difference of the failure",
            columns=("kind", "pairs", "tasks", "opposite", "pairs of the opposite"),
            rows=tuple(
                (kind, n, n_tasks, opposite or None, n_opposite if opposite else None)
                for kind, n, n_tasks, opposite, n_opposite in kinds[:top]
            ),
            note="Where a kind and its opposite both occur, 'avoid it' is wrong at times." + hidden,
        ),
        Table(
            title="Same deeds, judged differently",
            columns=("task", "pairs", "failures", "successes"),
            rows=tuple(
                (each.task[:80], each.n_pairs, len(each.failure_ids), len(each.success_ids))
                for each in same_deeds_other_verdict(study)[:top]
            ),
            note="Broken, or judged on something else than deeds: a spoken answer, a limit.",
        ),
    )


def _agreement_table(study: DivergenceStudy) -> Table:
    return Table(
        title=f"Do attempts at the same task differ in their {study.level or 'deeds'}?",
        columns=("pair", "pairs", "different", "share"),
        rows=tuple(
            (name, each.n_pairs, each.n_different, each.rate)
            for name, each in (
                ("failure and success", study.failure_success),
                ("success and success", study.success_success),
                ("failure and failure", study.failure_failure),
            )
        ),
        note="A difference between failure and success says little where successes differ too.",
    )


def contrast_pair(divergence: Divergence) -> ContrastPair:
    """Return the pair as a lesson shows it."""
    mine, theirs = divergence.difference.failure, divergence.difference.success
    return ContrastPair(
        task=divergence.task,
        failure_id=divergence.failure_id,
        success_id=divergence.success_id,
        failure_step=mine.step if mine else divergence.fatal_step,
        success_step=theirs.step if theirs else None,
        failure_text=mine.text if mine else "",
        success_text=theirs.text if theirs else "",
        ending=divergence.ending,
    )
