"""What importing the package costs."""

from __future__ import annotations

import subprocess
import sys


def loaded_after(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sorted(m.partition('.')[0] for m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_loads_nothing_heavy() -> None:
    heavy = {"torch", "openai", "duckdb", "numpy", "scipy", "matplotlib", "textworld", "httpx"}
    assert not loaded_after("import twiceshy") & heavy


def test_the_public_names_resolve() -> None:
    import twiceshy

    for name in twiceshy.__all__:
        assert getattr(twiceshy, name) is not None


def test_the_attempts_room_needs_no_database() -> None:
    assert not loaded_after("import twiceshy.attempts") & {"torch", "openai", "duckdb"}


def test_the_command_line_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twiceshy", "audit", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert "twiceshy audit" in done.stderr
