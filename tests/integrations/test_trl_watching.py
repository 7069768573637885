"""The callback without a trainer: what is read off the tensors, and what is refused."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from self_distillation_case import quiet, saved_model, tokenizer
from transformers import LlamaForCausalLM

from twiceshy.attempts import Attempt, Outcome, Verdict
from twiceshy.distillation.check.features import ENTROPIES
from twiceshy.errors import BadInput
from twiceshy.integrations.trl import CollapseWatch
from twiceshy.integrations.trl.completions import Batch, tokens_of, traces_of_base

pytestmark = quiet
PAD, END = 0, 1
STUDENT = SimpleNamespace(training=True)


def state(step: int = 0, *, zero: bool = True) -> Any:
    return SimpleNamespace(global_step=step, is_world_process_zero=zero, log_history=[])


def settings(**more: Any) -> Any:
    return SimpleNamespace(**{"max_completion_length": 4, "per_device_train_batch_size": 2, **more})


def begin(watch: CollapseWatch, *, step: int = 0, words: Any = None, **more: Any) -> None:
    given = tokenizer() if words is None else words
    watch.on_train_begin(settings(**more), state(step), None, model=STUDENT, processing_class=given)


def rows(*completions: list[int], prompt: tuple[int, ...] = (PAD, 3, 8)) -> dict[str, Any]:
    """A padded batch as the event has it, every completion unmasked."""
    width = max([len(ids) for ids in completions], default=0)
    ids = torch.tensor([row + [PAD] * (width - len(row)) for row in completions], dtype=torch.long)
    ids = ids.reshape(len(completions), width)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in completions])
    ahead = torch.ones(len(completions), 5, dtype=torch.long)
    return {
        "prompt_ids": torch.tensor(prompt).expand(len(completions), -1),
        "completion_ids": ids,
        "teacher_attention_mask": torch.cat([ahead, mask.reshape(ids.shape).long()], dim=1),
    }


def see(watch: CollapseWatch, given: dict[str, Any], *, now: Any = None, model: Any = None) -> Any:
    control = SimpleNamespace(should_training_stop=False)
    watch.on_self_distillation_batch_prepared(
        args=settings(), state=now or state(), control=control, model=model or STUDENT,
        processing_class=tokenizer(), **given,
    )  # fmt: skip
    return control


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lengths_with_and_without_the_completions_mask() -> None:
    prompts = torch.tensor([[3, 8]] * 4)
    completions = torch.tensor([[5, 6, END], [5, END, PAD], [5, 6, 7], [END, PAD, PAD]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]])
    batch = Batch(prompts, completions, mask, None)
    assert batch.lengths(PAD) == [3, 2, 3, 1]  # the third is blanked: cut, and not learned from
    # where the end token is the padding too, the mask tells the end from what follows it
    assert batch._replace(completions=completions.where(completions != PAD, END)).lengths(END) == [
        3, 2, 3, 1,
    ]  # fmt: skip
    assert batch.teacher_prompt_lengths() == [1, 1, 1, 1]
    shown = batch._replace(taught=torch.tensor([1.0, 0.0, 1.0, 0.0]))
    assert shown.teacher_prompt_lengths() == [1, None, 1, None]


def test_the_models_own_end_tokens_count() -> None:
    words = tokenizer()
    model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=[7, 9]))
    tokens = tokens_of(SimpleNamespace(tokenizer=words), model=model)  # a processor
    assert tokens.ends == {END, 7, 9}
    ends: list[list[int]] = [[5, 7], [5, END], []]
    assert tokens.is_cut([5, 6])
    assert not any(tokens.is_cut(ids) for ids in ends)
    assert tokens_of(words, model=None).ends == {END}


def test_cut_and_empty_completions(tmp_path: Path) -> None:
    watch = CollapseWatch(tmp_path / "m.jsonl", language="en", forks=False)
    begin(watch)
    see(watch, rows([5, 6, 7, 8], [END], [5, END]))
    found = lines_of(tmp_path / "m.jsonl")[0]["metrics"]
    assert (found["n"], found["n_cut"], found["n_empty"]) == (3, 1, 1)
    assert found["length"] == pytest.approx(7 / 3)
    assert found["markers"] == pytest.approx(1000 * 5 / 7)  # wait maybe check alternatively; wait
    assert (found["forks"], found["entropy"]) == (None, None)
    assert found["teacher/prompt_length"] == 5


def test_a_batch_with_nothing_in_it(tmp_path: Path) -> None:
    watch = CollapseWatch(tmp_path / "m.jsonl", n_base=1, language="en", forks=False)
    begin(watch)
    see(watch, rows())
    found = lines_of(tmp_path / "m.jsonl")[0]["metrics"]
    assert found["n"] == found["teacher/n_taught"] == 0
    assert found["length"] is found["markers"] is found["teacher/prompt_length"] is None
    assert not (tmp_path / "m.base.json").exists()
    see(watch, rows([5, END]))
    assert (tmp_path / "m.base.json").exists()


def test_an_empty_batch_with_a_real_model(tmp_path: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(saved_model(tmp_path / "model")).train()
    watch = CollapseWatch(tmp_path / "m.jsonl")
    begin(watch)
    see(watch, rows(), model=model)
    see(watch, rows([], []), model=model)
    see(watch, rows([5, 6, END], [7, END]), model=model)
    assert model.training
    entropies = [line["metrics"]["entropy"] for line in lines_of(tmp_path / "m.jsonl")]
    assert entropies[0] is entropies[1] is None
    assert 0 < entropies[2] < np.log(len(tokenizer()))


def test_dropout_is_off_while_entropies_are_told(tmp_path: Path) -> None:
    path = saved_model(tmp_path / "model")
    model = LlamaForCausalLM.from_pretrained(path, attention_dropout=0.5).train()
    watch, before = CollapseWatch(tmp_path / "m.jsonl"), torch.get_rng_state()
    begin(watch)
    for _ in range(2):
        see(watch, rows([5, 6, 7, END]), model=model)
    first, second = [line["metrics"]["entropy"] for line in lines_of(tmp_path / "m.jsonl")]
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_of_an_evaluation_is_passed_over(tmp_path: Path) -> None:
    watch = CollapseWatch(tmp_path / "m.jsonl", forks=False)
    begin(watch)
    see(watch, rows([5, END]), model=SimpleNamespace(training=False))
    assert not (tmp_path / "m.jsonl").exists()


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    watch = CollapseWatch(tmp_path / "m.jsonl", forks=False)
    watch.on_train_begin(
        settings(), state(zero=False), None, model=STUDENT, processing_class=tokenizer()
    )
    see(watch, rows([5, END]), now=state(zero=False))
    assert not (tmp_path / "m.jsonl").exists()


def test_a_tokenizer_of_ones_own(tmp_path: Path) -> None:
    watch = CollapseWatch(tmp_path / "m.jsonl", tokenizer=tokenizer(), language="en", forks=False)
    watch.on_train_begin(settings(), state(), None, model=STUDENT, processing_class=None)
    with pytest.raises(BadInput, match="a tokenizer"):
        CollapseWatch(tmp_path / "m.jsonl").on_train_begin(
            settings(), state(), None, model=STUDENT, processing_class=None
        )


def test_base_attempts_end_at_the_limit() -> None:
    verdict = Verdict(outcome=Outcome.UNSCORED)
    text = "wait maybe check so that"
    attempts = [
        Attempt(task="a", verdict=verdict, answer=text, extra={ENTROPIES: [1.0] * 5}),
        Attempt(task="b", verdict=verdict, answer="wait", token_ids=(5, END)),
        Attempt(task="c", verdict=verdict, answer=""),
    ]
    tokens = tokens_of(tokenizer(), model=None)
    long, short, empty = traces_of_base(attempts, tokens=tokens, limit=3)
    assert (long.length, long.attempt.answer, long.attempt.truncated) == (
        3,
        "wait maybe check",
        True,
    )
    assert long.entropies is not None
    assert long.entropies.tolist() == [1.0] * 3
    assert (short.length, short.attempt.truncated, empty.length) == (2, None, 0)
    whole = traces_of_base(attempts, tokens=tokens, limit=None)[0]
    assert (whole.length, whole.attempt.answer) == (5, text)


def test_completions_of_the_teacher_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="they are the teacher's"):
        begin(CollapseWatch(tmp_path / "m.jsonl"), generate_from_teacher=True)


def test_a_resumed_training_needs_its_base(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with pytest.raises(BadInput, match="frozen when the training began"):
        begin(CollapseWatch(path), step=5)
    path.with_suffix(".base.json").write_text("{}")
    with pytest.raises(BadInput, match="a frozen base"):
        begin(CollapseWatch(path), step=5)
    attempt = Attempt(task="a", verdict=Verdict(outcome=Outcome.UNSCORED), answer="wait")
    begin(CollapseWatch(path, base=[attempt]), step=5)
    begin(CollapseWatch(path), step=0)  # a new training forgets another's base
    assert not path.with_suffix(".base.json").exists()


def test_bad_settings(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a language with a lexicon"):
        CollapseWatch(tmp_path / "m.jsonl", language="el")
    with pytest.raises(BadInput, match="n_base and window"):
        CollapseWatch(tmp_path / "m.jsonl", window=0)
    with pytest.raises(BadInput, match="at least one attempt of the base"):
        begin(CollapseWatch(tmp_path / "m.jsonl", base=[]))


def test_a_trainer_without_the_event_is_told_of(tmp_path: Path) -> None:
    watch = CollapseWatch(tmp_path / "m.jsonl")
    begin(watch)
    with pytest.warns(UserWarning, match="sees nothing"):
        watch.on_step_end(None, state(1), None)
    watch.on_step_end(None, state(2), None)  # once


def test_logs_of_an_evaluation_stay_as_they_are(tmp_path: Path) -> None:
    watch = CollapseWatch(tmp_path / "m.jsonl", forks=False, language="en")
    begin(watch)
    see(watch, rows([5, END]))
    now, logs = state(), {"eval_loss": 1.0}
    watch.on_log(None, now, None, logs=logs)
    assert logs == {"eval_loss": 1.0}
    now.log_history = [{"loss": 1.0, "step": 1}]
    watch.on_log(None, now, None, logs=(logs := {"loss": 1.0}))
    assert logs["twiceshy/markers"] == now.log_history[0]["twiceshy/markers"] == 500
    watch.on_log(None, now, None, logs=(again := {"loss": 1.0}))
    assert again == {"loss": 1.0}  # each batch is told once


WORKER = """
import sys
from pathlib import Path
from accelerate import PartialState
from test_trl_watching import CollapseWatch, begin_as, doubtful, rows, see, state
place = PartialState(cpu=True)
rank = place.process_index
watch = CollapseWatch(Path(sys.argv[1]), base=doubtful(), language="en", forks=False, stop=True)
now = state(zero=rank == 0)
begin_as(watch, now)
watch._sounds = lambda alarms: True  # asked on the first process only
control = see(watch, rows(*([[5, 1]] if rank else [[6, 1], [9, 1]])), now=now)
Path(sys.argv[1] + f".{rank}").write_text(str(control.should_training_stop))
"""


def doubtful() -> list[Attempt]:
    verdict = Verdict(outcome=Outcome.UNSCORED)
    return [Attempt(task=str(i), verdict=verdict, answer="wait maybe check") for i in range(9)]


def begin_as(watch: CollapseWatch, now: Any) -> None:
    watch.on_train_begin(settings(), now, None, model=STUDENT, processing_class=tokenizer())


@pytest.mark.slow
def test_two_processes_are_one_batch_and_stop_together(tmp_path: Path) -> None:
    path, port = tmp_path / "m.jsonl", free_port()
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path)],
            cwd=Path(__file__).parent,
            env=os.environ
            | {"RANK": str(i), "LOCAL_RANK": str(i), "WORLD_SIZE": "2", "MASTER_PORT": port}
            | {"MASTER_ADDR": "127.0.0.1", "PYTHONWARNINGS": "ignore"},
        )
        for i in range(2)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    (line,) = lines_of(path)
    assert line["metrics"]["n"] == 3
    assert line["metrics"]["markers"] == 500  # maybe, perhaps and the other's wait, of 6 tokens
    assert [Path(f"{path}.{i}").read_text() for i in range(2)] == ["True", "True"]


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])
