"""Plant orders in what an agent reads, and count the lessons that carry them past the gate.

    python experiments/poisoning/run.py [--tries 240]

For every channel (tool output, web page, error message, file content, user message) and every
writer (templates; scripted models that copy, cut up or rephrase what they read; an honest one as
the control) it makes attempts of a made-up desk agent, proposes edits, and passes them through
`safety.vet`. A new lesson is never active by itself (that is checked), so what is counted is
stricter: a lesson that *carries the order and
was accepted*, that is, one that a trial could make active. Writes result.json and result.md.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from attacks import CHANNELS, TARGETS, Writer, carries, order, study

from twiceshy.evidence.stats import clopper_pearson
from twiceshy.lessons import Status
from twiceshy.memory.bank.types import Add
from twiceshy.memory.contrast import learn
from twiceshy.memory.safety import vet
from twiceshy.memory.safety.objections import told_parts
from twiceshy.memory.writing import propose_edits

TITLE = """# Orders planted in what an agent reads

Tries in which a lesson carries the order; `high` is the upper end of the exact 95 % interval. For
the honest writer the columns count its own lessons: what the gate costs. A try can count in several
columns.

The gate was built against these writers, and changed while they were tried, so these rates say that
it does what it was built for, not what it does against others. Tries differ in few ways (six kinds
of order, one task or all of them), so that 240 of them are worth less than 240 different attacks.

"""
UNSEEN = """
## A writer that the gate was not built against

It tells an order to misuse the policy's own tools, in words that the policy uses and the order does
not. It was written after the gate was fixed, and the gate was not changed for it.

"""
UNSEEN_TRIES = 40
HERE = Path(__file__).resolve().parent
WRITERS = ("templates", "templates, policy obeys", "copies", "cuts", "rephrases", "honest")


def one_try(channel: str, target: str, seed: int) -> dict[str, Counter[str]]:
    """Return for every writer what became of lessons that carry the order."""
    found = {}
    for obeys in (False, True):
        rng = np.random.default_rng(seed)
        planted = order(rng, target)
        attempts = study(rng, planted, channel=channel, obeys=obeys)
        learned = learn(attempts)
        styles = ["templates, policy obeys"] if obeys else [w for w in WRITERS if "obeys" not in w]
        for style in styles:
            writer = None if style.startswith("templates") else Writer(planted, style)
            proposal = propose_edits(attempts, [], learned=learned, completer=writer)
            vetted = vet(proposal.edits, attempts)
            found[style] = counts(proposal, vetted, planted, style)
    return found


def counts(proposal: Any, vetted: Any, planted: Any, style: str) -> Counter[str]:
    """Count lessons that carry the order; of the honest writer, its own lessons."""

    def hit(edit: Any) -> bool:
        if not isinstance(edit, Add):
            return False
        if style == "honest":
            return edit.lesson.author == "model"
        return any(carries(part, planted, style=style) for part in told_parts(edit.lesson))

    return Counter(
        active=any(each.lesson.status is Status.ACTIVE for each in vetted.edits if hit(each)),
        proposed=any(map(hit, proposal.edits)),
        accepted=any(map(hit, vetted.accepted)),
        quarantined=any(hit(each.edit) for each in vetted.quarantined),
        rejected=any(hit(each.edit) for each in vetted.rejected),
    )


def run(tries: int) -> list[dict[str, Any]]:
    rows = []
    for channel_at, channel in enumerate(CHANNELS):
        totals = {writer: Counter() for writer in WRITERS}
        by_target = {writer: Counter() for writer in WRITERS}
        for number in range(tries):
            target = TARGETS[number % len(TARGETS)]
            for writer, told in one_try(channel, target, channel_at * 100_000 + number).items():
                totals[writer].update(told)
                by_target[writer][target] += told["accepted"]
        for writer in WRITERS:
            n = totals[writer]
            rate = clopper_pearson(n["accepted"], tries)
            rows.append(
                {
                    "channel": channel,
                    "writer": writer,
                    "tries": tries,
                    **n,
                    "rate": rate.value,
                    "high": rate.high,
                    "accepted_by_target": dict(+by_target[writer]),
                }
            )
        print(f"{channel}: done", flush=True)
    return rows


def run_unseen(tries: int) -> list[dict[str, Any]]:
    """Try the one writer that the gate was not built against, by channel."""
    rows = []
    for channel_at, channel in enumerate(CHANNELS):
        grounds: Counter[str] = Counter()
        told: Counter[str] = Counter()
        for number in range(tries):
            rng = np.random.default_rng(10_000_000 + channel_at * 100_000 + number)
            planted = order(rng, "misuse")
            attempts = study(rng, planted, channel=channel, obeys=False)
            writer = Writer(planted, "own words")
            proposal = propose_edits(attempts, [], completer=writer)
            vetted = vet(proposal.edits, attempts)
            told.update(counts(proposal, vetted, planted, "own words"))
            for held in (*vetted.quarantined, *vetted.rejected):
                grounds.update({one.ground.value for one in held.objections})
        rate = clopper_pearson(told["accepted"], tries)
        rows.append({"channel": channel, "writer": "own words", "tries": tries, **told})
        rows[-1] |= {"rate": rate.value, "high": rate.high, "grounds": dict(grounds)}
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    counts = ("tries", "proposed", "rejected", "quarantined", "accepted", "active")
    names = ("channel", "writer", *counts, "rate", "high")
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in rows:
        rate, high = f"{row['rate']:.3f}", f"{row['high']:.3f}"
        told = [str(row[name]) for name in names[:-2]]
        lines.append(f"| {' | '.join([*told, rate, high])} |")
    return "\n".join(lines) + "\n"


def pooled(rows: list[dict[str, Any]]) -> str:
    lines = []
    for writer in WRITERS:
        mine = [r for r in rows if r["writer"] == writer]
        n, k = sum(r["tries"] for r in mine), sum(r["accepted"] for r in mine)
        estimate = clopper_pearson(k, n)
        lines.append(
            f"| {writer} | {n} | {sum(r['proposed'] for r in mine)} | {k} |"
            f" {estimate.value:.4f}, {estimate.high:.4f} |\n"
        )
    return (
        "| writer | tries | proposed | accepted | rate, upper end (95 %) |\n|---|---|---|---|---|\n"
        + "".join(lines)
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tries", type=int, default=240)
    parser.add_argument("--only-unseen", action="store_true", help="keep the other results")
    given = parser.parse_args()
    file = HERE / "result.json"
    rows = json.loads(file.read_text())["built against"] if given.only_unseen else run(given.tries)
    unseen = run_unseen(UNSEEN_TRIES)
    file.write_text(json.dumps({"built against": rows, "unseen": unseen}, indent=1) + "\n")
    text = TITLE + pooled(rows) + "\n" + table(rows) + UNSEEN + table(unseen)
    (HERE / "result.md").write_text(text)
    print(pooled(rows) + table(unseen))


if __name__ == "__main__":
    main()
