"""Plants known bugs, one at a time, in a copy of the project; each must turn its tests red.

    python tests/mutants/run.py            all of them (make mutants)
    python tests/mutants/run.py float      those whose name contains "float"

The tests of each mutant first run on the copy as it is: there they must be green, or red would mean nothing.
A mutant whose text is no longer in the source is an error: move it along with the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.mutants.planted import MUTANTS, Mutant  # noqa: E402 (the path comes first)

COPIED = ("src", "tests", "examples", "schemas", "pyproject.toml")
PATIENCE_S = 120


@dataclass(frozen=True)
class Outcome:
    """What the tests said, and how long it took."""

    red: bool
    seconds: float
    output: str


def copy_of_the_project(folder: Path) -> None:
    """The parts of the project that its tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, folder / name)


def run_tests(folder: Path, tests: tuple[str, ...]) -> Outcome:
    """Runs tests of the copy; they import the copy's source, as pytest's settings put it first."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_PROFILE": "mutants"}
    began = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            text=True,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome(red=True, seconds=PATIENCE_S, output="it hung")
    if done.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)} could not run\n{done.stdout}{done.stderr}")
    return Outcome(done.returncode == 1, time.perf_counter() - began, done.stdout)


def planted(folder: Path, mutant: Mutant) -> Outcome:
    """The tests with the bug in; the copy is as before afterwards."""
    path = folder / "src" / "unitrate" / mutant.file
    before = path.read_text(encoding="utf-8")
    times = before.count(mutant.old)
    if times != 1:
        sys.exit(f"mutant {mutant.name}: its text stands {times} times in {mutant.file}, not once")
    path.write_text(before.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return run_tests(folder, mutant.tests)
    finally:
        path.write_text(before, encoding="utf-8")


def first_failure(output: str) -> str:
    """The line of pytest's summary that names the first red test."""
    found = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return found[0].split(" - ")[0] if found else output.strip()[-100:]


def main() -> int:
    """Runs the chosen mutants; 1 if one survives."""
    wanted = sys.argv[1:]
    chosen = [m for m in MUTANTS if not wanted or any(word in m.name for word in wanted)]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="unitrate-mutants-") as name:
        folder = Path(name)
        copy_of_the_project(folder)
        tests = tuple(sorted({test for mutant in chosen for test in mutant.tests}))
        healthy = run_tests(folder, tests)
        if healthy.red:
            print(f"the tests are red without any mutant:\n{healthy.output}")
            return 1
        print(f"{'no mutant':<44} green   {healthy.seconds:5.1f} s")
        for mutant in chosen:
            outcome = planted(folder, mutant)
            survivors += not outcome.red
            verdict = "red  " if outcome.red else "GREEN"
            detail = first_failure(outcome.output) if outcome.red else "no test noticed it"
            print(f"{mutant.name:<44} {verdict}   {outcome.seconds:5.1f} s   {detail}", flush=True)
    print(f"\n{len(chosen) - survivors} mutants passed, {survivors} failed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
