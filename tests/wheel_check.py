"""Build the wheel, install it into an empty environment and use it there."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(part) for part in command],
        check=True,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def weights() -> set[str]:
    """Names of the policies that ship, with their cards."""
    found = (ROOT / "src").glob("**/*.pt")
    return {
        str(path.with_suffix(suffix).relative_to(ROOT / "src"))
        for path in found
        for suffix in (".pt", ".json")
    }


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder)
        wheel = next(folder.glob("*.whl"))
        venv.create(folder / "env", with_pip=True)
        python = folder / "env" / "bin" / "python"
        run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
            "--constraint", ROOT / "constraints.txt", wheel)  # fmt: skip
        version = run(folder / "env" / "bin" / "twiceshy", "--version", cwd=folder).strip()
        script = "from twiceshy.demo_data import demo_path; print(demo_path('train').exists())"
        shipped = run(python, "-c", script, cwd=folder).strip()
        missing = weights() - set(zipfile.ZipFile(wheel).namelist())
    if shipped != "True":
        sys.stdout.write("wheel: the demo's attempts are missing\n")
        return 1
    if missing:
        sys.stdout.write(f"wheel: weights are missing: {', '.join(sorted(missing))}\n")
        return 1
    sys.stdout.write(
        f"wheel: {wheel.name} installs and runs ({version}); demo data and weights are inside\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
