from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from reader_fixtures import attempts, read, reader

from twiceshy.attempts.sources import FileSource
from twiceshy.attempts.types import Attempt, Outcome, Unreadable
from twiceshy.errors import MissingExtra

needs_inspect = pytest.mark.skipif(
    importlib.util.find_spec("inspect_ai") is None, reason="inspect-ai is not installed"
)


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return real logs, written by Inspect itself: task name to file."""
    folder = tmp_path_factory.mktemp("inspect")
    maker = Path(__file__).with_name("make_inspect_logs.py")
    command = [sys.executable, str(maker), str(folder)]
    env = os.environ | {"XDG_DATA_HOME": str(folder), "HOME": str(folder)}
    made = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, env=env)
    return {name: Path(path) for name, path in json.loads(made.stdout).items()}


@pytest.fixture(scope="session")
def sums(logs: dict[str, Path]) -> dict[str, Attempt]:
    """Return the attempts of the log with all kinds of endings, by question."""
    found = attempts(logs["sums"], "inspect_log")
    assert len(found) == 5
    return {one.prompt or "": one for one in found}


@needs_inspect
def test_scores_are_verdicts(sums: dict[str, Attempt]) -> None:
    right, wrong = sums["2 + 2"], sums["2 + 3"]
    assert (right.outcome, right.verdict.reward) == (Outcome.SUCCESS, 1.0)
    assert (wrong.outcome, wrong.answer) == (Outcome.FAILURE, "6")
    assert right.verdict.evidence.startswith("match")
    assert right.verdict.source == "verifier"
    assert (right.task, right.trial, right.policy) == ("sums/1", "1", "mockllm/model")
    assert (right.ending, right.truncated) == ("stop", False)
    assert [step.role for step in right.steps] == ["user", "assistant"]
    assert right.extra["target"] == "4"


@needs_inspect
def test_a_tools_error_keeps_its_type(sums: dict[str, Attempt]) -> None:
    one = sums["use the tool"]
    (call,) = one.steps[1].calls
    assert (call.name, call.arguments) == ("weather", {"city": "nowhere"})
    reply = one.steps[2]
    assert (reply.role, reply.name, reply.call_id) == ("tool", "weather", call.id)
    assert reply.error == "unknown: no such city"
    assert one.outcome is Outcome.SUCCESS


@needs_inspect
def test_an_error_is_broken_and_not_judged(sums: dict[str, Attempt]) -> None:
    one = sums["crash"]
    assert (one.verdict.broken, one.ending) == ("tool_crash", "error")
    assert "the sandbox went away" in one.verdict.reason
    assert one.verdict.recorded is Outcome.UNSCORED
    assert one.verdict.reward is None


@needs_inspect
def test_a_limit_is_broken_and_keeps_the_score(sums: dict[str, Attempt]) -> None:
    one = sums["go on"]
    assert (one.verdict.broken, one.truncated) == ("limit", True)
    assert one.verdict.reason.startswith("message limit of 6")
    assert one.verdict.recorded is Outcome.FAILURE
    assert one.ending == "message limit"


@needs_inspect
def test_no_scorer_means_unscored(logs: dict[str, Path]) -> None:
    (one,) = attempts(logs["unjudged"], "inspect_log")
    assert (one.outcome, one.verdict.reason) == (Outcome.UNSCORED, "the sample has no score")
    (same,) = attempts(logs["json"], "inspect_log")
    assert same.steps[0].text == one.steps[0].text
    assert same.outcome is Outcome.UNSCORED


@needs_inspect
def test_several_scores_need_a_declaration(logs: dict[str, Path]) -> None:
    (one,) = attempts(logs["twice"], "inspect_log")
    assert one.verdict.reason.startswith("several scores (includes, match)")
    (declared,) = attempts(logs["twice"], "inspect_log", mapping={"reward": "includes"})
    assert declared.outcome is Outcome.SUCCESS


@needs_inspect
def test_an_invalidated_sample_is_a_checkers_error(logs: dict[str, Path], tmp_path: Path) -> None:
    library = importlib.import_module("inspect_ai.log")
    log = library.read_eval_log(logs["twice"])
    data = library.ProvenanceData(author="a reviewer", reason="wrong target")
    path = tmp_path / "twice.eval"
    library.write_eval_log(library.invalidate_samples(log, "all", data), str(path))
    (one,) = attempts(path, "inspect_log", mapping={"reward": "match"})
    assert (one.verdict.broken, one.verdict.recorded) == ("checker_error", Outcome.SUCCESS)
    assert one.verdict.reason == "invalidated: wrong target"


@needs_inspect
def test_real_logs_are_recognised(logs: dict[str, Path]) -> None:
    for path in logs.values():
        assert reader("inspect_log").matches(FileSource(path))


@needs_inspect
def test_a_damaged_sample_costs_only_itself(logs: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "damaged.eval"
    with zipfile.ZipFile(logs["sums"]) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data[:-30] if name == "samples/2_epoch_1.json" else data)
    found = read(path, "inspect_log")
    bad = [one for one in found if isinstance(one, Unreadable)]
    assert [(one.where, one.expected) for one in bad] == [("damaged.eval:2", "sample 2 of epoch 1")]
    assert len(found) == 5


@needs_inspect
@pytest.mark.parametrize("kept", [10, 500, -40])
def test_a_cut_log_is_reported(logs: dict[str, Path], tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.eval"
    path.write_bytes(logs["sums"].read_bytes()[:kept])
    (fault,) = read(path, "inspect_log")
    assert isinstance(fault, Unreadable)
    assert (fault.where, fault.expected) == ("cut.eval:1", "an Inspect log")


def test_a_missing_extra_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    path = tmp_path / "a.eval"
    path.write_bytes(b"PK\x03\x04rest")
    with pytest.raises(MissingExtra, match=r'pip install "twiceshy\[inspect\]"'):
        read(path, "inspect_log")
