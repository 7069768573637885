"""Make the attempts that ship in `twiceshy.demo_data`, and the table of what the arms did.

    python experiments/demo_attempts/make.py

Needs `pip install "twiceshy[textworld]"`. Everything follows from the seeds below. An interrupted
run goes on where it stopped: games are kept in the cache, attempts in the work folder.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from twiceshy.attempts.codec import encode
from twiceshy.attempts.types import Attempt
from twiceshy.evidence.stats import bootstrap
from twiceshy.integrations.textworld import ARMS, POLICY, Arm, GameId, collect, game_ids
from twiceshy.integrations.textworld.games import default_cache, ensure_game
from twiceshy.integrations.textworld.literals import walkthrough_literals
from twiceshy.integrations.textworld.runner import load_game
from twiceshy.lessons import Lesson
from twiceshy.memory.contrast.conditions import holds, parse_pattern
from twiceshy.memory.contrast.conditions_lessons import ConditionLessons, mine_conditions

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "src" / "twiceshy" / "demo_data"

N_TRAIN, TRAIN_TRIES = 170, 8
HELD_OUT: tuple[GameId, ...] = (
    *game_ids("near", 40),
    *game_ids("more_food", 30),
    *game_ids("more_rooms", 30),
)
HELD_OUT_TRIES, HELD_OUT_SEED = 4, 100
TRIAL_SEEDS = 4
DRAWS = 2000

STUDY: dict[str, dict[str, tuple[float, float]]] = {
    "near": {
        "none": (18.5, 54),
        "placebo": (14.0, 44),
        "success_only": (64.0, 34),
        "failure_only": (36.5, 8),
        "both": (91.0, 6),
    },
    "more_food": {
        "none": (13.3, 72),
        "placebo": (12.5, 63),
        "success_only": (32.5, 68),
        "failure_only": (34.2, 18),
        "both": (82.5, 17),
    },
    "more_rooms": {
        "none": (12.5, 65),
        "placebo": (13.8, 56),
        "success_only": (46.3, 50),
        "failure_only": (33.8, 11),
        "both": (87.5, 8),
    },
}
"""Success and loss in per cent of an earlier experiment with the same game settings, another prior,
other random numbers and another miner, and a fixed random pattern as placebo."""


def main() -> None:
    """Collect, mine, try out, and write the data and the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder of games")
    parser.add_argument("--work", type=Path, help="folder of attempts in the making")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    work = given.work or given.cache.parent / f"demo-{POLICY}"
    work.mkdir(parents=True, exist_ok=True)
    is_fresh = not any(work.iterdir()) and not given.cache.exists()
    started = time.perf_counter()
    common = {"cache": given.cache, "processes": given.processes}

    train = _collect("train", game_ids("train", N_TRAIN), TRAIN_TRIES, work=work, **common)
    began = time.perf_counter()
    mined = mine_conditions(train)
    mining_seconds = time.perf_counter() - began
    held_out = _collect(
        "held_out", HELD_OUT, HELD_OUT_TRIES, work=work, seed=HELD_OUT_SEED, **common
    )
    trial = [
        attempt
        for arm in ARMS
        for attempt in _collect(
            f"trial-{arm}", HELD_OUT, TRIAL_SEEDS, work=work, arm=arm, lessons=mined.all, **common
        )
    ]
    sizes = _write(train=train, held_out=held_out, trial=trial, lessons=mined.all)
    result = _result(train, held_out, trial=trial, mined=mined)
    result["misfires"] = _misfires(mined.avoid, cache=given.cache)
    result["wall_seconds"] = round(time.perf_counter() - started, 1)
    result["from_empty_cache"] = is_fresh
    result["mining_seconds"] = round(mining_seconds, 2)
    result["bytes"] = sizes
    (HERE / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "result.md").write_text(_markdown(result))
    _plot(result, HERE / "plot.png")
    print(_markdown(result))


def _collect(
    name: str,
    games: Sequence[GameId],
    tries: int,
    *,
    work: Path,
    cache: Path,
    processes: int,
    seed: int = 0,
    arm: Arm = "none",
    lessons: Sequence[Lesson] = (),
) -> list[Attempt]:
    def show(done: int, total: int) -> None:
        if done % 100 == 0 or done == total:
            print(f"{name}: {done} of {total}", file=sys.stderr)

    return list(
        collect(
            games=games,
            attempts_per_game=tries,
            arm=arm,
            lessons=lessons,
            seed=seed,
            out=work / f"{name}.jsonl",
            cache=cache,
            processes=processes,
            progress=show,
        )
    )


def _write(**records: Sequence[Attempt] | Sequence[Lesson]) -> dict[str, int]:
    """Write each set gzipped; no time stamp, so that equal content is equal bytes."""
    sizes = {}
    for name, rows in records.items():
        path = DATA / f"{name}.jsonl.gz"
        path.write_bytes(gzip.compress(b"".join(encode(r) + b"\n" for r in rows), 9, mtime=0))
        sizes[path.name] = path.stat().st_size
    return sizes


def _result(
    train: Sequence[Attempt],
    held_out: Sequence[Attempt],
    *,
    trial: Sequence[Attempt],
    mined: ConditionLessons,
) -> dict[str, Any]:
    by_set: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in trial:
        by_set[attempt.extra["set"]].append(attempt)
    found = mined.found
    return {
        "policy": POLICY,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("textworld", "twiceshy", "numpy")},
        },
        "seeds": {
            "train": [0, TRAIN_TRIES],
            "held_out": [HELD_OUT_SEED, HELD_OUT_SEED + HELD_OUT_TRIES],
            "trial": [0, TRIAL_SEEDS],
        },
        "train": _rates(train),
        "held_out": {name: _rates(rows) for name, rows in _split(held_out).items()},
        "trial": {
            name: {arm: _rates(rows) for arm, rows in _arms(rows).items()}
            for name, rows in by_set.items()
        },
        "contrasts": {name: _contrasts(rows) for name, rows in by_set.items()},
        "mining": {
            "n_attempts": len(found.attempts),
            "n_mixed_tasks": found.n_mixed_tasks,
            "n_tested": found.n_tested,
            "n_significant": found.n_significant,
            "avoid": [
                {
                    "pattern": str(rule.pattern),
                    "instead": lesson.extra["instead_pattern"],
                    "n_fatal": rule.n_fatal,
                    "n_steps": rule.n_steps,
                    "baseline": round(rule.baseline, 3),
                    "n_won": rule.n_won,
                    "q": rule.q_value,
                    "level": str(lesson.level),
                }
                for rule, lesson in zip(found.avoid, mined.avoid, strict=True)
            ],
            "strategies": [lesson.pattern for lesson in mined.strategies],
            "n_demonstrations": len(mined.demonstrations),
        },
    }


def _misfires(lessons: Sequence[Lesson], *, cache: Path) -> dict[str, Any]:
    """How many steps of each set's own walkthroughs, which all win, the rules would forbid."""
    result: dict[str, Any] = {}
    for game in (*HELD_OUT, *game_ids("new_tool", 20)):
        counts = result.setdefault(game.game_set, {"n_steps": 0, "n_forbidden": 0, "n_grilling": 0})
        for verb, literals in walkthrough_literals(load_game(ensure_game(game, cache))):
            counts["n_steps"] += 1
            counts["n_grilling"] += "tool is BBQ" in literals
            counts["n_forbidden"] += any(
                holds(parse_pattern(lesson.pattern), verb=verb, facts=literals)
                for lesson in lessons
            )
    return result


def _split(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    sets: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        sets[attempt.extra["set"]].append(attempt)
    return sets


def _arms(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    arms: dict[str, list[Attempt]] = {arm: [] for arm in ARMS}
    for attempt in attempts:
        arms[attempt.extra["arm"]].append(attempt)
    return arms


def _rates(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Shares of each ending in per cent, intervals by bootstrap over games."""
    n = len(attempts)
    ending = Counter(attempt.ending for attempt in attempts)
    won = _by_game(attempts, "won")
    interval = bootstrap(list(won.values()), lambda rows: float(rows.mean()), seed=0, draws=DRAWS)
    return {
        "n_games": len(won),
        "n_attempts": n,
        "won": _percent(ending["won"] / n),
        "won_low": _percent(interval.low),
        "won_high": _percent(interval.high),
        "lost": _percent(ending["lost"] / n),
        "timed_out": _percent(ending["max_steps"] / n),
        "mean_steps": round(sum(len(attempt.steps) for attempt in attempts) / n, 1),
        "n_games_with_a_win": sum(rate > 0 for rate in won.values()),
    }


def _by_game(attempts: Iterable[Attempt], ending: str) -> dict[str, float]:
    games: dict[str, list[bool]] = defaultdict(list)
    for attempt in attempts:
        games[attempt.task].append(attempt.ending == ending)
    return {game: sum(flags) / len(flags) for game, flags in games.items()}


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _contrasts(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Paired differences in points, for wins and for losses, bootstrap over games."""
    arms = _arms(attempts)
    result = {}
    for first, second in combinations(ARMS, 2):
        result[f"{second} - {first}"] = {
            ending: _difference(arms[first], arms[second], ending) for ending in ("won", "lost")
        }
    return result


def _difference(before: Sequence[Attempt], after: Sequence[Attempt], ending: str) -> dict[str, Any]:
    first, second = _by_game(before, ending), _by_game(after, ending)
    rows = np.array([second[game] - first[game] for game in first])
    found = bootstrap(rows, lambda sample: float(sample.mean()), seed=0, draws=DRAWS)
    return {
        "points": _percent(found.value),
        "low": _percent(found.low),
        "high": _percent(found.high),
        "n_games": len(rows),
    }


def _markdown(result: dict[str, Any]) -> str:
    lines = [
        "# What the shipped attempts show",
        "",
        "Written by `make.py`. Per cent of attempts; intervals are 95 % percentile bootstrap over",
        "games, not corrected for the number of comparisons, and leave out the variance of the one",
        "training collection. *Study* is an earlier experiment (see README.md).",
        "",
        "| set | arm | games | tries | won | lost | timed out | steps | study won | study lost |",
        "|---|---|---|---|---|---|---|---|---|---|",
        _row("train", "none", result["train"], (19.5, 53.8)),
    ]
    for name, arms in result["trial"].items():
        lines += [_row(name, arm, rates, STUDY[name][arm]) for arm, rates in arms.items()]
    lines += ["", "Paired differences between arms, points [95 %]:", ""]
    lines += ["| set | arms | won | lost |", "|---|---|---|---|"]
    for name, pairs in result["contrasts"].items():
        lines += [
            f"| {name} | {pair.replace(' - ', ' − ')} | {_span(d['won'])} | {_span(d['lost'])} |"
            for pair, d in pairs.items()
        ]
    lines += ["", "Rules mined from the training attempts (fatal / matching steps):", ""]
    lines += [
        f"- `{rule['pattern']}` {rule['n_fatal']}/{rule['n_steps']}, baseline "
        f"{rule['baseline']:.2f}, wins hit {rule['n_won']}; instead `{rule['instead']}`"
        for rule in result["mining"]["avoid"]
    ]
    lines += ["", "Steps of the games' own winning walkthroughs that the rules forbid:", ""]
    lines += ["| set | steps | with a tool not met in training | forbidden |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {d['n_steps']} | {d['n_grilling']} | {d['n_forbidden']} |"
        for name, d in result["misfires"].items()
    ]
    return "\n".join(lines) + "\n"


def _plot(result: dict[str, Any], path: Path) -> None:
    """Draw won, lost and timed out by set and arm, with the interval of won."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    colours = {"won": "#2f6da8", "timed_out": "#c9ccd1", "lost": "#b4502f"}
    panels = figure.subplots(1, len(result["trial"]), sharey=True)
    for axes, (name, arms) in zip(panels, result["trial"].items(), strict=True):
        for place, rates in enumerate(reversed(list(arms.values()))):
            left = 0.0
            for ending, colour in colours.items():
                label = ending.replace("_", " ") if place == 0 else None
                axes.barh(place, rates[ending], left=left, color=colour, label=label)
                left += rates[ending]
            axes.plot([rates["won_low"], rates["won_high"]], [place, place], color="black")
        axes.set_yticks(range(len(arms)), [arm.replace("_", " ") for arm in reversed(list(arms))])
        axes.set_xlabel("% of attempts")
        axes.set_title(f"{name}, {rates['n_games']} games")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)


def _row(name: str, arm: str, rates: dict[str, Any], study: tuple[float, float]) -> str:
    won = f"{rates['won']} [{rates['won_low']}, {rates['won_high']}]"
    cells = [name, arm, rates["n_games"], rates["n_attempts"], won, rates["lost"]]
    cells += [rates["timed_out"], rates["mean_steps"], *study]
    return "| " + " | ".join(map(str, cells)) + " |"


def _span(difference: dict[str, Any]) -> str:
    return f"{difference['points']:+} [{difference['low']:+}, {difference['high']:+}]"


if __name__ == "__main__":
    main()
