from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch

from twiceshy.errors import BadInput
from twiceshy.training.config import (
    ObjectiveConfig,
    RunConfig,
    dump_config,
    load_config,
    parse_config,
    step_objective,
)
from twiceshy.training.curriculum import UniformPrompts
from twiceshy.training.gates import FrontierGate
from twiceshy.training.sft import SftConfig, learning_rate
from twiceshy.training.tasks import Chain, Change, Countdown

FULL = """
seed = 4

[task]
name = "chain"
medium = 0.1
over_budget = 0.9

[model]
width = 32

[rl]
n_steps = 50
group_size = 8
update = { n_minibatches = 4 }

[objective]
name = "pass_at_k"
options = { k = 4 }
loss = "ppo_clip"
loss_options = { clip_high = 0.28 }
denominator = "tokens"

[evaluation]
ks = [1, 64]
n_samples = 64
"""


def test_a_full_config() -> None:
    config = parse_config(FULL)
    assert config.task == Chain(medium=0.1, over_budget=0.9)
    assert config.rl.update.n_minibatches == 4
    assert config.evaluation.ks == (1, 64)
    assert config.base_recipe == SftConfig(n_steps=500, batch=256)
    objective = step_objective(config.objective, group_size=8)
    assert objective.denominator(torch.tensor([[True, False], [True, True]])) == ("tokens", 3)
    assert step_objective(ObjectiveConfig(), group_size=8).denominator(
        torch.tensor([[True, False], [True, True]])
    ) == ("constant", 4)


def test_training_on_one_mix_and_measuring_on_another() -> None:
    config = parse_config(FULL, overrides=["evaluation_task = { name = 'chain' }"])
    assert config.evaluation_task == Chain(medium=1.0)


def test_a_gate_and_the_objective_that_needs_it() -> None:
    lucky = ['gate = { kind = "frontier" }', 'objective = { name = "luck_capped" }']
    config = parse_config("[task]\nname = 'chain'", overrides=lucky)
    gate = config.curriculum()
    assert isinstance(gate, FrontierGate)
    assert (gate.p0, gate.group_size, len(gate.standing())) == (0.1, 16, 1000)
    assert step_objective(config.objective, group_size=8).needs_luck
    given = parse_config("[gate]\nkind = 'frontier'\np0 = 0.02").curriculum()
    assert isinstance(given, FrontierGate)
    assert given.p0 == 0.02
    assert isinstance(parse_config("").curriculum(), UniformPrompts)


def test_it_is_frozen_and_dumps_to_what_it_came_from() -> None:
    config = parse_config(FULL)
    with pytest.raises(AttributeError):
        config.seed = 1  # type: ignore[misc]
    assert msgspec.convert(dump_config(config), RunConfig) == config


def test_nothing_given_is_every_default() -> None:
    assert parse_config("") == RunConfig()
    assert parse_config("").task == Countdown()


def test_overrides_win() -> None:
    config = parse_config(FULL, overrides=["rl.n_steps = 3", 'task = { name = "chain" }', "seed=1"])
    assert (config.rl.n_steps, config.rl.group_size, config.seed) == (3, 8, 1)
    other = parse_config("[task]\nname = 'change'", overrides=["task.n_coins = 4"])
    assert other.task == Change(n_coins=4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[rl]\nn_step = 5", "got rl.n_step. Did you mean n_steps?"),
        ("[r1]\nn_steps = 5", "got r1. Did you mean rl?"),
        ("[rl.update]\nminibatches = 5", "got rl.update.minibatches. Did you mean n_minibatches?"),
        ('[task]\nname = "countdwon"', "Did you mean countdown?"),
        ('[task]\nname = "countdown"\nmedium = 1.0', "got task.medium"),
        ("[task]\nmedium = 1.0", "a name among"),
        ('[objective]\nname = "w_reinforced"', "Did you mean w_reinforce"),
        ("[objective]\noptions = { lambda = 0.1 }", "lambda"),
        ("[objective]\noptions = { lambda_pos = 7.0 }", "lambda_pos"),
        ('[objective]\nloss = "ppo"', "ppo_clip"),
        ('[objective]\ncredit = "entropy"', "top_entropy"),
        ('[objective]\nname = "grpo"\n[rl]\ngroup_size = 1', "group"),
        ('[rl]\nn_steps = "many"', "n_steps"),
        ("[rl]\nlearning_rate = -1.0", "learning rate"),
        ("[evaluation]\nks = [512]", "n_samples = 256"),
        ("[model]\nwidth = 10\nn_heads = 3", "heads divide"),
        ('[evaluation_task]\nname = "change"', "same kind"),
        ('[gate]\nkind = "fronteir"', "Did you mean frontier?"),
        ("[gate]\nmargin = 0.1", "a kind among"),
        ('[gate]\nkind = "naive_band"\nmargin = 0.1', "got gate.margin"),
        ('[gate]\nkind = "frontier"', "undeserved reward"),  # countdown has no guess rate
        ('[gate]\nkind = "frontier"\np0 = 0.02\nreplay = 1.5', "gate.replay"),
        ('[objective]\nname = "luck_capped"', "Set kind"),
        ("[rl", "TOML"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_config(text)
    assert message in str(caught.value)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(FULL)
    assert load_config(path) == parse_config(FULL)
    with pytest.raises(BadInput, match=r"absent\.toml"):
        load_config(tmp_path / "absent.toml")


def test_learning_rate_by_hand() -> None:
    config = SftConfig(n_steps=110, n_warmup=10, peak_rate=1.0, final_share=0.0)
    assert learning_rate(0, config) == pytest.approx(0.1)
    assert learning_rate(60, config) == pytest.approx(0.5)  # half-way down the cosine
    assert learning_rate(110, config) == pytest.approx(0.0)
