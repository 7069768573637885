from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twiceshy.frontier as frontier
from twiceshy.attempts.answers import normalised
from twiceshy.attempts.readers.protocol import ReadOptions
from twiceshy.attempts.readers.tau_bench import TauBench
from twiceshy.attempts.sources import FileSource
from twiceshy.attempts.types import Attempt, BrokenKind, Outcome, Step, ToolCall, Verdict
from twiceshy.errors import BadInput
from twiceshy.frontier import SolveRateLedger, Tallies, tally_attempts, write_triage
from twiceshy.frontier.alarms import (
    answer_drift,
    length_fall,
    modal_wrong_answer,
    p0_against_rate,
    shaped_reward,
    short_lone_successes,
)
from twiceshy.frontier.dead import DeadKind, classify_dead
from twiceshy.frontier.facts import AttemptFacts, mode_of, read_facts
from twiceshy.frontier.triage import TriageResult, triage
from twiceshy.frontier.undeserved import do_nothing_rate, estimate_p0

S, F, B, U = Outcome.SUCCESS, Outcome.FAILURE, Outcome.BROKEN, Outcome.UNSCORED


def attempt(
    task: str = "t",
    outcome: Outcome = F,
    *,
    answer: str | None = None,
    reward: float | None = None,
    broken: BrokenKind | None = None,
    calls: Sequence[str] = (),
    words: int = 100,
    policy: str = "m",
    **rest: Any,
) -> Attempt:
    kind: BrokenKind | None = broken or ("tool_crash" if outcome is B else None)
    verdict = Verdict(
        outcome=outcome, reward=reward, broken=kind, recorded=F if outcome is B else None
    )
    step = Step(
        role="assistant", text="w" * words, calls=tuple(ToolCall(name=name) for name in calls)
    )
    return Attempt(task=task, policy=policy, verdict=verdict, answer=answer, steps=(step,), **rest)


def facts(*attempts: Attempt) -> tuple[AttemptFacts, ...]:
    return tuple(read_facts(attempts))


def dead_kind(*attempts: Attempt, tools: bool = False, passed: Sequence[str] = ()) -> str | None:
    group = classify_dead(facts(*attempts), tools=tools, passed_modes=passed)
    return None if group is None else group.kind.value


# --- the tau-bench log -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tau(tau_file: Path) -> list[Attempt]:
    read = TauBench().read(FileSource(tau_file), ReadOptions())
    return [item for item in read if isinstance(item, Attempt)]


@pytest.fixture(scope="module")
def tau_result(tau: list[Attempt]) -> TriageResult:
    return triage(tau, p0=0.38)


def test_tau_groups_before_and_after(tau_result: TriageResult) -> None:
    n = tau_result.report.numbers
    assert (n["n_attempts"], n["n_success"], n["n_failure"], n["n_broken"]) == (200, 84, 111, 5)
    assert n["n_recorded_failure"] == 116
    recorded = n["groups_as_recorded"]
    assert (recorded["all_wrong"], recorded["all_right"], recorded["mixed"]) == (14, 10, 26)
    assert sum(n["groups"].values()) == n["n_tasks"] == 50


def test_tau_broken_attempts_are_listed_with_their_reason(tau_result: TriageResult) -> None:
    broken = tau_result.report.numbers["broken"]
    places = {(row["task"], row["trial"]) for row in broken}
    assert places == {("33", "0"), ("2", "1"), ("9", "2"), ("9", "3"), ("46", "3")}
    assert all(row["kind"] == "limit" and row["reason"] for row in broken)
    assert all(row["recorded"] == "failure" for row in broken)


def test_tau_luck_at_the_do_nothing_rate(tau_result: TriageResult) -> None:
    # By the posterior, one success of four is luck with .73, two of four .59, three .36, four .10;
    # two tasks lost a broken attempt, so theirs are of three.
    lucky = tau_result.report.numbers["lucky"]
    by_count = {(row["n_success"], row["n_scored"]): row["p_lucky"] for row in lucky["tasks"]}
    assert by_count == {
        (1, 4): pytest.approx(0.727, abs=1e-3),
        (1, 3): pytest.approx(0.655, abs=1e-3),
        (2, 4): pytest.approx(0.587, abs=1e-3),
    }
    assert lucky["n_above_half"] == sum(row["n_success"] for row in lucky["tasks"]) == 30
    assert lucky["n_judged"] == 84
    assert lucky["n_did_nothing"] == 57


def test_tau_says_what_one_p0_means_and_finds_it_itself(
    tau: list[Attempt], tau_result: TriageResult
) -> None:
    own = triage(tau).report.numbers
    assert (own["p0"], own["p0_n"]) == (0.38, 50)
    assert "19 of 50" in own["p0_source"]
    text = " ".join(tau_result.report.summary)
    assert "average over tasks" in text
    assert "19 of 50" in text


def test_tau_without_gold_bounds_p0_from_what_did_nothing(tau: list[Attempt]) -> None:
    bare = [Attempt(task=a.task, verdict=a.verdict, policy=a.policy, steps=a.steps) for a in tau]
    rate = do_nothing_rate(read_facts(bare))
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low <= 0.42 <= rate.high
    assert rate.value == rate.low


def test_tau_warns_that_the_rate_is_not_clear_of_p0(tau_result: TriageResult) -> None:
    assert [alarm.name for alarm in tau_result.report.alarms] == ["p0_against_rate"]
    assert tau_result.report.ok


def test_tau_by_columns_agrees_with_tau_by_attempts(
    tau: list[Attempt], tau_result: TriageResult
) -> None:
    counted = triage(tally_attempts(tau), p0=0.38).report.numbers
    for key in ("groups", "groups_as_recorded", "n_broken", "solve_rate", "frontier"):
        assert counted[key] == tau_result.report.numbers[key]
    assert counted["lucky"]["n_above_half"] == 30
    assert counted["lucky"]["n_did_nothing"] is None


# --- nothing scored, nothing there -------------------------------------------------------------


def test_an_unlabelled_file_has_no_rate_and_is_fine() -> None:
    result = triage([attempt(outcome=U), attempt(outcome=U, task="u")])
    n = result.report.numbers
    assert result.report.ok
    assert n["n_unscored"] == 2
    assert (n["solve_rate"]["value"], n["solve_rate"]["n"]) == (None, 0)
    assert n["frontier"]["share_in_band"] is None
    assert n["groups"]["unscored"] == 2
    assert "--outcomes" in " ".join(result.report.summary)
    assert result.attempts is not None
    assert {row.advice for row in result.attempts} == {"score"}


def test_no_attempts_at_all() -> None:
    result = triage([])
    assert result.report.numbers["n_attempts"] == 0
    assert result.report.numbers["solve_rate"]["value"] is None
    assert "n = 0" in result.report.summary[0]


def test_a_group_that_only_broke_is_not_unscored() -> None:
    result = triage([attempt(outcome=B), attempt(outcome=B)])
    assert result.report.numbers["groups"]["broken"] == 1
    assert result.report.numbers["groups_as_recorded"]["all_wrong"] == 1
    assert "--outcomes" not in " ".join(result.report.summary)
    assert result.attempts is not None
    assert result.attempts[0].advice == "replay"


# --- faults that other trainers shipped --------------------------------------------------------


def test_the_lone_success_stays_with_its_whole_group() -> None:
    # NeMo-RL 3469: a leave-one-out spread of 0 threw the success of [1, 0, 0, 0] away.
    result = triage([attempt(outcome=o) for o in (S, F, F, F)])
    assert result.report.numbers["groups"]["mixed"] == 1
    assert result.attempts is not None
    assert [row.advice for row in result.attempts] == ["keep"] * 4


def test_length_shaping_does_not_bring_an_all_wrong_group_to_life() -> None:
    # verl-recipe 125: a shaped reward varies inside an all-fail group.
    shaped = [attempt(outcome=F, reward=r) for r in (0.0, -0.1, -0.2)]
    result = triage(shaped)
    assert result.report.numbers["groups"]["all_wrong"] == 1
    assert [alarm.name for alarm in result.report.alarms] == ["shaped_reward"]
    plain = [attempt(outcome=F, reward=0.0) for _ in range(3)]
    assert not shaped_reward(facts(*plain)).raised


def test_a_uniform_group_of_partial_rewards_is_not_mixed() -> None:
    # OpenRLHF 1270: a gate on the mean lets a group of equal rewards through.
    result = triage([attempt(outcome=F, reward=0.5) for _ in range(4)])
    assert result.report.numbers["groups"]["all_wrong"] == 1


def test_broken_rows_have_no_vote() -> None:
    # NeMo-RL 4160: masked rows still voted in the group's baseline.
    result = triage([attempt(outcome=o) for o in (S, S, B, B)])
    assert result.report.numbers["groups_as_recorded"]["mixed"] == 1
    assert result.report.numbers["groups"]["all_right"] == 1
    assert result.groups.intervals.rate.tolist() == [1.0]


def test_a_failures_value_does_not_depend_on_its_length() -> None:
    # prime-rl 3376: a length penalty on failures teaches to fail fast.
    tried = [attempt(outcome=S), attempt(words=1, answer="a"), attempt(words=9999, answer="b")]
    rows = triage(tried).attempts
    assert rows is not None
    assert rows[1].value == rows[2].value
    assert rows[0].value is None


@settings(max_examples=40, deadline=None)
@given(
    outcomes=st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=10),
    seed=st.randoms(use_true_random=False),
)
def test_order_never_matters_to_a_groups_numbers(outcomes: list[Outcome], seed: Any) -> None:
    mixed_up = list(outcomes)
    seed.shuffle(mixed_up)
    one = triage([attempt(outcome=o) for o in outcomes], p0=0.1).report.numbers
    two = triage([attempt(outcome=o) for o in mixed_up], p0=0.1).report.numbers
    for key in ("groups", "solve_rate", "frontier", "lucky"):
        assert one[key] == two[key]


def test_one_attempt_by_each_of_two_policies_is_a_contrast_across_policies() -> None:
    tried = [attempt("t", S, policy="m"), attempt("t", F, policy="n"), attempt("u", F)]
    numbers = triage(tried).report.numbers
    assert numbers["groups"]["single"] == 3
    assert numbers["groups"]["mixed"] == 0
    assert numbers["tasks_across_policies"]["mixed"] == 1
    assert numbers["dead"] == {}


# --- luck --------------------------------------------------------------------------------------


def test_p0_by_task_clears_those_where_luck_is_out_of_reach() -> None:
    tried = [attempt(t, o) for t in ("free", "hard", "other") for o in (S, F, F, F)]
    result = triage(tried, p0={"free": 0.9, "hard": 0.0})
    rows = result.attempts
    assert rows is not None
    luck = {row.task: row.p_lucky for row in rows if row.outcome == "success"}
    assert luck["hard"] == 0.0
    assert luck["free"] is not None
    assert luck["free"] > 0.5
    assert luck["other"] is None
    with pytest.raises(BadInput):
        triage(tried, p0={"absent": 0.1})


def test_unknown_p0_judges_nobody() -> None:
    result = triage([attempt(outcome=S), attempt(outcome=F)])
    assert result.report.numbers["p0"] is None
    assert result.report.numbers["lucky"]["n_above_half"] is None
    assert "not judged" in " ".join(result.report.summary)


def test_history_makes_a_first_success_luckier(tmp_path: Path) -> None:
    batch = [attempt(outcome=o) for o in (S, *[F] * 7)]
    fresh = triage(batch, p0=0.02)
    with SolveRateLedger(tmp_path / "l.db", decay=0.0) as ledger:
        ledger.update(tally_attempts([attempt(outcome=F) for _ in range(32)]))
        known = triage(batch, p0=0.02, ledger=ledger)
        untouched = ledger.get("t", "m")
    # 1 of 8 against 1 of 40
    assert fresh.groups.p_lucky[0] == pytest.approx(0.231, abs=1e-3)
    assert known.groups.p_lucky[0] == pytest.approx(0.612, abs=1e-3)
    assert known.report.numbers["solve_rate"] == fresh.report.numbers["solve_rate"]
    assert untouched is not None
    assert untouched.visits == 1


def test_planted_luck_ranks_above_planted_skill() -> None:
    rng = np.random.default_rng(5)
    n_groups, size, p0 = 400, 8, 0.05
    sound = rng.random(n_groups) < 0.5
    p_r = np.where(sound, 0.5, 0.0)
    wins = rng.binomial(size, p0 + (1 - p0) * p_r)
    names = np.array([str(i) for i in range(n_groups)], dtype=object)
    zero = np.zeros(n_groups, dtype=np.int64)
    policy = np.full(n_groups, "m", dtype=object)
    tallies = Tallies(names, policy, wins, size - wins, zero, zero, wins, size - wins)
    luck = triage(tallies, p0=p0).groups.p_lucky
    lucky, skilled = luck[(wins > 0) & ~sound], luck[(wins > 0) & sound]
    auc = (lucky[:, None] > skilled).mean() + (lucky[:, None] == skilled).mean() / 2
    assert auc > 0.95


# --- estimates of p0 ---------------------------------------------------------------------------


def test_a_guess_rate_from_answers_to_other_tasks() -> None:
    # Ten tasks, keys "a" five times and "b" five times, every answer right: an answer to another
    # task matches 4 times of 9.
    rate = estimate_p0(facts(*(attempt(str(i), S, answer="ab"[i % 2]) for i in range(10))))
    assert rate.value == pytest.approx(4 / 9)
    assert rate.n == 10


def test_too_little_to_estimate_is_none_not_zero() -> None:
    rate = estimate_p0(facts(attempt(outcome=S, answer="a")))
    assert rate.value is None
    assert estimate_p0(()).value is None


def test_all_different_answers_give_a_true_zero_with_its_n() -> None:
    rate = estimate_p0(facts(*(attempt(str(i), S, answer=str(i)) for i in range(12))))
    assert (rate.value, rate.n) == (0.0, 12)


# --- groups nobody solved ----------------------------------------------------------------------


def test_dead_kinds() -> None:
    assert dead_kind(attempt(outcome=B), attempt(), answer_free := attempt()) == "unknown"
    assert dead_kind(attempt(outcome=B), attempt(outcome=B), answer_free) == "broken"
    cut = [attempt(truncated=True, answer="a"), attempt(answer="b")]
    assert dead_kind(*cut) == "truncated"
    assert dead_kind(attempt(outcome=B, broken="limit"), attempt(answer="b")) == "truncated"
    assert dead_kind(*(attempt(answer=a) for a in "aaab")) == "collapse"
    assert dead_kind(*(attempt(answer=a) for a in "aabc")) == "cliff"
    assert dead_kind(attempt(answer="a"), attempt(answer="a"), passed=["a"]) == "broken"
    assert dead_kind(attempt(outcome=S), attempt()) is None
    assert dead_kind(attempt(outcome=U), attempt(outcome=U)) is None


def test_a_pass_without_a_write_does_not_contradict_a_failure_without_one() -> None:
    idle = [attempt(calls=["get_user"]), attempt(calls=["get_user"])]
    assert dead_kind(*idle, tools=True, passed=["no write"]) == "collapse"


def test_another_policys_pass_with_the_same_answer_accuses_the_checker() -> None:
    tried = [attempt(answer="7"), attempt(answer="7."), attempt(outcome=S, answer="7", policy="n")]
    result = triage(tried)
    assert [group.kind for group in result.dead] == [DeadKind.BROKEN]
    assert "equal an attempt that passed" in result.dead[0].rule


def test_modes_and_answers() -> None:
    assert normalised("New  York.") == normalised("new york")
    assert normalised("-$1,000.50") == "-1000.5"
    write, read = facts(attempt(calls=["cancel_order"]), attempt(calls=["get_order"]))
    assert mode_of(write, tools=True) == "cancel_order {}"
    assert mode_of(read, tools=True) == "no write"
    assert mode_of(facts(attempt())[0], tools=False) is None


# --- alarms ------------------------------------------------------------------------------------


def test_length_fall_sounds_within_tasks_only() -> None:
    falling = [attempt(str(i), words=w) for i in range(10) for w in (500, 450, 60, 45)]
    got = length_fall(facts(*falling))
    assert got.raised
    assert got.value == pytest.approx(52.5 / 475)
    # Later tasks that are shorter throughout are not a fall.
    steady = [attempt(str(i), words=500 - 49 * i) for i in range(10) for _ in range(4)]
    assert not length_fall(facts(*steady)).raised


def test_a_repeated_wrong_answer_sounds_unless_it_is_a_usual_key() -> None:
    boxed = [attempt(str(i), answer="40" if i % 2 else str(i)) for i in range(20)]
    assert modal_wrong_answer(facts(*boxed)).raised
    usual = [attempt(f"s{i}", S, answer="yes" if i % 2 else "no") for i in range(20)]
    wrong = [attempt(f"f{i}", answer="yes" if i % 2 else "no") for i in range(20)]
    assert not modal_wrong_answer(facts(*usual, *wrong)).raised


def test_answer_drift_sees_one_answer_given_too_often() -> None:
    keys = [attempt(str(i), S, answer=str(i)) for i in range(10)]
    drift = [attempt(str(i), answer="0") for i in range(10)]
    got = answer_drift(facts(*keys, *drift))
    assert got.raised
    assert got.value == pytest.approx(11 / 20 - 1 / 10)
    assert not answer_drift(facts(*keys)).raised


def test_short_lone_successes_sound() -> None:
    tried = [
        a for i in range(10) for a in (attempt(str(i), S, words=40), attempt(str(i), words=500))
    ]
    assert short_lone_successes(facts(*tried)).raised
    even = [a for i in range(10) for a in (attempt(str(i), S), attempt(str(i)))]
    assert not short_lone_successes(facts(*even)).raised


def test_a_rate_below_p0_is_an_alarm() -> None:
    assert p0_against_rate(0.4, rate=0.3, low=0.2, n_tasks=9).severity == "alarm"
    assert not p0_against_rate(0.1, rate=0.3, low=0.2, n_tasks=9).raised
    assert not p0_against_rate(None, rate=0.3, low=0.2, n_tasks=9).raised


@pytest.mark.parametrize("check", [length_fall, modal_wrong_answer, answer_drift, shaped_reward])
def test_a_check_without_data_is_undefined_and_silent(check: Any) -> None:
    got = check(())
    assert (got.value, got.n, got.raised) == (None, 0, False)


def test_unscored_and_broken_shares_sound() -> None:
    tried = [attempt(outcome=o) for o in (S, F, F, B, U)]
    names = {alarm.name for alarm in triage(tried).report.alarms}
    assert {"broken_share", "unscored_share"} <= names


# --- on disk -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_is_written_can_be_read_back(tmp_path: Path, kind: Any) -> None:
    tried = [attempt("=1+1", S), attempt("=1+1", F), attempt("ü", B), attempt("u", U)]
    result = triage(tried, p0=0.1)
    written = write_triage(result, tmp_path / "new" / "out", sheet_format=kind)
    body = json.loads(written.report.read_text())
    assert body["numbers"]["n_attempts"] == 4
    assert written.attempts is not None
    rows = read_back(written.attempts)
    assert [row["task"] for row in rows] == ["=1+1", "=1+1", "ü", "u"]
    assert [row["p_lucky"] in (None, "") for row in rows] == [False, True, True, True]
    groups = read_back(written.groups)
    assert [row["state"] for row in groups] == ["mixed", "broken", "unscored"]
    assert [row["rate"] in (None, "") for row in groups] == [False, True, True]
    write_triage(result, tmp_path / "new" / "out", sheet_format=kind)
    assert len(list((tmp_path / "new" / "out").iterdir())) == 3


def read_back(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    import duckdb

    found = duckdb.connect().execute(f"SELECT * FROM '{path}'")
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_counts_alone_write_no_attempt_rows(tmp_path: Path) -> None:
    written = write_triage(triage(tally_attempts([attempt()])), tmp_path)
    assert written.attempts is None


def test_a_folder_that_is_a_file_and_an_unknown_format_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput):
        write_triage(triage([attempt()]), tmp_path / "file")
    with pytest.raises(BadInput):
        write_triage(triage([]), tmp_path, sheet_format="xlsx")  # type: ignore[arg-type]


# --- size and surface --------------------------------------------------------------------------


def test_many_groups_are_sampled_for_the_plot_and_say_so() -> None:
    n = 5000
    one, zero = np.ones(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    names = np.array([str(i) for i in range(n)], dtype=object)
    tallies = Tallies(names, np.full(n, "m", dtype=object), one, one, zero, zero, one, one)
    numbers = triage(tallies, p0=0.1).report.numbers
    assert len(numbers["frontier_points"]) == 2000
    sampling = numbers["frontier_points_sampling"]
    assert (sampling["n_shown"], sampling["n_groups_scored"]) == (2000, n)
    assert len(json.dumps(numbers)) < 1_000_000


def test_the_report_is_plain_json(tau_result: TriageResult) -> None:
    text = json.dumps(tau_result.report.numbers, allow_nan=False)
    assert json.loads(text)["n_groups"] == 50


@pytest.mark.parametrize(
    "wrong",
    [{"p0": 1.5}, {"p0": {}}, {"band": (0.8, 0.2)}, {"confidence": 1.0}, {"prior": (0.1, 0.1)},
     {"tau": 0.0, "p0": 0.0}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"p0": 0.1}
    with pytest.raises(BadInput):
        triage([attempt(outcome=S), attempt()], **(usual | wrong))


def test_every_exported_name_loads_and_none_is_hidden() -> None:
    for name in frontier.__all__:
        assert getattr(frontier, name) is not None
    assert set(frontier.__all__) == set(dir(frontier))
    with pytest.raises(AttributeError):
        _ = frontier.absent  # type: ignore[attr-defined]


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = (
        "import sys, twiceshy.frontier, twiceshy.frontier.triage;"
        "print([m for m in ('duckdb', 'scipy', 'torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
