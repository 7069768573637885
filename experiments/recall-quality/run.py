"""How well recall finds the right lesson: BM25, dense and hybrid, on labelled pairs.

`pairs.jsonl` was written by hand for this: 42 paraphrases (the task shares next to no word with the
lesson), 42 identifiers (a code, a tool, a file or a field decides), 22 distractors and 24 tasks
that no lesson answers. All lessons lie in one bank; each query is ranked over all of them by the
code that `twiceshy recall` uses, through the SQLite engine. Every second query that no lesson
answers calibrates the floor; the others, and every second pair, test it. `floor_all` is calibrated
on all of them: what recall uses.

    python experiments/recall-quality/run.py            # static vectors
    python experiments/recall-quality/run.py --minilm   # and MiniLM, where it is installed
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from twiceshy.evidence.stats.intervals import wilson
from twiceshy.lessons import Evidence, Lesson, Status
from twiceshy.memory.bank import Add, Bank
from twiceshy.memory.recall.embedders import MiniLMEmbedder, StaticEmbedder
from twiceshy.memory.recall.index import Filter, Index
from twiceshy.memory.recall.scoring import ranked
from twiceshy.models import Embedder

FOLDER = Path(__file__).resolve().parent
WEIGHTS = (0.0, 0.1, 0.2, 0.3)
FALSE_RECALL = 0.1
"""Share of unanswerable queries that may get a lesson: sets the floor."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minilm", action="store_true")
    options = parser.parse_args()
    rows = [json.loads(line) for line in (FOLDER / "pairs.jsonl").read_text().splitlines()]
    models: list[Embedder | None] = [None, StaticEmbedder()]
    if options.minilm:
        models.append(MiniLMEmbedder())
    results = []
    for situated in (True, False):
        bank = bank_of(rows, situated=situated)
        for model in models:
            index = Index(bank, model)
            for weight in WEIGHTS if model else (1.0,):
                found = measure(index, bank, rows, weight)
                results.append({
                    "model": model.name if model else "words alone",
                    "weight": weight if model else None,
                    "situations": situated,
                    **found,
                })  # fmt: skip
        bank.close()
    (FOLDER / "result.json").write_text(json.dumps(results, indent=1) + "\n")
    (FOLDER / "result.md").write_text(table(results))
    plot([each for each in results if each["situations"]])
    print(table(results))


def bank_of(rows: list[dict[str, str]], *, situated: bool) -> Bank:
    """Put the lessons into a bank, with or without the tasks they come from."""
    bank = Bank.open(":memory:")
    bank.apply([
        Add(lesson=Lesson(
            id=row["id"], kind=row["kind"], text=row["text"], trigger=row["trigger"],
            status=Status.ACTIVE, evidence=Evidence(attempts_for=(row["id"],), n_tasks=2),
            extra={"situations": [row["learned_at"]]} if situated else {},
        ))
        for row in rows if "text" in row
    ])  # fmt: skip
    return bank


def measure(index: Index, bank: Bank, rows: list[dict[str, str]], weight: float) -> dict[str, Any]:
    wanted = Filter((Status.ACTIVE,))
    best: dict[str, list[tuple[float, int | None]]] = {}
    for row in rows:
        if "query" not in row:
            continue
        found = ranked(index, bank, row["query"], wanted=wanted, weight=weight, limit=200)
        places = [n for n, each in enumerate(found) if index.ids[each.row] == row["id"]]
        top = found[0].score if found else 0.0
        best.setdefault(row["part"], []).append((top, places[0] if places else None))
    unanswerable = [top for top, _ in best.pop("unanswerable")]
    floor = float(np.quantile(unanswerable[::2], 1 - FALSE_RECALL))
    told: dict[str, Any] = {
        "floor": round(floor, 3),
        "floor_all": round(float(np.quantile(unanswerable, 1 - FALSE_RECALL)), 3),
        "false_recall": share(top >= floor for top in unanswerable[1::2]),
    }
    for part, queries in best.items():
        told[part] = {
            "recall@1": share(place == 0 for _, place in queries),
            "recall@5": share(place is not None and place < 5 for _, place in queries),
            "mrr": round(float(np.mean([0 if p is None else 1 / (p + 1) for _, p in queries])), 3),
            "right_and_told": share(top >= floor and p == 0 for top, p in queries[1::2]),
            "anything_told": share(top >= floor for top, _ in queries[1::2]),
        }
    return told


def share(hits: Iterable[bool]) -> dict[str, Any]:
    seen = list(hits)
    value, low, high = (
        round(each, 3) for each in wilson(sum(seen), len(seen))[:3] if each is not None
    )
    return {"value": value, "low": low, "high": high, "n": len(seen)}


def table(results: list[dict[str, Any]]) -> str:
    lines = [
        "| model | a | tasks indexed | paraphrase R@1 | R@5 | identifier R@1 | R@5 | "
        "floor (of all) | unanswerable told | paraphrases right and told | "
        "identifiers right and told |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in results:
        para, ident = each["paraphrase"], each["identifier"]
        cells = [
            each["model"], "" if each["weight"] is None else each["weight"],
            "yes" if each["situations"] else "no", text(para["recall@1"]), text(para["recall@5"]),
            text(ident["recall@1"]), text(ident["recall@5"]),
            f"{each['floor']} ({each['floor_all']})",
            text(each["false_recall"]), text(para["right_and_told"]), text(ident["right_and_told"]),
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return (
        "\n".join(lines)
        + "\n\nIntervals: Wilson, 95 %; floors set on one half, tested on the other.\n"
    )


def text(found: dict[str, Any]) -> str:
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}] n={found['n']}"


def plot(results: list[dict[str, Any]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 0.42 * len(results) + 1.4), sharey=True)
    names = [
        each["model"].replace("wordllama-l2-supercat-256", "static").replace("all-", "")
        + (
            ""
            if each["weight"] is None
            else " alone"
            if each["weight"] == 0
            else f" + {each['weight']} words"
        )
        for each in results
    ]
    for axis, part in zip(axes, ("paraphrase", "identifier"), strict=True):
        for measure_name, colour, shift in (
            ("recall@1", "#1f4e79", -0.14),
            ("recall@5", "#c55a11", 0.14),
        ):
            found = [each[part][measure_name] for each in results]
            value = np.array([each["value"] for each in found])
            spread = np.array(
                [[v["value"] - v["low"] for v in found], [v["high"] - v["value"] for v in found]]
            )
            axis.errorbar(value, np.arange(len(found)) + shift, xerr=np.maximum(spread, 0), fmt="o",
                          color=colour, capsize=3, label=measure_name)  # fmt: skip
        axis.set_title(f"{part}s, n = {results[0][part]['recall@1']['n']}")
        axis.set_xlim(-0.02, 1.04)
        axis.set_xlabel("share of queries (95 % interval)")
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    axes[1].legend(loc="lower left", frameon=False)
    figure.tight_layout()
    figure.savefig(FOLDER / "plot.png", dpi=110)


if __name__ == "__main__":
    main()
