"""Prompts on locked questions: what helps is found, what the reading moved is said to be so."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parcel_office import office_model, parcel, parcels
from typer.testing import CliRunner

from counting_server import by_model, serving
from twiceshy.cli.app import app
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report
from twiceshy.models import Completer, Completion, Request, ScriptedCompleter
from twiceshy.principles import AnswerMatch, Asker, Example, Executor, LeapConfig, Locked, Splits
from twiceshy.principles.arms import ARM_NAMES, Arm, ArmName, Built, build_arms, votes_for
from twiceshy.principles.contrastive import contrastive_block, scrambled
from twiceshy.principles.extractors import Lenient
from twiceshy.principles.proving import Proof, prove, voted_on
from twiceshy.principles.proving_report import proof_report
from twiceshy.principles.types import Answer, example

CONFIG = LeapConfig(n_chains=4)
TRAIN = (parcel("small", "red", "K"), parcel("large", "blue", "M"), parcel("flat", "grey", "K"))


def splits(*, train: Sequence[Example] = TRAIN, seed: int = 1) -> Splits:
    seen = {each.question for each in train}
    unseen = [each for each in parcels(110, seed=seed) if each.question not in seen]
    return Splits(tuple(train), tuple(unseen[:40]), Locked(unseen[40:]))


def run(
    model: Completer,
    names: Sequence[ArmName],
    held: Splits,
    *,
    against: str = "few_shot",
    metric: AnswerMatch | None = None,
    **settings: Any,
) -> tuple[Proof, Built, Report]:
    asker, judge = Asker(model), metric or AnswerMatch()
    built = build_arms(names, asker, held, metric=judge, config=CONFIG, given=["Be kind."])
    proof = prove(Executor(asker, judge), built.arms, held.test, against=against, **settings)
    return proof, built, proof_report(proof, built, asker.spent, model=model.name)


def test_what_helps_is_found_and_what_does_not_is_not() -> None:
    held = splits()
    proof, built, report = run(office_model(), ARM_NAMES, held)
    assert built.left_out == {}
    results = {each.policy: each for each in proof.trials["as given"].arms}
    clear = {name for name, each in results.items() if each.is_clear}
    # Principles of right chains name a mark that was there by accident, and the clerk obeys them.
    assert clear == {"leap_low", "leap_high", "gated", "success_only"}
    assert results["success_only"].n_lost > results["success_only"].n_gained
    n_exceptions = results["leap_low"].n_gained
    assert 5 < n_exceptions < 25
    assert results["leap_low"].n_lost == results["filler"].n_lost == 0
    assert results["filler"].n_gained == 0
    assert held.test.openings == (", ".join(ARM_NAMES),)
    assert report.numbers["trial"]["placebo"] == "filler"
    assert "leap_low" in report.summary[0]
    assert not [each for each in report.alarms if each.name.startswith("extractor")]


def test_calls_are_those_of_the_formula() -> None:
    held = splits()
    proof, built, _ = run(office_model(), ["few_shot", "self_consistency", "leap_high"], held)
    n = len(held.test)
    assert built.leap is not None
    n_learning = 3 * 4 + len(built.leap.induced.mistakes) + 1
    by_name = {each.arm.name: each for each in proof.arms}
    assert by_name["leap_high"].arm.n_learning_calls == n_learning
    assert by_name["few_shot"].n_calls == by_name["leap_high"].n_calls == n
    assert by_name["self_consistency"].arm.votes == 3 == votes_for(built.leap, n_items=n)
    assert by_name["self_consistency"].n_calls == 3 * n >= n_learning + n
    assert votes_for(built.leap, n_items=4) == -(-(n_learning + 4) // 4)


def test_whoever_writes_never_sees_a_locked_question() -> None:
    held = splits()
    model = office_model()
    asker = Asker(model)
    build_arms(ARM_NAMES, asker, held, metric=AnswerMatch(), config=CONFIG, given=["Be kind."])
    told = "\n".join(model.prompts)
    locked: list[str] = []

    def peek(examples: Sequence[Example]) -> np.ndarray[Any, np.dtype[np.float64]]:
        locked.extend(each.question for each in examples)
        return np.zeros(len(examples))

    held.test.measure({"none": peek}, against="none")
    assert len(locked) == len(held.test) > 50
    assert not [each for each in locked if each in told]


def shy(*, marks_when: str | None, right: float = 0.6) -> ScriptedCompleter:
    """Adds rightly for a fixed share of sums, whatever the prompt; a block changes only whether the
    answer is marked. Without a mark its answer is there all the same."""

    def answer(request: Request) -> str:
        if request.prompt.endswith(("Principle:", "Condensed principles:")):
            return "Count on."
        one, two = map(int, re.findall(r"(\d+) \+ (\d+)\?", request.prompt)[-1])
        good = random.Random(f"{one}+{two}").random() < right
        told = one + two + (not good)
        marked = marks_when is None or marks_when in request.prompt
        return f"I add.\nAnswer: {told}" if marked else f"I add, and that makes {told}"

    return ScriptedCompleter(answer, name="shy")


def sums(n: int) -> Splits:
    every = [example(f"{k} + {2 * k + 1}?", str(3 * k + 1)) for k in range(1, n + 20)]
    return Splits(tuple(every[:6]), tuple(every[6:10]), Locked(every[10 : n + 10]))


NAMES: tuple[ArmName, ...] = ("few_shot", "leap_high", "filler")


def test_a_block_that_only_makes_answers_readable_is_called_that() -> None:
    # The mark comes with any block: unread as wrong, every block helps; read leniently, none does.
    model = shy(marks_when="Use these principles")
    held = sums(60)
    asker = Asker(model)
    lenient_arms = tuple(
        Arm(name, block="" if name == "few_shot" else "Use these principles") for name in NAMES
    )
    built = Built(lenient_arms, {}, None)
    proof = prove(Executor(asker, AnswerMatch()), lenient_arms, held.test)
    report = proof_report(proof, built, asker.spent, model="shy")
    (high, filler) = proof.moved
    assert set(high.by_extractor) == {"strict", "lenient"}  # no reference answer has a score
    assert high.by_extractor["strict"].is_clear
    own, loose = (high.by_extractor[how].difference for how in ("strict", "lenient"))
    assert own is not None
    assert loose is not None
    assert own.difference is not None
    assert own.difference > 0.4
    assert loose.difference == 0.0
    assert high.through_unread == pytest.approx(own.difference)
    assert high.by_reading
    assert filler.by_reading
    alarms = [each for each in report.alarms if each.name == "extractor_moved_it"]
    assert len(alarms) == 2
    assert "not the prompt, moved the score of leap_high" in alarms[0].message
    assert {each.arm.name: each.n_unread for each in proof.arms} == {
        "few_shot": 60,
        "leap_high": 0,
        "filler": 0,
    }
    assert "no answer could be read of few_shot" in report.summary[0]
    assert "(60) in few_shot" in report.summary[1]
    assert high.unread == (0, 60, 60, 1.0)
    assert report.numbers["trial"] is None
    assert report.numbers["arms"]["few_shot"]["right"]["n"] == 0


def muttering(request: Request) -> str:
    """Adds wrongly every third sum; with a block it marks no answer where it would be wrong."""
    one, two = map(int, re.findall(r"(\d+) \+ (\d+)\?", request.prompt)[-1])
    wrong = one % 3 == 0
    if "BLOCK" in request.prompt:
        return "I do not know." if wrong else f"Answer: {one + two}"
    return f"Answer: {one + two + (wrong or one % 4 == 0)}"


def test_unread_answers_have_no_score_and_are_compared() -> None:
    # Of 8..67: 20 divide by 3 and 10 more by 4 alone. Those 20 are unread with the block.
    arms = (Arm("few_shot"), Arm("leap_low", block="BLOCK"))
    splits = sums(60)
    asker = Asker(ScriptedCompleter(muttering))
    proof = prove(Executor(asker, AnswerMatch()), arms, splits.test)
    (moved,) = proof.moved
    own, strict = (moved.by_extractor[how] for how in ("as given", "strict"))
    assert own.difference is not None
    assert strict.difference is not None
    n_unread = proof.arms[1].n_unread
    assert n_unread == moved.unread.more == 20
    assert (own.difference.n_tasks, own.n_gained, own.n_lost) == (40, 10, 0)
    assert own.difference.difference == 10 / 40
    assert strict.difference.difference == pytest.approx(10 / 60)
    assert moved.unread.p == 0.5**20
    report = proof_report(proof, Built(arms, {}, None), asker.spent, model="m")
    assert "leap_low +25 [+11, +39] (n = 40)" in report.summary[0]
    (alarm,) = (each for each in report.alarms if each.name == "more_unread")
    assert "unread +20 −0 of 60" in alarm.message
    right = report.numbers["arms"]["leap_low"]["right"]
    assert (right["value"], right["n"]) == (1.0, 40)


def test_a_gain_that_is_gone_when_unread_counts_as_wrong_is_the_readings() -> None:
    # Ten sums are gained and ten that were right turn unreadable: 0 where unread is wrong.
    def answer(request: Request) -> str:
        one, two = map(int, re.findall(r"(\d+) \+ (\d+)\?", request.prompt)[-1])
        kind = one % 4
        if "BLOCK" in request.prompt:
            return "Hm." if kind == 1 else f"Answer: {one + two}"
        return f"Answer: {one + two + (kind == 0)}"

    arms = (Arm("few_shot"), Arm("leap_low", block="BLOCK"))
    proof = prove(Executor(Asker(ScriptedCompleter(answer)), AnswerMatch()), arms, sums(40).test)
    (moved,) = proof.moved
    assert moved.by_extractor["as given"].is_clear
    assert (moved.by_extractor["as given"].n_gained, moved.unread.more) == (10, 10)
    assert not moved.by_extractor["strict"].is_clear
    assert moved.by_reading


def test_a_metric_of_ones_own_has_a_strict_reading_too() -> None:
    from twiceshy.principles.extractors import extractors

    assert list(extractors(AnswerMatch())) == ["as given", "strict", "lenient"]
    assert list(extractors(AnswerMatch(reader="number"))) == [
        "as given",
        "strict",
        "marked",
        "lenient",
    ]
    assert list(extractors(Lenient())) == ["as given", "strict"]


def test_a_reader_that_hides_a_gain_is_named() -> None:
    def answer(request: Request) -> str:
        one, two = map(int, re.findall(r"(\d+) \+ (\d+)\?", request.prompt)[-1])
        return f"it is {one + two}" if "BLOCK" in request.prompt else f"it is {one + two + 1}"

    arms = (Arm("few_shot"), Arm("leap_low", block="BLOCK"))
    asker = Asker(ScriptedCompleter(answer))
    proof = prove(Executor(asker, AnswerMatch()), arms, sums(40).test)
    report = proof_report(proof, Built(arms, {}, None), asker.spent, model="m")
    assert [each.hidden for each in proof.moved] == [True]
    assert "extractor_hides_it" in {each.name for each in report.alarms}


def test_a_true_gain_is_not_blamed_on_the_reading() -> None:
    def answer(request: Request) -> str:
        one, two = map(int, re.findall(r"(\d+) \+ (\d+)\?", request.prompt)[-1])
        return f"Answer: {one + two + ('BLOCK' not in request.prompt)}"

    arms = (Arm("few_shot"), Arm("leap_low", block="BLOCK"))
    proof = prove(Executor(Asker(ScriptedCompleter(answer)), AnswerMatch()), arms, sums(40).test)
    assert [(each.by_reading, each.hidden) for each in proof.moved] == [(False, False)]
    assert proof.trials["as given"].arms[1].is_clear


def test_examples_that_are_too_easy_leave_arms_out_and_the_rest_runs() -> None:
    easy = (parcel("small", "red", "M"), parcel("large", "blue", "M"), parcel("flat", "grey", "T"))
    proof, built, report = run(office_model(), ARM_NAMES, splits(train=easy))
    assert set(built.left_out) >= {"raw_pairs", "leap_low", "leap_high", "success_only", "filler"}
    assert {each.arm.name for each in proof.arms} >= {"zero_shot", "few_shot", "contrastive"}
    assert report.numbers["difficulty"] == "too_easy"
    (alarm,) = (each for each in report.alarms if each.name == "arms_left_out")
    assert "too easy" in alarm.message


def test_an_endpoint_that_goes_away_leaves_what_there_is() -> None:
    office = office_model()
    n = 0

    def answer(request: Request) -> Completion:
        nonlocal n
        n += 1
        if n > 100:
            return Completion(text="", finish="timeout", error="gone")
        return office.complete([request])[0]

    model = ScriptedCompleter(answer)
    proof, _, report = run(model, ["few_shot", "leap_low", "leap_high"], splits())
    assert sum(each.n_broken for each in proof.arms) > 50
    (alarm,) = (each for each in report.alarms if each.name == "answers_missing")
    assert "timeout" in alarm.message

    dead = ScriptedCompleter(lambda request: Completion(text="", finish="timeout"))
    proof, _, report = run(dead, ["zero_shot", "few_shot"], splits())
    assert proof.trials == {}
    assert report.summary[0].startswith("Nothing to compare (n = 0)")


def test_votes_by_hand() -> None:
    asked = example("1 + 1?", "2")

    def answers(*texts: str) -> list[Answer]:
        metric = AnswerMatch()
        return [Answer(asked, k, text, metric(asked, text)) for k, text in enumerate(texts)]

    metric = AnswerMatch()
    assert voted_on(answers("Answer: 3", "Answer: 2", "Answer: 2.0"), metric).right
    assert voted_on(answers("Answer: 3", "Answer: 2"), metric).answer == "3"
    assert voted_on(answers("hm", "well", "Answer: 2"), metric).right
    assert voted_on(answers("hm", "well"), metric).score is None
    assert voted_on(answers("so 2", "or 3"), Lenient()).right


@pytest.mark.parametrize(
    ("answer", "response", "right"),
    [
        ("5", "I think 4, no, 5", True),
        ("5", "Answer: 4\nOr was it 5", False),
        ("C", "It must be (C).", True),
        ("in Paris", "well\nIt is in Paris!\n\n", True),
        ("art", "the party", False),
        ("yes", "", None),
    ],
)
def test_the_lenient_reader(answer: str, response: str, right: bool | None) -> None:
    scored = Lenient()(example("?", answer), response)
    assert (scored.right if scored.score is not None else None) == right


def test_contrast_shuffles_every_object_it_can() -> None:
    asked = example("Who?", "Ann", reasoning="First Bob gave 3 to Ann. Then Ann had 12.")
    for seed in range(5):
        wrong = scrambled(asked, [], rng=random.Random(seed))
        assert sorted(re.findall(r"\w+", wrong)) != []
        assert wrong != asked.worked
        assert wrong.count("Answer:") == 1
    bare = example("Where?", "north")
    assert scrambled(bare, [example("Who?", "south")], rng=random.Random(0)) == "Answer: south"
    block = contrastive_block([asked, bare])
    assert block.count("Wrong explanation:") == block.count("Right explanation:") == 2


@pytest.mark.parametrize(
    ("names", "settings", "told"),
    [
        (["few_shot", "nonsense"], {}, "nonsense"),
        (["few_shot"], {"against": "leap_low"}, "leap_low"),
        (["few_shot"], {"n_samples": 3}, "temperature"),
    ],
)
def test_bad_input(names: list[Any], settings: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        run(office_model(), names, splits(), **settings)


def test_several_samples_give_the_flips_of_a_rerun() -> None:
    proof, *_ = run(
        office_model(), ["few_shot", "leap_low"], splits(), n_samples=3, temperature=0.7
    )
    trial = proof.trials["as given"]
    assert trial.n_seeds == 3
    assert trial.arms[1].flips is not None
    assert trial.arms[1].flips.rerun_right_to_wrong == 0.0


def test_the_command_over_http_and_again_without_a_call(tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="needs the openai extra")
    seen = {each.question for each in TRAIN}
    others = [each for each in parcels(110, seed=1) if each.question not in seen]
    rest = sorted(others, key=lambda each: each.answer == "up")[-60:]  # 17 exceptions, locked away
    kinds = ["train"] * 3 + ["validation"] * 20 + ["test"] * 40
    records = [
        {"question": each.question, "answer": each.answer, "split": kind}
        for each, kind in zip([*TRAIN, *rest], kinds, strict=False)
    ]
    path = tmp_path / "office.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    with serving(by_model(office_model())) as server:
        words = ["prove", "prompt", str(path), "--model", "clerk", "--model-url", server.url]
        words += ["--chains", "4", "--arms", "leap_low,filler", "--out", str(tmp_path), "--json"]
        first = CliRunner().invoke(app, words, catch_exceptions=False)
        n_calls = server.n_received
        again = CliRunner().invoke(app, words, catch_exceptions=False)
    assert first.exit_code == again.exit_code == 0, first.stderr
    assert "3 arms, 40 questions" in first.stderr
    assert server.n_received == n_calls
    told, told_again = json.loads(first.stdout), json.loads(again.stdout)
    assert told["trial"] == told_again["trial"]
    assert told["trial"]["arms"]["leap_low"]["is_clear"]
    assert not told["trial"]["arms"]["filler"]["is_clear"]
    assert told_again["spent"]["n_calls"] == 0
    assert (tmp_path / "proof.json").exists()
    wrong = CliRunner().invoke(app, [*words[:-1], "--against", "nothing"])
    assert isinstance(wrong.exception, BadInput)
