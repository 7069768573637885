"""Gates that look at where a principle comes from: its words, its mistake, its training items."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import msgspec
import numpy as np

from twiceshy.principles.copying import N_GRAM, CopyGuard
from twiceshy.principles.executor import sheet_of
from twiceshy.principles.gates.protocol import ALPHA, Bench, Candidate, Verdict, refusal
from twiceshy.principles.types import Answer, Example
from twiceshy.principles.unread import compare_unread


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
    goes right without it. Draws that cannot be read are left out; it refuses where they are clearly
    more with it, draw by draw.

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
        right, n = _counted(without)
        if _fisher(n, n, right, n) > self.alpha:
            told = f"right in {right} of {n} draws without it"
            why = f"{told}: nothing to flip" if n else "no draw without it could be read"
            return Verdict(gate=self.name, passed=None, why=why, numbers={"without": right, "n": n})
        drawn = self._draws(asked, bench, block=candidate.block)
        flipped, m = _counted(drawn)
        p = _fisher(flipped, m, right, n)
        unread = compare_unread(sheet_of(drawn), sheet_of(without))
        numbers: dict[str, Any] = {"with": flipped, "n_with": m, "without": right, "n": n, "p": p}
        numbers["unread"] = unread._asdict()
        return refusal(self.name, unread, numbers=numbers) or Verdict(
            gate=self.name,
            passed=None
            if _fisher(m, m, right, n) > self.alpha  # too few were read with it
            else flipped / m >= self.least and p <= self.alpha,
            why=f"right in {flipped} of {m} draws with it, {right} of {n} without, p = {p:.2g}"
            f"{unread.aside}",
            numbers=numbers,
        )

    def _draws(self, asked: list[Example], bench: Bench, *, block: str) -> list[Answer]:
        """Return every draw, those that were not given or not read among them."""
        answers = bench.executor.answers(
            asked,
            step=self.name,
            block=block,
            n_samples=self.n_draws,
            temperature=bench.temperature,
            first_sample=FRESH,
        )
        return [each for of_one in answers for each in of_one]


FRESH = 1_000_000
"""Number of the first fresh draw, beyond any chain in which mistakes were looked for."""


class StrictlyImproves(msgspec.Struct, frozen=True, kw_only=True):
    """Raises the sum of scores on a minibatch, strictly. Cheap, and only a screen.

    Over the items that have a score with it and without.

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
        before = bench.sheet("", step=self.name, items=items)
        after = bench.sheet(candidate.block, step=self.name, items=items)
        both = ~np.isnan(before.scores + after.scores)
        first, second = (float(each.scores[both].sum()) for each in (before, after))
        n, unread = int(both.sum()), compare_unread(after, before)
        numbers = {"before": first, "after": second, "n": n, "unread": unread._asdict()}
        why, passed = f"{first:g} → {second:g} of {n}{unread.aside}", second > first
        if not n or first == n:
            passed = None
            why = "no answer to both" if not n else f"all {n} right without it: nothing to improve"
        refused = refusal(self.name, unread, numbers=numbers)
        return refused or Verdict(gate=self.name, passed=passed, why=why, numbers=numbers)


def _counted(draws: list[Answer]) -> tuple[int, int]:
    """Return the right draws and those with a score."""
    return sum(each.scored.right for each in draws), sum(
        each.scored.outcome.is_scored for each in draws
    )


def _fisher(right: int, n: int, other: int, m: int) -> float:
    """Return the one-sided p that the first share is larger; 1 where a side is empty."""
    if not n or not m:
        return 1.0
    from scipy.stats import fisher_exact

    table = [[right, n - right], [other, m - other]]
    return float(fisher_exact(table, alternative="greater").pvalue)
