"""The procedure: calls by the published formula, every step kept, bad answers are data."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parcel_office import office_model, parcel, parcels

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.models import Completion, Request, ScriptedCompleter
from twiceshy.principles import (
    AnswerMatch,
    Asker,
    Executor,
    LeapConfig,
    Planned,
    StepFile,
    accepted_on,
    calls_of,
    example,
    leap,
    learn_principles,
    mistakes_of,
    principle_block,
    split,
)
from twiceshy.principles.executor import judge

TRAIN = (parcel("small", "red", "K"), parcel("large", "blue", "M"), parcel("flat", "grey", "K"))


@pytest.mark.parametrize(("n_chains", "n_mistakes"), [(15, 30), (4, 8), (1, 2)])
def test_calls_are_those_of_the_published_procedure(n_chains: int, n_mistakes: int) -> None:
    """Two of three examples are exceptions: k·n chains, one call a mistake, one to condense."""
    model, told = office_model(), list[Planned]()
    found = leap(model, TRAIN, config=LeapConfig(n_chains=n_chains), announce=told.append)
    by_hand = 3 * n_chains + n_mistakes + 1
    assert len(model.requests) == found.spent.n_calls == found.n_calls_by_formula == by_hand
    assert len(found.induced.mistakes) == n_mistakes
    assert found.spent.by_step == {
        "induce": 3 * n_chains,
        "low_level": n_mistakes,
        "high_level": 1,
    }
    assert told[0].fewest_calls <= by_hand <= told[0].most_calls == 6 * n_chains + 1
    assert told[0].as_published == (3, 3 + 3 * n_chains + 1)


def test_principles_keep_their_mistakes_and_ancestors() -> None:
    found = leap(office_model(), TRAIN, config=LeapConfig(n_chains=2))
    assert [each.text for each in found.low] == ["When it is K, take up."] * 4
    first = found.low[0]
    assert first.kind == "principle"
    assert first.contrast[0].failure_text == "It is small.\nAnswer: north"
    assert first.contrast[0].success_text == "Answer: up"
    assert first.parents == (f"{TRAIN[0].id}#0",)
    assert [each.text for each in found.high] == ["When it is K, take up."]
    assert found.high[0].parents == tuple(each.id for each in found.low)
    assert {each.example.id for each in mistakes_of(found.high[0])} <= {each.id for each in TRAIN}
    assert accepted_on(first) == ()


def test_a_finished_run_asks_nothing_again(tmp_path: Path) -> None:
    path, model = tmp_path / "steps.jsonl", office_model()
    with StepFile(path) as steps:
        first = leap(model, TRAIN, steps=steps)
    n = len(model.requests)
    with StepFile(path) as steps:
        again = leap(model, TRAIN, steps=steps)
    assert len(model.requests) == n
    assert (again.low, again.high) == (first.low, first.high)
    assert (again.spent.n_calls, again.spent.n_known) == (0, n)
    assert again.spent.by_step == first.spent.by_step


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(min_value=0, max_value=20_000))
def test_cut_anywhere_only_what_is_missing_is_asked(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "steps.jsonl"
    config = LeapConfig(n_chains=3)
    with StepFile(path) as steps:
        whole = leap(office_model(), TRAIN, config=config, steps=steps)
    content = path.read_bytes()
    path.write_bytes(content[:cut])
    kept = content[:cut].count(b"\n")
    model = office_model()
    with StepFile(path) as steps:
        assert steps.n_torn == int(not content[:cut].endswith(b"\n") and cut > 0)
        again = leap(model, TRAIN, config=config, steps=steps)
    assert len(model.requests) == whole.spent.n_calls - kept
    assert again.low == whole.low
    assert sorted(path.read_bytes().splitlines()) == sorted(content.splitlines())


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_text('{"question": "?"}\n')
    with pytest.raises(BadInput, match=r"steps\.jsonl:1"):
        StepFile(path)


def _failing(n: int, finish: str) -> ScriptedCompleter:
    asked = 0

    def answer(request: Request) -> str | Completion:
        nonlocal asked
        asked += 1
        if asked <= n:
            return Completion(text="", finish=finish, error="later")  # type: ignore[arg-type]
        return "Answer: nowhere" if "Question:\nparcel" in request.prompt[-60:] else "Look up."

    return ScriptedCompleter(answer)


def test_calls_without_an_answer_are_counted_and_asked_again(tmp_path: Path) -> None:
    config, path = LeapConfig(n_chains=4), tmp_path / "steps.jsonl"
    with StepFile(path) as steps:
        found = leap(_failing(3, "timeout"), TRAIN, config=config, steps=steps)
    assert found.spent.failed == {"timeout": 3}
    assert found.induced.n_broken == 3
    assert len(found.induced.mistakes) == 9
    with StepFile(path) as steps:
        again = leap(_failing(0, "timeout"), TRAIN, config=config, steps=steps)
    assert again.induced.n_broken == 0
    assert again.spent.n_calls == 3 + 3 + 1  # the chains, their principles, the longer list


def test_an_endpoint_that_went_away_ends_the_run_with_what_it_has() -> None:
    model = _failing(10**6, "rate_limited")
    found = leap(model, TRAIN, config=LeapConfig(n_chains=60))
    assert found.induced.difficulty == "no_answers"
    assert found.spent.n_not_asked == 180 - 64
    assert len(model.requests) == 64
    assert (found.low, found.high, found.n_calls_by_formula) == ((), (), 180)


@pytest.mark.parametrize(
    ("said", "difficulty"),
    [
        ("Answer: up", "too_hard"),
        ("", "unread"),
        ("I wonder.", "unread"),
        ("Answer: 5", "too_easy"),
    ],
)
def test_difficulty(said: str, difficulty: str) -> None:
    found = leap(ScriptedCompleter(lambda _: said), [example("2 + 3?", "5")])
    assert found.induced.difficulty == difficulty


@pytest.mark.parametrize("said", ["", "   ", "?!", "x" * 2000, "- \n- \n"])
def test_no_principle_in_an_answer_is_counted(said: str) -> None:
    def answer(request: Request) -> str:
        return "Answer: up" if request.prompt.endswith("2 + 3?") else said

    found = leap(ScriptedCompleter(answer), [example("2 + 3?", "5")], config=LeapConfig(n_chains=2))
    assert (found.low, found.high, found.n_unusable) == ((), (), 2)
    assert found.n_calls_by_formula == found.spent.n_calls == 4


def test_examples_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(BadInput, match="at least one example"):
        leap(office_model(), [])
    with pytest.raises(BadInput, match="different ids"):
        leap(office_model(), [TRAIN[0], TRAIN[0]])
    with pytest.raises(BadInput, match="temperature"):
        LeapConfig(temperature=0.0)


def test_a_metric_that_raises_is_broken_and_not_wrong() -> None:
    def metric(asked: object, response: str, /) -> object:
        raise KeyError(response)

    scored = judge(metric, TRAIN[0], Completion(text="Answer: up"))  # type: ignore[arg-type]
    assert (scored.outcome, scored.score) == (Outcome.BROKEN, None)


def test_arms_share_their_draws_and_differ_in_the_block() -> None:
    model = office_model()
    executor = Executor(Asker(model), AnswerMatch())
    for block in ("", principle_block(["When it is K, take up."])):
        executor.answers(TRAIN, step="x", block=block, n_samples=2, temperature=0.7)
    plain, told = model.requests[:6], model.requests[6:]
    assert [each.sent_seed for each in plain] == [each.sent_seed for each in told]
    assert all(
        second.prompt.endswith(first.prompt) for first, second in zip(plain, told, strict=True)
    )


def test_from_examples_to_accepted_with_the_test_split_locked() -> None:
    items = parcels(80, seed=3)
    model = office_model(blunder=0.4, seed=1)
    splits = split(items, n_train=8, test_share=0.2, seed=2)
    found = learn_principles(model, splits, config=LeapConfig(n_chains=3))
    assert found.gated is not None
    assert {each.text for each in found.gated.accepted} == {"When it is K, take up."}
    asked = "\n".join(model.prompts)
    shown = {each.question for each in (*splits.train, *splits.validation)}
    locked = [each.question for each in items if each.question not in shown]
    assert len(locked) == len(splits.test) == 14
    assert not any(f"{question}\n" in f"{asked}\n" for question in locked)
    assert splits.test.openings == ()


def test_formula_without_mistakes() -> None:
    assert calls_of(3, n_chains=15, n_mistakes=0) == 45
