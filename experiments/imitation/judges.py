"""Does style control find the true ranking under a judge that likes style? Rates over many draws.

    python experiments/imitation/judges.py

Three contestants whose strengths are set; the weakest has most style. A judge prefers by strength
and by style, at four biases; judgements are of random pairs. For each draw the ranking by raw win
rate, by Bradley-Terry and by Bradley-Terry with style held fixed is compared with the true one.
Writes judges.json and judges.md beside this file. Takes seconds.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats import wilson
from twiceshy.evidence.stats.preferences import bradley_terry

HERE = Path(__file__).resolve().parent
STRENGTH = np.array([0.0, -0.5, 0.5])
STYLE, SPREAD = np.array([0.0, 0.9, 0.7]), 0.6
BIASES, N_JUDGEMENTS, N_DRAWS = (0.0, 0.5, 1.0, 1.5, 3.0), 300, 500
TRUE = (2, 0, 1)

Row = dict[str, float | int]


def judged(
    bias: float, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return pairs, scores and differences in style of one draw."""
    rng = np.random.default_rng([seed, round(10 * bias)])
    pairs = np.array([(0, 1), (0, 2), (1, 2)])[rng.integers(3, size=N_JUDGEMENTS)]
    own = STYLE + rng.normal(scale=SPREAD, size=(N_JUDGEMENTS, 3))
    rows = np.arange(N_JUDGEMENTS)
    gap = own[rows, pairs[:, 0]] - own[rows, pairs[:, 1]]
    logit = STRENGTH[pairs[:, 0]] - STRENGTH[pairs[:, 1]] + bias * gap
    score = (rng.random(N_JUDGEMENTS) < 1 / (1 + np.exp(-logit))).astype(float)
    return pairs, score, gap[:, None]


def by_win_rate(pairs: NDArray[np.int64], score: NDArray[np.float64]) -> tuple[int, ...]:
    """Return contestants by their share of wins."""
    wins = [
        float(np.concatenate([score[pairs[:, 0] == i], 1 - score[pairs[:, 1] == i]]).mean())
        for i in range(len(STRENGTH))
    ]
    return tuple(int(i) for i in np.argsort([-rate for rate in wins]))


def rates(bias: float) -> Row:
    """Return how often each way finds the true ranking."""
    right = {"win rate": 0, "raw": 0, "style held fixed": 0}
    for seed in range(N_DRAWS):
        pairs, score, style = judged(bias, seed=seed)
        right["win rate"] += by_win_rate(pairs, score) == TRUE
        right["raw"] += bradley_terry(pairs, score, draws=0).order == TRUE
        held = bradley_terry(pairs, score, style=style, draws=0)
        right["style held fixed"] += held.order == TRUE
    found: Row = {"bias": bias, "draws": N_DRAWS, "judgements": N_JUDGEMENTS}
    for name, n in right.items():
        interval = wilson(n, N_DRAWS)
        found |= {name: n / N_DRAWS, f"{name} low": interval.low, f"{name} high": interval.high}
    return found


def main() -> None:
    rows = [rates(bias) for bias in BIASES]
    (HERE / "judges.json").write_text(json.dumps(rows, indent=1) + "\n")
    names = ("win rate", "raw", "style held fixed")
    head = ["bias, logits", "by win rate", "Bradley-Terry", "with style held fixed"]
    lines = [
        "# A judge that likes style: how often the true ranking is found",
        "",
        f"Written by `judges.py`: {N_DRAWS} draws of {N_JUDGEMENTS} judgements; Wilson 95 %.",
        "",
        f"| {' | '.join(head)} |",
        "|" + " --- |" * len(head),
    ]
    for row in rows:
        cells = [f"{row[n]:.3f} [{row[f'{n} low']:.3f}, {row[f'{n} high']:.3f}]" for n in names]
        lines.append(f"| {row['bias']:g} | {' | '.join(cells)} |")
    (HERE / "judges.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
