"""Gates that look at validation items: what is broken, and what is gained over other text."""

from __future__ import annotations

import random
from typing import ClassVar

import msgspec
import numpy as np

from twiceshy.evidence.stats import BettingTest, clopper_pearson
from twiceshy.principles.controls import filler, irrelevant
from twiceshy.principles.gates.protocol import (
    ALPHA,
    Bench,
    Candidate,
    Paired,
    Verdict,
    compare,
)
from twiceshy.principles.prompting import principle_block


class KeepsRight(msgspec.Struct, frozen=True, kw_only=True):
    """Breaks hardly any item that is right without it.

    passed = upper end of the one-sided exact interval for P(wrong with | right without) ≤ margin

    *Cannot tell* where so few items are right without it that not even zero broken ones would do:
    19 are needed at the defaults.

    Attributes:
        margin: Share of formerly right items that may break. Ours.
        alpha: 1 − level of the one-sided interval (Clopper and Pearson).
    """

    margin: float = 0.15
    alpha: float = ALPHA
    name: ClassVar[str] = "keeps_right"

    def judge(self, candidate: Candidate, bench: Bench) -> Verdict:
        """Count what breaks."""
        before = bench.scores("", step="validation")
        right = [item for item, score in zip(bench.validation, before, strict=True) if score > 0.5]
        level = 1 - 2 * self.alpha
        if (clopper_pearson(0, len(right), level=level).high or 1.0) > self.margin:
            why = f"only {len(right)} items are right without it"
            return Verdict(gate=self.name, passed=None, why=why, numbers={"n": len(right)})
        after = bench.scores(candidate.block, step=self.name, items=right)
        after = after[~np.isnan(after)]
        broken = int((after <= 0.5).sum())
        upper = clopper_pearson(broken, len(after), level=level).high
        numbers = {"broken": broken, "n": len(after), "upper": upper}
        limit = "undefined" if upper is None else f"{upper:.2f}"
        why = f"breaks {broken} of {len(after)} right items, at most {limit} of them"
        passed = None if upper is None else upper <= self.margin
        return Verdict(gate=self.name, passed=passed, why=why, numbers=numbers)


class BeatsControls(msgspec.Struct, frozen=True, kw_only=True):
    """Does better than nothing, than filler and than irrelevant principles of the same length.

    passed = each of three one-sided exact sign tests over validation items has p ≤ alpha

    All three must pass, so no correction for their number is needed (intersection-union test).

    Source: the interventions of "Not Always Faithful Self-Evolvers" (2601.22436).

    Attributes:
        alpha: Error rate.
    """

    alpha: float = ALPHA
    name: ClassVar[str] = "beats_controls"

    def judge(self, candidate: Candidate, bench: Bench) -> Verdict:
        """Compare with each control."""
        blocks = {
            "nothing": "",
            "filler": filler(candidate.block),
            "irrelevant": irrelevant(candidate.block),
        }
        return _against(candidate, bench, blocks, gate=self.name, alpha=self.alpha)


class IsSpecific(msgspec.Struct, frozen=True, kw_only=True):
    """Does better on this task than nothing, and than principles learned on other tasks.

    What other tasks' principles do as well is general advice. Where theirs do harm, advice that
    does nothing beats them: hence nothing is compared with too. *Cannot tell* without any list.

    Attributes:
        most: Foreign lists that are tried.
        alpha: Error rate; it must beat every list tried.
    """

    most: int = 2
    alpha: float = ALPHA
    name: ClassVar[str] = "is_specific"

    def judge(self, candidate: Candidate, bench: Bench) -> Verdict:
        """Compare with principles of other tasks."""
        lists = bench.foreign[: self.most]
        if not lists:
            return Verdict(gate=self.name, passed=None, why="no other task's principles at hand")
        told = {f"foreign {n}": principle_block(each) for n, each in enumerate(lists, start=1)}
        blocks = {"nothing": "", **told}
        return _against(candidate, bench, blocks, gate=self.name, alpha=self.alpha)


class GainsInSequence(msgspec.Struct, frozen=True, kw_only=True):
    """Helps on the whole, by a test that may stop as soon as it knows. For the finished prompt.

    Items are asked in random order, a few at a time, with and without it. It passes when the
    capital of a bet on gain reaches 1/alpha, fails when that of a bet on loss does, and *cannot
    tell* when the items run out. Either error has chance at most alpha, however often one looks.

    Source: `evidence.stats.BettingTest` (Waudby-Smith and Ramdas 2024).

    Attributes:
        alpha: Error rate, each way.
        look: Items between two looks.
    """

    alpha: float = ALPHA
    look: int = 10
    name: ClassVar[str] = "gains_in_sequence"

    def judge(self, candidate: Candidate, bench: Bench) -> Verdict:
        """Ask until it is decided."""
        order = random.Random(bench.seed).sample(bench.validation, k=len(bench.validation))
        gain, loss = (BettingTest(alpha=self.alpha, alternative=a) for a in ("greater", "less"))
        for start in range(0, len(order), self.look):
            items = order[start : start + self.look]
            d = bench.scores(candidate.block, step=self.name, items=items) - bench.scores(
                "", step="validation", items=items
            )
            for each in d[~np.isnan(d)]:
                gain.add(float(each))
                loss.add(float(each))
            if gain.state.decided_at is not None or loss.state.decided_at is not None:
                break
        up, down = gain.state, loss.state
        decided = {True: up.decided_at is not None, False: down.decided_at is not None}
        return Verdict(
            gate=self.name,
            passed=next((way for way, reached in decided.items() if reached), None),
            why=f"e = {up.e_value:.3g} for gain and {down.e_value:.3g} for loss after {up.n} items",
            numbers={"e_gain": up.e_value, "e_loss": down.e_value, "n": up.n},
        )


def _against(
    candidate: Candidate, bench: Bench, blocks: dict[str, str], *, gate: str, alpha: float
) -> Verdict:
    """Return whether the candidate beats every block; it stops at the first it does not."""
    if 0.5 ** len(bench.validation) > alpha:
        why = f"{len(bench.validation)} validation items could not decide it"
        return Verdict(gate=gate, passed=None, why=why)
    with_it = bench.scores(candidate.block, step=gate)
    found: dict[str, Paired] = {}
    for name, block in blocks.items():
        step = "validation" if not block else "controls"
        found[name] = compare(with_it, bench.scores(block, step=step))
        if found[name].p > alpha:
            break
    told = "; ".join(f"over {name} {each.told}" for name, each in found.items())
    passed = all(each.p <= alpha for each in found.values())
    numbers = {name: each._asdict() for name, each in found.items()}
    return Verdict(gate=gate, passed=passed, why=told, numbers=numbers)
