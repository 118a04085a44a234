"""Invoices, rated lines, units and payouts of a month as Parquet or CSV.

Owns the files' columns and that a file is whole or not there. Decimals keep all their digits; lines and units
are read account by account in parts, so memory does not grow with the month.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unitrate.billing.final import invoices
from unitrate.billing.invoice import document
from unitrate.billing.paying import payouts
from unitrate.billing.payouts import payout_document, reward_document
from unitrate.errors import InputError
from unitrate.listing import UNIT_KEYS
from unitrate.rows import LINES, UNITS

if TYPE_CHECKING:
    import pyarrow as pa

    from unitrate.store import Store
    from unitrate.timeline import Timeline

What = Literal["invoices", "lines", "units", "payouts"]
PART_ROWS = 250_000
INVOICE_COLUMNS = (
    "invoice_id", "number", "status", "account", "period", "currency", "issued_on", "due_on", "subtotal",
    "credits", "total", "hash", "line", "kind", "name", "meter", "quantity", "included", "amount", "catalog",
    "late_from",
)  # fmt: skip
PAYOUT_COLUMNS = (
    "payout_id", "kind", "payee", "period", "currency", "status", "basis", "requests", "revenue", "cost",
    "margin", "platform_fee", "earnings", "carried_in", "payout", "carried_out",
)  # fmt: skip
DECIMALS = frozenset({
    "subtotal", "credits", "total", "quantity", "included", "amount", "revenue", "cost", "margin",
    "platform_fee", "earnings", "carried_in", "payout", "carried_out",
})  # fmt: skip
_MONTH = (
    "concat(leftPad(toString(intDiv({0}, 100)), 4, '0'), '-', leftPad(toString({0} % 100), 2, '0')) AS {0}"
)
_KINDS = {"lines": {c.name: c.kind for c in LINES}, "units": {c.name: c.kind for c in UNITS}}
_COUNTS = "SELECT account, count() FROM {table} WHERE {where} GROUP BY account ORDER BY account"


def export(store: Store, timeline: Timeline, what: What, period: int, path: Path) -> int:
    """Write the file; how many rows it has."""
    if path.suffix not in (".parquet", ".csv"):
        raise InputError(f"--to {path}: name a file that ends in .parquet or .csv")
    if not path.parent.is_dir():
        raise InputError(f"--to {path}: there is no folder {path.parent}")
    as_text = path.suffix == ".csv"  # Arrow would write decimals with exponents
    if what == "invoices":
        rows = _invoice_rows(store, timeline, period)
        parts: Iterable[pa.Table] = [_table(INVOICE_COLUMNS, rows, as_text)]
    elif what == "payouts":
        parts = [_table(PAYOUT_COLUMNS, _payout_rows(store, period), as_text)]
    elif what == "lines":
        parts = _read(store, "lines", [c.name for c in LINES], "bill_month", period, as_text)
    else:
        parts = _read(store, "units", UNIT_KEYS, "period", period, as_text)
    return _write(path, parts)


def _column(table: str, name: str, as_text: bool) -> str:
    if name == "margin":
        margin = f"{table}.revenue - {table}.cost"
        return f"toString({margin}) AS margin" if as_text else f"{margin} AS margin"
    kind = _KINDS[table][name]
    if kind == "month":
        return _MONTH.replace("{0}", f"{table}.{name}", 2).replace("{0}", name)
    if as_text and kind in ("money", "quantity"):
        return f"toString({table}.{name}) AS {name}"
    return f"{table}.`{name}` AS `{name}`"


def _read(
    store: Store, table: str, names: Sequence[str], month: str, period: int, as_text: bool
) -> Iterator[pa.Table]:
    """Rows by account, some accounts at a time; one part at least, for the columns."""
    columns = [_column(table, name, as_text) for name in names]
    where = f"{table}.{month} = {{period:UInt32}}"
    counts = store.query(_COUNTS.format(table=table, where=where), {"period": period}).rows
    groups: list[tuple[str, str]] = []
    size = PART_ROWS
    for account, count in counts:
        if size + count > PART_ROWS and size:
            groups.append((account, account))
            size = 0
        groups[-1] = (groups[-1][0], account)
        size += count
    sql = (
        f"SELECT {', '.join(columns)} FROM {table} FINAL WHERE {where} "
        f"AND {table}.account >= {{low:String}} AND {table}.account <= {{high:String}} "
        f"ORDER BY {table}.account, {table}.version, {table}.unit_id "
        "SETTINGS do_not_merge_across_partitions_select_final = 1"
    )
    for low, high in groups or [("", "")]:
        yield _plain(store.query_arrow(sql, {"period": period, "low": low, "high": high}))


def _plain(table: pa.Table) -> pa.Table:
    """Text as text: it comes as bytes, and as codes where values are few."""
    import pyarrow as pa

    for at, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            column = table.column(at).cast(kind).cast(pa.string())
            table = table.set_column(at, field.name, column)
    return table


# ---------------------------------------------------------------- invoices and payouts


def _invoice_rows(store: Store, timeline: Timeline, period: int) -> Iterator[dict[str, Any]]:
    """One row a line; an invoice without lines has one row, so that it is there."""
    for invoice in invoices(store, timeline, period):
        content = document(invoice)
        head = {key: content.get(key) for key in INVOICE_COLUMNS}
        for at, line in enumerate(content["lines"], 1):
            yield head | {"line": at} | line
        if not content["lines"]:
            yield head | {"line": 0}


def _payout_rows(store: Store, period: int) -> Iterator[dict[str, Any]]:
    found = payouts(store, period)
    for one in found.payouts:
        content = payout_document(one, found)
        yield {**content, "kind": "builder", "payee": content["builder"]}
    for reward in found.rewards:
        content = reward_document(reward, found)
        amount = content["reward"]
        yield {
            **content,
            "kind": "provider",
            "payee": content["provider"],
            "earnings": amount,
            "payout": amount,
        }


def _table(columns: Sequence[str], rows: Iterable[dict[str, Any]], as_text: bool) -> pa.Table:
    import pyarrow as pa

    kept = list(rows)
    arrays = []
    for name in columns:
        values = [row.get(name) for row in kept]
        if name in DECIMALS and not as_text:
            decimals = [None if value is None else Decimal(value) for value in values]
            arrays.append(pa.array(decimals, pa.decimal128(38, 12)))
        else:
            arrays.append(pa.array(values, pa.int64() if name in ("line", "requests") else pa.string()))
    return pa.table(arrays, names=list(columns))


# ---------------------------------------------------------------- files


def _write(path: Path, parts: Iterable[pa.Table]) -> int:
    import pyarrow.csv
    import pyarrow.parquet

    beside = path.with_name(path.name + ".part")
    count, writer = 0, None
    try:
        for part in parts:
            if writer is None:
                made = pyarrow.parquet.ParquetWriter if path.suffix == ".parquet" else pyarrow.csv.CSVWriter
                writer = made(str(beside), part.schema)
            writer.write_table(part)
            count += part.num_rows
        if writer is not None:
            writer.close()
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    return count
