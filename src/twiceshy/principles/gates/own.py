"""Gates that look at where a principle comes from: its words, its mistake, its training items."""

from __future__ import annotations

import random
from typing import ClassVar

import msgspec

from twiceshy.principles.copying import N_GRAM, CopyGuard
from twiceshy.principles.gates.protocol import ALPHA, Bench, Candidate, Verdict
from twiceshy.principles.types import Answer, Example


class NotCopied(msgspec.Struct, frozen=True, kw_only=True):
    """Repeats no training item. Asks nothing of the model.

    Attributes:
        n: Words in a row from which it is a copy.
    """

    n: int = N_GRAM
    name: ClassVar[str] = "not_copied"

    def judge(self, candidate: Candidate, bench: Bench) -> Verdict:
        """Judge by the words alone."""
        guard = CopyGuard(bench.train, n=self.n)
        for text in candidate.texts:
            copied = guard.copied(text)
            if copied is not None:
                why = f'repeats "{copied.words}" of {copied.example_id}'
                return Verdict(gate=self.name, passed=False, why=why)
        return Verdict(gate=self.name, passed=True, why="repeats no training item")


class FlipsItsMistake(msgspec.Struct, frozen=True, kw_only=True):
    """Turns its own mistakes right: fresh draws with it against fresh draws without it.

    passed = share right with ≥ `least`  and  Fisher's exact p (with > without) ≤ alpha

    The draws in which the mistake was made are not used again: they were chosen for being wrong.
    *Cannot tell* where even only right draws would not be significant, because the question mostly
    goes right without it.

    Source: TRAN (2310.15746) keeps a rule that turns its mistake right in one draw. Differs:
    several draws, and against draws without the rule.

    Attributes:
        n_draws: Draws a question and side.
        least: Share of right draws it must reach.
        alpha: Error rate.
    """

    n_draws: int = 8
    least: float = 0.5
    alpha: float = ALPHA
    name: ClassVar[str] = "flips_its_mistake"

    def judge(self, candidate: Candidate, bench: Bench) -> Verdict:
        """Draw and compare."""
        asked = list({each.example.id: each.example for each in candidate.mistakes}.values())
        if not asked:
            return Verdict(gate=self.name, passed=None, why="comes from no mistake")
        without = self._draws(asked, bench, block="")
        right, n = without
        if _fisher(n, n, right, n) > self.alpha:
            why = f"right in {right} of {n} draws without it: nothing to flip"
            return Verdict(gate=self.name, passed=None, why=why, numbers={"without": right, "n": n})
        flipped, m = self._draws(asked, bench, block=candidate.block)
        p = _fisher(flipped, m, right, n)
        return Verdict(
            gate=self.name,
            passed=m > 0 and flipped / m >= self.least and p <= self.alpha,
            why=f"right in {flipped} of {m} draws with it, {right} of {n} without, p = {p:.2g}",
            numbers={"with": flipped, "n_with": m, "without": right, "n": n, "p": p},
        )

    def _draws(self, asked: list[Example], bench: Bench, *, block: str) -> tuple[int, int]:
        answers = bench.executor.answers(
            asked,
            step=self.name,
            block=block,
            n_samples=self.n_draws,
            temperature=bench.temperature,
            first_sample=FRESH,
        )
        judged = [each for of_one in answers for each in of_one if _came(each)]
        return sum(each.scored.right for each in judged), len(judged)


FRESH = 1_000_000
"""Number of the first fresh draw, beyond any chain in which mistakes were looked for."""


class StrictlyImproves(msgspec.Struct, frozen=True, kw_only=True):
    """Raises the sum of scores on a minibatch, strictly. Cheap, and only a screen.

    Source: the acceptance rule of GEPA (2507.19457), there with 3 items.

    Attributes:
        size: Items of the minibatch.
    """

    size: int = 3
    name: ClassVar[str] = "strictly_improves"

    def judge(self, candidate: Candidate, bench: Bench) -> Verdict:
        """Compare sums on items of the train split, filled up from validation."""
        drawn = random.Random(bench.seed).sample(bench.validation, k=len(bench.validation))
        items = [*bench.train, *drawn][: self.size]
        before = bench.scores("", step=self.name, items=items)
        after = bench.scores(candidate.block, step=self.name, items=items)
        both = ~((before != before) | (after != after))
        first, second = float(before[both].sum()), float(after[both].sum())
        n = int(both.sum())
        numbers = {"before": first, "after": second, "n": n}
        if not n or first == n:
            why = "no answers" if not n else f"all {n} right without it: nothing to improve"
            return Verdict(gate=self.name, passed=None, why=why, numbers=numbers)
        why = f"{first:g} → {second:g} of {n}"
        return Verdict(gate=self.name, passed=second > first, why=why, numbers=numbers)


def _came(answer: Answer) -> bool:
    return answer.scored.outcome.is_scored or answer.scored.outcome.value == "unscored"


def _fisher(right: int, n: int, other: int, m: int) -> float:
    """Return the one-sided p that the first share is larger; 1 where a side is empty."""
    if not n or not m:
        return 1.0
    from scipy.stats import fisher_exact

    table = [[right, n - right], [other, m - other]]
    return float(fisher_exact(table, alternative="greater").pvalue)
