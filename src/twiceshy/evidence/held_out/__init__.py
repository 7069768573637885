"""Do lessons mined on some tasks rank the attempts at other tasks?

`prove` splits by task, mines on the training tasks only, and asks whether the lesson score ranks
failures above successes *of the same unseen task*. The null is the whole procedure on shuffled
labels; the real run is ranked among single shuffled runs.
"""

from twiceshy.evidence.held_out.measure import Validity
from twiceshy.evidence.held_out.procedure import Arm, Baseline, HeldOut, NullRank, prove
from twiceshy.evidence.held_out.runs import Miner
from twiceshy.evidence.held_out.transfer import Lift, Transfer
from twiceshy.evidence.held_out.verdict import (
    MIXED_TO_CLAIM,
    MIXED_TO_SUGGEST,
    NeededTasks,
    needed_tasks,
)

__all__ = [
    "MIXED_TO_CLAIM",
    "MIXED_TO_SUGGEST",
    "Arm",
    "Baseline",
    "HeldOut",
    "Lift",
    "Miner",
    "NeededTasks",
    "NullRank",
    "Transfer",
    "Validity",
    "needed_tasks",
    "prove",
]
