"""Engine, store and month-end jobs against the reference rater, over drawn logs of several months.

Every final invoice line by line, drafts of open months, payouts, rewards, balances; that no final row ever
changes; that invoices and adjustments of a month are f(Q) of its final quantities; that payouts, rewards and
the platform's share are the margin. UNITRATE_EXAMPLES=N draws N/20 logs by seed (default 2), from seed
UNITRATE_SEED on; a failure prints the seed and the log, made small.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, note, settings

from tests.reference.compare_months import month_differences
from tests.reference.month_end import MonthEnd
from tests.reference.month_records import Close, MonthHistory
from tests.reference.month_strategies import month_histories, month_history
from tests.reference.months_view import Production, emptied
from tests.reference.open_months_view import open_differences
from tests.reference.reduction import reduced
from tests.reference.show import show
from unitrate.errors import UnitrateError
from unitrate.store import Store, open_store

EXAMPLES = int(os.environ.get("UNITRATE_EXAMPLES", "40")) // 20
FIRST_SEED = int(os.environ.get("UNITRATE_SEED", "0"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One folder store for all logs: it is emptied between them."""
    opened = open_store(str(tmp_path_factory.mktemp("months") / "books"), create=True)
    yield opened
    opened.close()


def disagreements(log: MonthHistory, store: Store) -> list[str]:
    """All differences; none for a log that the engine refuses (only reduction makes such)."""
    reference, production = MonthEnd(log.kafka), Production(emptied(store), log.kafka, log.restarts)
    closes = [r.offset for r in log.records if isinstance(r, Close) and r.issues]
    found = []
    try:
        for record in log.records:
            reference.take(record)
            production.take(record, reference.corrected.get(record.offset))
            if closes[len(closes) // 2 :][:1] == [record.offset]:
                found += open_differences(reference, production)
    except UnitrateError as error:
        return [str(error)] if is_whole(log) else []
    return found + month_differences(reference, production)


def is_whole(log: MonthHistory) -> bool:
    """Whether nothing was left out of a drawn log."""
    return [record.offset for record in log.records] == list(range(len(log.records)))


def test_seeded_months_come_out_as_the_reference_says(store: Store) -> None:
    """Closes at any moment, killed closers, late news, waivers, later catalogs, restarted engines."""
    for seed in range(FIRST_SEED, FIRST_SEED + EXAMPLES):
        log = month_history(random.Random(seed))
        if disagreements(log, store):
            small = reduced(log, lambda h: bool(disagreements(h, store)))
            pytest.fail("\n".join([f"UNITRATE_SEED={seed}", show(small), *disagreements(small, store)]))


@settings(max_examples=EXAMPLES, deadline=None)
@given(log=month_histories())
def test_months_come_out_as_the_reference_says(store: Store, log: MonthHistory) -> None:
    """The same of short logs that Hypothesis draws."""
    note(show(log))
    found = disagreements(log, store)
    assert not found, "\n".join(found)
