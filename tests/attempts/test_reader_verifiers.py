from __future__ import annotations

from pathlib import Path

from reader_fixtures import (
    VERIFIERS_RESULTS,
    VERIFIERS_TRACES,
    attempts,
    lines,
    read,
    write_files,
)

from twiceshy.attempts.types import Outcome, Unreadable


def test_results_give_tasks_trials_and_outcomes(tmp_path: Path) -> None:
    found = attempts(write_files(tmp_path, VERIFIERS_RESULTS), "verifiers")
    assert [one.task for one in found] == [f"gsm8k/{n}" for n in (0, 0, 1, 1, 2, 2)]
    assert [one.trial for one in found] == ["1", "2"] * 3
    assert {one.policy for one in found} == {"org/model-a"}
    assert [one.outcome for one in found] == [
        Outcome.SUCCESS,
        Outcome.FAILURE,
        Outcome.UNSCORED,
        Outcome.BROKEN,
        Outcome.BROKEN,
        Outcome.UNSCORED,
    ]
    assert [one.truncated for one in found[:2]] == [False, True]


def test_a_single_turn_end_is_no_limit_but_a_long_prompt_is(tmp_path: Path) -> None:
    found = attempts(write_files(tmp_path, VERIFIERS_RESULTS), "verifiers")
    assert found[0].ending == "max_turns_reached"
    assert found[0].outcome is Outcome.SUCCESS
    limited = found[4].verdict
    assert (limited.broken, limited.reason) == ("limit", "stopped by prompt_too_long")
    assert limited.recorded is Outcome.FAILURE


def test_an_error_keeps_what_was_recorded(tmp_path: Path) -> None:
    verdict = attempts(write_files(tmp_path, VERIFIERS_RESULTS), "verifiers")[3].verdict
    assert verdict.broken == "tool_crash"
    assert verdict.reason == "SandboxError: pod died"
    assert (verdict.recorded, verdict.reward) == (Outcome.FAILURE, 0.0)


def test_no_reward_is_unscored_not_zero(tmp_path: Path) -> None:
    found = attempts(write_files(tmp_path, VERIFIERS_RESULTS), "verifiers")
    assert (found[5].verdict.reward, found[5].verdict.reason) == (None, "no judgement in the log")
    assert found[2].verdict.reward == 0.5
    assert found[2].verdict.reason == "reward outside {0, 1} and no threshold"
    judged = attempts(tmp_path / "gsm8k/results.jsonl", "verifiers", threshold=0.5)
    assert judged[2].outcome is Outcome.SUCCESS


def test_steps_carry_calls_with_parsed_arguments(tmp_path: Path) -> None:
    steps = attempts(write_files(tmp_path, VERIFIERS_RESULTS), "verifiers")[0].steps
    assert [step.role for step in steps] == ["user", "assistant", "tool", "assistant"]
    (call,) = steps[1].calls
    assert (call.name, call.arguments, call.id) == ("search", {"query": "x"}, "c1")
    assert steps[2].call_id == "c1"


def test_a_declared_metric_is_the_verdict(tmp_path: Path) -> None:
    path = write_files(tmp_path, VERIFIERS_RESULTS)
    found = attempts(path, "verifiers", mapping={"reward": "format"})
    assert found[1].outcome is Outcome.SUCCESS
    assert found[1].verdict.evidence == "format"


def test_traces_follow_the_last_branch_with_its_sampled_tokens(tmp_path: Path) -> None:
    first = attempts(write_files(tmp_path, VERIFIERS_TRACES), "verifiers")[0]
    assert first.task == "reverse/k1"
    assert first.policy == "org/model-b@12"
    assert [step.text for step in first.steps] == ["reverse abc", "cba"]
    assert first.steps[1].reasoning == "backwards"
    assert first.steps[1].time == "1970-01-01T00:00:02+00:00"
    assert (first.token_ids, first.logprobs) == ((4, 5), (-0.5, -0.25))
    assert first.extra == {"group": "g1", "other_branches": 1}
    assert first.truncated is False


def test_traces_weigh_rewards_and_keep_absent_ones_apart(tmp_path: Path) -> None:
    found = attempts(write_files(tmp_path, VERIFIERS_TRACES), "verifiers")
    assert found[0].verdict.reward == 1.0
    assert found[0].verdict.evidence == "exact + style"
    assert (found[3].outcome, found[3].verdict.reason) == (
        Outcome.UNSCORED,
        "never computed: exact",
    )
    assert found[5].outcome is Outcome.FAILURE
    assert found[5].policy == "org/model-b"


def test_traces_type_errors_and_limits(tmp_path: Path) -> None:
    found = attempts(write_files(tmp_path, VERIFIERS_TRACES), "verifiers")
    assert found[1].verdict.broken == "tool_crash"
    assert found[1].verdict.reason == "ProviderError: 502 bad gateway"
    assert found[1].verdict.recorded is Outcome.UNSCORED
    assert (found[2].verdict.broken, found[2].truncated) == ("limit", True)
    assert found[2].verdict.recorded is Outcome.FAILURE
    empty = found[4]
    assert (empty.steps, empty.verdict.reason) == ((), "EnvError: ran no agent")


def test_damage_costs_only_its_line(tmp_path: Path) -> None:
    good = VERIFIERS_RESULTS["gsm8k/results.jsonl"].splitlines(keepends=True)[0]
    data = good + good[:40] + b"\n" + b'{"a": "\xff"}\n' + lines({"reward": 1}) + b"[1]\n" + good
    found = read(write_files(tmp_path, {"results.jsonl": data}), "verifiers")
    bad = [one for one in found if isinstance(one, Unreadable)]
    assert [one.where for one in bad] == [f"results.jsonl:{line}" for line in (2, 3, 4, 5)]
    assert bad[2].got == "reward"
    assert len(found) - len(bad) == 2
