from __future__ import annotations

from collections.abc import Sequence

import pytest

from twiceshy.attempts.types import Attempt, Outcome, Step, ToolCall, Verdict
from twiceshy.errors import BadInput
from twiceshy.memory.contrast.calculations import Calculations
from twiceshy.memory.contrast.templates import Template, Templates
from twiceshy.memory.contrast.toolcalls import ToolCalls
from twiceshy.memory.contrast.vocabulary import (
    Phrase,
    Vocabulary,
    built_in_vocabularies,
    choose_vocabulary,
    spread_sample,
)


def attempt_of(*steps: Step, task: str = "t", answer: str | None = None) -> Attempt:
    return Attempt(task=task, steps=steps, answer=answer, verdict=Verdict(outcome=Outcome.UNSCORED))


class Greetings:
    name = "greetings"

    def accepts(self, attempts: Sequence[Attempt]) -> bool:
        return any(attempt.steps for attempt in attempts)

    def events(self, attempts: Sequence[Attempt]) -> list[frozenset[str]]:
        return [frozenset({"says hello"} if greets(a) else ()) for a in attempts]

    def phrase(self, event: str) -> Phrase:
        return Phrase(trigger="at the start", action="saying hello", family="greeting")


def greets(attempt: Attempt) -> bool:
    return any("hello" in step.text for step in attempt.steps)


def test_a_vocabulary_is_four_members() -> None:
    mine: Vocabulary = Greetings()
    hello, silent = attempt_of(Step(role="assistant", text="hello")), attempt_of()
    assert mine.events([hello, silent]) == [{"says hello"}, frozenset()]


def test_the_vocabulary_follows_the_kind_of_log() -> None:
    call = Step(role="assistant", calls=(ToolCall(name="pay", arguments={}),))
    fact = Step(role="assistant", calls=call.calls, facts=("door is open",))
    chosen = [
        choose_vocabulary([each])
        for each in (
            attempt_of(fact),
            attempt_of(call),
            attempt_of(answer="2 + 2 = 4"),
            attempt_of(Step(role="assistant", text="I like trains.")),
        )
    ]
    names = [each.name if each is not None else None for each in chosen]
    assert names == ["conditions", "toolcalls", "calculations", None]


def test_names_of_built_in_vocabularies_are_unique() -> None:
    names = [each.name for each in built_in_vocabularies()]
    assert len(set(names)) == len(names)


def test_the_most_specific_template_gives_the_words() -> None:
    kinds = Templates()
    kinds.add(Template(name="uses {x}", family="a", trigger="", action="using {x}"))
    kinds.add(Template(name="uses {x} twice", family="b", trigger="", action="using {x} again"))
    assert kinds.phrase("uses pay twice").action == "using pay again"
    assert kinds.phrase("uses pay").family == "a"
    with pytest.raises(BadInput, match="vocabulary"):
        kinds.phrase("something else")


def test_a_template_reads_what_it_wrote() -> None:
    template = Template(name="{a} then {b} ({a})", family="", trigger="", action="")
    event = template(a="x y", b="z.1")
    assert template.read(event) == {"a": "x y", "b": "z.1"}
    assert template.read("x then z (y)") is None


@pytest.mark.parametrize("vocabulary", [Calculations(), ToolCalls()])
def test_an_empty_log_fits_nothing_and_has_no_events(vocabulary: Vocabulary) -> None:
    assert not vocabulary.accepts([])
    assert vocabulary.events([]) == []


def test_the_sample_covers_the_whole_log() -> None:
    log = [attempt_of(task=str(i)) for i in range(1000)]
    assert [each.task for each in spread_sample(log)][::40] == ["0", "200", "400", "600", "800"]
    assert spread_sample(log[:3]) == log[:3]
