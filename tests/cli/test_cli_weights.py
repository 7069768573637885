from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from twiceshy.cli.weights import choose_engine
from twiceshy.errors import BadInput

Run = Callable[..., subprocess.CompletedProcess[str]]
ROWS = "('a', 1.0), ('a', 0.0), ('a', NULL), ('b', 0.0), ('b', 0.0)"


@pytest.fixture
def attempts(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "attempts.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (FROM (VALUES {ROWS}) t(task, score)) TO '{path}' (FORMAT parquet)"
        )
    return path


def rows(name: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT row, advantage, keep, why FROM '{name}'").fetchall()


def test_a_sidecar_its_manifest_and_its_summary(run: Run, attempts: Path) -> None:
    options = ("--map", "reward=score", "--objective", "w_reinforce", "--set", "lambda_pos=0.5")
    done = run("weights", "attempts.parquet", "-o", "w.parquet", *options, "--all-wrong", "drop")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 of 5 attempts in 2 groups are kept by w_reinforce; 1 are not")
    assert rows("w.parquet") == [
        (0, 0.5, True, "has_gradient"),
        (1, -1, True, "has_gradient"),
        (2, None, False, "unscored"),
        (3, 0, False, "all_wrong"),
        (4, 0, False, "all_wrong"),
    ]
    made = json.loads(Path("w.json").read_text())
    assert made["engine"] == "duckdb"
    assert made["settings"]["options"] == {"lambda_pos": 0.5}
    assert made["map"] == {"reward": "score"}
    size = attempts.stat().st_size
    assert made["inputs"] == [{"file": "attempts.parquet", "n_rows": 5, "n_bytes": size}]
    assert made["numbers"]["n_kept"] == 2


def test_json(run: Run, attempts: Path) -> None:
    done = run("weights", "attempts.parquet", "--map", "reward=score", "--p0", "0.1", "--json")
    found = json.loads(done.stdout)
    assert found["groups"]["mixed"] == found["groups"]["all_wrong"] == 1
    assert found["rows_by_why"]["no_gradient"] == 2
    assert found["lucky"]["n_judged"] == 1
    assert found["weight_of_successes"] == pytest.approx(2**-0.5)
    assert found["group_sizes"] == [2, 3]
    assert found["alarms"][0]["name"] == "group_sizes"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--map"),
        (("--map", "reward=score", "--objective", "gpro"), "Did you mean grpo"),
        (("--map", "reward=score", "--set", "lambda_pos"), "KEY=VALUE"),
        (("--map", "reward=score", "--set", "k=2"), "objective grpo"),
        (("--map", "reward=score", "--all-wrong", "lens"), "--all-wrong"),
        (("--map", "reward=score", "--truncated", "no"), "--truncated"),
        (("--map", "reward=score", "--small-groups", "keep"), "--small-groups"),
        (("--map", "reward=score", "--max-lucky", "0.5"), "--p0"),
        (("--map", "reward=score", "--p0", "2"), "--p0"),
        (("--map", "reward=score", "--engine", "spark"), "--engine"),
        (("--map", "reward=score", "-o", "attempts.parquet"), "one of the inputs"),
    ],
)
def test_what_is_refused_leaves_nothing(
    run: Run, attempts: Path, options: tuple[str, ...], words: str
) -> None:
    before = attempts.read_bytes()
    done = run("weights", "attempts.parquet", *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in attempts.parent.iterdir()] == ["attempts.parquet"]
    assert attempts.read_bytes() == before


def test_the_engine_follows_the_input(attempts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_engine(["attempts.parquet"], "auto") == "duckdb"
    assert choose_engine(["attempts.parquet"], "ray") == "ray"
    assert choose_engine(["attempts.parquet", "gs://bucket/more"], "auto") == "ray"
    with pytest.raises(BadInput, match="files of this machine"):
        choose_engine(["s3://bucket/a.parquet"], "duckdb")
    monkeypatch.setattr("twiceshy.cli.weights._MANY_ROWS", 5)
    installed: list[str] = ["ray"]

    def found(name: str) -> object:
        return installed or None

    monkeypatch.setattr("importlib.util.find_spec", found)
    assert choose_engine(["attempts.parquet"], "auto") == "ray"
    installed.clear()
    assert choose_engine(["attempts.parquet"], "auto") == "duckdb"
