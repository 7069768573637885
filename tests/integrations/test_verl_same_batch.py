from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from same_batch import our_loop, same_batch, tiny_model
from verl_case import actor_config, core_algos, keys_of, verl_advantages, verl_loop

from twiceshy.errors import BadInput
from twiceshy.integrations.verl.estimators import ESTIMATORS
from twiceshy.integrations.verl.launch import check_overrides
from twiceshy.objectives import denominator_of, topr

pytestmark = pytest.mark.filterwarnings("ignore")

CASES: list[tuple[str, dict[str, Any]]] = [
    ("psr", {}),
    ("nsr", {}),
    ("w_reinforce", {"lambda_pos": 0.3}),
    ("grpo", {}),
    ("rloo", {}),
    ("maxrl", {}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_advantages_and_gradient_are_those_of_our_loop(name: str, options: dict[str, Any]) -> None:
    model, batch = tiny_model(), same_batch()
    ours = our_loop(model, batch, objective=name, options=options)
    theirs = verl_loop(model, batch, estimator=f"twiceshy_{name}", options=options)
    assert torch.equal(theirs.advantages, ours.advantages)
    assert float((theirs.gradient - ours.gradient).abs().max()) <= 1e-6
    assert float(ours.gradient.abs().max()) > 1e-2


def test_micro_batches_add_up_to_the_same_gradient() -> None:
    model, batch = tiny_model(), same_batch()
    whole = verl_loop(model, batch, estimator="twiceshy_w_reinforce")
    cut = verl_loop(model, batch, estimator="twiceshy_w_reinforce", micro_rows=3)
    assert float((whole.gradient - cut.gradient).abs().max()) <= 1e-6


def test_an_all_wrong_batch_trains_under_nsr_and_not_under_verls_grpo() -> None:
    model, batch = tiny_model(), same_batch().of_labels(-1)
    assert float(verl_loop(model, batch, estimator="twiceshy_nsr").gradient.norm()) > 1
    assert float(verl_loop(model, batch, estimator="grpo").gradient.norm()) == 0


def test_a_right_only_batch_does_nothing_under_nsr() -> None:
    model, batch = tiny_model(), same_batch().of_labels(1)
    assert float(verl_loop(model, batch, estimator="twiceshy_nsr").gradient.norm()) == 0
    assert float(verl_loop(model, batch, estimator="twiceshy_psr").gradient.norm()) > 1


def test_names_are_registered_once_and_collide_with_none_of_verls() -> None:
    algos = core_algos()
    assert set(ESTIMATORS) <= set(algos.ADV_ESTIMATOR_REGISTRY)
    assert not {name.removeprefix("twiceshy_") for name in ESTIMATORS} & set(ESTIMATORS)
    assert algos.POLICY_LOSS_REGISTRY["twiceshy_topr"].__module__.startswith("twiceshy")
    from twiceshy.integrations.verl.plugin import register

    register()


def test_a_name_that_another_took_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from twiceshy.integrations.verl.plugin import register

    algos = core_algos()
    monkeypatch.setitem(algos.POLICY_LOSS_REGISTRY, "twiceshy_topr", print)
    with pytest.raises(BadInput, match="a free name twiceshy_topr"):
        register()
    monkeypatch.undo()
    monkeypatch.setitem(algos.ADV_ESTIMATOR_REGISTRY, "twiceshy_nsr", print)
    with pytest.raises(ValueError, match="already been registered"):
        register()


def test_topr_in_verl_is_our_topr() -> None:
    batch = same_batch()
    generator = torch.Generator().manual_seed(3)
    logp = (batch.old_logp + 0.5 * torch.randn(batch.mask.shape, generator=generator)).clamp(
        max=-1e-3
    )
    logp = (logp * batch.mask).requires_grad_()
    advantages = verl_advantages(batch, estimator="twiceshy_w_reinforce", options={})
    ours = topr(
        logp, old_logp=batch.old_logp, advantages=advantages, mask=batch.mask,
        denominator=denominator_of(batch.mask),
    )  # fmt: skip
    config = actor_config(loss_mode="twiceshy_topr")
    loss, metrics = core_algos().get_policy_loss_fn("twiceshy_topr")(
        old_log_prob=batch.old_logp,
        log_prob=logp,
        advantages=advantages,
        response_mask=batch.mask.long(),
        loss_agg_mode="token-mean",
        config=config,
        rollout_is_weights=None,
    )
    (slope,) = torch.autograd.grad(loss, logp)
    assert torch.allclose(loss, ours.value, atol=1e-6)
    assert torch.allclose(slope, ours.coefficients, atol=1e-7)
    assert 0 < metrics["actor/topr_tapered"] <= 1


def test_outputs_of_a_session_count_once_and_weigh_as_one() -> None:
    labels = torch.tensor([1, 1, -1, -1] + [-1] * 12, dtype=torch.int8)
    batch = same_batch()._replace(labels=labels)
    keys = ["a_0_0", "a_0_1", "a_1_0", "a_2_0", *keys_of(batch)[4:]]
    found = verl_advantages(batch, estimator="twiceshy_rloo", options={}, keys=keys)
    # one right session of two outputs, two wrong: 1 − 0 shared by two, and 0 − 1/2
    assert found[:4, 0].tolist() == pytest.approx([1 / 2, 1 / 2, -1 / 2, -1 / 2])
    by_rows = verl_advantages(batch, estimator="twiceshy_rloo", options={})
    assert by_rows[:4, 0].tolist() == pytest.approx([2 / 3, 2 / 3, -2 / 3, -2 / 3])


def documented_overrides() -> list[str]:
    """The command line of docs/trainers-verl.md, as verl would get it."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "trainers-verl.md").read_text()
    start = page.index("python -m verl.trainer.main_ppo") + len("python -m verl.trainer.main_ppo")
    return page[start : page.index("```", start)].split()


def test_the_documented_command_line_fits_verls_own_configuration() -> None:
    core_algos()
    import verl.trainer.config as config_folder
    from hydra import compose, initialize_config_dir
    from verl.utils.config import validate_config

    overrides = documented_overrides()
    assert check_overrides(overrides) == []
    with initialize_config_dir(str(Path(config_folder.__file__).parent), version_base=None):
        config = compose("ppo_trainer", overrides=overrides)
    assert config.algorithm.twiceshy.lambda_pos == 0.1
    validate_config(config, use_reference_policy=False, use_critic=False)
    rewards = torch.tensor([[1.0], *[[-1.0]] * 7])
    found, _ = core_algos().get_adv_estimator_fn(config.algorithm.adv_estimator)(
        token_level_rewards=rewards,
        response_mask=torch.ones(8, 1),
        index=np.array(["task"] * 8, dtype=object),
        config=config.algorithm,
    )
    assert found[:, 0].tolist() == pytest.approx([0.1] + [-1.0] * 7)
