"""Text in, unit vectors out: a protocol, and any OpenAI-compatible embeddings endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.models.client import open_client
from twiceshy.models.running import run

_PER_REQUEST = 256
"""Texts sent at once."""


class Embedder(Protocol):
    """Anything that turns texts into vectors whose dot product says how alike they are."""

    @property
    def name(self) -> str:
        """Name of the model; vectors are stored under it and never compared across names."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors of shape (n, dimensions), of length 1; of length 0 for an empty text."""
        ...


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return rows scaled to length 1; rows that are zero, or not finite, become zero.

    Example:
        >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    rows = np.where(np.isfinite(vectors), vectors, 0.0).astype(np.float64)
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0).astype(np.float32)


class OpenAIEmbedder:
    """A model behind any OpenAI-compatible embeddings endpoint.

    Args:
        model: The model's name as the endpoint knows it.
        dimensions: Length of its vectors; the endpoint is not asked to shorten them.
        base_url: The endpoint, for example a local server; None is the SDK's default.
        api_key: None reads the SDK's environment variable.
        timeout: Seconds to wait for one answer.

    Raises:
        MissingExtra: When the `openai` extra is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        dimensions: int,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        self.name = model
        self.dimensions = dimensions
        self._client = open_client(
            self,
            feature="asking an embeddings endpoint",
            base_url=base_url,
            api_key=api_key,
            timeout=timeout,
            retries=1,
        )

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit vector per text, in order.

        Raises:
            BadInput: When the endpoint cannot be reached, refuses, or answers with another number
                of vectors or another length.
        """
        parts = [
            self._ask(texts[start : start + _PER_REQUEST])
            for start in range(0, len(texts), _PER_REQUEST)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.dimensions), dtype=np.float32)

    def _ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        from openai import OpenAIError

        # Endpoints refuse an empty text; its vector is zero by the protocol.
        spoken = [text or " " for text in texts]
        try:
            answer = run(
                self._client.embeddings.create(
                    model=self.name, input=spoken, encoding_format="float"
                )
            )
        except OpenAIError as error:
            raise BadInput(
                "vectors from the embeddings endpoint",
                got=f"{type(error).__name__}: {error}",
                where=str(self._client.base_url),
                fix="Check the address and the model, or recall by words alone.",
            ) from error
        ordered = sorted(answer.data, key=lambda each: each.index)
        lengths = {len(each.embedding) for each in ordered}
        if len(ordered) != len(texts) or lengths != {self.dimensions}:
            raise BadInput(
                f"{len(texts)} vectors of {self.dimensions} numbers",
                got=f"{len(ordered)} of {', '.join(map(str, sorted(lengths))) or 'no'} numbers",
                where=f"model {self.name!r}",
                fix="Give the dimensions this model has.",
            )
        vectors = unit(np.array([each.embedding for each in ordered]))
        vectors[[not text for text in texts]] = 0.0
        return vectors
