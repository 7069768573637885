"""Mine two public logs for what separates failures from successes, and test it on unseen tasks.

    python experiments/log_contrast/run.py --data FOLDER

FOLDER holds `tau_bench_airline_gpt4o.json` (sierra-research/tau-bench, `gpt-4o-airline.json` of its
historical trajectories, MIT) and `gsm8k_model_solutions.jsonl` (openai/grade-school-math, example
model solutions, MIT). Writes result.json, result.md and plot.png beside this file. Eight seeds, 100
shuffled runs each; about two minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from twiceshy.attempts import Attempt, read_attempts
from twiceshy.evidence.stats.ranking import Auc
from twiceshy.memory.contrast import Learned, learn

HERE = Path(__file__).resolve().parent
SEEDS = range(8)
N_NULL = 100
STUDY = {
    "tau_bench": {
        "mixed tasks": 26,
        "claimed lessons": 0,
        "within-task AUC, both": 0.493,
        "message count, overall AUC": 0.671,
        "message count, within-task AUC": 0.426,
        "pooled discoveries": 102,
    },
    "gsm8k": {
        "mixed tasks": 731,
        "claimed lessons": 24,
        "within-task AUC, both": 0.700,
        "within-task AUC, failure only": 0.714,
        "within-task AUC, success only": 0.550,
        "within-task AUC, hand checks": 0.671,
        "placebo": 0.501,
        "pooled miner, within-task AUC": 0.684,
        "pooled miner, placebo": 0.629,
        "pooled discoveries": 62,
    },
}
"""An earlier study of the same files, with its own vocabulary of patterns."""


def load(folder: Path) -> dict[str, list[Attempt]]:
    mapping = {"task": "question", "answer": "solution", "success": "is_correct"}
    return {
        "tau_bench": list(read_attempts([folder / "tau_bench_airline_gpt4o.json"])),
        "gsm8k": list(read_attempts([folder / "gsm8k_model_solutions.jsonl"], mapping=mapping)),
    }


def row(learned: Learned) -> dict[str, float | None]:
    """Return the figures of one seed."""
    held_out = learned.held_out
    arms, baselines = held_out.arms, held_out.baselines
    main = held_out.main
    pooled = arms["pooled"]
    found: dict[str, float | None] = {
        "mixed tasks": held_out.n_mixed_tasks,
        "patterns tested": learned.mined.n_tested,
        "claimed lessons": len(learned.mined.supported),
        "within-task AUC, both": main.held_out.within.value,
        "adjusted for policy, both": main.held_out.adjusted.value
        if main.held_out.adjusted
        else None,
        "overall AUC, both": main.held_out.overall.value,
        "rank among shuffled runs, p": main.null.p_value if main.null else None,
        "placebo": main.placebo.mean if main.placebo else None,
        "within-task AUC, failure only": arms["failure_only"].held_out.within.value,
        "within-task AUC, success only": arms["success_only"].held_out.within.value,
        "pooled miner, within-task AUC": pooled.held_out.within.value,
        "pooled miner, overall AUC": pooled.held_out.overall.value,
        "pooled miner, placebo": pooled.placebo.mean if pooled.placebo else None,
        "pooled discoveries": len(learned.pooled.discoveries),
        "pooled discoveries of opposite sign": len(learned.pooled.opposite),
    }
    for name, label in (
        ("hand_checks", "hand checks"),
        ("oddness", "oddness"),
        ("message_count", "message count"),
    ):
        if name in baselines:
            validity = baselines[name].held_out
            found[f"within-task AUC, {label}"] = validity.within.value
            if name == "message_count":
                found["message count, within-task AUC"] = validity.within.value
                found["message count, overall AUC"] = validity.overall.value
    found.pop("within-task AUC, message count", None)
    return found


def interval(auc: Auc) -> list[float | None]:
    return [auc.low, auc.high]


def study(attempts: list[Attempt]) -> dict[str, Any]:
    runs = [learn(attempts, n_null=N_NULL, seed=seed, max_demonstrations=0) for seed in SEEDS]
    rows = [row(each) for each in runs]
    names = list(dict.fromkeys(name for each in rows for name in each))
    columns = {name: [each[name] for each in rows if each.get(name) is not None] for name in names}
    first = runs[0].held_out
    scores = {**first.arms, **first.baselines}
    return {
        "n_attempts": len(attempts),
        "seeds": list(SEEDS),
        "n_null": N_NULL,
        "figures": {
            name: {
                "mean": statistics.fmean(values) if values else None,
                "least": min(values, default=None),
                "most": max(values, default=None),
                "n_seeds": len(values),
            }
            for name, values in columns.items()
        },
        "within_auc_seed_0": {
            name: {
                "value": each.held_out.within.value,
                "interval": interval(each.held_out.within),
                "overall": each.held_out.overall.value,
            }
            for name, each in scores.items()
        },
        "clearly_reversed": [each.name for each in runs[0].pooled.reversed],
    }


def markdown(results: dict[str, dict[str, Any]]) -> str:
    lines = [
        "# What contrast finds in two public logs",
        "",
        "Written by `run.py`. Mean over eight seeds of folds and shuffles, with the least and the",
        "most; *study* is an earlier study of the same files with its own patterns.",
    ]
    for name, result in results.items():
        lines += ["", f"## {name}", "", f"{result['n_attempts']} attempts.", ""]
        lines += ["| figure | mean | least | most | study |", "|---|---|---|---|---|"]
        for figure, value in result["figures"].items():
            published = STUDY[name].get(figure)
            cells = (value["mean"], value["least"], value["most"], published)
            lines.append(f"| {figure} | {' | '.join(_cell(each) for each in cells)} |")
        reversed_ = ", ".join(f"*{each}*" for each in result["clearly_reversed"]) or "none"
        lines += ["", f"Clearly opposite effects pooled and within tasks: {reversed_}."]
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) and not value.is_integer() else f"{value:g}"


def plot(results: dict[str, dict[str, Any]], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, result) in zip(figure.subplots(1, 2), results.items(), strict=True):
        scores = list(reversed(result["within_auc_seed_0"].items()))
        for place, (_, score) in enumerate(scores):
            low, high = score["interval"]
            if low is not None:
                axes.plot([low, high], [place, place], color="#2f6da8", linewidth=2)
            axes.plot(score["value"], place, "o", color="#2f6da8")
            axes.plot(score["overall"], place, "x", color="#b4502f")
        axes.axvline(0.5, color="#888888", linestyle=":")
        axes.set_yticks(range(len(scores)), [label.replace("_", " ") for label, _ in scores])
        axes.set_xlabel("AUC on unseen tasks: dot within task, cross overall")
        axes.set_title(f"{name}, {result['n_attempts']} attempts, seed 0")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the two files")
    logs = load(parser.parse_args().data)
    results = {name: study(attempts) for name, attempts in logs.items()}
    (HERE / "result.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "result.md").write_text(markdown(results))
    plot(results, HERE / "plot.png")
    print(markdown(results))


if __name__ == "__main__":
    main()
