"""Every choice that the config offers changes the update, and is refused out of range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from twiceshy.errors import BadInput
from twiceshy.objectives.metrics import RARE_LOGP
from twiceshy.training.config import ObjectiveConfig, parse_config, step_objective
from twiceshy.training.evaluation import EvaluationConfig
from twiceshy.training.loop import RlConfig, Trained, rollout_metrics, train
from twiceshy.training.policy import PolicyConfig, TinyPolicy
from twiceshy.training.rollouts import Rollouts, roll_out
from twiceshy.training.sft import untrained
from twiceshy.training.stopping import StopConfig, early_stop, step_alarms
from twiceshy.training.tasks import Change, Tokens, Verdicts
from twiceshy.training.update import UpdateConfig, step_advantages, update

TASK = Change(n_coins=2)
G = 4


def tiny(seed: int = 0) -> TinyPolicy:
    return untrained(TASK, config=PolicyConfig(width=16, n_layers=1, n_heads=2), seed=seed)


BASE = """
rl.update.n_minibatches = 2
objective.name = "w_reinforce"
objective.loss = "reinforce"
"""


@pytest.fixture(scope="module")
def rollouts() -> Rollouts:
    """Eight groups of four, of which the first is mixed and the second all wrong."""
    drawn = roll_out(tiny(), TASK, TASK.prompts(8, split="train", seed=0), group_size=G, seed=1)
    labels = torch.full((8 * G,), -1, dtype=torch.int8)
    labels[::G] = 1
    labels[G : 2 * G] = -1
    return drawn._replace(labels=labels)


def objective_config(text: str) -> ObjectiveConfig:
    lines = [f"objective.{line}" for line in text.splitlines() if line.strip()]
    return parse_config(BASE, overrides=lines).objective


def advantages(rollouts: Rollouts, text: str, *, step: int = 0) -> torch.Tensor:
    objective = step_objective(objective_config(text), group_size=G)
    return step_advantages(objective, rollouts, step=step)


def weights_after(
    rollouts: Rollouts, text: str, *, step: int = 0, n_epochs: int = 3
) -> torch.Tensor:
    policy = tiny()
    update(
        policy,
        torch.optim.SGD(policy.parameters(), lr=3.0),
        rollouts,
        objective=step_objective(objective_config(text), group_size=G),
        config=UpdateConfig(n_epochs=n_epochs, n_minibatches=2, max_norm=1e9),
        seed=0,
        step=step,
        reference=tiny(seed=1),
    )
    return torch.cat([each.detach().flatten() for each in policy.parameters()])


CHOICES = {
    "constant": 'all_wrong = "constant"\nall_wrong_strength = 0.3',
    "drop": 'all_wrong = "drop"',
    "ngrpo": 'all_wrong = "ngrpo"',
    "lens": 'all_wrong = "lens"',
    "entropy_graded": 'all_wrong = "entropy_graded"',
    "linear": 'schedules.lambda_pos = { kind = "linear", start = 0.9, end = 1.0, steps = 4 }',
    "cosine": 'schedules.lambda_pos = { kind = "cosine", start = 0.7, end = 1.0, steps = 4 }',
    "switch": 'schedules.lambda_pos = { kind = "switch", before = 0.8, after = 0.5, step = 1 }',
    "by_accuracy": 'schedules.lambda_pos = { kind = "by_accuracy", full_at = 0.9 }',
    "drift": "guards.drift = 0.02",
    "floor": "guards.floor = -2.6",
    "llds": "guards.llds = { strength = 5.0 }",
    "llds by token": 'guards.llds = { strength = 5.0, gate = "token" }',
    "unlikelihood": 'name = "reinforce"\nloss = "unlikelihood"',
    "npo": 'name = "reinforce"\nloss = "npo"\ndenominator = "sequences"',
    "kto": 'name = "reinforce"\nloss = "kto"\ndenominator = "sequences"',
    "kto, beta": 'name = "reinforce"\nloss = "kto"\ndenominator = "sequences"\n'
    "loss_options = { beta = 0.5 }",
}


def test_every_choice_changes_the_update(rollouts: Rollouts) -> None:
    seen = {"none": weights_after(rollouts, "")}
    for name, text in CHOICES.items():
        weights = weights_after(rollouts, text)
        assert torch.isfinite(weights).all()
        same = [other for other, before in seen.items() if torch.equal(before, weights)]
        assert not same, f"{name} is the same as {same}"
        seen[name] = weights


def test_all_wrong_groups_by_hand(rollouts: Rollouts) -> None:
    rows = slice(G, 2 * G)
    for text, expected in {
        "": -1.0,
        CHOICES["constant"]: -0.3,
        CHOICES["drop"]: 0.0,
        CHOICES["ngrpo"]: -1 / 5**0.5,
    }.items():
        found = advantages(rollouts, text)
        assert found[rows].tolist() == pytest.approx([expected] * G)
        assert found[:G].tolist() == pytest.approx([0.1, -1, -1, -1]), "mixed groups stay"
    graded = advantages(rollouts, CHOICES["entropy_graded"])
    entropy = rollouts.entropy[rows]
    expected_graded = entropy - entropy.amax(dim=1, keepdim=True)
    torch.testing.assert_close(graded[rows], expected_graded)
    assert graded[0].tolist() == pytest.approx([0.1] * TASK.response_length)
    lens = advantages(rollouts, CHOICES["lens"])
    q = rollouts.logp[rows].mean(dim=1).exp()
    torch.testing.assert_close(lens[rows], -(q / (1 - q)).clamp(max=1))


def test_schedules_by_hand(rollouts: Rollouts) -> None:
    def weight(name: str, step: int) -> float:
        return advantages(rollouts, CHOICES[name], step=step)[0].item()

    assert [weight("linear", step) for step in (0, 2, 9)] == pytest.approx([0.9, 0.95, 1.0])
    assert [weight("cosine", step) for step in (0, 2, 4)] == pytest.approx([0.7, 0.85, 1.0])
    assert [weight("switch", step) for step in (0, 1)] == pytest.approx([0.8, 0.5])
    accuracy = 7 / (8 * G)  # one success in each group but the second
    assert weight("by_accuracy", 0) == pytest.approx(accuracy / 0.9)


def test_a_drifted_failure_and_a_rare_token_are_left_alone(rollouts: Rollouts) -> None:
    drift = objective_config("guards.drift = 0.5").guards
    old = rollouts.logp
    now = old.clone()
    now[1] -= 0.6
    kept = drift.kept(torch.full((8 * G,), -1.0), logp=now, old_logp=old, mask=rollouts.mask)
    assert kept[:3].tolist() == [-1.0, 0.0, -1.0]
    floor = objective_config("guards.floor = -9.2").guards
    now = torch.full_like(old, -1.0)
    now[0, 1] = -9.3
    kept = floor.kept(torch.full((8 * G,), -1.0), logp=now, old_logp=old, mask=rollouts.mask)
    assert kept[0].tolist() == [-1.0, 0.0]


def test_npo_pushes_down_failures_alone_and_needs_the_reference(rollouts: Rollouts) -> None:
    objective = step_objective(objective_config(CHOICES["npo"]), group_size=G)
    policy = tiny()
    optimiser = torch.optim.SGD(policy.parameters(), lr=1.0)
    with pytest.raises(BadInput, match="reference"):
        update(
            policy,
            optimiser,
            rollouts,
            objective=objective,
            config=UpdateConfig(),
            seed=0,
            step=0,
        )
    only_right = rollouts._replace(labels=rollouts.labels.clamp(min=0))
    same = weights_after(only_right, CHOICES["npo"])
    assert torch.equal(same, torch.cat([each.detach().flatten() for each in tiny().parameters()]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('all_wrong = "dropp"', "objective.all_wrong"),
        ('all_wrong = "constant"\nall_wrong_strength = 2.0', "strength"),
        ("all_wrong_strength = 0.5", "does not change"),
        ('all_wrong = "entropy_graded"\nloss = "gspo"', "one a sequence"),
        ('schedules.lambda_pos = { kind = "linear", start = 0.0, end = 7.0, steps = 4 }', "0 to 1"),
        ('schedules.lambda_pos = { kind = "linear", start = 0.0, end = 1.0, steps = 0 }', "1 step"),
        ('schedules.lambda_neg = { kind = "by_accuracy", full_at = 0.5 }', "lambda_neg"),
        ('schedules.lambda_pos = { kind = "by_accuracy", full_at = 2.0 }', "full_at"),
        ('schedules.lambda_pos = { kind = "linaer", start = 0.0 }', "linaer"),
        ('schedules.lambda_pos = { kind = "by_accuracy", full_at = 0.5, x = 1 }', "`x`"),
        (f"options.lambda_pos = 0.1\n{CHOICES['linear']}", "or its schedule"),
        ("guards.drift = -1.0", "guards.drift"),
        ("guards.floor = 0.5", "guards.floor"),
        ("guards.llds = { strength = 11.0 }", "guards.llds.strength"),
        ("guards.lld = { strength = 1.0 }", "Did you mean llds?"),
        ('loss = "unlikelihood"', "does not look at"),
        ('name = "reinforce"\nloss = "npo"', 'kind "sequences"'),
        (f"{CHOICES['npo']}\nloss_options = {{ beta = 99.0 }}", "beta"),
        (f"{CHOICES['npo']}\nloss_options = {{ gamma = 1.0 }}", "gamma"),
        ('name = "reinforce"\nloss = "unlikelihood"\ncredit = "rarest"', "does not look at"),
        ('loss = "gspo"\ncredit = "rarest"', "token credit"),
        ('loss = "nop"', "Did you mean npo"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        objective_config(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("guard", ["guards.drift = 0.5", "guards.llds = {}"])
def test_a_guard_that_would_do_nothing_is_refused(guard: str) -> None:
    with pytest.raises(BadInput, match=r"rl\.update\.n_minibatches"):
        parse_config("", overrides=[f"objective.{guard}"])


@pytest.mark.parametrize("labels", [[0.7, 1.0], [2, 1], [True, False]])
def test_a_verifier_that_gives_rewards_instead_of_labels_is_refused(labels: list[float]) -> None:
    class Shaped(Change, frozen=True):
        def verify(self, prompts: Tokens, responses: Tokens) -> Verdicts:
            judged = super().verify(prompts, responses)
            return judged._replace(labels=np.array(labels))  # type: ignore[arg-type]

    with pytest.raises(BadInput, match="integer labels"):
        roll_out(
            tiny(), Shaped(n_coins=2), TASK.prompts(1, split="train", seed=0), group_size=2, seed=0
        )


SMALL = RlConfig(n_prompts=30, prompts_per_step=4, group_size=G, n_steps=4, learning_rate=1e-3)


def run(folder: Path | None, stop: StopConfig | None) -> Trained:
    return train(
        tiny(),
        TASK,
        objective=step_objective(ObjectiveConfig(), group_size=G),
        config=SMALL,
        evaluation=EvaluationConfig(every=10, n_prompts=5, n_samples=4, ks=(1, 4)),
        stop=stop,
        folder=folder,
    )


def test_a_rule_stops_the_run_evaluates_it_and_it_stays_stopped(tmp_path: Path) -> None:
    limits = StopConfig(malformed=0.001)  # an untrained policy says "=7" where a coin belongs
    stopped = run(tmp_path, limits)
    last = stopped.records[-1]
    assert [each.step for each in stopped.records] == [0, 1]
    assert last.stopped_by is not None
    assert last.stopped_by.name == "malformed attempts"
    assert last.stopped_by in last.alarms
    assert last.evaluation is not None
    again = run(tmp_path, limits)
    assert again.records == stopped.records
    assert again.cpu_seconds["rollouts"] == 0
    assert len(run(None, None).records) == 5


def test_rules_by_hand(rollouts: Rollouts) -> None:
    metrics = rollout_metrics(rollouts)
    assert metrics["n_responses"] == 8 * G
    assert metrics["n_tokens"] == 8 * G * TASK.response_length
    rare = rollouts._replace(logp=torch.full_like(rollouts.logp, RARE_LOGP - 0.01))
    calm = {"n_malformed": 0.0, "n_responses": 9.0, "n_rare": 0.0, "n_tokens": 90.0}
    first = {"median_length": 10.0}
    limits = StopConfig()

    def names(metrics: dict[str, float | None]) -> list[tuple[str, str]]:
        found = step_alarms(metrics, first=first, limits=limits)
        return [(alarm.name, alarm.severity) for alarm in found]

    assert names({**calm, "median_length": 10.0}) == []
    assert names({**calm, "median_length": 21.0}) == [("median length", "alarm")]
    assert names({**calm, "median_length": 4.0}) == [("median length", "alarm")]
    assert names({**calm, "n_malformed": 2.0}) == [("malformed attempts", "warning")]
    assert ("rare tokens", "alarm") in names(rollout_metrics(rare))
    assert early_stop([0.5, None, 0.47, 0.47, 0.47], limits=limits) is not None
    assert early_stop([0.5, 0.47, 0.47, 0.49], limits=limits) is None


@pytest.mark.parametrize(
    "limits", ["malformed = 1.5", "rare_tokens = -1.0", "length_low = 2.0", "length_high = 0.5"]
)
def test_limits_out_of_range(limits: str) -> None:
    with pytest.raises(BadInput, match=r"stop\."):
        parse_config("", overrides=[f"stop.{limits}"])


def test_a_step_that_nobody_judged_has_no_accuracy_and_no_advantage() -> None:
    config = objective_config(
        'schedules.lambda_pos = { kind = "linear", start = 0, end = 1, steps = 4 }'
    )
    found = step_objective(config, group_size=G)
    labels = torch.zeros(2 * G, dtype=torch.int8)
    group = torch.arange(2).repeat_interleave(G)
    assert found.advantages(labels, group, step=3).tolist() == [0.0] * (2 * G)
