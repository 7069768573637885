from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twiceshy.attempts.reading import read_attempts
from twiceshy.attempts.types import Attempt

GSM8K_COLUMNS = {"task": "question", "answer": "solution", "success": "is_correct"}


@pytest.fixture(scope="session")
def tau_attempts(tau_file: Path) -> list[Attempt]:
    """The 200 attempts; the five that hit the limit are broken, recorded as failures."""
    return list(read_attempts(tau_file))


@pytest.fixture(scope="session")
def gsm8k_rows(gsm8k_file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gsm8k_file.read_bytes().splitlines()]


@pytest.fixture(scope="session")
def gsm8k_attempts(gsm8k_file: Path) -> list[Attempt]:
    """Four policies on 1,319 questions, in the order of the rows."""
    return list(read_attempts(gsm8k_file, mapping=GSM8K_COLUMNS))
