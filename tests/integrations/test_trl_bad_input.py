"""What is refused, by name and with the fix: settings, labels, groups, versions, classes."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from same_batch import tiny_model
from trl_case import PROMPTS, arguments, outcomes, quiet, trainer_of

from twiceshy.errors import BadInput, MissingExtra
from twiceshy.integrations.trl import (
    NEWEST,
    OLDEST,
    Finding,
    LabelRule,
    OutcomeConfig,
    OutcomeMixin,
    check_arguments,
    check_version,
    versions,
)
from twiceshy.integrations.trl.labels import judge, labels_of_rewards, require_whole_groups
from twiceshy.training.gates import FrontierGateConfig, NaiveBandConfig
from twiceshy.training.guarding import GuardConfig, LldsConfig

pytestmark = quiet
LEARNS: dict[str, Any] = {"steps_per_generation": 2, "delta": 3.0}
"""Settings under which nothing about NSR is to be said but the denominator."""


def found(
    tmp_path: Path, config: OutcomeConfig, model: object = None, **changed: Any
) -> dict[str, Finding]:
    settings = arguments(tmp_path, **(LEARNS | changed))
    return {one.where: one for one in check_arguments(settings, config, model=model)}


def quiet_nsr(**changed: Any) -> OutcomeConfig:
    rule = LabelRule(reward="verdict", success=1, failure=0)
    return outcomes("nsr", labels=rule, **({"rows_counted": "with_advantage"} | changed))


def test_good_settings_are_passed_in_silence(tmp_path: Path) -> None:
    assert found(tmp_path, quiet_nsr()) == {}


TRAPS: list[tuple[str, dict[str, Any], OutcomeConfig]] = [
    ("epsilon_high", {"loss_type": "cispo"}, quiet_nsr()),
    ("loss_type", {"loss_type": "bnpo"}, quiet_nsr()),
    ("objective.denominator", {}, quiet_nsr(own="topr")),
    ("off_policy_mask_threshold", {"off_policy_mask_threshold": 0.5},
     quiet_nsr(own="topr", denominator="tokens")),
    ("top_entropy_quantile", {"top_entropy_quantile": 0.2},
     quiet_nsr(own="topr", denominator="tokens")),
    ("mask_truncated_completions", {"mask_truncated_completions": True}, outcomes("nsr")),
    ("steps_per_generation", {"steps_per_generation": 1},
     quiet_nsr(own="ppo_clip", denominator="tokens", guards=GuardConfig(llds=LldsConfig()))),
]  # fmt: skip


@pytest.mark.parametrize(("where", "changed", "config"), TRAPS)
def test_traps_refuse_to_start(
    tmp_path: Path, where: str, changed: dict[str, Any], config: OutcomeConfig
) -> None:
    finding = found(tmp_path, config, **changed)[where]
    assert finding.severity == "trap"
    with pytest.raises(BadInput, match=re.escape(finding.fix[:20])):
        trainer_of(tmp_path, outcomes=config, **(LEARNS | changed))


WARNINGS: list[tuple[str, dict[str, Any], OutcomeConfig]] = [
    ("steps_per_generation", {"steps_per_generation": 1}, quiet_nsr()),
    ("rows_counted", {}, quiet_nsr(rows_counted="all")),
    ("delta", {"delta": None}, quiet_nsr()),
    ("off_policy_mask_threshold", {"off_policy_mask_threshold": 0.5}, quiet_nsr()),
    ("top_entropy_quantile", {"top_entropy_quantile": 0.2}, quiet_nsr()),
    ("labels.truncated_as", {}, outcomes("nsr")),
    ("scale_rewards", {"scale_rewards": "none"}, quiet_nsr()),
    ("reward_weights", {"reward_weights": [2.0]}, quiet_nsr()),
    ("objective.all_wrong", {}, outcomes("grpo")),
    ("objective.all_wrong", {}, outcomes("nsr", all_wrong="drop")),
    ("objective.all_wrong", {}, outcomes("asymre")),
    ("loss_type", {"loss_type": "grpo"}, outcomes("w_reinforce")),
    ("bf16", {"bf16": True}, quiet_nsr()),
]  # fmt: skip


@pytest.mark.parametrize(("where", "changed", "config"), WARNINGS)
def test_warnings_say_what_to_set(
    tmp_path: Path, where: str, changed: dict[str, Any], config: OutcomeConfig
) -> None:
    finding = found(tmp_path, config, **changed)[where]
    assert finding.severity == "warning"
    assert finding.message.endswith(".")
    assert finding.fix.endswith(".")


def test_a_mild_setting_stays_without_a_word(tmp_path: Path) -> None:
    assert "epsilon_high" not in found(tmp_path, quiet_nsr(), loss_type="cispo", epsilon_high=5.0)
    assert "objective.all_wrong" not in found(tmp_path, outcomes("ngrpo"))
    assert "objective.all_wrong" not in found(tmp_path, outcomes("grpo", all_wrong="constant"))
    assert "steps_per_generation" not in found(
        tmp_path, quiet_nsr(), steps_per_generation=1, num_iterations=2
    )


def test_a_model_without_a_path_has_no_reference(tmp_path: Path) -> None:
    assert found(tmp_path, quiet_nsr(), tiny_model(), beta=0.1)["beta"].severity == "trap"
    assert "beta" not in found(tmp_path, quiet_nsr(), "some/path", beta=0.1)


def test_a_filter_by_the_spread_of_rewards_is_found(tmp_path: Path) -> None:
    settings = SimpleNamespace(**vars(arguments(tmp_path, **LEARNS)), num_remains_in_group=2)
    traps = [one.where for one in check_arguments(settings, quiet_nsr())]
    assert traps == ["num_remains_in_group"]
    from trl import GRPOTrainer

    class Filtering(GRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            batch = super()._generate_and_score_completions(inputs)
            return {name: value[:8] if value.ndim else value for name, value in batch.items()}

    class Plugged(OutcomeMixin, Filtering):
        pass

    trainer = trainer_of(tmp_path, outcomes=outcomes(), cls=Plugged)
    with pytest.raises(BadInput, match="all 16 completions of the batch, got 8"):
        trainer.train()


def test_traps_can_be_overruled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = quiet_nsr(on_trap="warn")
    trainer = trainer_of(tmp_path, outcomes=config, loss_type="bnpo", **LEARNS)
    assert [one.severity for one in trainer.findings] == ["trap"]
    assert "the denominator counts rows without an advantage" in caplog.text


def test_labels_are_told_and_never_guessed(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="outcomes"):
        trainer_of(tmp_path, outcomes=None, cls=type("T", (OutcomeMixin, _grpo()), {}))
    config = outcomes(labels=LabelRule(reward="right", success=1, failure=0))
    with pytest.raises(BadInput, match=r'the reward functions \(verdict\), once, got "right"'):
        trainer_of(tmp_path, outcomes=config)
    with pytest.raises(BadInput, match="failure below success"):
        LabelRule(reward="verdict", success=0, failure=0)


def _grpo() -> type:
    from trl import GRPOTrainer

    return GRPOTrainer


def test_a_reward_between_is_refused_or_abstains() -> None:
    rewards = torch.tensor([1.0, 0.5, 0.0, torch.nan, 2.0, -1.0])
    rule = LabelRule(reward="score", success=1, failure=0)
    with pytest.raises(BadInput, match=r"reward score: .* got 0.5 \(1 of 6 rows\)"):
        labels_of_rewards(rewards, rule)
    rule = LabelRule(reward="score", success=1, failure=0, between="abstain")
    assert labels_of_rewards(rewards, rule).tolist() == [1, 0, -1, 0, 1, -1]


def test_rewards_of_plus_and_minus_one_under_a_rule_for_zero_and_one_are_refused() -> None:
    rule = LabelRule(reward="score", success=1, failure=-1)
    with pytest.raises(BadInput, match="got 0"):
        labels_of_rewards(torch.tensor([1.0, 0.0]), rule)


def test_truncated_rows_abstain_unless_told() -> None:
    rewards, cut = torch.tensor([0.0, 0.0]), torch.tensor([True, False])
    rule = LabelRule(reward="score", success=1, failure=0)
    assert judge(rewards, truncated=cut, rule=rule).labels.tolist() == [0, -1]
    rule = LabelRule(reward="score", success=1, failure=0, truncated_as="as_judged")
    assert judge(rewards, truncated=cut, rule=rule).labels.tolist() == [-1, -1]


def test_a_reward_that_never_judges_is_named(tmp_path: Path) -> None:
    def silent(completion_ids: Any, **_: Any) -> list[None]:
        return [None] * len(completion_ids)

    trainer = trainer_of(tmp_path, outcomes=outcomes(), reward=silent)
    with pytest.raises(BadInput, match=r"reward verdict: .*16 completions without a label"):
        trainer.train()


def test_mixed_group_sizes_are_named() -> None:
    require_whole_groups(["a", "a", "b", "b"], group_size=2, n_rows=4)
    require_whole_groups(["a", "b", "b"], group_size=2, n_rows=6)  # another process has the rest
    with pytest.raises(BadInput, match=r"groups of 2 completions .* got 3 completions"):
        require_whole_groups(["a", "a", "b"], group_size=2, n_rows=3)
    with pytest.raises(BadInput, match="another prompt within rows 0 to 1"):
        require_whole_groups(["a", "b", "b", "b"], group_size=2, n_rows=4)


def test_mixed_groups_in_training_are_named(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, outcomes=outcomes())
    rows = [{"prompt": PROMPTS[i]} for i in [0, 0, 0, 1, *[2] * 12]]
    with pytest.raises(BadInput, match="another prompt within rows 0 to 3"):
        trainer._generate_and_score_completions(rows)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"guards": GuardConfig(floor=-9.0)}, 'loss = "ours"'),
        ({"denominator": "tokens"}, 'loss = "ours"'),
        ({"own": "npo", "denominator": "sequences"}, "reference policy"),
        ({"ledger": "l.db"}, "a gate that uses the ledger"),
    ],
)
def test_options_that_would_do_nothing(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        outcomes("reinforce", **changed)


def test_gates_are_refused_where_they_cannot_work(tmp_path: Path) -> None:
    from datasets import Dataset

    endless = Dataset.from_dict({"prompt": PROMPTS}).to_iterable_dataset()
    config = outcomes(gate=NaiveBandConfig())
    with pytest.raises(BadInput, match="data set of known length"):
        trainer_of(tmp_path, outcomes=config, more={"train_dataset": endless})
    with pytest.raises(BadInput, match="p0"):
        trainer_of(tmp_path, outcomes=outcomes(gate=FrontierGateConfig()))
    config = outcomes(gate=NaiveBandConfig(), ledger=str(tmp_path / "l.db"))
    with pytest.raises(BadInput, match="the frontier gate, got"):
        trainer_of(tmp_path, outcomes=config)


def test_other_trainers_are_refused(tmp_path: Path) -> None:
    from trl import RLOOTrainer

    class Wrong(OutcomeMixin, RLOOTrainer):
        pass

    with pytest.raises(BadInput, match=r"trl\.GRPOTrainer behind OutcomeMixin, got .*RLOOTrainer"):
        trainer_of(tmp_path, outcomes=outcomes(), cls=Wrong)


def test_a_config_has_to_be_given() -> None:
    Plugged = type("Plugged", (OutcomeMixin, _grpo()), {})
    with pytest.raises(BadInput, match="a GRPOConfig as args, got none"):
        Plugged(model="m", outcomes=outcomes())


@pytest.mark.parametrize("other", ["1.11.9", "1.15.0", "1.17.0", "2.0.0", "0.29.1", "dev"])
def test_a_version_outside_says_so(other: str) -> None:
    with pytest.warns(UserWarning, match=rf"tested with TRL 1.12 to 1.16, not with {other}"):
        check_version(other)


def test_the_versions_inside_are_silent() -> None:
    assert check_version() == check_version(None)
    for minor in (OLDEST[1], 13, 14, NEWEST[1]):
        check_version(f"1.{minor}.3")


def test_a_missing_trainer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", absent)
    with pytest.raises(MissingExtra, match=r'pip install "twiceshy\[trl\]"'):
        check_version()


def test_the_package_alone_says_and_loads_nothing() -> None:
    code = (
        "import sys, importlib.metadata as m; real = m.version;"
        "m.version = lambda name: '9.9.9' if name == 'trl' else real(name);"
        "import warnings; warnings.simplefilter('error'); import twiceshy;"
        "assert not {'trl', 'torch', 'transformers'} & set(sys.modules);"
        "warnings.simplefilter('always');"
        "import twiceshy.integrations.trl;"
        "assert not {'trl', 'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tested with TRL 1.12 to 1.16, not with 9.9.9" in done.stderr
