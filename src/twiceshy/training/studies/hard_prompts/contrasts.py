"""The comparisons of the study, fixed before any of its runs: paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats import holm, paired_difference, permutation_test
from twiceshy.training.studies.hard_prompts.runs import HARD, Cell, RunResult
from twiceshy.training.tasks import ChainKind

Results = Mapping[Cell, Mapping[int, RunResult]]
"""What was done, by cell and seed."""

OVER_BUDGET, UNLEARNABLE = HARD
MARGIN = 0.02
"""Loss of accuracy that still counts as none, for `no_worse`. Ours."""
MEDIUM_ONLY = Cell(objective="grpo", gate="none", share=0.0)


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """A difference in final accuracy on medium prompts: after − before."""

    name: str
    before: Cell
    after: Cell


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """A contrast with its result over seeds."""

    contrast: Contrast
    before: float | None
    """Mean over the seeds that both cells have."""
    after: float | None
    difference: float | None
    low: float | None
    high: float | None
    """Student's 95 % interval over seeds, not corrected; None with fewer than two."""
    n_seeds: int
    p: float | None = None
    """Two-sided sign-flip test over seeds, exact; None for comparisons outside the named set."""
    p_holm: float | None = None
    """Corrected for all named comparisons."""

    @property
    def is_no_worse(self) -> bool | None:
        """Whether a loss of more than `MARGIN` is excluded; None without an interval."""
        return None if self.low is None else self.low > -MARGIN


def _grpo(kind: ChainKind, share: float, gate: str) -> Cell:
    return msgspec.convert(
        {"objective": "grpo", "gate": gate, "kind": kind, "share": share}, type=Cell
    )


def _named() -> tuple[Contrast, ...]:
    over, unlearnable = (
        {gate: _grpo(kind, 0.9, gate) for gate in ("none", "naive_band", "frontier")}
        for kind in HARD
    )
    half = {gate: _grpo(UNLEARNABLE, 0.5, gate) for gate in ("naive_band", "frontier")}
    rows = [
        ("harm of 90 % over budget", MEDIUM_ONLY, over["none"]),
        ("harm of 90 % unlearnable", MEDIUM_ONLY, unlearnable["none"]),
        ("our gate against none, 90 % over budget", over["none"], over["frontier"]),
        ("our gate against none, 90 % unlearnable", unlearnable["none"], unlearnable["frontier"]),
        (
            "our gate against the naive band, 90 % unlearnable",
            unlearnable["naive_band"],
            unlearnable["frontier"],
        ),
        (
            "our gate against the naive band, 50 % unlearnable",
            half["naive_band"],
            half["frontier"],
        ),
    ]
    return tuple(Contrast(name=name, before=before, after=after) for name, before, after in rows)


NAMED = _named()
"""Tested, and corrected together; with eight seeds of one sign each reaches p = 0.047."""


def named_comparisons(results: Results) -> list[Compared]:
    """Return the named contrasts with p-values by Holm; undefined ones have n_seeds 0."""
    found = [compare(contrast, results) for contrast in NAMED]
    gaps = [_paired(c, results) for c in NAMED]
    p = [permutation_test(b - a, seed=0).p if len(a) else None for a, b in gaps]
    adjusted = holm([np.nan if each is None else each for each in p])
    return [
        msgspec.structs.replace(each, p=raw, p_holm=None if raw is None else float(value))
        for each, raw, value in zip(found, p, adjusted, strict=True)
    ]


def against_no_gate(results: Results) -> list[Compared]:
    """Return our gate against none in every pool and under every objective that has both."""
    return _gate_against("none", results)


def against_naive_band(results: Results) -> list[Compared]:
    """Return our gate against the naive band, likewise."""
    return _gate_against("naive_band", results)


def _gate_against(gate: str, results: Results) -> list[Compared]:
    pairs = [
        (before, after)
        for before in results
        for after in results
        if before.gate == gate and after == msgspec.structs.replace(before, gate="frontier")
    ]
    contrasts = [
        Contrast(name=f"{after.objective}, {pool_words(after)}", before=before, after=after)
        for before, after in pairs
    ]
    return [compare(contrast, results) for contrast in contrasts]


def compare(contrast: Contrast, results: Results) -> Compared:
    """Return a contrast's difference over the seeds that both cells have."""
    before, after = _paired(contrast, results)
    if len(before) == 0:
        nothing: dict[str, None] = dict.fromkeys(("before", "after", "difference", "low", "high"))
        return Compared(contrast=contrast, n_seeds=0, **nothing)
    found = paired_difference(before, after)
    return Compared(
        contrast=contrast,
        before=found.before,
        after=found.after,
        difference=found.difference,
        low=found.low,
        high=found.high,
        n_seeds=found.n_tasks,
    )


def _paired(contrast: Contrast, results: Results) -> Sequence[NDArray[np.float64]]:
    before = results.get(contrast.before, {})
    after = results.get(contrast.after, {})
    seeds = sorted(before.keys() & after.keys())
    return [
        np.array([runs[seed].accuracy[ChainKind.MEDIUM.value] for seed in seeds])
        for runs in (before, after)
    ]


def pool_words(cell: Cell) -> str:
    """Return what a cell's pool holds, in words."""
    if not cell.share:
        return "medium only"
    return f"{cell.share:.0%} {cell.kind.value.replace('_', ' ')}".replace("%", " %")
