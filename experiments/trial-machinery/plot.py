"""The picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SHOWN = "adverse, small effects"
COLOURS = {"helpful": "#1b7f5c", "harmless": "#7a7a7a", "harmful": "#b3412e"}


def draw(results: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 8.2), layout="constrained")
    looks = 25 * np.arange(1, 1 + len(results[SHOWN]["helpful"]["promoted_by"]))
    _decisions(axes[0, 0], results[SHOWN], looks)
    _beside(axes[0, 1], results[SHOWN])
    _estimates(axes[1, 0], results[SHOWN])
    _coverage(axes[1, 1], results["nothing works"], looks)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _decisions(axis: Any, kinds: dict[str, Any], looks: Any) -> None:
    for kind, curve, style in (
        ("helpful", "promoted_by", "-"),
        ("helpful", "retired_by", "--"),
        ("harmless", "promoted_by", "-"),
        ("harmless", "retired_by", "--"),
        ("harmful", "promoted_by", "-"),
        ("harmful", "retired_by", "--"),
        ("harmful", "quarantined_by", ":"),
    ):
        label = f"{kind}: {curve.removesuffix('_by')}"
        values = 100 * np.array(kinds[kind][curve])
        axis.plot(looks, values, style, color=COLOURS[kind], label=label)
    axis.set(title="Decided by n, looked at after every decision, δ = 0.10", ylim=(-2, 138))
    axis.set(xlabel="randomised decisions about the lesson", ylabel="lessons, %")
    axis.set_yticks(range(0, 101, 20))
    axis.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)


def _beside(axis: Any, kinds: dict[str, Any]) -> None:
    rules = (
        ("trial:\npromoted", "ever_promoted"),
        ("trial:\nquarantined\nor retired", None),
        ("naive:\nkept", "naive_kept"),
        ("naive:\ndropped", "naive_dropped"),
        ("wins − losses\nat 20:\nretired", "early_retired"),
        ("difference\nat 20:\nretired", "early_difference_retired"),
    )
    for place, (kind, own) in enumerate(kinds.items()):
        heights = [
            own["ever_quarantined"]["rate"] + own["ever_retired"]["rate"]
            if name is None
            else own[name]["rate"]
            for _, name in rules
        ]
        where = np.arange(len(rules)) + 0.27 * (place - 1)
        axis.bar(where, 100 * np.array(heights), width=0.25, color=COLOURS[kind], label=kind)
    axis.set_xticks(range(len(rules)), [label for label, _ in rules], fontsize=8)
    axis.set(
        title="Verdicts by rule, after 2,000 decisions or at 20", ylabel="lessons, %", ylim=(0, 118)
    )
    axis.legend(frameon=False, fontsize=8, ncols=3, loc="upper right")


def _estimates(axis: Any, kinds: dict[str, Any]) -> None:
    for place, (kind, own) in enumerate(kinds.items()):
        for offset, name, marker in ((0.1, "estimate", "o"), (-0.1, "naive difference", "s")):
            found = own[name]
            axis.plot([found["p10"], found["p90"]], [place + offset] * 2, color=COLOURS[kind], lw=2)
            axis.plot(found["median"], place + offset, marker, color=COLOURS[kind], ms=7)
        axis.plot([own["truth"]] * 2, [place - 0.25, place + 0.25], color="black", lw=1)
    axis.axvline(0, color="#cccccc", lw=0.8, zorder=0)
    axis.set_yticks(range(len(kinds)), list(kinds))
    axis.set(title="Estimates: trial (circle), success rate when present (square)")
    axis.set(xlabel="effect on P(success); line: truth; bars: 10th to 90th percentile")


def _coverage(axis: Any, kinds: dict[str, Any], looks: Any) -> None:
    for name, label, colour in (
        ("uncovered_by", "anytime-valid", "#1b7f5c"),
        ("wald_uncovered_by", "usual (Wald)", "#b3412e"),
    ):
        values = 100 * np.mean([own[name] for own in kinds.values()], axis=0)
        axis.plot(looks, values, color=colour, label=label)
    axis.axhline(5, color="black", lw=0.8, ls=":")
    axis.set(title="Interval wrong at some look so far, nothing works", ylim=(0, None))
    axis.set(xlabel="randomised decisions about the lesson", ylabel="lessons, %")
    axis.annotate("5 % promised", (looks[-1], 5), ha="right", va="bottom", fontsize=8)
    axis.legend(frameon=False, fontsize=8)
