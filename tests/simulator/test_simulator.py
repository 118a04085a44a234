"""Seeds of the simulator, and known bugs put back that some seed must catch.

`python -m tests.simulator --seeds 3000` runs more of them; a failure names the seed that replays it.
"""

from __future__ import annotations

import os

import pytest

from tests.simulator.simulation import simulate
from tests.simulator.weaknesses import WEAK

SEEDS = int(os.environ.get("UNITRATE_SIMULATOR_SEEDS", "80"))
RATED = 10  # seeds whose figures the reference rater confirms


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_no_seed_loses_or_doubles_a_row(first: int) -> None:
    """Crashes, zombies, late and lost answers at every call: the same rows as one undisturbed fold."""
    for seed in range(first, first + 20):
        try:
            simulate(seed, rated=seed < RATED)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("name", WEAK)
def test_some_seed_catches(name: str) -> None:
    """A weaker protocol fails under some seed, so the seeds above prove something."""
    for seed in range(150):
        try:
            simulate(seed, WEAK[name])
        except Exception:  # noqa: BLE001 - whatever it breaks
            return
    pytest.fail(f"150 seeds did not notice {name}")
