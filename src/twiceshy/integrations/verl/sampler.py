"""Replay buffers for verl that drop all-right groups, keep all-wrong ones, and tell sessions apart.

    trainer.v1.sampler.custom_sampler.path=pkg://twiceshy.integrations.verl.sampler
    trainer.v1.sampler.custom_sampler.name=KeepAllWrong          # trainer_mode=sync
    data.gen_batch_size=1 +trainer.v1.sampler.sampler_kwargs.train_batch_size=256

With an asynchronous trainer take `KeepAllWrongAsync`; it needs no further option. verl's own
`algorithm.filter_groups` deletes every group whose rewards are all alike. A group in which nobody
judged anything is kept too: refilling for a broken checker would never end.

The row ids of a training batch become whole keys, so that an estimator of this package can weigh
the outputs of a session. This module imports verl and TransferQueue.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import transfer_queue
from tensordict import NonTensorStack, TensorDict
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync

from twiceshy.errors import BadInput
from twiceshy.integrations.verl.scoring import is_all_right

_VALIDATION = "val"


class _AllRightOnly(ReplayBuffer):
    """Replaces which groups verl's filter takes out, and nothing of how it does."""

    success: float = 1.0
    _right: dict[str, bool]

    def _dapo_filtered_keys(self, partition_id: str) -> tuple[set[str], Counter[float]]:
        """Return the finished groups that are all right, and how many by reward."""
        if partition_id == _VALIDATION:
            return set(), Counter()
        finished = self.finished_keys[partition_id]
        self._right = {uid: known for uid, known in self._right.items() if uid in finished}
        for uid, rewards in self._rewards(partition_id, finished - self._right.keys()).items():
            self._right[uid] = is_all_right(rewards, success=self.success)
        dropped = {uid for uid, all_right in self._right.items() if all_right}
        return dropped, Counter([self.success] * len(dropped))

    def _rewards(self, partition_id: str, uids: set[str]) -> dict[str, list[float]]:
        """Return the rewards of groups whose rows have not been looked at yet."""
        keys = [key for key in self.partitions[partition_id] if key.split("_")[0] in uids]
        rewards: dict[str, list[float]] = {uid: [] for uid in uids}
        if keys:
            found = transfer_queue.kv_batch_get(
                keys=keys, partition_id=partition_id, select_fields=["rm_scores"]
            )
            for key, of_row in zip(keys, found["rm_scores"], strict=True):
                rewards[key.split("_")[0]].append(float(of_row.sum()))
        return rewards

    def _materialize_batch(self, partition_id: str, *args: Any, **named: Any) -> Any:
        """Return the batch, its rows renamed from the prompt's id to their whole key."""
        batch = super()._materialize_batch(partition_id, *args, **named)
        if partition_id != _VALIDATION and batch.keys:
            stacked: Any = NonTensorStack(*batch.keys)  # pyrefly: ignore
            ids = TensorDict({"uid": stacked}, batch_size=len(batch.keys))
            transfer_queue.kv_batch_put(keys=batch.keys, partition_id=partition_id, fields=ids)
        return batch


class KeepAllWrong(_AllRightOnly, ReplayBuffer):
    """For `trainer.v1.trainer_mode=sync`; all arguments are verl's own.

    Options in `trainer.v1.sampler.sampler_kwargs`: `train_batch_size` (that of the data, needed),
    `max_inflight_gen_batches` (1) and `success` (1.0).

    Raises:
        BadInput: If the mode is another, or the batch size is not given.
    """

    def __init__(self, *, trainer_mode: str, sampler_kwargs: Any, **given: Any) -> None:
        options = dict(sampler_kwargs or {})
        _require_mode(trainer_mode, sync=True)
        if "train_batch_size" not in options:
            raise BadInput(
                "the number of prompts a step",
                got="none",
                where="trainer.v1.sampler.sampler_kwargs.train_batch_size",
                fix="Set it to data.train_batch_size, and data.gen_batch_size=1: a prompt that is "
                "dropped is replaced by one.",
            )
        self.success = float(options.get("success", 1.0))
        self._right = {}
        super().__init__(
            trainer_mode=trainer_mode,
            sampler_kwargs=sampler_kwargs,
            filter_groups_metric="reward",
            train_batch_size=int(options["train_batch_size"]),
            gen_batch_size=1,
            max_inflight_gen_batches=int(options.get("max_inflight_gen_batches", 1)),
            **given,
        )


class KeepAllWrongAsync(_AllRightOnly, ReplayBufferAsync):
    """For the asynchronous trainer modes; option `success` (1.0) in `sampler_kwargs`.

    Raises:
        BadInput: If the mode is "sync".
    """

    def __init__(self, *, trainer_mode: str, sampler_kwargs: Any, **given: Any) -> None:
        _require_mode(trainer_mode, sync=False)
        self.success = float(dict(sampler_kwargs or {}).get("success", 1.0))
        self._right = {}
        super().__init__(
            trainer_mode=trainer_mode,
            sampler_kwargs=sampler_kwargs,
            filter_groups_metric="reward",
            **given,
        )


def _require_mode(mode: str, *, sync: bool) -> None:
    if (mode == "sync") != sync:
        raise BadInput(
            "KeepAllWrong with trainer_mode sync, KeepAllWrongAsync with any other",
            got=f"trainer_mode {mode}",
            where="trainer.v1.sampler.custom_sampler.name",
            fix=f"Set it to KeepAllWrong{'Async' if sync else ''}.",
        )
