"""Known bugs, put back: each must be caught by some seed."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulator.fake_store import KEYS


@dataclass(frozen=True)
class Weakness:
    """One of them, or none: the default is the production protocol."""

    order: str = "rsm"  # of rows, state and marker in a checkpoint
    state_key: tuple[str, ...] = KEYS["state"][0]
    newest_state: bool = False  # load state past the marker
    identities_past_marker: bool = False
    skip_after_marker: int = 0  # Faust's off-by-one
    commit_first: bool = False  # go on at an offset that was committed before the insert
    seek_ignored: bool = False  # go on where somebody had read to
    generation_by_worker: bool = False
    unknown_is_done: bool = False  # an insert without an answer is taken as done
    catalogs_last: bool = False  # publications are written after the marker
    version_of_code: bool = False  # fold by the newest rules that the code knows, whatever the log says
    digest_unchecked: bool = False  # take whatever state was read, also where another worker collected it


NONE = Weakness()
WEAK = {
    "commit_before_insert": Weakness(commit_first=True),
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
    "engine_version_taken_from_the_code": Weakness(version_of_code=True),
    "digest_unchecked_on_load": Weakness(digest_unchecked=True),
}
