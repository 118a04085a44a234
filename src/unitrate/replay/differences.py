"""Rows of a replay against rows of a store: equal, or which cells are not.

Owns the comparison. Equal columns are told by Arrow, without looking at a value; only where a table differs
are its rows looked at one by one. Nothing is rounded: a difference in the last digit is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from unitrate.rows import (
    CLOSINGS,
    CORRECTIONS,
    COST_LINES,
    GRANTS,
    LINES,
    RERATED_MONTHS,
    RERATES,
    UNITS,
    Column,
)
from unitrate.store.columns import from_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from unitrate.rows import EventColumns
    from unitrate.store import Store

FIRST = 20  # differences that are told one by one; all are counted


class Ledger(NamedTuple):
    """A table that is compared: its columns, what makes a row one, and its month column."""

    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    month: str  # empty: it belongs to no month


LEDGERS = (
    Ledger("units", UNITS, ("account", "opened_month", "unit_id"), "period"),
    Ledger(
        "lines",
        LINES,
        ("account", "bill_month", "unit_id", "charge", "price_value", "revision"),
        "bill_month",
    ),
    Ledger("cost_lines", COST_LINES, ("account", "bill_month", "unit_id", "revision", "side"), "bill_month"),
    Ledger("closings", CLOSINGS, ("control_seq", "account", "period"), "period"),
    Ledger("grants", GRANTS, ("account", "grant_id"), "bill_month"),
    Ledger("corrections", CORRECTIONS, ("account", "unit_id", "version"), ""),
    Ledger("rerates", RERATES, ("partition", "number"), ""),
    Ledger(
        "rerated_months",
        RERATED_MONTHS,
        ("account", "bill_month", "usage_month", "plan", "plan_version", "number"),
        "bill_month",
    ),
)
# A unit that is final and not held was let go by the fold: its row came when that happened.
LET_GO = "state = 'final' AND disposition != 'held'"


class Difference(NamedTuple):
    """One cell, or a whole row (`column` is empty), that is not the same."""

    table: str
    row: str
    column: str
    stored: str
    replayed: str


@dataclass(slots=True)
class Found:
    """What a comparison found so far."""

    rows: dict[str, int] = field(default_factory=dict)  # table -> rows that were compared
    counts: dict[str, int] = field(default_factory=dict)  # table -> rows that differ
    first: list[Difference] = field(default_factory=list)

    def note(self, differences: Sequence[Difference]) -> None:
        """Count a row's differences as one, and keep the first of all."""
        if differences:
            table = differences[0].table
            self.counts[table] = self.counts.get(table, 0) + 1
            self.first += differences[: FIRST - len(self.first)]


def compare(
    found: Found, store: Store, ledger: Ledger, replayed: Sequence[tuple[Any, ...]], where: str,
    parameters: Mapping[str, Any], moved: Callable[[], set[str]] = set,
) -> None:  # fmt: skip
    """Compare replayed rows with the store's `where`. `moved` are units to leave out, asked for last."""
    names = ", ".join(f"`{column.name}`" for column in ledger.columns)
    order = ", ".join(ledger.key)
    sql = f"SELECT {names} FROM {ledger.table} FINAL WHERE {where} ORDER BY {order}"
    ours = _plain(from_rows(ledger.columns, replayed))
    stored = _like(store.query_arrow(sql, parameters), ours)
    gone = moved()
    if gone:
        ours, stored = _without(ours, gone), _without(stored, gone)
    found.rows[ledger.table] = found.rows.get(ledger.table, 0) + stored.num_rows
    if not ours.num_rows and not stored.num_rows:
        return
    ours = ours.sort_by([(name, "ascending") for name in ledger.key])
    if not ours.equals(stored):
        _by_row(found, ledger, stored.to_pylist(), ours.to_pylist())


def _without(table: pa.Table, unit_ids: set[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.invert(pc.is_in(table.column("unit_id"), pa.array(sorted(unit_ids)))))


def _plain(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    fields = [
        pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type)
        for f in table.schema
    ]
    return table.cast(pa.schema(fields))


def _like(table: pa.Table, other: pa.Table) -> pa.Table:
    """The table with the other's types."""
    return _plain(table).cast(other.schema)


def _by_row(
    found: Found, ledger: Ledger, stored: list[dict[str, Any]], replayed: list[dict[str, Any]]
) -> None:
    theirs, ours = ({tuple(row[n] for n in ledger.key): row for row in rows} for rows in (stored, replayed))
    for key in sorted(theirs.keys() | ours.keys()):
        name = _named(ledger, theirs.get(key) or ours[key])
        if key not in ours:
            found.note([Difference(ledger.table, name, "", "a row", "no such row")])
        elif key not in theirs:
            found.note([Difference(ledger.table, name, "", "no such row", "a row")])
        else:
            cells = zip(theirs[key].items(), ours[key].values(), strict=True)
            found.note(
                [Difference(ledger.table, name, c, _text(a), _text(b)) for (c, a), b in cells if a != b]
            )


def _named(ledger: Ledger, row: Mapping[str, Any]) -> str:
    if ledger.table == "units":
        return f"{row['account']} {row['meter']} {row['key']} ({row['unit_id']})"
    if ledger.table == "lines":
        return f"{row['account']} {row['charge']} {row['key']} ({row['line_id']})"
    if ledger.table == "cost_lines":
        return (
            f"{row['account']} {row['meter'] or row['reason']} ({row['unit_id']}, revision {row['revision']})"
        )
    return " ".join(str(row[name]) for name in ledger.key)


def _text(value: Any) -> str:
    return format(value, "f") if hasattr(value, "as_tuple") else str(value)


def compare_events(found: Found, stored: pa.Table, ours: pa.Table) -> None:
    """What became of events, against what the ledger says: unit, reason and cost."""
    found.rows["events"] = found.rows.get("events", 0) + stored.num_rows
    stored = _plain(stored.select(ours.column_names)).cast(ours.schema)
    if ours.equals(stored):
        return
    theirs, mine = ({row["offset"]: row for row in t.to_pylist()} for t in (stored, ours))
    for offset in sorted(theirs.keys() | mine.keys()):
        name = f"record {offset}"
        if offset not in mine or offset not in theirs:
            texts = ("no event", "an event") if offset in mine else ("an event", "no event")
            found.note([Difference("events", name, "", *texts)])
        elif theirs[offset] != mine[offset]:
            cells = ((n, theirs[offset][n], mine[offset][n]) for n in ours.column_names)
            found.note([Difference("events", name, n, _text(a), _text(b)) for n, a, b in cells if a != b])


def event_table(events: EventColumns) -> pa.Table:
    """Events of a fold, in the order of their offsets: what became of each."""
    import pyarrow as pa

    from unitrate.store.columns import ENCODERS

    columns, reasons = events.columns, list(events.codes["reason"])
    return pa.table(
        {
            "offset": ENCODERS["int"](columns["offset"]),
            "unit_id": ENCODERS["id"](columns["unit_id"]),
            "reason": pa.array([reasons[code] for code in columns["reason"]], pa.string()),
            "cost": ENCODERS["money"](columns["cost"]),
        }
    )
