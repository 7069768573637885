"""The result of the experiment: figures, tables, and a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from plants import SORTS, WHAT

from twiceshy.evidence.stats import paired_difference, wilson

if TYPE_CHECKING:
    from run import Row

PUBLISHED = {
    "BBH, 27 tasks, mean change of LEAP-low / LEAP-high over few-shot": {
        "GPT-3.5": (-0.82, -0.48),
        "GPT-4": (0.32, 0.12),
        "Gemini Pro": (0.16, 0.03),
    },
    "GSM8K, few-shot 52.5, Llama-2-chat-70B, its own principles": {
        "Llama-2-chat-70B": (-1.9, -5.5)
    },
    "DROP, few-shot 72.05": {"GPT-4": (7.5, 6.55)},
}
"""Points; Zhang et al. (2402.05403), the first line computed from its tables."""
COLOURS = {"true": "#2e8b57", "junk": "#b4502f", "arm": "#2f6da8", "control": "#8a8a8a"}
CONTROLS = ("none", "filler", "irrelevant", "foreign")


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return all figures."""
    return {
        "n_offices": len(rows),
        "executors": sorted({each.executor for each in rows}),
        "difficulty": _counts([each.difficulty for each in rows]),
        "calls_equal_the_formula": sum(each.n_calls == each.n_calls_by_formula for each in rows),
        "n_mistakes": sum(each.n_mistakes for each in rows),
        "n_unread": sum(each.n_unread for each in rows),
        "low_different": sum(each.n_low_different for each in rows),
        "low_true": sum(each.n_low_true for each in rows),
        "accepted": sum(each.n_accepted for each in rows),
        "accepted_true": sum(each.n_accepted_true for each in rows),
        "lists_that_passed": sum(each.prompt_accepted for each in rows),
        "lists_stopped_by": _counts(
            [each.prompt_stopped_by for each in rows if each.prompt_stopped_by is not None]
        ),
        "arms": {arm: _arm(rows, arm) for arm in rows[0].arms} if rows else {},
        "contrasts": [_contrast(rows, *pair) for pair in CONTRASTS] if rows else [],
        "plants": {sort: _plants(rows, sort) for sort in SORTS},
        "junk": _junk(rows),
    }


CONTRASTS = (
    ("LEAP-low", "none"),
    ("LEAP-low", "success-only"),
    ("LEAP-low", "raw pairs"),
    ("LEAP-high", "LEAP-low"),
    ("gated", "none"),
    ("gated", "filler"),
    ("gated", "foreign"),
    ("gated", "LEAP-low"),
    ("gated", "LEAP-high"),
    ("perfect", "gated"),
)
"""Named before the committed run."""


def _arm(rows: Sequence[Row], arm: str) -> dict[str, Any]:
    found = np.array([np.nan if each.arms[arm] is None else each.arms[arm] for each in rows])
    none = np.array([np.nan if each.arms["none"] is None else each.arms["none"] for each in rows])
    over = paired_difference(none, found)
    by_executor = {
        name: float(np.nanmean([value for value, each in zip(found, rows, strict=True)
                                if each.executor == name]))
        for name in sorted({each.executor for each in rows})
    }  # fmt: skip
    return {
        "right": float(np.nanmean(found)),
        "over_none": over.difference,
        "low": over.low,
        "high": over.high,
        "n_offices": over.n_tasks,
        "by_executor": by_executor,
        "offices_worse_than_none": int((found < none).sum()),
        "right_to_wrong": sum(each.right_to_wrong.get(arm, 0) for each in rows),
        "wrong_to_right": sum(each.wrong_to_right.get(arm, 0) for each in rows),
        "n_items": sum(each.n_test - each.n_unread_test.get(arm, 0) for each in rows),
    }


def _contrast(rows: Sequence[Row], first: str, second: str) -> dict[str, Any]:
    one, two = (
        np.array([np.nan if each.arms[arm] is None else each.arms[arm] for each in rows])
        for arm in (first, second)
    )
    over = paired_difference(two, one)
    return {
        "contrast": f"{first} − {second}",
        "difference": over.difference,
        "low": over.low,
        "high": over.high,
        "n_offices": over.n_tasks,
    }


def _plants(rows: Sequence[Row], sort: str) -> dict[str, Any]:
    held = [plant for row in rows for plant in row.plants if plant.sort == sort]
    share = wilson(sum(each.accepted for each in held), len(held))
    gates = list(dict.fromkeys(gate for each in held for gate in each.gates))
    return {
        "what": WHAT[sort],
        "n": len(held),
        "accepted": sum(each.accepted for each in held),
        "share": share.value,
        "low": share.low,
        "high": share.high,
        "stopped_by": _counts([each.stopped_by for each in held if each.stopped_by is not None]),
        "passed_alone": {gate: _passed([each.gates.get(gate) for each in held]) for gate in gates},
    }


def _passed(verdicts: Sequence[bool | None]) -> dict[str, Any]:
    told = [each for each in verdicts if each is not None]
    share = sum(told) / len(told) if told else None
    return {"share": share, "n": len(told), "n_cannot_tell": len(verdicts) - len(told)}


def _junk(rows: Sequence[Row]) -> dict[str, Any]:
    held = [plant for row in rows for plant in row.plants if plant.sort != "true"]
    share = wilson(sum(each.accepted for each in held), len(held))
    return {
        "n": len(held),
        "accepted": sum(each.accepted for each in held),
        "share": share.value,
        "low": share.low,
        "high": share.high,
    }


def _counts(values: Sequence[str]) -> dict[str, int]:
    return {value: list(values).count(value) for value in sorted(set(values))}


# ------------------------------------------------------------------ writing


def write(rows: Sequence[Row], folder: Path, *, weak: dict[str, Any] | None) -> None:
    """Write result.json, result.md and plot.png."""
    found = {**summary(rows), "weak_model": weak, "published": PUBLISHED}
    (folder / "result.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    (folder / "result.md").write_text("\n".join(_markdown(found)) + "\n")
    draw(found, folder / "plot.png")


def _markdown(found: dict[str, Any]) -> list[str]:
    n, junk = found["n_offices"], found["junk"]
    lines = [
        "# Principles from mistakes, with gates",
        "",
        f"Written by `run.py`. {n} offices, executors {', '.join(found['executors'])}; what the",
        f"chains came to: {found['difficulty']}. Calls of the procedure equal its formula in",
        f"{found['calls_equal_the_formula']} of {n} offices.",
        "",
        f"{found['n_mistakes']} mistakes, {found['n_unread']} chains unread;"
        f" {found['low_different']} different low-level",
        f"principles, of which {found['low_true']} are an exception of their office. The gates"
        f" accepted {found['accepted']} principles",
        f"(low and high), {found['accepted_true']} of them true; as a list they passed in"
        f" {found['lists_that_passed']} offices",
        f"(stopped: {found['lists_stopped_by']}).",
        "",
        "## Arms, on locked test items",
        "",
        "Share right; difference from no block over offices, 95 % interval; items that turn.",
        "",
        "| arm | right | over none | offices worse | right→wrong | wrong→right | by executor |",
        "|---|---|---|---|---|---|---|",
        *(_arm_row(arm, each, n) for arm, each in found["arms"].items()),
        "",
        "| contrast | points | n |",
        "|---|---|---|",
        *(f"| {c['contrast']} | {_points(c)} | {c['n_offices']} |" for c in found["contrasts"]),
        "",
        "## Plants",
        "",
        f"Junk accepted: {junk['accepted']} of {junk['n']} "
        f"[{_share(junk['low'])}, {_share(junk['high'])}] (Wilson).",
        "",
        "| plant | what | n | accepted | share | stopped by |",
        "|---|---|---|---|---|---|",
        *(_plant_row(sort, each) for sort, each in found["plants"].items()),
        "",
        "Share that each gate alone lets through (n without *cannot tell*):",
        "",
        *_gate_table(found["plants"]),
        *_weak(found["weak_model"]),
        "",
        "## Published, for comparison",
        "",
        "Points of LEAP-low / LEAP-high (Zhang et al., 2402.05403).",
        "",
        *(f"- {what}: {_told(values)}" for what, values in found["published"].items()),
    ]
    return lines


def _arm_row(arm: str, each: dict[str, Any], n: int) -> str:
    apart = ", ".join(f"{value:.2f}" for value in each["by_executor"].values())
    over = "" if arm == "none" else _points({"difference": each["over_none"], **each})
    return (
        f"| {arm} | {each['right']:.3f} | {over} | {each['offices_worse_than_none']} of {n} "
        f"| {each['right_to_wrong']} | {each['wrong_to_right']} | {apart} |"
    )


def _plant_row(sort: str, each: dict[str, Any]) -> str:
    if not each["n"]:
        return f"| {sort} | {each['what']} | 0 | – | – | |"
    share = f"{_share(each['share'])} [{_share(each['low'])}, {_share(each['high'])}]"
    stopped = ", ".join(f"{gate} {n}" for gate, n in each["stopped_by"].items())
    return f"| {sort} | {each['what']} | {each['n']} | {each['accepted']} | {share} | {stopped} |"


def _gate_table(plants: dict[str, Any]) -> list[str]:
    gates = list(dict.fromkeys(g for each in plants.values() for g in each["passed_alone"]))
    lines = [f"| plant | {' | '.join(gates)} |", f"|---|{'---|' * len(gates)}"]
    for sort, each in plants.items():
        cells = [each["passed_alone"].get(gate) for gate in gates]
        told = (f"{_share(c['share'])} ({c['n']})" if c else "–" for c in cells)
        lines.append(f"| {sort} | {' | '.join(told)} |")
    return lines


def _weak(weak: dict[str, Any] | None) -> list[str]:
    if weak is None:
        return []
    rows = [
        f"| {arm} | {_share(each['right'])} [{_share(each['low'])}, {_share(each['high'])}] "
        f"| {_share(each['right_on_exceptions'])} ({each['n_exceptions']}) "
        f"| {each['n_unread']} "
        f"| {_points(dict(zip(('difference', 'low', 'high'), each['over_none'], strict=True)))} |"
        for arm, each in weak["arms"].items()
    ]
    return [
        "",
        f"## {weak['model']}, 135 M parameters, a real language model",
        "",
        f"An office in words, {weak['n_items']} items, greedy; chance is 1 in 6. The answer is the",
        "door named last, the kindest reading.",
        "",
        "| told | right | on exceptions (n) | no door named | over none |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"Its own principles: {weak['n_mistakes']} of {weak['n_chains']} chains wrong "
        f"({weak['n_unread']} unread); {weak['n_low']} low-level principles,",
        f"of which {weak['n_low_that_copy']} repeat a training item and "
        f"{weak['n_low_that_name_the_exception']} name an exception with its door. For example:",
        "",
        *(f"> {text}\n" for text in weak["some"]),
    ]


def _points(each: dict[str, Any]) -> str:
    if each["difference"] is None:
        return "–"
    low = "" if each["low"] is None else f" [{100 * each['low']:+.1f}, {100 * each['high']:+.1f}]"
    return f"{100 * each['difference']:+.1f}{low}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _told(values: dict[str, Any]) -> str:
    return "; ".join(f"{name} {low:+.2f} / {high:+.2f}" for name, (low, high) in values.items())


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw the arms, and what becomes of plants."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    arms = [arm for arm in found["arms"] if arm != "none"][::-1]
    for place, arm in enumerate(arms):
        each = found["arms"][arm]
        tint = COLOURS["control"] if arm in CONTROLS else COLOURS["arm"]
        left.barh(place, 100 * each["over_none"], color=tint, height=0.65)
        if each["low"] is not None:
            ends = [
                100 * (each["over_none"] - each["low"]),
                100 * (each["high"] - each["over_none"]),
            ]
            left.errorbar(100 * each["over_none"], place, xerr=[[e] for e in ends], color="#333333",
                          capsize=3)  # fmt: skip
    left.set_yticks(range(len(arms)), arms)
    left.axvline(0, color="black", linewidth=1)
    none = found["arms"]["none"]["right"]
    left.set_xlabel(f"points over no principles ({100 * none:.0f} % right), 95 % over offices")
    left.set_title(f"Locked test items, {found['n_offices']} offices", fontsize=11)
    sorts = [sort for sort in SORTS if found["plants"][sort]["n"]][::-1]
    for place, sort in enumerate(sorts):
        each = found["plants"][sort]
        tint = COLOURS["true" if sort == "true" else "junk"]
        right.barh(place, 100 * each["share"], color=tint, height=0.65)
        ends = [100 * (each["share"] - each["low"]), 100 * (each["high"] - each["share"])]
        right.errorbar(100 * each["share"], place, xerr=[[max(0, e)] for e in ends],
                       color="#333333", capsize=3)  # fmt: skip
    names = [f"{sort}\n{found['plants'][sort]['accepted']} of {found['plants'][sort]['n']}"
             for sort in sorts]  # fmt: skip
    right.set_yticks(range(len(sorts)), names)
    right.set_xlim(0, 100)
    right.set_xlabel("% accepted by all gates, 95 % interval")
    right.set_title("Planted principles", fontsize=11)
    figure.savefig(path, dpi=110)
