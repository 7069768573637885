"""Gates that look at validation items: what is broken, and what is gained over other text."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats import Betting, BettingTest, clopper_pearson
from twiceshy.principles.controls import filler, irrelevant
from twiceshy.principles.gates.protocol import (
    ALPHA,
    Bench,
    Candidate,
    Paired,
    Verdict,
    compare,
    refusal,
)
from twiceshy.principles.prompting import principle_block
from twiceshy.principles.unread import Sheet, Unread, compare_unread


class KeepsRight(msgspec.Struct, frozen=True, kw_only=True):
    """Breaks hardly any item that is right without it.

    passed = upper end of the one-sided exact interval for P(wrong with | right without) ≤ margin

    *Cannot tell* where so few items are right without it, and read with it, that not even zero
    broken ones would do: 19 are needed at the defaults. Where some that were right cannot be read
    with it, the others are asked too: it refuses when clearly more cannot be read than without.

    Attributes:
        margin: Share of formerly right items that may break. Ours.
        alpha: 1 − level of the one-sided interval (Clopper and Pearson).
    """

    margin: float = 0.15
    alpha: float = ALPHA
    name: ClassVar[str] = "keeps_right"

    def judge(self, candidate: Candidate, bench: Bench) -> Verdict:
        """Count what breaks."""
        before = bench.sheet("", step="validation")
        was_right = before.scores > 0.5
        right, others = (
            [item for item, was in zip(bench.validation, was_right, strict=True) if was == wanted]
            for wanted in (True, False)
        )
        if self._too_few(len(right)):
            why = f"only {len(right)} items are right without it"
            return Verdict(gate=self.name, passed=None, why=why, numbers={"n": len(right)})
        after = bench.sheet(candidate.block, step=self.name, items=right)
        if not after.unread.any():
            return self._verdict(after.scores, {})
        # Right items were all read without it, so that unread ones compare fairly over all only.
        rest = bench.sheet(candidate.block, step=self.name, items=others)
        unread = compare_unread(
            Sheet.joined([after, rest]),
            Sheet.joined([before.at(was_right), before.at(~was_right)]),
        )
        verdict = self._verdict(after.scores, {"unread": unread._asdict()})
        return refusal(self.name, unread, numbers=verdict.numbers) or verdict

    def _verdict(self, after: NDArray[np.float64], numbers: dict[str, Any]) -> Verdict:
        read = after[~np.isnan(after)]
        broken, n = int((read <= 0.5).sum()), len(read)
        upper = clopper_pearson(broken, n, level=1 - 2 * self.alpha).high
        limit = "undefined" if upper is None else f"{upper:.2f}"
        return Verdict(
            gate=self.name,
            passed=None if upper is None or self._too_few(n) else upper <= self.margin,
            why=f"breaks {broken} of {n} right items, at most {limit} of them",
            numbers={"broken": broken, "n": n, "upper": upper, **numbers},
        )

    def _too_few(self, n: int) -> bool:
        """Return whether not even zero broken of n items would do."""
        upper = clopper_pearson(0, n, level=1 - 2 * self.alpha).high
        return upper is None or upper > self.margin


class BeatsControls(msgspec.Struct, frozen=True, kw_only=True):
    """Does better than nothing, than filler and than irrelevant principles of the same length.

    passed = each of three one-sided exact sign tests over validation items has p ≤ alpha

    All three must pass, so no correction for their number is needed (intersection-union test). An
    item counts where both answers could be read; it refuses where clearly more cannot be read with
    the principle than with nothing.

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
    Then, once, it refuses where clearly more of the answers asked for cannot be read with it.

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
        seen: list[tuple[Sheet, Sheet]] = []
        for start in range(0, len(order), self.look):
            items = order[start : start + self.look]
            with_it = bench.sheet(candidate.block, step=self.name, items=items)
            without = bench.sheet("", step="validation", items=items)
            seen.append((with_it, without))
            d = with_it.scores - without.scores
            for each in d[~np.isnan(d)]:
                gain.add(float(each))
                loss.add(float(each))
            if gain.state.decided_at is not None or loss.state.decided_at is not None:
                break
        if not seen:
            return Verdict(gate=self.name, passed=None, why="no validation items")
        unread = compare_unread(*(Sheet.joined(each) for each in zip(*seen, strict=True)))
        return self._verdict(gain.state, loss.state, unread)

    def _verdict(self, up: Betting, down: Betting, unread: Unread) -> Verdict:
        decided = {True: up.decided_at is not None, False: down.decided_at is not None}
        numbers: dict[str, Any] = {"e_gain": up.e_value, "e_loss": down.e_value, "n": up.n}
        numbers["unread"] = unread._asdict()
        return refusal(self.name, unread, numbers=numbers) or Verdict(
            gate=self.name,
            passed=next((way for way, reached in decided.items() if reached), None),
            why=f"e = {up.e_value:.3g} for gain and {down.e_value:.3g} for loss after {up.n} items"
            f"{unread.aside}",
            numbers=numbers,
        )


def _against(
    candidate: Candidate, bench: Bench, blocks: dict[str, str], *, gate: str, alpha: float
) -> Verdict:
    """Return whether the candidate beats every block; it stops at the first it does not.

    It cannot tell where too few items were read on both sides for any result to be significant.
    """
    if 0.5 ** len(bench.validation) > alpha:
        why = f"{len(bench.validation)} validation items could not decide it"
        return Verdict(gate=gate, passed=None, why=why)
    with_it = bench.sheet(candidate.block, step=gate)
    without = bench.sheet("", step="validation")
    unread = compare_unread(with_it, without)
    found: dict[str, Paired] = {}
    for name, block in blocks.items():
        other = bench.scores(block, step="controls") if block else without.scores
        found[name] = compare(with_it.scores, other)
        if found[name].p > alpha:
            break
    *_, last = found.values()
    told = "; ".join(f"over {name} {each.told}" for name, each in found.items())
    numbers: dict[str, Any] = {name: each._asdict() for name, each in found.items()}
    numbers["unread"] = unread._asdict()
    return refusal(gate, unread, numbers=numbers) or Verdict(
        gate=gate,
        passed=None if 0.5**last.n > alpha else last.p <= alpha,
        why=f"{told}{unread.aside}",
        numbers=numbers,
    )
