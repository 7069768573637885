"""The base that ships: a small transformer that searches, and uses what it is told.

`base.pt` holds its weights in half precision, `base.json` its card; both are written by
`experiments/teacher-context/base.py`.
"""

from __future__ import annotations

import hashlib
import io
from importlib.resources import files
from pathlib import Path

import msgspec
import torch

from twiceshy.errors import BadInput
from twiceshy.studies.teacher_context.problems import N_PROMPT, WORDS
from twiceshy.studies.teacher_context.traces import N_RESPONSE
from twiceshy.training.policy import PolicyConfig, TinyPolicy

CONFIG = PolicyConfig(width=64, n_layers=3, n_heads=4)


class BaseCard(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the base."""

    n_parameters: int
    final_loss_nats: float
    """A token, mean of the last 100 steps."""
    sha256: str
    """Of the weights' file."""


def base_folder() -> Path:
    """Return where the weights and their card lie."""
    return Path(str(files("twiceshy.studies.teacher_context")))


def new_policy(seed: int = 0) -> TinyPolicy:
    """Return the policy with initial weights."""
    return TinyPolicy(CONFIG, n_tokens=len(WORDS), max_length=N_PROMPT + N_RESPONSE, seed=seed)


def read_base(folder: Path | None = None) -> TinyPolicy:
    """Return a fresh copy of the base.

    Args:
        folder: Where it lies; by default in the package.

    Raises:
        BadInput: When the weights are not the ones that the card describes.

    Example:
        >>> read_base().n_parameters
        166336
    """
    place = folder or base_folder()
    card = msgspec.json.decode((place / "base.json").read_bytes(), type=BaseCard)
    content = (place / "base.pt").read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise BadInput(
            f"sha256 {card.sha256[:12]}…",
            got=found[:12],
            where=str(place / "base.pt"),
            fix="Install the package again.",
        )
    policy = new_policy()
    state = torch.load(io.BytesIO(content), weights_only=True)
    policy.load_state_dict({name: value.float() for name, value in state.items()})
    return policy
