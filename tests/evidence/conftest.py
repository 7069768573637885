from __future__ import annotations

from pathlib import Path

import pytest

from twiceshy.attempts import Attempt, read_attempts


@pytest.fixture(scope="session")
def tau_attempts(tau_file: Path) -> tuple[Attempt, ...]:
    """The 200 tau-bench attempts, the five that hit the message limit broken."""
    return tuple(read_attempts(tau_file, policy="gpt-4o"))


@pytest.fixture(scope="session")
def gsm8k_attempts(gsm8k_file: Path) -> tuple[Attempt, ...]:
    """Four model variants as four policies, one attempt each at 1,319 questions."""
    mapping = {"task": "question", "answer": "solution", "success": "is_correct"}
    return tuple(read_attempts(gsm8k_file, mapping=mapping))
