from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
import torch

from twiceshy.errors import BadInput
from twiceshy.training.base import BaseCard, base_policies, base_policy, checked_policy
from twiceshy.training.checkpoint import save_policy
from twiceshy.training.evaluation import evaluate
from twiceshy.training.policy import PolicyConfig
from twiceshy.training.sft import untrained
from twiceshy.training.tasks import Chain

NAMES = [card.name for card in base_policies()]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_as_strong_as_its_card_says(name: str) -> None:
    """The same prompts, fewer and other draws: within five standard errors."""
    policy, card = base_policy(name)
    prompts = card.task.prompts(card.n_prompts, split="test", seed=0)
    found = evaluate(policy, card.task, prompts, n_samples=16, ks=(1,), seed=3).at(1)
    assert found == pytest.approx(card.measured["pass@1"], abs=5 * (0.25 / 3200) ** 0.5)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no file"):
        checked_policy(tmp_path / "chain.pt", card=base_policy("chain").card)


def test_each_call_gives_a_fresh_copy() -> None:
    first, second = base_policy("chain").policy, base_policy("chain").policy
    with torch.no_grad():
        first.head.weight.zero_()
    assert bool(second.head.weight.any())
    assert bool(base_policy("chain").policy.head.weight.any())


def test_unknown_name_has_near_matches() -> None:
    with pytest.raises(BadInput, match="Did you mean chain"):
        base_policy("chian")


def test_another_file_is_refused(tmp_path: Path) -> None:
    card = base_policy("chain").card
    path = tmp_path / "chain.pt"
    task = Chain()
    save_policy(path, untrained(task, config=PolicyConfig(), seed=0), about={})
    with pytest.raises(BadInput, match="expected sha256"):
        checked_policy(path, card=card)
    own = _card_of(path, card)
    assert checked_policy(path, card=own).policy.n_tokens == len(task.symbols)


def test_a_size_that_does_not_fit_the_card_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chain.pt"
    small = PolicyConfig(width=16, n_layers=1, n_heads=2)
    save_policy(path, untrained(Chain(), config=small, seed=0), about={})
    with pytest.raises(BadInput, match="width=64"):
        checked_policy(path, card=_card_of(path, base_policy("chain").card))


def _card_of(path: Path, card: BaseCard) -> BaseCard:
    return msgspec.structs.replace(card, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
