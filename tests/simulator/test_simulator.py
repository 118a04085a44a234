"""Seeds of the simulator, and known bugs put back that some seed must catch.

`python -m tests.simulator --seeds 3000` runs more of them; a failure names the seed that replays it.
"""

from __future__ import annotations

import os

import pytest

from tests.simulator.simulation import Weakness, simulate

SEEDS = int(os.environ.get("UNITRATE_SIMULATOR_SEEDS", "80"))
RATED = 10  # seeds whose figures the reference rater confirms
WEAK = {
    "marker_before_rows_and_state": Weakness(order="mrs"),
    "marker_before_state": Weakness(order="rms"),
    "marker_before_rows": Weakness(order="smr"),
    "state_keyed_by_entity_alone": Weakness(state_key=("partition", "generation", "kind", "entity")),
    "newest_state_loaded": Weakness(newest_state=True),
    "identities_loaded_past_the_marker": Weakness(identities_past_marker=True),
    "faust_off_by_one": Weakness(skip_after_marker=1),
    "seek_ignored": Weakness(seek_ignored=True),
    "generation_chosen_by_the_worker": Weakness(generation_by_worker=True),
    "unknown_insert_taken_as_done": Weakness(unknown_is_done=True),
    "catalogs_after_the_marker": Weakness(catalogs_last=True),
}


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
