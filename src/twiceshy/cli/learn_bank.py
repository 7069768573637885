"""What `learn` found, into a bank: as edits, through the gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twiceshy.attempts import Attempt
from twiceshy.cli.output import counted
from twiceshy.evidence.report import Alarm
from twiceshy.memory import Learned
from twiceshy.memory.bank import Bank
from twiceshy.memory.bank.types import Edit
from twiceshy.memory.safety import vet
from twiceshy.memory.writing import propose_edits
from twiceshy.models import Completer


class Stored(NamedTuple):
    """What became of the lessons."""

    summary: str
    numbers: dict[str, Any]
    alarms: tuple[Alarm, ...]


def store(
    attempts: Sequence[Attempt],
    learned: Learned,
    *,
    path: Path,
    completer: Completer | None = None,
    seed: int = 0,
) -> Stored:
    """Apply what attempts teach to a bank as edits: known lessons are refined, not written again.

    Raises:
        BadInput: The file cannot be used as a bank.
    """
    with Bank.open(path) as bank:
        known = bank.lessons()
        proposal = propose_edits(attempts, known, learned=learned, completer=completer, seed=seed)
        vetted = vet(proposal.edits, attempts, known=known)
        bank.apply(vetted.edits, actor="learn")
    told = _told(vetted.edits)
    return Stored(
        summary=f"Into {path.name}: {told or 'nothing new'}.",
        numbers={"proposal": proposal.numbers, "gate": vetted.numbers},
        alarms=_alarms(vetted.numbers),
    )


def _told(edits: Sequence[Edit]) -> str:
    verbs = {"Add": "added", "Refine": "refined", "Merge": "merged", "Split": "split"}
    verbs |= {"SetEvidence": "with newer evidence", "SetStatus": "with another status"}
    counts = Counter(type(each).__name__ for each in edits)
    return ", ".join(f"{counted(n, 'lesson')} {verbs[name]}" for name, n in counts.items())


def _alarms(numbers: dict[str, Any]) -> tuple[Alarm, ...]:
    return tuple(
        Alarm(name=name, severity="warning", message=f"The gate {told} {n}: {_why(numbers[name])}.")
        for name, told in (("rejected", "kept out"), ("quarantined", "put into quarantine"))
        if (n := numbers[f"n_{name}"])
    )


def _why(grounds: dict[str, int]) -> str:
    return "; ".join(f"{ground} ({n})" for ground, n in grounds.items())
