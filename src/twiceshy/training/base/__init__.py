"""Small base policies that ship with the package, so that a study can start at once.

    policy = base_policy("chain").policy          # a fresh copy, to train in place
    for card in base_policies():                  # what there is, and how strong it is
        ...

`<name>.pt` holds the weights (`checkpoint.save_policy`), `<name>.json` the card. Both are written
by `experiments/base_policies/make.py`.
"""

from __future__ import annotations

import difflib
import hashlib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import msgspec

from twiceshy.errors import BadInput
from twiceshy.training.checkpoint import load_policy
from twiceshy.training.policy import PolicyConfig, TinyPolicy
from twiceshy.training.sft import SftConfig
from twiceshy.training.tasks import Chain, Change, Countdown

BaseTask = Countdown | Change | Chain


class BaseCard(msgspec.Struct, frozen=True, kw_only=True):
    """How a base policy was made, and what it could do on held-out prompts when it was."""

    name: str
    task: BaseTask
    """Task of the demonstrations, the share of slips included, and of the measurement."""
    model: PolicyConfig
    sft: SftConfig
    seed: int
    """Of initial weights and demonstrations."""
    sha256: str
    """Of the weights' file."""
    measured: dict[str, float | None]
    """pass@k, entropy (nats a token) and distinct right responses a prompt."""
    n_prompts: int
    """Held-out prompts measured on (split "test", seed 0)."""
    n_samples: int
    """Responses a prompt."""
    cpu_seconds: float
    """Processor time of the training."""


class BasePolicy(NamedTuple):
    """A base policy and its card."""

    policy: TinyPolicy
    card: BaseCard


def base_policies() -> tuple[BaseCard, ...]:
    """Return the cards of all base policies that ship, by name.

    Example:
        >>> "chain" in [card.name for card in base_policies()]
        True
    """
    return tuple(_cards().values())


def base_policy(name: str) -> BasePolicy:
    """Return a base policy by name; each call gives a fresh copy.

    Raises:
        BadInput: There is none of that name (with near matches), or the files are not the ones that
            were shipped.

    Example:
        >>> policy, card = base_policy("chain")
        >>> policy.n_tokens == len(card.task.symbols)
        True
    """
    cards = _cards()
    if name not in cards:
        near = difflib.get_close_matches(name, cards, n=2, cutoff=0.4)
        fix = f"Did you mean {' or '.join(near)}?" if near else ""
        raise BadInput(f"a base policy among {', '.join(cards)}", got=repr(name), fix=fix)
    return checked_policy(_folder() / f"{name}.pt", card=cards[name])


def checked_policy(path: Path, *, card: BaseCard) -> BasePolicy:
    """Return the policy of a file that has to be the one its card describes.

    Raises:
        BadInput: The file is missing, another one, or of a size that does not fit the card.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
    if found != card.sha256:
        fix = "Install the package again."
        raise BadInput(f"sha256 {card.sha256[:12]}…", got=found[:12], where=str(path), fix=fix)
    policy = load_policy(path).policy
    needed = (len(card.task.symbols), card.task.prompt_length + card.task.response_length)
    if policy.config != card.model or (policy.n_tokens, policy.max_length) != needed:
        raise BadInput(
            f"{card.model} over {needed[0]} symbols and {needed[1]} tokens",
            got=f"{policy.config} over {policy.n_tokens} and {policy.max_length}",
            where=str(path),
        )
    return BasePolicy(policy, card)


@lru_cache(maxsize=1)
def _cards() -> dict[str, BaseCard]:
    cards = (read_card(path) for path in sorted(_folder().glob("*.json")))
    return {card.name: card for card in cards}


def read_card(path: Path) -> BaseCard:
    """Return a card.

    Raises:
        BadInput: When it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=BaseCard)
    except (OSError, msgspec.MsgspecError) as error:
        raise BadInput("the card of a base policy", got=str(error), where=str(path)) from error


def _folder() -> Path:
    return Path(str(files(__name__)))
