"""Units and rejected events as lists.

Owns the columns of `unitrate units` (the contract's) and of `unitrate rejected`. Reads only.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from unitrate.figures import month_text
from unitrate.rows import USAGE

if TYPE_CHECKING:
    from unitrate.store import Store

UNIT_KEYS = (
    "unit_id", "account", "workspace", "workflow", "meter", "key", "state", "disposition", "reason", "size",
    "quantity", "period", "started", "ended", "requests", "attempts", *USAGE, "cost", "revenue", "margin",
)  # fmt: skip
_COMPUTED = {"margin": "revenue - cost AS margin"}
UNITS = f"""
SELECT {", ".join(_COMPUTED.get(key, key) for key in UNIT_KEYS)}, count() OVER () AS units_in_all
FROM units FINAL
WHERE ({{account:String}} = '' OR account = {{account:String}})
  AND ({{period:UInt32}} = 0 OR period = {{period:UInt32}})
  AND ({{disposition:String}} = '' OR disposition = {{disposition:String}})
ORDER BY account, opened_offset, unit_id
"""
REJECTED = """
SELECT partition, `offset`, received, reason, place, account, source, id, message, base64Encode(raw)
FROM rejected_events FINAL
WHERE ({reason:String} = '' OR reason = {reason:String})
  AND (partition, `offset`) NOT IN (SELECT partition, `offset` FROM retried_events)
ORDER BY partition, `offset`
"""


class UnitFilter(NamedTuple):
    """Which units; None means any."""

    account: str | None = None
    period: int | None = None
    disposition: str | None = None


class RejectedEvent(NamedTuple):
    """A rejected event, whole, that was not taken again since."""

    partition: int
    offset: int
    received: datetime
    reason: str
    place: str
    account: str
    source: str
    id: str
    message: str
    raw: bytes


def unit_rows(
    store: Store, chosen: UnitFilter, *, most: int | None = None
) -> tuple[list[dict[str, Any]], int]:
    """Units by account in the order in which they opened, and how many there are; at most `most` rows."""
    parameters = {
        "account": chosen.account or "",
        "period": chosen.period or 0,
        "disposition": chosen.disposition or "",
    }
    rows = store.query(UNITS if most is None else f"{UNITS} LIMIT {most:d}", parameters).dicts()
    count = int(rows[0]["units_in_all"]) if rows else 0
    for row in rows:
        del row["units_in_all"]
        row["period"] = month_text(row["period"])
    return rows, count


def rejected_events(store: Store, reason: str | None = None) -> list[RejectedEvent]:
    """Rejected events in log order, without those that were taken again."""
    rows = store.query(REJECTED, {"reason": reason or ""}).rows
    return [RejectedEvent._make((*row[:-1], base64.b64decode(row[-1]))) for row in rows]
