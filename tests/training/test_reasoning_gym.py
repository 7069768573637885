from __future__ import annotations

import sys
from unittest.mock import Mock

import numpy as np
import pytest

from twiceshy.errors import BadInput, MissingExtra
from twiceshy.training.config import parse_config
from twiceshy.training.streams import generator
from twiceshy.training.tasks import FAULTS, Fault, ReasoningGym, Tokens
from twiceshy.training.tasks.reasoning_gym import _generate
from twiceshy.training.tasks.splits import in_split

SUMS = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _generate.cache_clear()
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtra, match=r"twiceshy\[reasoning-gym\]"):
        ReasoningGym(dataset="chain_sum")


class TestWithThePackage:
    @pytest.fixture(autouse=True)
    def package(self) -> None:
        pytest.importorskip("reasoning_gym")

    @pytest.fixture
    def task(self) -> ReasoningGym:
        return ReasoningGym(dataset="chain_sum", options=SUMS, size=150, response_length=6)

    def faults(self, task: ReasoningGym, responses: list[str]) -> list[Fault]:
        prompts, symbols = task.demonstrations(1, rng=generator(0, "test")).prompts, task.symbols
        rows = np.full((len(responses), task.response_length), len(symbols) - 1)
        for row, text in zip(rows, responses, strict=True):
            row[: len(text)] = [symbols.index(character) for character in text]
        verdicts = task.verify(np.repeat(prompts, len(rows), axis=0), rows)
        return [FAULTS[code] for code in verdicts.faults]

    def test_its_own_answers_are_right(self, task: ReasoningGym) -> None:
        shown = task.demonstrations(60, rng=generator(0, "test"))
        assert (task.verify(*shown).labels == 1).all()
        assert in_split(shown.prompts, "sft").all()

    def test_wrong_empty_and_cut_answers(self, task: ReasoningGym) -> None:
        assert self.faults(task, ["9999", "", "123456"]) == [
            Fault.WRONG_RESULT,
            Fault.MALFORMED,
            Fault.TRUNCATED,
        ]

    @pytest.mark.parametrize(
        "bad",
        [
            Mock(return_value=float("nan")),
            Mock(return_value=None),
            Mock(side_effect=RuntimeError("crashed")),
        ],
        ids=["nan", "none", "crash"],
    )
    def test_a_verifier_that_fails_is_broken_not_wrong(
        self, task: ReasoningGym, bad: Mock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shown = task.demonstrations(3, rng=generator(0, "test"))
        monkeypatch.setattr(task._questions.source, "score_answer", bad)
        assert task.verify(*shown).labels.tolist() == [0, 0, 0]

    def test_part_marks_are_not_a_success(
        self, task: ReasoningGym, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shown = task.demonstrations(1, rng=generator(0, "test"))
        source = task._questions.source
        for score, label in ((0.989, -1), (0.99, 1)):
            monkeypatch.setattr(source, "score_answer", Mock(return_value=score))
            assert task.verify(*shown).labels.tolist() == [label]

    def test_what_does_not_fit_is_left_out_and_counted(self) -> None:
        task = ReasoningGym(dataset="chain_sum", options=SUMS, size=150)
        assert 0 < task.n_left_out < 150  # repeats
        prompts = task.prompts(5, split="test", seed=0)
        assert prompts.shape == (5, 96)
        with pytest.raises(BadInput, match="Raise prompt_length"):
            ReasoningGym(dataset="chain_sum", options=SUMS, size=20, prompt_length=5)

    def test_a_foreign_prompt_is_refused(self, task: ReasoningGym) -> None:
        prompts: Tokens = np.zeros((1, 96), dtype=np.int64)
        responses = task.demonstrations(1, rng=generator(0, "test")).responses
        with pytest.raises(BadInput, match="prompts of this task"):
            task.verify(prompts, responses)

    def test_names_and_options_are_checked_with_the_config(self) -> None:
        config = '[task]\nname = "reasoning_gym"\ndataset = "{}"\noptions = {}'
        good = parse_config(config.format("chain_sum", "{ max_terms = 2 }"))
        assert isinstance(good.task, ReasoningGym)
        with pytest.raises(BadInput, match="Did you mean chain_sum"):
            parse_config(config.format("chain_sums", "{}"))
        with pytest.raises(BadInput, match="terms"):
            parse_config(config.format("chain_sum", "{ terms = 2 }"))
