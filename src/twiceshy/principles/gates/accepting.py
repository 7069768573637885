"""Putting principles through gates, cheapest first, and then the list of those that passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from twiceshy.lessons import Lesson
from twiceshy.principles.gates.held import BeatsControls, GainsInSequence, IsSpecific, KeepsRight
from twiceshy.principles.gates.own import FlipsItsMistake, NotCopied, StrictlyImproves
from twiceshy.principles.gates.protocol import Bench, Candidate, Gate, Reason, Verdict
from twiceshy.principles.lessons import with_ruling


class Ruling(NamedTuple):
    """What the gates say of one candidate, up to the first that does not let it through."""

    candidate: Candidate
    verdicts: tuple[Verdict, ...]

    @property
    def accepted(self) -> bool:
        """Whether every gate said yes."""
        return bool(self.verdicts) and all(each.passed is True for each in self.verdicts)

    @property
    def stopped_by(self) -> str | None:
        """The gate that said no, or could not tell; None when it was accepted."""
        return next((each.gate for each in self.verdicts if each.passed is not True), None)

    @property
    def reason(self) -> Reason | None:
        """Why the gate that stopped it refused, where it refused without being able to measure."""
        return next((each.reason for each in self.verdicts if each.passed is not True), None)

    @property
    def undecided(self) -> bool:
        """Whether no gate said no, and one could not tell."""
        return not self.accepted and all(each.passed is not False for each in self.verdicts)

    @property
    def record(self) -> dict[str, Any]:
        """What a lesson remembers of it."""
        return {
            "accepted": self.accepted,
            "stopped_by": self.stopped_by,
            "gates": [msgspec.to_builtins(each) for each in self.verdicts],
        }


class Gated(NamedTuple):
    """Principles after their gates, for one executor."""

    executor: str
    rulings: tuple[Ruling, ...]
    """One a different text, in the order they came."""
    lessons: tuple[Lesson, ...]
    """The same principles, each with its ruling."""
    prompt: Ruling | None
    """Of the whole list of accepted ones; None when there is none."""

    @property
    def accepted(self) -> tuple[Lesson, ...]:
        """The principles that passed every gate of their own."""
        return tuple(
            lesson
            for lesson, ruling in zip(self.lessons, self.rulings, strict=True)
            if ruling.accepted
        )

    @property
    def block(self) -> str:
        """What may be put before a question: the accepted list if it passed as a whole."""
        usable = self.prompt is not None and self.prompt.accepted
        return Candidate(self.accepted).block if usable else ""

    @property
    def numbers(self) -> dict[str, Any]:
        """The counts, as a report's numbers."""
        stopped = Counter(each.stopped_by for each in self.rulings if not each.accepted)
        return {
            "executor": self.executor,
            "n_judged": len(self.rulings),
            "n_accepted": len(self.accepted),
            "n_undecided": sum(each.undecided for each in self.rulings),
            "stopped_by": {str(gate): n for gate, n in stopped.items()},
            "n_more_unread": sum(each.reason == "more_unread" for each in self.rulings),
            "prompt": None if self.prompt is None else self.prompt.record,
        }


def principle_gates(bench: Bench) -> tuple[Gate, ...]:
    """Return the gates of a single principle, cheapest first.

    Without principles of other tasks at hand, whether one is specific is not asked.
    """
    gates: tuple[Gate, ...] = (NotCopied(), FlipsItsMistake(), KeepsRight(), BeatsControls())
    return (*gates, IsSpecific()) if bench.foreign else gates


def prompt_gates() -> tuple[Gate, ...]:
    """Return the gates of a whole list, cheapest first."""
    return (StrictlyImproves(size=10), KeepsRight(), GainsInSequence(), BeatsControls())


def rule(
    candidate: Candidate, gates: Sequence[Gate], bench: Bench, *, all_gates: bool = False
) -> Ruling:
    """Return what gates say of a candidate; it stops at the first that does not say yes.

    Args:
        candidate: A principle or a list.
        gates: In the order in which they are asked.
        bench: What they measure with.
        all_gates: Ask them all, also after a no.
    """
    verdicts: list[Verdict] = []
    for gate in gates:
        verdicts.append(gate.judge(candidate, bench))
        if verdicts[-1].passed is not True and not all_gates:
            break
    return Ruling(candidate, tuple(verdicts))


def accept(
    principles: Sequence[Lesson],
    bench: Bench,
    *,
    gates: Sequence[Gate] | None = None,
    whole: Sequence[Gate] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Gated:
    """Put principles through their gates one by one, and those that pass through the list's.

    Principles that say the same, letter for letter, are judged once, with all their mistakes.

    Args:
        principles: Candidates.
        bench: Executor, train and validation items, principles of other tasks.
        gates: Of a single principle; default `principle_gates(bench)`.
        whole: Of the list; default `prompt_gates()`.
        progress: Told ("gates", principles judged, principles in all).
    """
    merged = merge_equal(principles)
    chosen = principle_gates(bench) if gates is None else gates
    rulings: list[Ruling] = []
    for lesson in merged:
        rulings.append(rule(Candidate((lesson,)), chosen, bench))
        if progress is not None:
            progress("gates", len(rulings), len(merged))
    name = bench.executor.name
    lessons = tuple(
        with_ruling(lesson, executor=name, ruling=ruling.record)
        for lesson, ruling in zip(merged, rulings, strict=True)
    )
    passed = tuple(
        lesson for lesson, ruling in zip(lessons, rulings, strict=True) if ruling.accepted
    )
    prompt = (
        rule(Candidate(passed), prompt_gates() if whole is None else whole, bench)
        if passed
        else None
    )
    return Gated(name, tuple(rulings), lessons, prompt)


def merge_equal(principles: Sequence[Lesson]) -> list[Lesson]:
    """Return principles with those of equal text made one, which keeps all pairs and parents."""
    by_text: dict[str, list[Lesson]] = {}
    for each in principles:
        by_text.setdefault(" ".join(each.text.lower().split()), []).append(each)
    return [_merged(same) for same in by_text.values()]


def _merged(same: Sequence[Lesson]) -> Lesson:
    if len(same) == 1:
        return same[0]
    pairs = {pair.failure_id: pair for each in same for pair in each.contrast}
    own = {each.id for each in same}  # a condensed principle may say what one it came from says
    parents = dict.fromkeys(p for each in same for p in each.parents if p not in own)
    evidence = msgspec.structs.replace(
        same[0].evidence,
        attempts_for=tuple(pairs),
        n_for=len(pairs),
        n_tasks=len({pair.task for pair in pairs.values()}),
    )
    return msgspec.structs.replace(
        same[0], contrast=tuple(pairs.values()), parents=tuple(parents), evidence=evidence
    )
