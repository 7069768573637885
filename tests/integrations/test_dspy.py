"""The DSPy optimiser, end to end on a real DSPy program behind a loopback endpoint.

Needs `pip install "twiceshy[dspy]"`, which takes longer than tests may; tried with dspy 3.4.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from parcel_office import SIZES, parcel, parcels

from counting_server import by_model, serving
from twiceshy.errors import BadInput
from twiceshy.models import Request, ScriptedCompleter
from twiceshy.principles import Example, LeapConfig

dspy: Any = pytest.importorskip("dspy", reason="needs the extra dspy, too slow to install for CI")
pytestmark = pytest.mark.filterwarnings("default")  # those of DSPy's own dependencies

from twiceshy.integrations.dspy import LeapOptimizer  # noqa: E402
from twiceshy.integrations.dspy.program import DspyCompleter, with_block  # noqa: E402

TRAIN = (parcel("small", "red", "K"), parcel("large", "blue", "M"), parcel("flat", "grey", "K"))
CONFIG = LeapConfig(n_chains=4)
RULE = re.compile(r"when it is (\w+), take (\w+)", re.I)


def clerk(request: Request) -> str:
    """Sends parcels by size, and by whatever its instructions say; answers in DSPy's form."""
    text = "\n".join(each.content for each in request.messages)
    if request.prompt.endswith("Condensed principles:"):
        return "\n".join(f"- {each}" for each in dict.fromkeys(re.findall(r"^- (.+)$", text, re.M)))
    if request.prompt.endswith("Principle:"):
        door = re.findall(r"Answer: (\w+)", text)[-1]
        mark = re.findall(r"parcel: \w+ \w+ (\w+)", text)[-1]
        return f"When it is {mark}, take {door}."
    size, colour, mark = re.findall(r"parcel: (\w+) (\w+) (\w+)", request.prompt)[-1]
    rules = {value.lower(): door for value, door in RULE.findall(text)}
    door = next((rules[v.lower()] for v in (mark, colour) if v.lower() in rules), SIZES[size])
    return f"[[ ## door ## ]]\n{door}\n\n[[ ## completed ## ]]"


@pytest.fixture
def program() -> Iterator[Any]:
    with serving(by_model(ScriptedCompleter(clerk))) as server:
        lm = dspy.LM("openai/clerk", api_base=server.url, api_key="none", cache=False)
        with dspy.context(lm=lm):
            yield dspy.Predict(dspy.Signature("parcel -> door", "Say which door a parcel takes."))


def of_dspy(example: Example) -> Any:
    text = example.question.removeprefix("parcel: ")
    return dspy.Example(parcel=f"parcel: {text}", door=example.answer).with_inputs("parcel")


def held(n: int = 60) -> list[Any]:
    seen = {each.question for each in TRAIN}
    return [of_dspy(each) for each in parcels(n, seed=1) if each.question not in seen]


def metric(
    gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None
) -> Any:
    right = gold.door == pred.door
    return dspy.Prediction(score=float(right), feedback="" if right else f"it is {gold.door}")


def test_a_program_learns_the_exception_and_is_otherwise_left_as_it_was(program: Any) -> None:
    optimizer = LeapOptimizer(metric, config=CONFIG, threads=4)
    valset = held()
    better = optimizer.compile(program, trainset=[of_dspy(each) for each in TRAIN], valset=valset)
    found = optimizer.compiled
    assert found is not None
    assert len(found.induced.mistakes) == 8
    assert found.n_writing_calls == 9
    assert [each.text for each in found.gated.accepted] == ["When it is K, take up."]
    assert "When it is K, take up." in better.signature.instructions
    assert better.signature.instructions.startswith(program.signature.instructions)
    assert "take up" not in program.signature.instructions

    def score(of: Any) -> float:
        return sum(metric(each, of(**each.inputs())).score for each in valset) / len(valset)

    assert score(program) < 0.95
    assert score(better) == 1.0


def test_nothing_is_told_where_there_is_nothing_to_learn(program: Any) -> None:
    easy = [parcel("small", "red", "M"), parcel("large", "blue", "M")]
    optimizer = LeapOptimizer(metric, config=CONFIG, threads=4)
    same = optimizer.compile(program, trainset=[of_dspy(each) for each in easy], valset=held(20))
    assert same.signature.instructions == program.signature.instructions
    assert optimizer.compiled is not None
    assert optimizer.compiled.induced.difficulty == "too_easy"


def test_a_metric_that_raises_and_a_model_that_fails_are_data(program: Any) -> None:
    def raises(gold: Any, pred: Any) -> float:
        raise ZeroDivisionError("my metric")

    optimizer = LeapOptimizer(raises, config=CONFIG, threads=2)
    optimizer.compile(program, trainset=[of_dspy(TRAIN[0])], valset=held(5))
    assert optimizer.compiled is not None
    assert optimizer.compiled.induced.difficulty == "no_answers"
    feedback = {each.scored.feedback for each in optimizer.compiled.induced.answers}
    assert feedback == {"metric: ZeroDivisionError: my metric"}
    nowhere = dspy.LM("openai/x", api_base="http://127.0.0.1:9/v1", api_key="none", num_retries=0)
    (failed,) = DspyCompleter(nowhere).complete([Request(messages=with_message("hello"))])
    assert not failed.answered


def with_message(text: str) -> Any:
    from twiceshy.models import Message

    return (Message("user", text),)


def test_bad_input(program: Any) -> None:
    optimizer = LeapOptimizer(metric)
    train = [of_dspy(each) for each in TRAIN]
    with pytest.raises(BadInput, match="valset"):
        optimizer.compile(program, trainset=train)
    with pytest.raises(BadInput, match="shares no example"):
        optimizer.compile(program, trainset=train, valset=train)
    with pytest.raises(BadInput, match="trainset"):
        optimizer.compile(program, trainset=[], valset=train)
    bare = dspy.Example(parcel="x").with_inputs("parcel")
    with pytest.raises(BadInput, match="inputs and labels"):
        optimizer.compile(program, trainset=[bare], valset=train)
    with dspy.context(lm=None), pytest.raises(BadInput, match="language model"):
        optimizer.compile(program, trainset=train, valset=held(5))


def test_a_program_of_several_predictors_is_told_in_each(program: Any) -> None:
    class Two(dspy.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = dspy.Predict("a -> b"), dspy.ChainOfThought("b -> c")

    made = with_block(Two(), "BLOCK")
    assert [each.signature.instructions.endswith("BLOCK") for each in made.predictors()] == [
        True
    ] * 2
