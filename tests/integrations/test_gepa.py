"""The proposer for GEPA: by itself, and inside a real `gepa.optimize` where gepa is installed.

Tried with gepa 0.1.4, which comes with the extra `dspy`.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from parcel_office import SIZES, parcel, parcels

from twiceshy.errors import BadInput
from twiceshy.integrations.gepa import PrincipleProposer
from twiceshy.models import Request, ScriptedCompleter
from twiceshy.principles import Example

SEED = {"instructions": "Say which door a parcel takes."}
RULE = re.compile(r"when it is (\w+), take (\w+)", re.I)
TRAIN = [parcel("small", "red", "K"), parcel("large", "blue", "M"), parcel("flat", "grey", "K")]
HELD = [e for e in parcels(60, seed=1) if e.question not in {each.question for each in TRAIN}]


def instance(example: Example) -> dict[str, Any]:
    return {"input": example.question, "additional_context": {}, "answer": example.answer}


def describe(given: dict[str, Any]) -> Example:
    return Example(id=given["input"], question=given["input"], answer=given["answer"])


def clerk(instructions: str, question: str) -> str:
    size, colour, mark = re.findall(r"parcel: (\w+) (\w+) (\w+)", question)[-1]
    rules = {value.lower(): door for value, door in RULE.findall(instructions)}
    return next((rules[v.lower()] for v in (mark, colour) if v.lower() in rules), SIZES[size])


def writer(*, colour: bool = False) -> ScriptedCompleter:
    """Names the mark of a mistake, or its colour: a rule that cures it and breaks others."""

    def answer(request: Request) -> str:
        _, seen, mark = re.findall(r"parcel: (\w+) (\w+) (\w+)", request.prompt)[-1]
        return f"When it is {seen if colour else mark}, take up."

    return ScriptedCompleter(answer, name="writer")


class Office:
    """An adapter made of rules."""

    def evaluate(
        self, batch: list[Any], candidate: dict[str, str], capture_traces: bool = False
    ) -> Any:
        outputs = [clerk(candidate["instructions"], each["input"]) for each in batch]
        scores = [float(said == each["answer"]) for said, each in zip(outputs, batch, strict=True)]
        return SimpleNamespace(outputs=outputs, scores=scores)


def proposer(
    adapter: Any, model: ScriptedCompleter, held: list[Example] = HELD
) -> PrincipleProposer:
    return PrincipleProposer(
        adapter, model, [*map(instance, TRAIN)], [*map(instance, held)], describe=describe
    )


def minibatch(*examples: Example) -> dict[str, list[dict[str, str]]]:
    return {"instructions": [{"Inputs": each.question, "Feedback": ""} for each in examples]}


def test_a_principle_that_passes_is_added_and_a_harmful_one_is_not() -> None:
    good = proposer(Office(), writer())
    told = good(SEED, minibatch(*TRAIN), ["instructions"])
    assert told["instructions"].startswith(SEED["instructions"])
    assert told["instructions"].count("- When it is K, take up.") == 1
    assert good.n_runs > len(HELD)
    again = good(told, minibatch(*TRAIN), ["instructions"])
    assert again == told, "nothing is wrong any more"
    assert len(good.gated) == 1

    bad = proposer(Office(), writer(colour=True))
    assert bad(SEED, minibatch(*TRAIN), ["instructions"]) == SEED
    assert {each.stopped_by for each in bad.gated[0].rulings} == {"keeps_right"}


def test_what_is_unknown_or_fails_is_left_out() -> None:
    class Broken:
        def evaluate(
            self, batch: list[Any], candidate: dict[str, str], capture_traces: bool = False
        ) -> Any:
            raise OSError("no route")

    unknown = parcel("long", "white", "W")
    one = proposer(Office(), writer())
    assert one(SEED, minibatch(unknown), ["instructions"]) == SEED
    assert one(SEED, {}, ["instructions"]) == SEED
    assert proposer(Broken(), writer())(SEED, minibatch(*TRAIN), ["instructions"]) == SEED
    with pytest.raises(BadInput, match="gates"):
        proposer(Office(), writer(), held=[])


def test_inside_gepa() -> None:
    gepa: Any = pytest.importorskip("gepa", reason="needs gepa, which the extra dspy brings")
    from importlib import import_module

    default: Any = import_module("gepa.adapters.default_adapter.default_adapter")

    def model(messages: Any) -> str:
        return clerk(messages[0]["content"], messages[1]["content"])

    adapter = default.DefaultAdapter(model=model)
    made = proposer(adapter, writer())
    found = gepa.optimize(
        SEED,
        [*map(instance, TRAIN)],
        [*map(instance, HELD)],
        adapter=adapter,
        custom_candidate_proposer=made,
        max_metric_calls=200,
        reflection_minibatch_size=3,
    )
    assert "- When it is K, take up." in found.best_candidate["instructions"]
    assert max(found.val_aggregate_scores) == 1.0
    assert found.val_aggregate_scores[0] < 0.95
