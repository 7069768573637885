"""Learn from failures with verl's own code, offline and on a CPU: a tiny random Llama, two steps.

    python examples/verl_tiny.py       # needs verl, Ray and twiceshy installed; no GPU, no network

A Ray actor plays the worker of a real run: it draws responses, has verl build the reward manager,
asks verl's driver code for advantages and verl's actor code for the loss. What belongs to twiceshy
is named in the configuration only (←). The model is random, so nearly all its answers are wrong:
verl's GRPO has no gradient there; NSR has. The real command line is in docs/trainers-verl.md.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
if not os.environ.get("RAY_ADDRESS"):
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray on 127.0.0.1 only

import ray

N_TOKENS, PROMPT, RESPONSE, GROUP, END = 16, 3, 4, 8, 0
MODULE = "pkg://twiceshy.integrations.verl.reward_manager"


def configuration(estimator: str) -> Any:
    """The part of verl's configuration that the steps below read."""
    from omegaconf import OmegaConf

    return OmegaConf.create(
        {
            "algorithm": {"adv_estimator": estimator, "twiceshy": {}},  # ← twiceshy_nsr
            "reward": {
                "reward_manager": {
                    "source": "importlib",
                    "name": "OutcomeRewardManager",  # ←
                    "module": {"path": MODULE},  # ←
                },
                "custom_reward_function": {"path": os.path.abspath(__file__), "name": "judge"},
                "reward_kwargs": {
                    "truncated_as": "as_judged"
                },  # ← there is no end token to wait for
            },
            "actor_rollout_ref": {"rollout": {"response_length": RESPONSE}},
        }
    )


def judge(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> Any:
    """Right when the first token is the one asked for; one task has a checker that breaks."""
    del data_source, extra_info
    if ground_truth == "broken":
        raise RuntimeError("the sandbox did not answer")
    right = solution_str.split()[0] == ground_truth
    return {"score": float(right), "failure_class": None if right else "first token"}


class Words:
    """A tokenizer of numbers."""

    eos_token_id = END

    def decode(self, ids: Any, **options: Any) -> str:
        """Return the numbers with spaces between."""
        del options
        return " ".join(str(each) for each in ids.tolist())


@ray.remote(num_cpus=1)
class Worker:
    """What a verl worker does in one step, on one CPU."""

    def __init__(self, estimator: str) -> None:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM
        from verl.trainer.ppo.reward import load_reward_manager

        torch.set_num_threads(1)
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
        self.model = LlamaForCausalLM(LlamaConfig(vocab_size=N_TOKENS, **sizes, **heads))
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=0.5)
        self.config = configuration(estimator)
        self.manager = load_reward_manager(self.config, Words())

    async def step(self, number: int) -> dict[str, Any]:
        """Draw, judge, compute advantages, update; return what happened."""
        prompts, responses, old_logp = self._draw(seed=number)
        judged = [await self._judged(prompts[i], responses[i]) for i in range(len(prompts))]
        advantages = self._advantages([each["reward_score"] for each in judged])
        loss, norm = self._update(prompts, responses, old_logp, advantages)
        outcomes = [each["reward_extra_info"]["outcome"] for each in judged]
        return {
            "step": number,
            "estimator": self.config.algorithm.adv_estimator,
            **{name: outcomes.count(name) for name in ("success", "failure", "broken")},
            "loss": loss,
            "gradient_norm": norm,
        }

    def _draw(self, *, seed: int) -> tuple[Any, Any, Any]:
        import torch

        generator = torch.Generator().manual_seed(seed)
        tasks = torch.arange(4).repeat_interleave(GROUP)
        prompts = torch.stack([tasks + 1, tasks + 2, tasks + 3], dim=1)
        tokens = prompts
        with torch.no_grad():
            for _ in range(RESPONSE):
                drawn = self.model(input_ids=tokens).logits[:, -1].softmax(1)
                tokens = torch.cat([tokens, drawn.multinomial(1, generator=generator)], dim=1)
            return prompts, tokens[:, PROMPT:], self._logp(tokens)

    def _logp(self, tokens: Any) -> Any:
        logits = self.model(input_ids=tokens).logits[:, :-1].log_softmax(2)
        return logits.gather(2, tokens[:, 1:, None])[..., 0][:, PROMPT - 1 :]

    async def _judged(self, prompt: Any, response: Any) -> dict[str, Any]:
        import numpy as np
        import torch
        from tensordict import TensorDict
        from verl.protocol import DataProto

        truth = "broken" if int(prompt[0]) == 4 else str(int(prompt[0]))
        told = {"data_source": "tiny", "reward_model": {"ground_truth": truth}, "extra_info": {}}
        mask = torch.ones(1, PROMPT + RESPONSE, dtype=torch.int64)
        row = TensorDict({"responses": response[None], "attention_mask": mask}, batch_size=1)
        named = {key: np.array([value], dtype=object) for key, value in told.items()}
        return await self.manager.run_single(DataProto(batch=row, non_tensor_batch=named))

    def _advantages(self, rewards: list[float]) -> Any:
        import numpy as np
        import torch
        from tensordict import TensorDict
        from verl.protocol import DataProto
        from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

        keys = [f"task{row // GROUP}_{row % GROUP}_0" for row in range(len(rewards))]
        last = torch.zeros(len(rewards), RESPONSE)
        last[:, -1] = torch.tensor(rewards)
        fields = {"token_level_rewards": last, "response_mask": torch.ones_like(last)}
        data = DataProto(
            batch=TensorDict(fields, batch_size=len(keys)),
            non_tensor_batch={"uid": np.array([key.split("_")[0] for key in keys], dtype=object)},
        )
        algorithm = self.config.algorithm
        done = compute_advantage_for_multi_trajectories(
            data, batch_keys=keys, adv_estimator=algorithm.adv_estimator, config=algorithm
        )
        return done.batch["advantages"]

    def _update(
        self, prompts: Any, responses: Any, old_logp: Any, advantages: Any
    ) -> tuple[float, float]:
        import torch
        from verl.trainer.ppo.core_algos import get_policy_loss_fn
        from verl.workers.config import ActorConfig

        actor = ActorConfig(strategy="fsdp", rollout_n=GROUP, ppo_micro_batch_size_per_gpu=1)
        loss, _ = get_policy_loss_fn("vanilla")(
            old_log_prob=old_logp,
            log_prob=self._logp(torch.cat([prompts, responses], dim=1)),
            advantages=advantages,
            response_mask=torch.ones_like(advantages),
            loss_agg_mode=actor.loss_agg_mode,
            config=actor,
            rollout_is_weights=None,
        )
        self.optimiser.zero_grad()
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
        self.optimiser.step()
        return float(loss.detach()), norm


def main(estimators: list[str]) -> None:
    """Two steps with each estimator, a line each."""
    local = {
        "num_cpus": 1,
        "include_dashboard": False,
        "object_store_memory": 100 * 2**20,
        "_node_ip_address": "127.0.0.1",
    }
    ray.init(
        logging_level="ERROR",
        log_to_driver=False,
        **({} if os.environ.get("RAY_ADDRESS") else local),
    )
    try:
        for estimator in estimators:
            worker = Worker.remote(estimator)
            for number in range(2):
                print(json.dumps(ray.get(worker.step.remote(number))), flush=True)
            ray.kill(worker)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:] or ["twiceshy_nsr"])
