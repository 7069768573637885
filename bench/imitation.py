"""`audit imitation` on four files of 10,000 answers each, from the files to the picture.

Answers have about 150 words, lists and headers; each side has verdicts. Times the work in this
process (reading, all measures with 500 bootstrap draws, the picture), then the whole command in a
process of its own, without judgements.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from twiceshy.attempts import read_attempts
from twiceshy.evidence.imitation import Preference, audit_imitation
from twiceshy.evidence.imitation.picture import draw_imitation

N_ANSWERS, N_PREFERENCES = 10_000, 4_000
TARGET_SECONDS = 10.0
VOICES = {"base": (0.3, 0.1), "student": (0.28, 0.9), "teacher": (0.8, 0.9), "resample": (0.8, 0.9)}
TEXT = """the of and to is that it was for are with this be we you have not so from which
river metal bridge engine number answer value perhaps likely check system city result
method energy source market history people water light sound structure"""
WORDS = TEXT.split()
COMMAND = (sys.executable, "-m", "twiceshy", "audit", "imitation")
IMITATION = 1
"""Exit code of an audit that fails, as it does on these files."""


def write(path: Path, *, right: float, fancy: float, seed: int) -> None:
    """Write one side as JSONL of our own format."""
    rng = np.random.default_rng(seed)
    with path.open("w") as file:
        for i in range(N_ANSWERS):
            words = rng.choice(WORDS, size=int(rng.integers(100, 200)))
            text = " ".join(words)
            if rng.random() < fancy:
                parts = [" ".join(part) for part in np.array_split(words, 5)]
                text = "## Answer\n\n" + "\n".join(f"- **{p[:9]}** {p}" for p in parts)
                text += "\n\nOverall this is the answer."
            outcome = "success" if rng.random() < right else "failure"
            row = {
                "version": 1,
                "task": f"q{i}",
                "policy": path.stem,
                "steps": [{"role": "assistant", "text": text}],
                "verdict": {"outcome": outcome, "source": "verifier"},
            }
            file.write(json.dumps(row) + "\n")


def preferences() -> list[Preference]:
    """Return judgements in both orders."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(N_PREFERENCES // 2):
        wins = rng.random() < 0.6
        for first, second in (("student", "teacher"), ("teacher", "student")):
            winner = "first" if wins == (first == "student") else "second"
            found.append(Preference(task=f"q{i}", first=first, second=second, winner=winner))
    return found


def run_command(folder: Path) -> float:
    """Return the seconds of the command, interpreter's start included."""
    names = {"base": "base", "student": "student", "teacher": "teacher", "teacher2": "resample"}
    options = [f"--{option}={folder / side}.jsonl" for option, side in names.items()]
    began = time.perf_counter()
    done = subprocess.run(
        [*COMMAND, *options, f"--picture={folder / 'command.png'}"],
        check=False,
        capture_output=True,
    )
    seconds = time.perf_counter() - began
    if done.returncode != IMITATION or not (folder / "command.png").exists():
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.decode()[-500:]}")
    return seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed, (side, (right, fancy)) in enumerate(VOICES.items()):
            write(folder / f"{side}.jsonl", right=right, fancy=fancy, seed=seed)
        began, cpu = time.perf_counter(), time.process_time()
        sides = {side: tuple(read_attempts(folder / f"{side}.jsonl")) for side in VOICES}
        read = time.perf_counter()
        report = audit_imitation(**sides, preferences=preferences())
        audited = time.perf_counter()
        draw_imitation(report, folder / "picture.png")
        ended = time.perf_counter()
        spent = time.process_time() - cpu
        command_seconds = run_command(folder)
    print(
        json.dumps(
            {
                "files": len(VOICES),
                "answers_a_file": N_ANSWERS,
                "judgements": N_PREFERENCES,
                "seconds": round(ended - began, 2),
                "cpu_seconds": round(spent, 2),
                "command_seconds": round(command_seconds, 2),
                "target_seconds": TARGET_SECONDS,
                "seconds_reading": round(read - began, 2),
                "seconds_measuring": round(audited - read, 2),
                "seconds_picture": round(ended - audited, 2),
                "finding": report.numbers["finding"],
            }
        )
    )


if __name__ == "__main__":
    main()
