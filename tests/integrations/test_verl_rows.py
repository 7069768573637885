from __future__ import annotations

import logging
import tomllib
import warnings
from importlib import reload
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import twiceshy.integrations.verl.rows as rows_module
from twiceshy.attempts.readers.verl import BROKEN_SCORE, UNSCORED_SCORE
from twiceshy.errors import BadInput, MissingExtra
from twiceshy.integrations.verl import check_overrides, check_version
from twiceshy.integrations.verl.estimators import ESTIMATORS, estimate
from twiceshy.integrations.verl.rows import sessions_of
from twiceshy.integrations.verl.scoring import failed, is_all_right, scored
from twiceshy.objectives import bind_objective


def advantages(
    rewards: list[float],
    index: list[str],
    *,
    name: str = "nsr",
    config: dict[str, Any] | None = None,
    empty: tuple[int, ...] = (),
) -> list[float]:
    """Advantages of rows of one token each."""
    mask = torch.ones(len(rewards), 1, dtype=torch.int64)
    mask[list(empty)] = 0
    found, returns = estimate(
        name,
        token_level_rewards=torch.tensor(rewards)[:, None],
        response_mask=mask,
        index=index,
        config=config,
    )
    assert found is returns
    return found[:, 0].tolist()


def test_broken_unscored_and_nan_abstain_and_enter_no_mean() -> None:
    rewards = [1.0, -1.0, BROKEN_SCORE, UNSCORED_SCORE, float("nan")]
    assert advantages(rewards, ["t"] * 5, name="rloo") == [1.0, -1.0, 0.0, 0.0, 0.0]


def test_a_reward_that_is_no_label_is_named_with_the_fix() -> None:
    with pytest.raises(BadInput, match=r"got 0\.37 in row 1 \(1 of 2\).*OutcomeRewardManager"):
        advantages([1.0, 0.37], ["t", "t"])


def test_a_plain_scorers_zero_is_refused_until_it_is_declared() -> None:
    with pytest.raises(BadInput, match=r"got 0 in row 1.*algorithm\.twiceshy\.failure=0"):
        advantages([1.0, 0.0], ["t", "t"])
    declared = {"twiceshy": {"failure": 0}}
    assert advantages([1.0, 0.0], ["t", "t"], config=declared) == [0.0, -1.0]


def test_verls_padding_rows_abstain_whatever_zero_means() -> None:
    found = advantages(
        [1.0, 0.0, 0.0], ["t_0_0", "t_1_0", "pad5"], config={"twiceshy": {"failure": 0}}, empty=(2,)
    )
    assert found == [0.0, -1.0, 0.0]


def test_a_key_that_is_there_twice_is_named() -> None:
    with pytest.raises(BadInput, match="each row once, got a_0_0 twice"):
        advantages([1.0, -1.0], ["a_0_0", "a_0_0"])


def test_keys_beside_prompt_ids_are_refused() -> None:
    with pytest.raises(BadInput, match="ids of one form"):
        advantages([1.0, -1.0], ["a_0_0", "b"])


def test_mixed_group_sizes_are_told_once_and_refused_on_request(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "_told", set())
    rewards, index = [1.0, -1.0, -1.0, -1.0, 1.0], ["a", "a", "a", "b", "b"]
    with caplog.at_level(logging.WARNING):
        advantages(rewards, index, name="grpo")
        advantages(rewards, index, name="grpo")
    assert caplog.text.count("groups of mixed sizes (1 of 2, 1 of 3)") == 1
    with pytest.raises(BadInput, match="groups of 3 sessions, got groups by size: 1 of 2, 1 of 3"):
        advantages(rewards, index, name="grpo", config={"twiceshy": {"group_size": 3}})


def test_a_group_of_one_left_gives_nothing_and_only_such_groups_stop_the_run() -> None:
    assert advantages([1.0, 1.0, -1.0], ["a", "b", "b"], name="rloo") == [0.0, 1.0, -1.0]
    assert advantages([-1.0, 1.0], ["a", "b"], name="nsr") == [-1.0, 0.0]
    with pytest.raises(BadInput, match="at least two sessions a prompt"):
        advantages([1.0, -1.0], ["a", "b"], name="rloo")


def test_the_filter_that_deletes_all_wrong_groups_is_refused_where_it_matters() -> None:
    config = {"filter_groups": {"enable": True}}
    with pytest.raises(BadInput, match=r"all-wrong groups, from which nsr learns.*sampler"):
        advantages([1.0, -1.0], ["t", "t"], config=config)
    assert advantages([1.0, -1.0], ["t", "t"], name="rloo", config=config) == [1.0, -1.0]


def test_a_kl_penalty_in_the_reward_is_refused() -> None:
    with pytest.raises(BadInput, match=r"algorithm\.use_kl_in_reward.*use_kl_loss"):
        advantages([1.0], ["t"], config={"use_kl_in_reward": True})


def test_all_wrong_groups_are_treated_as_chosen() -> None:
    config = {"twiceshy": {"all_wrong": "constant", "strength": 0.5}}
    assert advantages([-1.0, -1.0], ["t", "t"], name="rloo", config=config) == [-0.5, -0.5]
    with pytest.raises(BadInput, match=r"needs no log-probabilities.*got lens"):
        advantages([-1.0, -1.0], ["t", "t"], config={"twiceshy": {"all_wrong": "lens"}})


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="lambda_pos"):
        advantages([1.0], ["t"], name="w_reinforce", config={"twiceshy": {"lamda_pos": 0.1}})


@settings(max_examples=25, deadline=None)
@given(
    labels=st.lists(st.sampled_from([1, -1, 0]), min_size=8, max_size=8),
    name=st.sampled_from(["psr", "nsr", "w_reinforce", "grpo", "rloo", "maxrl", "dr_grpo"]),
    order=st.permutations(range(8)),
)
def test_sessions_of_one_output_are_plain_rows_in_any_order(
    labels: list[int], name: str, order: list[int]
) -> None:
    group = [row // 4 for row in range(8)]
    rewards = {1: 1.0, -1: -1.0, 0: BROKEN_SCORE}
    plain = bind_objective(name, group_size=4)(
        torch.tensor(labels, dtype=torch.int8), torch.tensor(group)
    )
    found = advantages(
        [rewards[labels[row]] for row in order],
        [f"task-{group[row]}_{row % 4}_0" for row in order],
        name=name,
    )
    assert found == pytest.approx([float(plain[row]) for row in order])


def test_a_sessions_last_output_is_the_one_with_the_highest_index() -> None:
    index = ["u_1_10", "u_1_9", "u_1_2", "x_y_0_0"]
    found = sessions_of(index, padding=torch.zeros(4, dtype=torch.bool))
    assert found.last.tolist() == [0, 3]
    assert found.n_outputs.tolist() == [3, 1]


def test_what_a_scorer_says_becomes_an_outcome_and_never_a_zero() -> None:
    assert (scored(True)["score"], scored(0)["score"]) == (1.0, -1.0)
    assert scored({"score": -1.0, "acc": False})["outcome"] == "failure"
    assert scored({"outcome": "broken", "reason": "sandbox died"})["score"] == BROKEN_SCORE
    assert scored({"outcome": "failure", "failure_class": "unit"})["failure_class"] == "unit"
    half = scored(0.5)
    assert (half["outcome"], half["raw_reward"], half["acc"]) == ("unscored", 0.5, None)
    cut = scored(0, truncated=True)
    assert (cut["outcome"], cut["failure_class"], cut["score"]) == (
        "unscored", "truncated", UNSCORED_SCORE,
    )  # fmt: skip
    assert failed(TimeoutError("slow"))["failure_class"] == "timeout"
    with pytest.raises(BadInput, match="an outcome"):
        scored({"outcome": "meh"})


def test_only_groups_that_are_all_right_are_all_right() -> None:
    assert is_all_right([1.0, 1.0, UNSCORED_SCORE])
    assert not is_all_right([1.0, 0.0])
    assert not is_all_right([BROKEN_SCORE, float("nan")])
    assert not is_all_right([])


def test_a_command_line_is_checked_before_it_is_launched() -> None:
    good = [
        "algorithm.adv_estimator=twiceshy_w_reinforce",
        "reward.reward_manager.source=importlib",
        "reward.reward_manager.module.path=pkg://twiceshy.integrations.verl.reward_manager",
    ]
    assert check_overrides(good) == []
    bad = [
        "algorithm.adv_estimator=twiceshy_grpo",
        "actor_rollout_ref.rollout.n=1",
        "algorithm.use_kl_in_reward=True",
        "trainer.v1.sampler.custom_sampler.name=KeepAllWrong",
        "data.train_batch_size=64",
        "actor_rollout_ref.actor.ppo_mini_batch_size=64",
    ]
    assert {each.where for each in check_overrides(bad)} == {
        "actor_rollout_ref.rollout.n",
        "reward.reward_manager",
        "algorithm.use_kl_in_reward",
        "data.gen_batch_size",
        "trainer.v1.sampler.sampler_kwargs.train_batch_size",
        "actor_rollout_ref.actor.ppo_mini_batch_size",
    }
    (other,) = check_overrides(["algorithm.adv_estimator=grpo"])
    assert other.severity == "warning"
    with pytest.raises(BadInput, match="twiceshy_nsr"):
        check_overrides(["algorithm.adv_estimator=twiceshy_nsrr"])
    with pytest.raises(BadInput, match="key=value"):
        check_overrides(["algorithm.adv_estimator"])


@pytest.mark.parametrize("found", ["0.8.0", "0.10.0", "1.0", "main"])
def test_another_version_of_verl_is_said(found: str) -> None:
    with pytest.warns(UserWarning, match=f"this is {found}"):
        check_version(found)


def test_the_integration_says_at_import_that_verl_is_another_or_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import twiceshy.integrations.verl as integration
    from twiceshy.integrations.verl import versions

    monkeypatch.setattr(versions, "version", {"verl": "0.8.0"}.__getitem__)
    with pytest.warns(UserWarning, match=r"tested with verl 0\.9\.0 to 0\.9\.1"):
        reload(integration)

    def missing(name: str) -> str:
        raise versions.PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", missing)
    with pytest.raises(MissingExtra, match="pip install verl"):
        reload(integration)
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reload(integration)


def test_the_wheel_declares_the_entry_point() -> None:
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    points = tomllib.loads(text)["project"]["entry-points"]["verl.plugins"]
    assert points == {"twiceshy": "twiceshy.integrations.verl.plugin"}
    assert "twiceshy_w_reinforce" in ESTIMATORS
    assert "twiceshy_luck_capped" not in ESTIMATORS  # verl hands over no p_lucky


def test_the_doctor_names_what_a_process_lacks() -> None:
    from twiceshy.integrations.verl.doctor import judged

    about = {
        "host": "a",
        "python": "3.11",
        "twiceshy": "1",
        "verl": "0.9.1",
        "error": "KeyError: x",
    }
    lacking = judged("node", {**about, "missing": ["twiceshy_nsr"], "advantages": None})
    assert (lacking.ok, lacking.found) == (False, "1 names missing: KeyError: x")
    odd = judged("node", {**about, "missing": [], "advantages": [[1.0]]})
    assert odd.ok is False
    assert "Expected" in odd.fix
