"""What happened between two log lines, by sign and by state of the group."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from twiceshy.frontier.groups import count_states, group_states
from twiceshy.integrations.trl.labels import Judged
from twiceshy.objectives.metrics import merged, sign_sums, summarised

PREFIX = "twiceshy/"
"""In front of every name that is logged."""


class Measured:
    """Sums over micro-batches, made into means when they are logged; None where n is 0.

    "…/gradient" and "…/loss" are shares of one update: of all processes, a mean over the updates
    since the last log.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, float] = {}
        self._n_parts = 0

    def judged(self, judged: Judged, *, size: int) -> None:
        """Count outcomes and states of the groups of a generation batch of all processes."""
        labels = judged.labels.reshape(-1, size).cpu().numpy()
        right, wrong = (labels > 0).sum(axis=1), (labels < 0).sum(axis=1)
        states = count_states(group_states(right, wrong))
        self._count(
            n_right=float(right.sum()),
            n_wrong=float(wrong.sum()),
            n_abstained=float((labels == 0).sum()),
            n_truncated=float(judged.truncated.sum()),
            **{f"groups/{state}": float(count) for state, count in states.items()},
        )

    def gated(self, learned: Tensor, *, size: int) -> None:
        """Count groups that the gate let through; `learned` is bool by row."""
        self._count(n_groups_learned=float(learned.sum()) / size)

    def loss(self, metrics: dict[str, Tensor]) -> None:
        """Add what our own loss counted, by the sign of the advantage."""
        self._add({f"loss_{name}": value.detach() for name, value in metrics.items()})

    def update(
        self,
        value: Tensor,
        inputs: dict[str, Any],
        *,
        logp: Tensor,
        entropy: Tensor,
        labels: Tensor,
        all_wrong: Tensor,
        truncated: Tensor,
    ) -> None:
        """Add what a micro-batch did to right and wrong attempts, its pull on each included.

        The pull is d loss / d logp, whatever the loss: differentiated down to the log-probs and no
        further, so the model is not touched.
        """
        mask = inputs["completion_mask"]
        mask = (mask * inputs["tool_mask"] if "tool_mask" in inputs else mask).bool()
        pull = None
        if value.requires_grad and logp.requires_grad:
            (pull,) = torch.autograd.grad(value, logp, retain_graph=True, allow_unused=True)
        old = inputs.get("old_per_token_logps")
        with torch.no_grad():
            sums = sign_sums(
                logp,
                old_logp=logp if old is None else old,
                labels=labels,
                mask=mask,
                coefficients=torch.zeros_like(logp) if pull is None else pull,
                entropy=entropy,
                all_wrong=all_wrong,
                truncated=truncated,
            )
        self._add(sums)
        self._n_parts += 1

    def taken(self, accelerator: Any, *, parts: int) -> dict[str, float | None]:
        """Return everything since the last time, over all processes, and begin anew.

        Args:
            accelerator: The trainer's.
            parts: Micro-batches an update.
        """
        sums, counts = _over_processes(self._sums, accelerator), self._counts
        share = parts / max(self._n_parts, 1) / accelerator.num_processes
        for name in sums:
            if name.endswith(("gradient_sum", "/loss_sum")):
                sums[name] = sums[name] * share
        self._begin()
        found = {**counts, **_rate(counts), **summarised(sums)}
        return {f"{PREFIX}{name}": value for name, value in found.items()}

    def _add(self, sums: dict[str, Tensor]) -> None:
        self._sums = merged([self._sums, sums])

    def _count(self, **more: float) -> None:
        for name, count in more.items():
            self._counts[name] = self._counts.get(name, 0.0) + count


def _rate(counts: dict[str, float]) -> dict[str, float | None]:
    if not counts:
        return {}
    n = counts["n_right"] + counts["n_wrong"]
    return {"success_rate": counts["n_right"] / n if n else None}


def _over_processes(sums: dict[str, Tensor], accelerator: Any) -> dict[str, Tensor]:
    """Return sums over all processes, and maxima, in one exchange and one copy to the CPU."""
    if not sums:
        return {}
    mine = torch.stack([value.to(torch.float64) for value in sums.values()])
    every = accelerator.gather(mine).reshape(-1, len(sums)).cpu()
    largest = np.array([name.endswith("_max") for name in sums])
    total = torch.where(torch.from_numpy(largest), every.amax(dim=0), every.sum(dim=0))
    return dict(zip(sums, total, strict=True))
