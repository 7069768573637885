"""Advantages of a generation batch: over all processes, then this process's rows, by token."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from twiceshy.training.update import StepObjective

_BY_TOKEN = ("logp", "entropy", "mask")


class Local(NamedTuple):
    """The rows of a batch that this process holds."""

    trainer: Any
    batch: dict[str, Any]

    @property
    def mask(self) -> Tensor:
        """Tokens that the policy wrote, bool (n, T)."""
        mask = self.batch["completion_mask"]
        return (mask * self.batch["tool_mask"] if "tool_mask" in self.batch else mask).bool()

    def slice_of(self, n_rows: int) -> slice:
        """Return this process's place among the rows of all."""
        n, place = len(self.batch["completion_ids"]), self.trainer.accelerator.process_index
        assert n * self.trainer.accelerator.num_processes == n_rows, "processes of unequal batches"
        return slice(place * n, (place + 1) * n)

    def gathered(self, values: Tensor) -> Tensor:
        """Return the rows of all processes, (N, …), padded to the longest with 0."""
        accelerator = self.trainer.accelerator
        if accelerator.num_processes == 1:
            return values
        number = values.to(torch.uint8) if values.dtype == torch.bool else values
        if values.ndim > 1:
            number = accelerator.pad_across_processes(number, dim=1)
        return accelerator.gather(number).to(values.dtype)

    def tokens_with(self, advantages: Tensor) -> Tensor:
        """Return the number of tokens, over all processes, of rows with an advantage somewhere."""
        live = (advantages != 0).reshape(len(advantages), -1).any(dim=1)
        return self.gathered((self.mask.sum(dim=1) * live).sum()[None]).sum()

    def means(self, advantages: Tensor) -> list[float]:
        """Return the mean advantage of each row's tokens, over all processes."""
        if advantages.ndim == 2:
            n = self.mask.sum(dim=1).clamp(min=1)
            advantages = (advantages * self.mask).sum(dim=1) / n
        return self.gathered(advantages).tolist()

    @torch.no_grad()
    def logp_and_entropy(self) -> tuple[Tensor, Tensor]:
        """Return both for the policy that has just sampled, (n, T): a pass through the model.

        Only for objectives that look at them. In nats.
        """
        batch, args = self.batch, self.trainer.args
        tokens = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        seen = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        names = ("pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask",
                 "spatial_shapes", "num_tiles", "image_sizes", "token_type_ids",
                 "mm_token_type_ids", "image_position_ids")  # fmt: skip
        given = {name: batch[name] for name in names if name in batch}
        training = self.trainer.model.training
        rows = args.per_device_train_batch_size if training else args.per_device_eval_batch_size
        found = self.trainer._get_per_token_logps_and_entropies(
            self.trainer.model, tokens, seen, batch["completion_ids"].shape[1],
            batch_size=rows, compute_entropy=True, **given,
        )  # fmt: skip
        return found[0], found[1]


def batch_advantages(
    objective: StepObjective,
    labels: Tensor,
    group: Tensor,
    *,
    local: Local,
    step: int,
    p_lucky: Tensor | None = None,
) -> Tensor:
    """Return the advantages of all rows of all processes, (N,), or (N, T) by token.

    Args:
        objective: What is maximised.
        labels: +1, −1 or 0 (abstain), (N,).
        group: Group ids, (N,).
        local: This process's rows.
        step: Updates so far, for options that change.
        p_lucky: For objectives that need it, (N,).
    """
    taken: dict[str, Any] = {}
    if objective.takes & {"logp", "entropy"}:
        logp, entropy = local.logp_and_entropy()
        offered = {"logp": logp, "entropy": entropy, "mask": local.mask}
        taken = {n: local.gathered(offered[n]) for n in _BY_TOKEN if n in objective.takes}
    if "step" in objective.takes:
        taken["step"] = step
    if objective.needs_luck:
        taken["p_lucky"] = p_lucky
    return objective.advantages(labels, group, **taken)


def local_advantages(objective: StepObjective, advantages: Tensor, *, local: Local) -> Tensor:
    """Return this process's rows, (n,); (n, T) where the objective tells tokens apart."""
    mask = local.mask
    mine = advantages[local.slice_of(len(advantages))]
    if mine.ndim == 2:
        mine = mine[:, : mask.shape[1]]
    if objective.credit is None:
        return mine
    logp, entropy = local.logp_and_entropy()
    return mine.reshape(len(mask), -1) * objective.credit(logp, entropy, mask)
