"""The catalogs that a store holds, compiled, in time.

Owns reading publications back. Whoever asks a store for prices, plans or meters asks here, so that an answer
rests on what was published into its log and never on a file of today.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from unitrate.catalog.compiling import compile_publication, compile_rerate
from unitrate.errors import InputError, StoreError
from unitrate.timeline import Timeline

if TYPE_CHECKING:
    from unitrate.catalog.compiled import Catalog
    from unitrate.store import Store

# Every partition of a log holds every publication: one of each is enough.
PUBLICATIONS = "SELECT publication FROM catalogs FINAL ORDER BY effective, partition LIMIT 1 BY id"
RERATES = "SELECT number, partition, version, body FROM rerates FINAL ORDER BY number, partition"
ACCOUNTS = "SELECT DISTINCT account FROM cost_lines UNION DISTINCT SELECT DISTINCT account FROM units"
CURRENCY = "SELECT currency FROM catalogs FINAL ORDER BY effective DESC LIMIT 1"


def timeline(store: Store) -> Timeline:
    """Every published catalog and re-rate. Raises StoreError where none was published yet."""
    found = Timeline()
    for (publication,) in store.query(PUBLICATIONS).rows:
        found.add(compile_publication(_bytes(publication)))
    offsets: dict[int, dict[int, int]] = {}
    bodies: dict[int, bytes] = {}
    for number, partition, offset, body in store.query(RERATES).rows:
        offsets.setdefault(number, {})[partition] = offset
        bodies[number] = _bytes(body)
    for number, body in sorted(bodies.items()):
        found.rerate(compile_rerate(body), offsets[number])
    if not found.catalogs:
        raise StoreError(
            f"no catalog was published into {store.label}: unitrate run --catalog CATALOG … brings one"
        )
    return found


def bodies(store: Store) -> tuple[list[bytes], list[bytes]]:
    """Publications and re-rates as they stand in the log, each in its order."""
    published = [_bytes(row[0]) for row in store.query(PUBLICATIONS).rows]
    rerated = {row[0]: _bytes(row[3]) for row in store.query(RERATES).rows}
    return published, [rerated[number] for number in sorted(rerated)]


def by_id(found: Timeline) -> dict[str, Catalog]:
    """Catalogs by version name."""
    return {catalog.id: catalog for catalog in found.catalogs}


def currency(store: Store) -> str:
    """Currency of the store's figures; it never changes between catalogs. Empty where there is no catalog."""
    rows = store.query(CURRENCY).rows
    return str(rows[0][0]) if rows else ""


def check_account(store: Store, account: str, catalogs: Timeline | None = None) -> None:
    """An account that neither an event nor a catalog knows is a slip of the pen: it gets no empty answer."""
    known = {str(row[0]) for row in store.query(ACCOUNTS).rows}
    if account in known:
        return
    known |= {name for catalog in (catalogs or timeline(store)).catalogs for name in catalog.accounts}
    if account not in known:
        close = difflib.get_close_matches(account, sorted(known), 1)
        hint = f'did you mean "{close[0]}"?' if close else "unitrate report usage --by account lists them"
        raise InputError(f'no account "{account}" in {store.label}; {hint}')


def _bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
