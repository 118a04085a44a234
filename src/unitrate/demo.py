"""The packaged example as a story: what happened, what it earned, what is worth a look.

Owns which figures the story tells; every one of them is asked of the store after the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitrate.billing.drafts import drafts
from unitrate.billing.invoice import Invoice
from unitrate.errors import InputError
from unitrate.published import timeline
from unitrate.reports import Report, report

if TYPE_CHECKING:
    from unitrate.store import Store

EXAMPLE = "agent_runs"
MONTH = "SELECT max(period) FROM units FINAL"
DUPLICATES = "SELECT count() FROM duplicates FINAL"
REJECTED = "SELECT count() FROM rejected_events FINAL"
DEAREST = """
SELECT key, requests, cost, revenue, reason FROM units FINAL
WHERE disposition = 'billable' ORDER BY cost DESC, unit_id LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Story:
    """What the demo tells. `dearest` is the costliest run that billed: key, requests, cost, revenue."""

    period: int
    by_account: Report
    by_reason: Report
    invoices: tuple[Invoice, ...]
    dearest: Mapping[str, Any] | None
    duplicates: int
    rejected: int


def example_folder() -> Path:
    """The example's catalog and events: inside an installed package, or in the checkout beside it."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_examples" / EXAMPLE, package.parents[1] / "examples" / EXAMPLE):
        if (folder / "events.jsonl.gz").is_file():
            return folder
    raise InputError(
        f"the example {EXAMPLE} is not part of this installation; install unitrate from its wheel"
    )


def story(store: Store) -> Story:
    """The figures, from the store."""
    period = int(store.query(MONTH).rows[0][0])
    dearest = store.query(DEAREST).dicts()
    return Story(
        period=period,
        by_account=report(store, period, ["account"]),
        by_reason=report(store, period, ["disposition", "reason"]),
        invoices=tuple(drafts(store, timeline(store), period)),
        dearest=dearest[0] if dearest else None,
        duplicates=int(store.query(DUPLICATES).rows[0][0]),
        rejected=int(store.query(REJECTED).rows[0][0]),
    )
