"""Killed anywhere, run again: the store is as if it had never died."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.embedded import crashing
from tests.embedded.builders import difference, held_by, run, traffic, write
from unitrate.runtime import ranges, session
from unitrate.store import Store, recovery

SEED = int(os.environ.get("UNITRATE_TEST_SEED", random.randrange(10**6)))
KILLS = int(os.environ.get("UNITRATE_TEST_KILLS", "5"))
INSERTS_A_CHECKPOINT = 11  # log rows, catalogs, six ledgers, state, marker; and one more


class Crash(BaseException):
    pass


def crash() -> None:
    raise Crash


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same small ranges, checkpoints and generations as the subprocess has."""
    for module, name in (
        (ranges, "RANGE_RECORDS"),
        (session, "CHECKPOINT_RECORDS"),
        (session, "Engine"),
        (recovery, "Engine"),
        (Store, "insert"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))  # put back at the end
    crashing.small_steps()


def history(folder: Path, seed: int, count: int) -> list[str]:
    """Three files whose events interleave."""
    chance, lines = random.Random(seed), traffic(seed, count)
    parts: list[list[bytes]] = [[], [], []]
    for line in lines:
        chance.choice(parts).append(line)
    return [write(folder / f"{number}.jsonl", part) for number, part in enumerate(parts)]


@pytest.mark.usefixtures("small_steps")
def test_a_crash_at_any_insert_changes_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The insert thread dies at each insert of a checkpoint, before it or after it; then a run goes on."""
    names = history(tmp_path, SEED, 900)
    run(tmp_path / "whole", *names)
    whole = held_by(tmp_path / "whole")
    chance, insert = random.Random(SEED), Store.insert
    for number in range(1, INSERTS_A_CHECKPOINT + 1):
        crashing.die_at(number, after=chance.random() < 0.5, death=crash)
        with pytest.raises(Crash):
            run(tmp_path / "store", *names)
        monkeypatch.setattr(Store, "insert", insert)
    run(tmp_path / "store", *names)
    assert difference(whole, held_by(tmp_path / "store")) == [], f"UNITRATE_TEST_SEED={SEED}"


@pytest.mark.usefixtures("small_steps")
def test_kill_9_at_random_moments_changes_no_row(tmp_path: Path) -> None:
    """Killed from outside, at any moment, in the middle of whatever the engine does."""
    names = history(tmp_path, SEED + 1, 4000)
    run(tmp_path / "whole", *names)
    whole = held_by(tmp_path / "whole")
    chance = random.Random(SEED)
    command = [sys.executable, "-m", "tests.embedded.crashing", str(tmp_path / "store")]
    killed = 0
    for _ in range(KILLS):
        at = chance.randrange(40)  # by an insert of its own, or (0) by the clock
        side = chance.choice(["BEFORE", "AFTER"])
        with subprocess.Popen([*command, str(at), side, *names]) as process:
            if at == 0:
                time.sleep(chance.uniform(0.5, 4))
                process.send_signal(signal.SIGKILL)
        killed += process.returncode == -signal.SIGKILL
    subprocess.run([*command, "0", "BEFORE", *names], check=True)
    assert killed, f"nothing was killed; UNITRATE_TEST_SEED={SEED}"
    assert difference(whole, held_by(tmp_path / "store")) == [], f"UNITRATE_TEST_SEED={SEED}"
