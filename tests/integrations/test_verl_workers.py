"""The reward manager and the samplers, as verl itself builds and calls them."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from verl_case import core_algos

from twiceshy.attempts.readers.verl import BROKEN_SCORE, UNSCORED_SCORE
from twiceshy.errors import BadInput

pytestmark = pytest.mark.filterwarnings("ignore")

MANAGER = "pkg://twiceshy.integrations.verl.reward_manager"
SAMPLER = "pkg://twiceshy.integrations.verl.sampler"
LIMIT, END = 4, 9


class Tokenizer:
    eos_token_id = END

    def decode(self, ids: torch.Tensor, skip_special_tokens: bool) -> str:
        return " ".join(str(each) for each in ids.tolist() if each != END)


def manager(scorer: str, tmp_path: Path, **reward_kwargs: str) -> Any:
    """The manager, built by verl from a configuration, around a scoring function in a file."""
    core_algos()
    from omegaconf import OmegaConf
    from verl.trainer.ppo.reward import load_reward_manager

    path = tmp_path / "scorer.py"
    path.write_text(f"{scorer}\n")
    config = OmegaConf.create(
        {
            "reward": {
                "reward_manager": {
                    "source": "importlib",
                    "name": "OutcomeRewardManager",
                    "module": {"path": MANAGER},
                },
                "custom_reward_function": {"path": str(path), "name": "judge"},
                "reward_kwargs": reward_kwargs,
            },
            "actor_rollout_ref": {"rollout": {"response_length": LIMIT}},
        }
    )
    return load_reward_manager(config, Tokenizer())


def run(made: Any, response: list[int]) -> dict[str, Any]:
    """What verl's reward worker gets for one response."""
    import numpy as np
    from tensordict import TensorDict
    from verl.protocol import DataProto

    ids = torch.tensor([response])
    data = DataProto(
        batch=TensorDict(
            {
                "responses": ids,
                "attention_mask": torch.ones(1, 2 + len(response), dtype=torch.int64),
            },
            batch_size=1,
        ),
        non_tensor_batch={
            "data_source": np.array(["mine"], dtype=object),
            "reward_model": np.array([{"ground_truth": "1 2"}], dtype=object),
            "extra_info": np.array([{}], dtype=object),
        },
    )
    return made.loop.run_until_complete(made.run_single(data))


@pytest.fixture(autouse=True)
def event_loop() -> Any:
    """A loop for verl to find, closed again."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()
    asyncio.set_event_loop(None)


PLAIN = "def judge(data_source, solution_str, ground_truth, extra_info):\n    return "
LATER = "async def judge(data_source, solution_str, ground_truth, extra_info):\n    return "


@pytest.mark.parametrize("kind", [PLAIN, LATER])
@pytest.mark.parametrize(
    ("said", "score", "outcome"),
    [
        ("float(solution_str == ground_truth)", 1.0, "success"),
        ("{'score': 0, 'failure_class': 'sign'}", -1.0, "failure"),
        ("None", UNSCORED_SCORE, "unscored"),
        ("1 / 0", BROKEN_SCORE, "broken"),
    ],
)
def test_a_scorers_word_is_carried_along(
    tmp_path: Path, kind: str, said: str, score: float, outcome: str
) -> None:
    result = run(manager(kind + said, tmp_path), [1, 2, END])
    assert result["reward_score"] == score
    extra = result["reward_extra_info"]
    assert extra["outcome"] == outcome
    assert extra["acc"] == {"success": 1.0, "failure": 0.0}.get(outcome)
    expected = {"failure": "sign", "broken": "checker_error"}.get(outcome)
    assert extra["failure_class"] == expected
    assert outcome != "broken" or extra["reason"] == "ZeroDivisionError: division by zero"


def test_a_response_that_was_cut_abstains_unless_told_otherwise(tmp_path: Path) -> None:
    cut, whole = [1, 2, 3, 4], [1, 2, 3, END]
    found = run(manager(PLAIN + "0", tmp_path), cut)
    assert found["reward_score"] == UNSCORED_SCORE
    extra = found["reward_extra_info"]
    assert (extra["failure_class"], extra["raw_reward"], extra["acc"]) == ("truncated", 0.0, None)
    assert run(manager(PLAIN + "0", tmp_path), whole)["reward_score"] == -1.0
    judged = manager(PLAIN + "0", tmp_path, truncated_as="as_judged")
    assert run(judged, cut)["reward_score"] == -1.0


def test_mistakes_of_the_run_are_not_hidden_as_broken_attempts(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="an outcome"):
        run(manager(PLAIN + "{'outcome': 'maybe'}", tmp_path), [1, END])
    with pytest.raises(BadInput, match="truncated_as"):
        manager(PLAIN + "0", tmp_path, truncated_as="sometimes")


class Queue:
    """Stands in for TransferQueue: the four calls a replay buffer makes, in memory."""

    def __init__(self, groups: dict[str, list[float]]) -> None:
        self.tags: dict[str, dict[str, Any]] = {}
        self.rewards: dict[str, float] = {}
        self.uids: dict[str, str] = {}
        self.n_made = 0
        for uid, rewards in groups.items():
            self.add(uid, rewards)

    def add(self, uid: str, rewards: list[float]) -> None:
        self.tags[uid] = {"is_prompt": True, "status": "finished", "global_steps": 1}
        for session, reward in enumerate(rewards):
            key = f"{uid}_{session}_0"
            self.rewards[key], self.uids[key] = reward, uid
            self.tags[key] = {"min_global_steps": 1}

    def refill(self, n: int) -> None:
        for _ in range(n):
            self.n_made += 1
            self.add(f"new{self.n_made}", [1.0, -1.0])

    def kv_list(self) -> dict[str, Any]:
        return {"train": dict(self.tags)}

    def kv_clear(self, *, partition_id: str, keys: list[str]) -> None:
        for key in keys:
            self.tags.pop(key, None)

    def kv_batch_get(self, *, keys: list[str], partition_id: str, select_fields: list[str]) -> Any:
        assert select_fields == ["rm_scores"]
        return {"rm_scores": [torch.tensor([0.0, self.rewards[key]]) for key in keys]}

    def kv_batch_put(self, *, keys: list[str], partition_id: str, fields: Any) -> None:
        self.uids.update(zip(keys, list(fields["uid"]), strict=True))


GROUPS = {
    "right": [1.0, 1.0],
    "wrong": [-1.0, -1.0],
    "mixed": [1.0, -1.0],
    "idle": [BROKEN_SCORE, UNSCORED_SCORE],
}


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Queue]]:
    """Builds a sampler as verl's trainer does, on a queue in memory."""

    def built(name: str, *, mode: str, **options: Any) -> tuple[Any, Queue]:
        core_algos()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from omegaconf import OmegaConf
            from verl.trainer.ppo.v1 import replay_buffer
            from verl.utils.import_utils import load_extern_type

            found = load_extern_type(SAMPLER, name)
        queue = Queue(GROUPS)
        monkeypatch.setattr(replay_buffer, "tq", queue)
        monkeypatch.setattr("twiceshy.integrations.verl.sampler.transfer_queue", queue)
        made = found(
            trainer_mode=mode,
            trainer_config=OmegaConf.create({}),
            max_off_policy_threshold=8,
            max_off_policy_strategy="drop",
            sampler_kwargs=OmegaConf.create(options),
            refill_fn=queue.refill,
        )
        made.poll_interval = 0.0
        return made, queue

    return built


@pytest.mark.parametrize(
    ("name", "mode", "n"),
    [("KeepAllWrong", "sync", 5), ("KeepAllWrongAsync", "separate_async", 4)],
)
def test_all_right_groups_are_replaced_and_all_wrong_ones_kept(
    build: Callable[..., tuple[Any, Queue]], name: str, mode: str, n: int
) -> None:
    sampler, queue = build(name, mode=mode, train_batch_size=n)
    batch, metrics = sampler.sample(global_steps=1, partition_id="train", batch_size=n)
    kept = {key.split("_")[0] for key in batch.keys}
    assert {"wrong", "mixed", "idle"} < kept
    assert "right" not in kept
    assert queue.n_made == n - 3  # verl's sync trainer asks for two in the place of one
    assert metrics["training/filter_groups/evicted_samples"] == 1
    # ids are now whole keys, so that an estimator can tell sessions apart
    assert {queue.uids[key] for key in batch.keys} == set(batch.keys)


def test_validation_is_left_alone(build: Callable[..., tuple[Any, Queue]]) -> None:
    sampler, _ = build("KeepAllWrong", mode="sync", train_batch_size=4)
    assert sampler._dapo_filtered_keys("val") == (set(), {})


def test_a_sampler_in_the_wrong_mode_or_without_its_size_is_named(
    build: Callable[..., tuple[Any, Queue]],
) -> None:
    with pytest.raises(BadInput, match="Set it to KeepAllWrongAsync"):
        build("KeepAllWrong", mode="separate_async", train_batch_size=4)
    with pytest.raises(BadInput, match="Set it to KeepAllWrong"):
        build("KeepAllWrongAsync", mode="sync")
    with pytest.raises(BadInput, match=r"sampler_kwargs\.train_batch_size"):
        build("KeepAllWrong", mode="sync")
