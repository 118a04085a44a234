"""Builds the wheel, installs it into a clean environment and runs its demo, as a user would.

Dependencies come from requirements-runtime.lock by hash, the wheel itself from the build. Run by .ci/run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXPECTED = (
    "unitrate/py.typed",
    "unitrate/_examples/agent_runs/catalog.yaml",
    "unitrate/_examples/agent_runs/events.jsonl.gz",
    "unitrate/_schemas/catalog.schema.json",
    "unitrate/_schemas/event.schema.json",
)


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Standard output of a command that must succeed; no module of the checkout is on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, text=True, capture_output=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    uv = Path(sys.executable).with_name("uv")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", work)
        (wheel,) = work.glob("*.whl")
        names = set(zipfile.ZipFile(wheel).namelist())
        missing = [name for name in EXPECTED if name not in names]
        if missing:
            sys.exit(f"{wheel.name} lacks {', '.join(missing)}")
        if shutil.which("cc") and not any(name.startswith("unitrate/_prepare.") for name in names):
            sys.exit(f"{wheel.name} has no native version, though there is a C compiler")
        python = work / "venv" / "bin" / "python"
        run(sys.executable, "-m", "venv", "--without-pip", work / "venv")
        runtime = ROOT / "requirements-runtime.lock"
        run(uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "--requirement", runtime)
        run(uv, "pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
        demo = run(python.with_name("unitrate"), "demo", "--store", work / "store", cwd=work)
    if "225" not in demo or "12,504" not in demo:
        sys.exit(f"the demo of the installed wheel tells another story:\n{demo}")
    print(f"{wheel.name}: {len(names)} files; installed into a clean environment, its demo ran")


if __name__ == "__main__":
    main()
