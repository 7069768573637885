"""From runs to numbers, a table and a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tree
from study import ARMS, CONTRASTS, Done, Point, Size

from twiceshy.evidence.stats import holm, paired_difference, permutation_test
from twiceshy.files import write_whole

Runs = Mapping[tuple[str, int], Done]
COLOURS = {"none": "#333333", "critique": "#1b7837", "hint": "#5aae61", "solution": "#b2182b"}
RATIOS = ("marker density", "length", "fork rate", "marker density over all tasks")
PUBLISHED = (
    "| published (2603.24472, a 7B model, 800 right traces) | tokens | markers a 1,000 | "
    "teacher right | student AIME24 |\n|---|---|---|---|---|\n"
    "| base | | | | 54.8 |\n"
    "| none | 13,054 | 14.0 | .30 | 51.0 |\n"
    "| solution without thinking | 12,036 | 13.3 | .78 | not trained on |\n"
    "| solution, regenerated | 2,808 | 8.6 | .95 | |\n"
    "| full solution | 1,873 | 4.7 | .98 | 20.2 (traces of about 2,000 tokens) |\n"
)


def write_report(runs: Runs, *, size: Size, out: Path) -> None:
    """Write result.json, result.md and plot.png."""
    out.mkdir(parents=True, exist_ok=True)
    numbers = summarise(runs, size)
    text = json.dumps(numbers, indent=1, ensure_ascii=False)
    write_whole(out / "result.json", text.encode() + b"\n")
    write_whole(out / "result.md", markdown(numbers).encode())
    draw(runs, size=size, target=out / "plot.png")


def seeds_of(runs: Runs, *arms: str) -> list[int]:
    """Return the seeds that all these arms have."""
    return sorted(set.intersection(*({seed for name, seed in runs if name == arm} for arm in arms)))


def point(done: Done, *, domain: str, epoch: int) -> Point:
    """Return one evaluation."""
    return next(p for p in done.points if (p.domain, p.epoch) == (domain, epoch))


def series(runs: Runs, arm: str, domain: str, epoch: int, *, of: str = "accuracy") -> list[float]:
    """Return a number of each seed."""
    found = (point(runs[arm, seed], domain=domain, epoch=epoch) for seed in seeds_of(runs, arm))
    return [float(getattr(each, of)) for each in found]


def summarise(runs: Runs, size: Size) -> dict[str, Any]:
    """Return everything that is printed."""
    last = max(size.epochs)
    arms = [arm.name for arm in ARMS if seeds_of(runs, arm.name)]
    return {
        "n_runs": len(runs),
        "n_runs_planned": len(ARMS) * size.n_seeds,
        "size": {name: getattr(size, name) for name in size.__struct_fields__},
        "base": {domain: mean_of(series(runs, arms[0], domain, 0)) for domain in tree.DOMAINS},
        "teachers": {arm: teacher(runs, arm) for arm in arms},
        "students": {
            arm: {
                "n_seeds": len(seeds_of(runs, arm)),
                **{domain: student(runs, arm, domain, last) for domain in tree.DOMAINS},
                "alarm": alarms(runs, arm),
            }
            for arm in arms
        },
        "contrasts": contrasts(runs, last),
        "afterthoughts": {
            f"{arm} − base, {domain}": compare(runs, arm, None, domain, last)
            for arm in arms
            for domain in (tree.TRAINED, tree.HARD)
        },
    }


def mean_of(values: Sequence[float]) -> float | None:
    """Return the mean; None of nothing."""
    return float(np.mean(values)) if values else None


def teacher(runs: Runs, arm: str) -> dict[str, Any]:
    """Return what its teacher wrote, over seeds, and how often the check refused it."""
    taught = [t for seed in seeds_of(runs, arm) if (t := runs[arm, seed].taught) is not None]
    signals = [t.check["signals"] for t in taught]
    return {
        "n_traces": mean_of([t.n for t in taught]),
        "right": mean_of([t.accuracy for t in taught]),
        "gap": mean_of([t.gap for t in taught if t.gap is not None]),
        "words": mean_of([t.length for t in taught]),
        "markers_per_hundred": mean_of([t.markers for t in taught]),
        "refused": sum(not t.check["ok"] for t in taught),
        "warned": sum("warning" in t.check["alarms"].values() for t in taught),
        "n": len(taught),
        **{
            f"{name} ratio": mean_of(
                [s[name]["value"] for s in signals if s[name]["value"] is not None]
            )
            for name in RATIOS
        },
    }


def student(runs: Runs, arm: str, domain: str, epoch: int) -> dict[str, float | None]:
    """Return how its students do at the end."""
    return {
        of: mean_of(series(runs, arm, domain, epoch, of=of))
        for of in ("accuracy", "length", "markers", "forks")
    }


def alarms(runs: Runs, arm: str) -> dict[str, Any]:
    """Return how often the alarm sounded, and which signals it was."""
    found = [runs[arm, seed].alarm for seed in seeds_of(runs, arm)]
    names = found[0]["signals"] if found else {}
    return {
        "sounded": sum(not each["ok"] for each in found),
        "n": len(found),
        "fell": {
            name: sum(each["signals"][name]["state"] == "fell" for each in found) for name in names
        },
    }


def compare(
    runs: Runs, arm: str, other: str | None, domain: str, epoch: int
) -> dict[str, float | int | None]:
    """Return the difference in accuracy, paired by seed; against the base where other is None."""
    seeds = seeds_of(runs, arm, other or arm)
    after = [point(runs[arm, s], domain=domain, epoch=epoch).accuracy for s in seeds]
    before = [
        point(runs[other or arm, s], domain=domain, epoch=epoch if other else 0).accuracy
        for s in seeds
    ]
    found = paired_difference(before, after)
    p = permutation_test(np.subtract(after, before), seed=0).p if seeds else None
    return {
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p": p,
        "n_seeds": len(seeds),
    }


def contrasts(runs: Runs, epoch: int) -> list[dict[str, Any]]:
    """Return the comparisons fixed beforehand, Holm over all of them."""
    names = {name for name, _ in runs}
    rows = [
        {"arm": arm, "other": other, "problems": domain, "asks": asks}
        | compare(runs, arm, other, domain, epoch)
        for arm, other, domain, asks in CONTRASTS
        if {arm, other} <= names
    ]
    ps = [row["p"] for row in rows if row["p"] is not None]
    adjusted = iter(holm(ps)) if ps else iter(())
    return [row | {"p_holm": None if row["p"] is None else float(next(adjusted))} for row in rows]


def markdown(numbers: Mapping[str, Any]) -> str:
    """Return the tables."""
    lines = [f"{numbers['n_runs']} of {numbers['n_runs_planned']} runs.", "", "## Teachers", ""]
    lines += [
        "| context | right | gap to student | traces | words | markers a 100 | density × | "
        "length × | forks × | density × over all tasks | refused | warned |",
        "|" + "---|" * 12,
    ]
    for arm, t in numbers["teachers"].items():
        cells = [
            arm,
            *(show(t[key]) for key in ("right", "gap")),
            show(t["n_traces"], 0),
            show(t["words"], 1),
            show(t["markers_per_hundred"], 1),
            *(show(t[f"{name} ratio"], 2) for name in RATIOS),
            f"{t['refused']} of {t['n']}",
            f"{t['warned']} of {t['n']}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", PUBLISHED, "## Students, without help, after the last epoch", ""]
    domains = list(numbers["base"])
    lines += [
        "| taught by | "
        + " | ".join(domains)
        + " | words, hard | markers a 100, hard | alarm | n |",
        "|" + "---|" * (len(domains) + 5),
        "| (base) | " + " | ".join(show(numbers["base"][d]) for d in domains) + " | | | | |",
    ]
    for arm, s in numbers["students"].items():
        hard = s[tree.HARD]
        lines.append(
            f"| {arm} | "
            + " | ".join(show(s[domain]["accuracy"]) for domain in domains)
            + f" | {show(hard['length'], 1)} | {show(hard['markers'], 1)} | "
            f"{s['alarm']['sounded']} of {s['alarm']['n']} | {s['n_seeds']} |"
        )
    lines += ["", "## Fixed beforehand (accuracy, paired by seed; Holm over these)", ""]
    lines += ["| asks | comparison | problems | difference | p (Holm) | n |", "|" + "---|" * 6]
    for row in numbers["contrasts"]:
        lines.append(
            f"| {row['asks']} | {row['arm']} − {row['other']} | {row['problems']} | "
            f"{interval(row)} | {show(row['p_holm'])} | {row['n_seeds']} |"
        )
    lines += ["", "## Afterthoughts", "", "| comparison | difference | n |", "|---|---|---|"]
    for name, row in numbers["afterthoughts"].items():
        lines.append(f"| {name} | {interval(row)} | {row['n_seeds']} |")
    return "\n".join(lines) + "\n"


def show(value: float | None, digits: int = 3) -> str:
    """Return a number, or that it is undefined."""
    return "undefined" if value is None else f"{value:.{digits}f}"


def interval(row: Mapping[str, Any]) -> str:
    """Return a difference with its interval."""
    if row["difference"] is None:
        return "undefined (n = 0)"
    if row["low"] is None:
        return f"{row['difference']:+.3f}"
    return f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


def draw(runs: Runs, *, size: Size, target: Path) -> None:
    """Draw accuracy and markers over training, in domain and on the hardest problems."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    panels = (
        (tree.TRAINED, "accuracy", "accuracy, in domain"),
        (tree.HARD, "accuracy", "accuracy, deeper and misleading cues"),
        (tree.HARD, "markers", "markers a 100 words, deeper and misleading cues"),
    )
    figure, axes = plt.subplots(1, 3, figsize=(15, 5.2), layout="constrained")
    for axis, (domain, of, title) in zip(axes, panels, strict=True):
        for arm in ARMS:
            if not seeds_of(runs, arm.name):
                continue
            values = np.array([series(runs, arm.name, domain, e, of=of) for e in size.epochs])
            style = ":" if arm.kind == "on-policy" else "--" if arm.edit else "-"
            marker = (
                "s"
                if arm.rate
                else {"": "o", "short": "v", "unmarked": "x", "marked": "+", "matched": "d"}[
                    arm.edit
                ]
            )
            colour, mean = COLOURS[arm.rung], values.mean(1)
            axis.plot(size.epochs, mean, style, marker=marker, color=colour, label=arm.name, ms=5)
            if values.shape[1] > 1 and not arm.edit:
                half = 1.96 * values.std(1, ddof=1) / np.sqrt(values.shape[1])
                axis.fill_between(size.epochs, mean - half, mean + half, color=colour, alpha=0.12)
        axis.set_title(title, fontsize=11)
        axis.set_xlabel("epochs over the traces")
        axis.grid(alpha=0.25)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(target, dpi=110)
    plt.close(figure)
