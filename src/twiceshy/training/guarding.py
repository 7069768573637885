"""Guards round the loss of a step, as a section of the config.

[objective.guards]
drift = 0.5                       # nats a token
floor = -9.2                      # log-probability
llds = { strength = 0.2 }
"""

from __future__ import annotations

from typing import Literal

import msgspec
from torch import Tensor

from twiceshy.objectives.checks import require_between
from twiceshy.objectives.denominator import Denominator
from twiceshy.objectives.guards import added, drift_mask, floor_mask, llds
from twiceshy.objectives.loss_types import Loss


class LldsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The term that keeps successes from getting less likely; see `objectives.guards.llds`.

    Attributes:
        strength: Weight of the term, 0 to 10; 0.2 is the paper's.
        gate: Over what the fall of the log-probability is summed.
    """

    strength: float = 0.2
    gate: Literal["response", "token"] = "response"

    def __post_init__(self) -> None:
        require_between(self.strength, low=1e-9, high=10, where="guards.llds.strength")


class GuardConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept out of the loss, and added to it; all off by default.

    Attributes:
        drift: Failures that the policy has moved away from by more, in nats a token, are left out.
        floor: Failures' tokens below this log-probability, in nats, are left alone.
        llds: Holds successes; on with `{}`.
    """

    drift: float | None = None
    floor: float | None = None
    llds: LldsConfig | None = None

    def __post_init__(self) -> None:
        if self.drift is not None:
            require_between(self.drift, low=0, high=1e3, where="guards.drift")
        if self.floor is not None:
            require_between(self.floor, low=-1e3, high=0, where="guards.floor")

    @property
    def needs_several_updates(self) -> bool:
        """Whether something here does nothing while the policy is the one that sampled."""
        return self.drift is not None or self.llds is not None

    @property
    def is_off(self) -> bool:
        """Whether nothing is guarded."""
        return self == GuardConfig()

    def kept(self, advantages: Tensor, *, logp: Tensor, old_logp: Tensor, mask: Tensor) -> Tensor:
        """Return the advantages, (N,) or (N, T), with 0 where a guard says so.

        Example:
            >>> import torch
            >>> on = torch.tensor([[True]])
            >>> GuardConfig(floor=-5.0).kept(torch.tensor([-1.0]), logp=torch.tensor([[-9.0]]),
            ...                              old_logp=torch.tensor([[-9.0]]), mask=on).tolist()
            [[-0.0]]
        """
        if self.drift is not None:
            by_row = advantages.reshape(len(advantages), -1).sum(dim=1)
            keep = drift_mask(
                logp, old_logp=old_logp, advantages=by_row, mask=mask, threshold=self.drift
            )
            advantages = advantages * (keep if advantages.ndim == 1 else keep[:, None])
        if self.floor is not None:
            keep = floor_mask(logp, advantages=advantages, mask=mask, floor=self.floor)
            advantages = advantages.reshape(len(advantages), -1) * keep
        return advantages

    def held(
        self,
        loss: Loss,
        *,
        logp: Tensor,
        old_logp: Tensor,
        labels: Tensor,
        mask: Tensor,
        denominator: Denominator,
    ) -> Loss:
        """Return the loss with the term that holds successes, where it is on."""
        if self.llds is None:
            return loss
        term = llds(
            logp,
            old_logp=old_logp,
            labels=labels,
            mask=mask,
            denominator=denominator,
            strength=self.llds.strength,
            gate=self.llds.gate,
        )
        return added(loss, term, name="llds")
