from __future__ import annotations

import gzip
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.attempts.codec import decode_attempt
from twiceshy.attempts.types import Attempt, Outcome, Step, ToolCall, Verdict
from twiceshy.demo_data import demo_path
from twiceshy.errors import BadInput
from twiceshy.evidence.held_out import prove
from twiceshy.evidence.stats.stratified import stratified_test
from twiceshy.lessons import EvidenceLevel
from twiceshy.memory.contrast.conditions import (
    Conditions,
    Pattern,
    holds,
    matches,
    parse_pattern,
    situation_words,
)
from twiceshy.memory.contrast.conditions_evidence import endings_of, ends_on, task_codes
from twiceshy.memory.contrast.conditions_held_out import TerminalMiner
from twiceshy.memory.contrast.conditions_lessons import mine_conditions
from twiceshy.memory.contrast.conditions_search import SearchSettings, search
from twiceshy.memory.contrast.conditions_table import build_blocks
from twiceshy.memory.contrast.table import build_table

WORDS = st.sampled_from(["hot", "food.cooked", "tool is oven", "recipe says fried"])


def _step(verb: str, *facts: str, thing: str = "x") -> Step:
    call = ToolCall(name=verb, arguments={"thing": thing})
    return Step(role="assistant", text=f"{verb} {thing}", calls=(call,), facts=facts)


def _attempt(task: str, trial: int, steps: Sequence[Step], *, ending: str) -> Attempt:
    return Attempt(
        task=task,
        trial=str(trial),
        id=f"{task}-{trial}",
        verdict=Verdict(outcome=Outcome.SUCCESS if ending == "won" else Outcome.FAILURE),
        steps=tuple(steps),
        ending=ending,
        truncated=ending == "max_steps",
    )


def _world(*, hot_loses: bool, n_tasks: int = 30, seed: int = 0) -> list[Attempt]:
    """Press things; pressing loses half of the time: always and only when hot, or at random."""
    rng = random.Random(seed)
    attempts: list[Attempt] = []
    for task in range(n_tasks):
        for trial in range(8):
            steps, ending = [_step("look")], "won"
            for _ in range(2):
                is_hot = rng.random() < 0.5
                steps.append(_step("press", *(["hot"] if is_hot else ["cold"])))
                if is_hot if hot_loses else rng.random() < 0.5:
                    ending = "lost"
                    break
            if ending == "won":
                steps.append(_step("leave"))
            attempts.append(_attempt(f"t{task}", trial, steps, ending=ending))
    return attempts


def _permuted(attempts: Sequence[Attempt], seed: int) -> list[Attempt]:
    """Deal the outcomes of each task out again among its attempts."""
    rng = np.random.default_rng(seed)
    by_task: dict[str, list[int]] = defaultdict(list)
    for index, attempt in enumerate(attempts):
        by_task[attempt.task].append(index)
    result = list(attempts)
    for indices in by_task.values():
        for to, source in zip(indices, rng.permutation(indices), strict=True):
            given = attempts[int(source)]
            result[to] = msgspec.structs.replace(
                attempts[to],
                verdict=given.verdict,
                ending=given.ending,
                truncated=given.truncated,
            )
    return result


@pytest.fixture(scope="module")
def train() -> list[Attempt]:
    lines = gzip.decompress(demo_path("train").read_bytes()).splitlines()
    return [decode_attempt(line) for line in lines][:800]


# Patterns


@given(st.sampled_from(["cook", "take"]), st.lists(WORDS, max_size=2, unique=True), st.booleans())
def test_a_pattern_survives_its_text(verb: str, words: list[str], negate: bool) -> None:
    pattern = Pattern(verb, tuple(f"not {w}" if negate else w for w in words))
    assert parse_pattern(str(pattern)) == pattern


@given(st.sets(WORDS), WORDS)
def test_a_literal_and_its_negation_split_all_steps(facts: set[str], word: str) -> None:
    yes, no = parse_pattern(f"cook | {word}"), parse_pattern(f"cook | not {word}")
    assert holds(yes, verb="cook", facts=facts) is (word in facts)
    assert holds(no, verb="cook", facts=facts) is (word not in facts)


def test_only_actions_of_the_policy_match() -> None:
    rule = parse_pattern("press | hot")
    assert matches(rule, _step("press", "hot"))
    assert not matches(rule, _step("press", "cold"))
    assert not matches(rule, _step("leave", "hot"))
    assert not matches(rule, Step(role="assistant", text="press", facts=("hot",)))
    reply = Step(role="tool", calls=(ToolCall(name="press"),), facts=("hot",))
    assert not matches(rule, reply)


@pytest.mark.parametrize("text", ["", " | hot", "press | ", "press | hot & "])
def test_a_broken_pattern_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="a pattern such as"):
        parse_pattern(text)


# The vocabulary


def test_events_are_patterns_any_step_matches() -> None:
    attempts = _world(hot_loses=True)
    rows = Conditions(merge_jaccard=1.0).events(attempts)
    for attempt, events in zip(attempts, rows, strict=True):
        for name in ("press | hot", "press | cold", "leave"):
            pattern = parse_pattern(name)
            assert (name in events) == any(matches(pattern, step) for step in attempt.steps)


def test_patterns_for_the_same_steps_are_kept_once_and_simple() -> None:
    (block,) = [b for b in build_blocks(_world(hot_loses=True)) if b.verb == "press"]
    # hot = not cold and cold = not hot, so that three distinct sets of steps are left.
    assert [str(p) for p in block.patterns] == ["press", "press | hot", "press | cold"]


def test_rare_patterns_are_left_out_whatever_the_outcome() -> None:
    attempts = _world(hot_loses=True, n_tasks=3)
    rare = [_attempt("t0", 90 + k, [_step("jump", "high")], ending="lost") for k in range(7)]
    assert not any("jump" in e for row in Conditions().events(attempts + rare) for e in row)
    rare.append(_attempt("t1", 99, [_step("jump", "high")], ending="won"))
    assert sum("jump" in row for row in Conditions().events(attempts + rare)) == 8


def test_phrases_are_rebuilt_from_the_name() -> None:
    phrase = Conditions().phrase("cook | food.cooked & not tool is oven")
    assert phrase.trigger == "when food is cooked and not (tool is oven)"
    assert situation_words(parse_pattern("cook")) == "at any time"


def test_the_vocabulary_fits_logs_with_facts_only() -> None:
    assert Conditions().accepts(_world(hot_loses=True, n_tasks=1))
    bare = _attempt("t", 0, [Step(role="assistant", text="hello")], ending="won")
    assert not Conditions().accepts([bare])
    assert not Conditions().accepts([])


@pytest.mark.parametrize("bad", [{"max_literals": 3}, {"merge_jaccard": 0.0}])
def test_settings_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        Conditions(**bad)  # pyrefly: ignore


# The search


def test_the_fatal_condition_is_found_with_its_counts() -> None:
    attempts = _world(hot_loses=True)
    found = search(attempts)
    (rule,) = found.avoid
    presses = [(s, a) for a in attempts for s in a.steps if s.calls[0].name == "press"]
    hot = [(s, a) for s, a in presses if s.facts == ("hot",)]
    assert str(rule.pattern) == "press | hot"
    assert (rule.n_steps, rule.n_verb_steps) == (len(hot), len(presses))
    assert rule.n_fatal == rule.n_lost == sum(a.ending == "lost" for a in attempts)
    assert (rule.n_won, rule.n_timed_out, rule.hazard) == (0, 0, 1.0)
    assert rule.q_value < 1e-3  # 27 informative tasks bound what whole tasks can show
    by_task = defaultdict(list)
    for step, attempt in presses:
        by_task[attempt.task].append(step.facts == ("hot",))
    rates = {task: sum(flags) / len(flags) for task, flags in by_task.items()}
    expected = sum(rates[a.task] for _, a in hot) / len(hot)
    assert rule.baseline == pytest.approx(expected)


def test_a_risky_verb_is_no_rule_when_the_condition_does_not_matter() -> None:
    # Pressing loses half of the time and looking never, so that a baseline over all verbs would
    # call "press | hot" fatal; within the verb it is not.
    found = search(_world(hot_loses=False))
    assert found.n_tested >= 4
    assert [str(rule.pattern) for rule in found.avoid if rule.pattern.literals] == []


def test_failures_alone_teach_nothing() -> None:
    lost = [a for a in _world(hot_loses=True) if a.ending == "lost"]
    assert search(lost).avoid == ()
    assert search(lost).habits == ()


def _pressing(rng: random.Random, *, red: float, lost: float) -> tuple[list[Step], str]:
    """Press twice, in red or blue; what is lost does not depend on the colour."""
    steps = [_step("look")]
    for _ in range(2):
        words = [word for word in ("a", "b", "c") if rng.random() < 0.5]
        steps.append(_step("press", "red" if rng.random() < red else "blue", *words))
        if rng.random() < lost:
            return steps, "lost"
    return [*steps, _step("leave")], "won"


def test_a_weak_policys_style_is_no_rule() -> None:
    rng = random.Random(1)
    attempts: list[Attempt] = []
    for task in range(60):
        for trial in range(8):
            weak = trial >= 4
            chances = {"red": 0.9, "lost": 0.55} if weak else {"red": 0.1, "lost": 0.12}
            steps, ending = _pressing(rng, **chances)
            attempt = _attempt(f"t{task}", trial, steps, ending=ending)
            attempts.append(msgspec.structs.replace(attempt, policy="weak" if weak else "strong"))
    unknown = [msgspec.structs.replace(each, policy="unknown") for each in attempts]
    assert search(unknown).n_significant > 0  # it is one, as long as nobody tells who is who
    assert search(attempts).n_significant == 0
    table = build_table(attempts, vocabulary=Conditions())
    rows = np.arange(len(attempts))
    assert not TerminalMiner(attempts, table)(rows, table.failed).any()


def test_copied_attempts_make_no_rule() -> None:
    rng = random.Random(4)
    attempts: list[Attempt] = []
    for task in range(120):
        kinds = [_pressing(rng, red=0.5, lost=0.5) for _ in range(3)]
        for trial in range(10):
            steps, ending = rng.choice(kinds)
            attempts.append(_attempt(f"t{task}", trial, steps, ending=ending))
    blocks = build_blocks(attempts, min_attempts=8, max_literals=2)
    (press,) = (each for each in blocks if each.verb == "press")
    lost, task = endings_of(attempts).lost, task_codes(attempts)
    ends = ends_on(press, len(attempts))
    # Taken for independent draws the copies are sure of something; as one observation they are not.
    assert np.nanmin(stratified_test(ends, failed=lost, stratum=task).p_value) < 1e-4
    assert search(attempts).n_significant == 0


def test_few_mixed_tasks_describe_and_say_so() -> None:
    mined = mine_conditions(_world(hot_loses=True, n_tasks=8))
    assert mined.found.n_mixed_tasks < 30
    (rule,) = mined.avoid
    assert rule.level is EvidenceLevel.DESCRIBED
    assert any(flag.startswith("too few mixed tasks") for flag in rule.flags)


def test_what_winners_do_as_well_is_not_forbidden() -> None:
    attempts: list[Attempt] = []
    for attempt in _world(hot_loses=True):
        steps = list(attempt.steps)
        if attempt.ending == "won":  # every win survives four hot presses
            steps[1:1] = [_step("press", "hot")] * 4
        attempts.append(msgspec.structs.replace(attempt, steps=tuple(steps)))
    assert search(attempts).avoid == ()


def test_running_out_of_steps_is_never_a_fatal_step() -> None:
    attempts = [
        msgspec.structs.replace(a, ending="max_steps", truncated=True) if a.ending == "lost" else a
        for a in _world(hot_loses=True)
    ]
    found = search(attempts)
    assert found.avoid == ()
    assert int(found.endings.timed_out.sum()) == sum(a.ending == "max_steps" for a in attempts)


def test_broken_and_unscored_attempts_are_left_out() -> None:
    attempts = _world(hot_loses=True)
    broken = msgspec.structs.replace(
        attempts[0], id="b", verdict=Verdict(outcome=Outcome.BROKEN, broken="timeout")
    )
    unscored = msgspec.structs.replace(
        attempts[1], id="u", verdict=Verdict(outcome=Outcome.UNSCORED)
    )
    found = search([*attempts, broken, unscored])
    assert len(found.attempts) == len(attempts)
    assert found.avoid == search(attempts).avoid


def test_nothing_in_nothing_out() -> None:
    mined = mine_conditions([])
    assert mined.all == ()
    assert (mined.found.n_tested, mined.found.n_mixed_tasks) == (0, 0)


def test_outcomes_dealt_out_again_give_about_no_rule(train: list[Attempt]) -> None:
    assert search(train).n_significant > 100
    counts = [search(_permuted(train, seed)).n_significant for seed in range(5)]
    assert sum(counts) <= 5, counts


# Lessons


def test_mining_the_shipped_attempts(train: list[Attempt]) -> None:
    started = time.perf_counter()
    mined = mine_conditions(train)
    assert time.perf_counter() - started < 5
    patterns = {lesson.pattern for lesson in mined.avoid}
    assert "cook | recipe says roasted & tool is stove" in patterns
    assert "prepare | something is left to prepare" in patterns
    by_id = {attempt.id: attempt for attempt in train}
    for lesson in mined.avoid:
        assert lesson.instead
        assert lesson.level is EvidenceLevel.SUGGESTED  # between 30 and 100 mixed tasks
        assert lesson.evidence.within_task is not None
        assert lesson.evidence.n_informative_tasks > 8
        for pair in lesson.contrast:
            failure, success = by_id[pair.failure_id], by_id[pair.success_id]
            assert failure.task == success.task == pair.task
            assert (failure.ending, success.ending, pair.ending) == ("lost", "won", "lost")
            assert pair.failure_step == len(failure.steps) - 1
            assert matches(lesson, failure.steps[-1])
            alternative = parse_pattern(lesson.extra["instead_pattern"])
            if pair.success_step is not None:
                assert matches(alternative, success.steps[pair.success_step])
    (stove,) = [x for x in mined.avoid if x.pattern.endswith("says roasted & tool is stove")]
    assert stove.extra["instead_pattern"] == "cook | recipe still wants roasted & tool is oven"
    assert stove.contrast[0].success_step is not None


def test_demonstrations_keep_the_facts_of_each_action(train: list[Attempt]) -> None:
    mined = mine_conditions(train)
    by_id = {attempt.id: attempt for attempt in train}
    solved = {a.task for a in train if a.outcome is Outcome.SUCCESS}
    assert len(mined.demonstrations) == len(solved)
    for lesson in mined.demonstrations:
        source = by_id[lesson.parents[0]]
        assert source.outcome is Outcome.SUCCESS
        assert [m["verb"] for m in lesson.extra["moves"]] == [s.calls[0].name for s in source.steps]
        assert [tuple(m["facts"]) for m in lesson.extra["moves"]] == [s.facts for s in source.steps]


def test_habits_leave_out_the_winning_move(train: list[Attempt]) -> None:
    patterns = [lesson.pattern for lesson in mine_conditions(train).strategies]
    assert patterns
    assert not any(pattern.startswith("eat") for pattern in patterns)


# Held-out tasks


def test_terminal_rules_rank_attempts_at_unseen_games(train: list[Attempt]) -> None:
    table = build_table(train, vocabulary=Conditions())
    miner = TerminalMiner(train, table)
    weights = miner(np.arange(len(train)), table.failed)
    chosen = {table.names[k] for k in np.flatnonzero(weights)}
    assert "cook | recipe says roasted & tool is stove" in chosen
    assert len(chosen) <= 10
    held_out = prove(table, {"terminal": miner}, n_null=5, n_splits=1, n_draws=200)
    arm = held_out.arms["terminal"]
    assert arm.held_out.within.value is not None
    assert arm.held_out.within.value > 0.85
    assert arm.null is not None
    assert arm.null.mean == pytest.approx(0.5, abs=0.03)


def test_the_miner_looks_at_its_training_rows_only(train: list[Attempt]) -> None:
    table = build_table(train, vocabulary=Conditions())
    rows = np.flatnonzero(table.task < 60)
    other = np.where(table.task < 60, table.failed, ~table.failed)
    miner = TerminalMiner(train, table)
    first = miner(rows, table.failed)
    assert np.count_nonzero(first)
    assert np.array_equal(first, miner(rows, other))
    assert np.array_equal(first, TerminalMiner(train, table)(rows, other))
    assert not miner(rows[:0], table.failed).any()


def test_a_table_of_other_attempts_is_refused(train: list[Attempt]) -> None:
    table = build_table(train[:80], vocabulary=Conditions())
    with pytest.raises(BadInput, match="every row"):
        TerminalMiner(train[80:], table)


def test_search_settings_bind() -> None:
    attempts = _world(hot_loses=True)
    assert search(attempts, SearchSettings(max_literals=0)).avoid == ()
    assert search(attempts, SearchSettings(min_attempts=1000)).n_tested == 0


def test_conditions_load_neither_torch_nor_textworld() -> None:
    code = (
        "import sys, twiceshy.memory.contrast.conditions_lessons, twiceshy.integrations.textworld;"
        "assert not {'torch', 'textworld', 'duckdb'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
