"""What a person means by an id or a key.

Owns the order of guesses: unit id, line id, invoice id, then a unit's key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from unitrate.billing.invoice import derived_invoice_id
from unitrate.errors import InputError

if TYPE_CHECKING:
    from unitrate.store import Store

UNIT_ID = re.compile(r"[0-9a-f]{32}")
LINE_ID = re.compile(r"([0-9a-f]{32})\.\d+\.\d+")
INVOICE_ID = re.compile(r"inv-(\d{6})-[0-9a-f]{16}")
BY_KEY = "SELECT unit_id, account, meter FROM units FINAL WHERE key = {key:String} ORDER BY opened_offset"
BY_RUN = """
SELECT DISTINCT unit_id, account, meter FROM events
WHERE run_id = {key:String} AND unit_id != toFixedString('', 32) ORDER BY unit_id
"""
ACCOUNTS = "SELECT DISTINCT account FROM units UNION DISTINCT SELECT DISTINCT account FROM lines"


class Target(NamedTuple):
    """What to explain: a unit (and perhaps one of its lines), a unit-less line, or an account's month."""

    kind: Literal["unit", "line", "invoice"]
    id: str  # unit id, line id, or account
    line_id: str = ""  # of a unit: the line that was asked for
    period: int = 0  # of an invoice


def find(store: Store, what: str, accounts: set[str] | None = None) -> Target:
    """The unit, line or invoice that `what` names. `accounts` are further ones that may have an invoice.

    Raises InputError where nothing, or more than one thing, is called that.
    """
    if UNIT_ID.fullmatch(what) and _has(store, "units", "unit_id", what):
        return Target("unit", what)
    line = LINE_ID.fullmatch(what)
    if line is not None and _has(store, "lines", "line_id", what):
        is_unit = _has(store, "units", "unit_id", line.group(1))
        return Target("unit", line.group(1), line_id=what) if is_unit else Target("line", what)
    invoice = INVOICE_ID.fullmatch(what)
    if invoice is not None:
        period = int(invoice.group(1))
        named = {str(row[0]) for row in store.query(ACCOUNTS).rows} | (accounts or set())
        for account in named:
            if derived_invoice_id(account, period) == what:
                return Target("invoice", account, period=period)
    return _by_key(store, what)


def _by_key(store: Store, key: str) -> Target:
    found = store.query(BY_KEY, {"key": key}).rows or store.query(BY_RUN, {"key": key}).rows
    if not found:
        raise InputError(
            f'no unit, line, invoice or run is called "{key}" in {store.label}; '
            f"unitrate units --store {store.label} lists the units"
        )
    if len(found) > 1:
        named = ", ".join(f"{unit_id} ({account}, {meter})" for unit_id, account, meter in found[:4])
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        raise InputError(f'{len(found)} units are called "{key}"; explain one by its id: {named}{more}')
    return Target("unit", found[0][0])


def _has(store: Store, table: str, column: str, value: str) -> bool:
    found = store.query(f"SELECT 1 FROM {table} WHERE {column} = {{value:String}} LIMIT 1", {"value": value})
    return bool(found.rows)
