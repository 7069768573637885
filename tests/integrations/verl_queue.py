"""A sampler on a real TransferQueue in a real Ray, told as JSON. Run by a slow test."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

import ray
import torch
import transfer_queue
from omegaconf import OmegaConf
from tensordict import NonTensorStack, TensorDict

from twiceshy.integrations.verl.sampler import KeepAllWrong

GROUPS = {"right": [1.0, 1.0], "wrong": [-1.0, -1.0], "mixed": [1.0, -1.0]}


def put(groups: dict[str, list[float]]) -> None:
    """Put finished groups into the queue as verl's agent loop does."""
    done = {"is_prompt": True, "status": "finished", "global_steps": 1}
    transfer_queue.kv_batch_put(keys=list(groups), partition_id="train", tags=[done] * len(groups))
    rows = [(uid, i, reward) for uid, rewards in groups.items() for i, reward in enumerate(rewards)]
    rewards = [torch.tensor([0.0] * i + [reward]) for _, i, reward in rows]
    uids: Any = NonTensorStack(*[uid for uid, _, _ in rows])  # pyrefly: ignore
    scores: Any = torch.nested.as_nested_tensor(rewards, layout=torch.jagged)
    fields = TensorDict({"rm_scores": scores, "uid": uids}, batch_size=len(rows))
    transfer_queue.kv_batch_put(
        keys=[f"{uid}_{i}_0" for uid, i, _ in rows],
        partition_id="train",
        fields=fields,
        tags=[{"min_global_steps": 1}] * len(rows),
    )


def refill(n: int, *, made: Iterator[int] = count()) -> None:  # noqa: B008 - counts on
    """Put n more groups, each with a name of its own."""
    put({f"new{next(made)}": [1.0, -1.0] for _ in range(n)})


def main() -> None:
    ray.init(
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=100 * 2**20,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
    )
    storage = {"SimpleStorage": {"num_data_storage_units": 1}}
    transfer_queue.init(OmegaConf.create({"backend": storage}))
    try:
        put(GROUPS)
        sampler = KeepAllWrong(
            trainer_mode="sync",
            trainer_config=OmegaConf.create({}),
            max_off_policy_threshold=8,
            max_off_policy_strategy="drop",
            sampler_kwargs=OmegaConf.create({"train_batch_size": 4}),
            refill_fn=refill,
            poll_interval=0.1,
        )
        batch, metrics = sampler.sample(global_steps=1, partition_id="train", batch_size=4)
        found = transfer_queue.kv_batch_get(
            keys=batch.keys, partition_id="train", select_fields=["uid"]
        )
        uids = [str(each) for each in found["uid"]]
        told = {"keys": batch.keys, "uids": uids, "metrics": metrics}
        sys.stdout.write(json.dumps(told, default=str) + "\n")
    finally:
        transfer_queue.close()
        ray.shutdown()


if __name__ == "__main__":
    main()
