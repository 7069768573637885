from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow; run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


def _data_file(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not beside this checkout (../shared/data)")
    return path


@pytest.fixture(scope="session")
def tau_file() -> Path:
    """GPT-4o on 50 airline tasks of tau-bench, 4 trials each."""
    return _data_file("tau_bench_airline_gpt4o.json")


@pytest.fixture(scope="session")
def gsm8k_file() -> Path:
    """Four model variants on the 1,319 GSM8K test questions."""
    return _data_file("gsm8k_model_solutions.jsonl")
