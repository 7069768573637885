"""Solve rates that outlive a run: a gate's visits in a `SolveRateLedger`, each exactly once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np

from twiceshy.frontier.groups import Tallies
from twiceshy.frontier.ledger import DEFAULT_PRIOR, SolveRateLedger
from twiceshy.training.gates import FrontierGate, Visit

POLICY = "policy"
"""Name of the policy in the ledger unless another is given."""


class GateLedger:
    """What a gate knows of its prompts, kept in a file that several runs share.

    Every visit is stamped with its run and step. Visits are written in order, a step a transaction,
    and a step that carries this run's stamp already is not written again, so a run that was killed
    between writing and its checkpoint counts nothing twice and loses nothing.

    Args:
        path: The ledger's file; made when absent. Its decay has to be the gate's.
        prompts: Name of each prompt of the gate's pool, by row.
        run: Identity of the run.
        policy: Name of the policy in the ledger.

    Raises:
        BadInput: The file is not a ledger, or has another decay.
    """

    def __init__(
        self, path: Path, *, prompts: Sequence[str], run: str, policy: str = POLICY
    ) -> None:
        self.path, self.prompts, self.run, self.policy = path, list(prompts), run, policy

    def recall(self, gate: FrontierGate) -> None:
        """Give a new gate what the ledger knows of its prompts."""
        with SolveRateLedger(self.path, decay=gate.config.decay) as ledger:
            known = {row.task: row for row in ledger.rows() if row.policy == self.policy}
        for row, prompt in enumerate(self.prompts):
            if (found := known.get(prompt)) is not None:
                gate.visits.alpha[row] = found.alpha
                gate.visits.beta[row] = found.beta
                gate.visits.n_scored[row] = found.n_success + found.n_failure
        kept = [gate.visits.alpha.tolist(), gate.visits.beta.tolist()]
        gate.visits.origin = hashlib.sha256(msgspec.json.encode(kept)).hexdigest()[:16]

    def record(self, gate: FrontierGate) -> int:
        """Write the gate's visits that are not in the ledger yet; return how many."""
        n_written = 0
        with SolveRateLedger(self.path, decay=gate.config.decay, prior=DEFAULT_PRIOR) as ledger:
            stamp = f"{self.run} {gate.visits.origin} "
            steps = [
                int(row.version.removeprefix(stamp))
                for row in ledger.rows()
                if row.version.startswith(stamp)
            ]
            last = max(steps, default=-1)
            for step, visits in groupby(gate.visits.log, key=lambda visit: visit.step):
                if step > last:
                    part = [visit for visit in visits if visit.n_success + visit.n_failure]
                    ledger.update(self._tallies(part), version=f"{stamp}{step}")
                    n_written += len(part)
        return n_written

    def _tallies(self, visits: Sequence[Visit]) -> Tallies:
        names = np.array([self.prompts[visit.row] for visit in visits], dtype=object)
        right = np.array([visit.n_success for visit in visits], dtype=np.int64)
        wrong = np.array([visit.n_failure for visit in visits], dtype=np.int64)
        none = np.zeros_like(right)
        policy = np.full(len(names), self.policy, dtype=object)
        return Tallies(names, policy, right, wrong, none, none, right, wrong)
