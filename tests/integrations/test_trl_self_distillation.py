"""Exported files through `datasets` into TRL's SFT, SDFT and SDPO trainers, watched."""

from __future__ import annotations

import copy
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from self_distillation_case import (
    LIMIT,
    Handed,
    completions,
    quiet,
    sdft,
    sdpo,
    sft,
    tokenizer,
)
from transformers import TrainerCallback

from twiceshy.attempts import Attempt, Outcome, Step, Verdict
from twiceshy.distillation.check.features import ENTROPIES
from twiceshy.distillation.contexts import Rung, TeacherContext
from twiceshy.distillation.export import ContextKind, export_contexts, export_traces
from twiceshy.integrations.trl import CollapseWatch

pytestmark = quiet
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sdft_tiny.py"
FUNCTION = {
    "check": "self_check", "verify": "self_check", "wait": "backtrack",
    "alternatively": "alternative", "perhaps": "doubt", "maybe": "doubt",
}  # fmt: skip
"""The markers among the words that the model can say."""
TASKS = {f"{x}-{y}": f"add {x} and {y}" for x in ("one", "two") for y in ("one", "two", "three")}
TASKS |= {f"{name}-so": f"{words} so that is it" for name, words in TASKS.items()}  # ragged
TRAINERS = pytest.mark.parametrize("make", [sdft, sdpo], ids=["sdft", "sdpo"])
SUFFIXES = pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])


def loaded(path: Path) -> Any:
    kind = "json" if path.suffix == ".jsonl" else "parquet"
    cache = str(path.parent / "cache")
    return datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=cache)


def contexts(folder: Path, *, kind: ContextKind, suffix: str = ".jsonl") -> Any:
    hints = [
        TeacherContext(rung=Rung.HINT, task=task, attempt=f"a-{task}", text="mind the carry")
        for task in TASKS
    ]
    path = folder / f"contexts{suffix}"
    assert export_contexts(path, hints, prompts=TASKS, kind=kind).n_written == len(TASKS)
    return loaded(path)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def weights(model: Any) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()]).clone()


def run(trainer: Any) -> Any:
    before = weights(trainer.model)
    trainer.train()
    assert trainer.state.global_step == trainer.args.max_steps
    assert (weights(trainer.model) - before).abs().max() > 1e-4
    return trainer


@SUFFIXES
def test_exported_traces_train_sft(tmp_path: Path, suffix: str) -> None:
    said = "wait so that is four check"
    attempts = [
        Attempt(
            task=task,
            prompt=prompt,
            steps=(Step(role="assistant", text=said),),
            verdict=Verdict(outcome=Outcome.SUCCESS),
        )
        for task, prompt in TASKS.items()
    ]
    path = tmp_path / f"traces{suffix}"
    assert export_traces(path, attempts, own=attempts).n_written == len(TASKS)
    trainer = run(sft(tmp_path, loaded(path)))
    words = tokenizer()
    row = trainer.train_dataset[0]
    assert words.decode(row["input_ids"]) == (
        f"<user> {TASKS['one-one']} <end> <assistant> {said} <end>"
    )
    batch = trainer.data_collator([row])  # only the completion is learned
    assert words.decode(batch["labels"][batch["labels"] != -100]) == f"{said} <end>"


@SUFFIXES
@TRAINERS
def test_exported_contexts_reach_the_teacher(
    tmp_path: Path, make: Callable[..., Any], suffix: str
) -> None:
    handed = Handed()
    data = contexts(tmp_path, kind="sdft" if make is sdft else "sdpo", suffix=suffix)
    run(make(tmp_path, data, handed, CollapseWatch(tmp_path / "m.jsonl", n_base=1)))
    words = tokenizer()
    for batch in handed.batches:
        width = batch["completion_ids"].shape[1]
        for own, teachers in zip(batch["prompt_ids"], batch["teacher_input_ids"], strict=True):
            prompt = words.decode(teachers[:-width], skip_special_tokens=True)
            assert "mind the carry" in prompt
            assert "mind the carry" not in words.decode(own)
            assert words.decode(own, skip_special_tokens=True) in TASKS.values()
    lines = lines_of(tmp_path / "m.jsonl")
    assert [line["step"] for line in lines] == [0, 1]
    assert [line["metrics"]["teacher/n_taught"] for line in lines] == [8, 8]


def test_sdpo_is_told_which_rows_have_nothing_to_show(tmp_path: Path) -> None:
    rungs = [
        TeacherContext(rung=rung, task=task, attempt="", text=text)
        for task in list(TASKS)[:4]
        for rung, text in ((Rung.HINT, "mind the carry"), (Rung.NONE, ""))
    ]
    export_contexts(tmp_path / "c.jsonl", rungs, prompts=TASKS, kind="sdpo")
    handed, path = Handed(), tmp_path / "m.jsonl"
    run(sdpo(tmp_path, loaded(tmp_path / "c.jsonl"), handed, CollapseWatch(path, n_base=1)))
    n_shown = 0
    for batch, line in zip(handed.batches, lines_of(path), strict=True):
        shown = batch["self_distillation_mask"].bool()
        n_shown += (n := int(shown.sum()))
        assert line["metrics"]["teacher/n_taught"] == n
        n_prompt = batch["teacher_attention_mask"].shape[1] - batch["completion_ids"].shape[1]
        lengths = batch["teacher_attention_mask"][shown, :n_prompt].sum(dim=1).tolist()
        expected = sum(lengths) / n if n else None
        assert line["metrics"]["teacher/prompt_length"] == expected
    assert 0 < n_shown < 16


@TRAINERS
def test_numbers_are_those_counted_by_hand(tmp_path: Path, make: Callable[..., Any]) -> None:
    handed, path = Handed(), tmp_path / "run" / "student.jsonl"
    watch = CollapseWatch(path, n_base=1, window=1, language="en")
    trainer = make(tmp_path, contexts(tmp_path, kind="sdft"), watch, handed, max_steps=3)
    model = copy.deepcopy(trainer.model).eval()
    run(trainer)
    lines, threshold = lines_of(path), None
    assert len(lines) == len(handed.batches) == 3
    densities = []
    for line, batch in zip(lines, handed.batches, strict=True):
        found, sampled = line["metrics"], completions(batch)
        assert line["step"] == batch["step"]
        n_tokens = sum(len(ids) for ids in sampled)
        assert found["n"] == len(sampled) == 8
        assert found["length"] == pytest.approx(n_tokens / 8)
        assert found["n_cut"] == sum(ids[-1] != tokenizer().eos_token_id for ids in sampled)
        said = [word for ids in sampled for word in tokenizer().decode(ids).split()]
        for function in ("self_check", "backtrack", "alternative", "doubt", "abstain"):
            n = sum(FUNCTION.get(word) == function for word in said)
            assert found[f"markers/{function}"] == pytest.approx(1000 * n / n_tokens)
        n = sum(word in FUNCTION for word in said)
        assert found["markers"] == pytest.approx(1000 * n / n_tokens)
        model.load_state_dict(batch["weights"])
        entropies = np.concatenate(entropies_one_by_one(model, batch))
        assert found["entropy"] == pytest.approx(entropies.mean(), rel=1e-4)
        threshold = np.quantile(entropies, 0.8) if threshold is None else threshold
        assert found["forks"] == pytest.approx((entropies > threshold).mean())
        densities.append((n, n_tokens))
    assert found["n_tasks_window"] == len({tuple(row) for row in batch["prompt_ids"].tolist()})
    assert sum(n for n, _ in densities) > 20
    logged = [line for line in trainer.state.log_history if "loss" in line]
    for line, told in zip(lines, logged, strict=True):
        assert {name: told[f"twiceshy/{name}"] for name in line["metrics"]} == line["metrics"]
        assert told["completions/mean_length"] == pytest.approx(told["twiceshy/length"])
        assert told["completions/clipped_ratio"] == told["twiceshy/n_cut"] / 8


@torch.no_grad()
def entropies_one_by_one(model: Any, batch: dict[str, Any]) -> list[np.ndarray]:
    """Run each row alone and without padding."""
    found = []
    for prompt, ids in zip(batch["prompt_ids"].tolist(), completions(batch), strict=True):
        own = [token for token in prompt if token != tokenizer().pad_token_id]
        logits = model(input_ids=torch.tensor([own + ids])).logits[0, len(own) - 1 : -1]
        logp = logits.double().log_softmax(-1)
        found.append(-(logp.exp() * logp).sum(-1).numpy())
    return found


@TRAINERS
def test_watching_changes_nothing(tmp_path: Path, make: Callable[..., Any]) -> None:
    data = contexts(tmp_path, kind="sdft")
    plain = run(make(tmp_path, data))
    watched = run(make(tmp_path, data, CollapseWatch(tmp_path / "m.jsonl", n_base=1)))
    assert torch.equal(weights(plain.model), weights(watched.model))


def doubtful_base() -> list[Attempt]:
    """Forks and markers beyond what the model can say, and far longer than the limit."""
    return [
        Attempt(
            task=str(i),
            answer=" ".join(["wait", "maybe", "check"] * 20),
            verdict=Verdict(outcome=Outcome.FAILURE),
            extra={ENTROPIES: [5 + k / 10 for k in range(60)]},
        )
        for i in range(10)
    ]


class Other(TrainerCallback):
    """A callback without the events is passed over."""


@pytest.mark.parametrize("stop", [True, False])
def test_an_alarm_warns_and_stops_where_asked(tmp_path: Path, stop: bool) -> None:
    path, short = tmp_path / "m.jsonl", {"max_new_tokens": 3}
    watch = CollapseWatch(path, base=doubtful_base(), language="en", stop=stop)
    trainer = sdft(
        tmp_path, contexts(tmp_path, kind="sdft"), watch, Other(), max_steps=3,
        per_device_train_batch_size=12, max_completion_length=30, generation_kwargs=short,
    )  # fmt: skip
    with pytest.warns(UserWarning, match=r"loses its doubt: length.*density.*fork") as told:
        trainer.train()
    assert len([each for each in told if "doubt" in str(each.message)]) == 1
    assert trainer.state.global_step == (1 if stop else 3)
    first = lines_of(path)[0]
    found = first["metrics"]
    assert found["length_ratio"] == pytest.approx(found["length"] / 30)
    assert found["marker_density_ratio"] == pytest.approx(found["markers"] / 1000)
    assert found["fork_rate_ratio"] == 0
    assert [alarm["severity"] for alarm in first["alarms"]] == ["alarm"] * 3
    assert not path.with_suffix(".base.json").exists()


def test_a_base_longer_than_the_limit_counts_up_to_it(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    watch = CollapseWatch(path, base=doubtful_base())
    run(sdft(tmp_path, contexts(tmp_path, kind="sdft"), watch, max_steps=1))
    found = lines_of(path)[0]["metrics"]
    assert found["length_ratio"] > 0.6  # 12 tokens of 12, not of 60
    assert found["n_tasks_base"] == 10


def test_a_resumed_training_keeps_its_base(tmp_path: Path) -> None:
    data, path = contexts(tmp_path, kind="sdft"), tmp_path / "m.jsonl"
    saving = {"save_strategy": "steps", "save_steps": 1}
    run(sdft(tmp_path, data, CollapseWatch(path, n_base=1, language="en"), max_steps=1, **saving))
    kept = path.with_suffix(".base.json").read_bytes()
    again = sdft(tmp_path, data, CollapseWatch(path, n_base=1, language="en"), **saving)
    again.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-1"))
    lines = lines_of(path)
    assert [line["step"] for line in lines] == [0, 1]
    assert lines[1]["metrics"]["length_ratio"] is not None
    assert path.with_suffix(".base.json").read_bytes() == kept


class Reporter(TrainerCallback):
    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        del args, state, control
        self.told.append(dict(given["logs"]))


def test_a_reporter_sees_the_numbers_when_it_comes_later(tmp_path: Path) -> None:
    data, reporter = contexts(tmp_path, kind="sdft"), Reporter()
    trainer = sdft(tmp_path, data, reporter, CollapseWatch(tmp_path / "m.jsonl"), max_steps=1)
    run(trainer)
    assert "twiceshy/length" not in reporter.told[0]
    trainer.add_callback(trainer.pop_callback(Reporter))
    trainer.train()
    assert reporter.told[2]["twiceshy/length"] > 0


def test_evaluation_is_not_watched(tmp_path: Path) -> None:
    data, path = contexts(tmp_path, kind="sdft"), tmp_path / "m.jsonl"
    trainer = sdft(tmp_path, data, CollapseWatch(path, n_base=1), max_steps=1, eval_strategy="no")
    run(trainer)
    trainer.evaluate(eval_dataset=data)
    assert len(lines_of(path)) == 1
    assert not any("twiceshy/length" in line for line in trainer.state.log_history[1:])


def test_sdpo_may_leave_cut_completions_out(tmp_path: Path) -> None:
    handed, path = Handed(), tmp_path / "m.jsonl"
    data, watch = contexts(tmp_path, kind="sdpo"), CollapseWatch(path, n_base=1)
    run(sdpo(tmp_path, data, handed, watch, max_steps=1, mask_truncated_completions=True))
    (line,), (batch,) = lines_of(path), handed.batches
    lengths = [len(ids) for ids in completions(batch)]
    blank = batch["teacher_attention_mask"][:, -batch["completion_ids"].shape[1] :].sum(dim=1) == 0
    assert line["metrics"]["n_cut"] == int(blank.sum()) > 0
    assert line["metrics"]["length"] == pytest.approx(np.mean(lengths))
    assert max(lengths) == LIMIT


def test_the_example_runs(tmp_path: Path) -> None:
    lines = runpy.run_path(str(EXAMPLE))["run"](str(tmp_path))
    assert [line["step"] for line in lines] == [0, 1, 2, 3]
    assert all(line["metrics"]["markers"] > 0 for line in lines)
    assert [line["metrics"].get("n_measured") for line in lines] == [None, None, 3, 3]


def test_a_student_with_adapters(tmp_path: Path) -> None:
    from peft import LoraConfig

    made = sdft(tmp_path, contexts(tmp_path, kind="sdft"))
    handed, path = Handed(), tmp_path / "m.jsonl"
    trainer = type(made)(
        model=str(tmp_path / "model"),
        args=made.args,
        train_dataset=made.train_dataset,
        processing_class=tokenizer(),
        callbacks=[CollapseWatch(path, n_base=1), handed],
        peft_config=LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False),
    )
    model = copy.deepcopy(trainer.model).eval()
    trainer.train()
    for line, batch in zip(lines_of(path), handed.batches, strict=True):
        model.load_state_dict(batch["weights"])
        entropies = np.concatenate(entropies_one_by_one(model, batch))
        assert line["metrics"]["entropy"] == pytest.approx(entropies.mean(), rel=1e-4)
