"""State facts: an engine's live entities as rows, their digest, and the engine from rows again.

Owns which entities there are (units, counters, accounts, originals) and what is written of them when. A fact
is "entity e after offset v"; see docs on durability.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from unitrate import snapshot
from unitrate.accounts import AccountState
from unitrate.catalog.compiled import DAY_US
from unitrate.identities import digest
from unitrate.placement import partition_of
from unitrate.rating import Counter
from unitrate.rows import StateRow
from unitrate.state import decode, encode, entity_hash
from unitrate.units import FINAL, OPEN

if TYPE_CHECKING:
    from unitrate.engine import Engine

_MASK = 2**64 - 1
Identities = Iterable[tuple[list[str], list[str], list[str], list[int]]]
Finals = Iterable[tuple[str, str, str, int, int, str]]


class Facts:
    """The facts of one engine, and the hashes of those that were taken."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._hashes: dict[tuple[str, bytes], int] = {}
        self._sum = 0
        self._ended: dict[str, StateRow] = {}  # of ended units, which seldom change: as last taken

    def digests(self) -> dict[str, Any]:
        """Count and sum of the hashes of live entities as of the last checkpoint."""
        return {"entities": len(self._hashes), "sum": self._sum}

    # ------------------------------------------------------------ to rows

    def take(self, unit_rows: list[tuple[Any, ...]], *, whole: bool) -> list[StateRow]:
        """Facts of what was touched since last time, ended ones with an empty body; or of all that lives.

        Rows of the units that were touched are added to `unit_rows`: a unit is looked at once.
        """
        gone = list(self._gone())
        units, changed = self._units(unit_rows, whole)
        others = [*self._counters(whole), *self._accounts(whole), *self._originals(whole)]
        for row in (*changed, *others, *gone):
            which = (row.kind, row.entity)
            self._sum -= self._hashes.pop(which, 0)
            if row.body:
                self._hashes[which] = hashed = entity_hash(*row)
                self._sum += hashed
        self._sum &= _MASK
        self._clean()
        return [*units, *others] if whole else [*units, *others, *gone]

    def forget(self) -> None:
        """Drop what was touched without a row of it: a replay writes no state."""
        self._ended.clear()
        self._clean()

    def _gone(self) -> Iterator[StateRow]:
        originals = self._engine.books.originals
        for unit in self._engine.life.gone:
            self._ended.pop(unit.unit_id, None)
            yield StateRow("unit", unit.unit_id.encode(), unit.version, b"")
        for key, version in originals.dirty.items():
            if key not in originals.entries:
                originals.versions.pop(key, None)
                yield StateRow("original", encode(key), version, b"")

    def _units(self, unit_rows: list[tuple[Any, ...]], whole: bool) -> tuple[list[StateRow], list[StateRow]]:
        """Rows of units, and those of them that differ from what was taken before."""
        life, ended = self._engine.life, self._ended
        rows, changed = [], []
        for unit in list(life.live.values()) if whole else life.dirty:
            if unit.queued == -1:
                continue  # it is gone
            if unit.dirty:
                unit_rows.append(self._engine.unit_row(unit))
            row = ended.get(unit.unit_id)
            if row is None or unit.dirty or row.version != unit.version:
                body = encode(snapshot.unit_body(unit))
                row = StateRow("unit", unit.unit_id.encode(), unit.version, body)
                changed.append(row)
                if unit.state != OPEN:
                    ended[unit.unit_id] = row
                else:
                    ended.pop(unit.unit_id, None)
            rows.append(row)
        return rows, changed

    def _counters(self, whole: bool) -> Iterator[StateRow]:
        books = self._engine.books
        for counter in list(books.counters.values()) if whole else books.dirty_counters:
            if counter.version >= 0:
                yield StateRow("counter", encode(counter.key), counter.version, encode(counter.body()))

    def _accounts(self, whole: bool) -> Iterator[StateRow]:
        engine = self._engine
        for account in list(engine.accounts.values()) if whole else engine.dirty_accounts:
            if account.version >= 0:
                body = encode([account.highest, account.oldest, account.closed_month, account.first_month])
                yield StateRow("account", account.id.encode(), account.version, body)

    def _originals(self, whole: bool) -> Iterator[StateRow]:
        originals = self._engine.books.originals
        entries, versions = originals.entries, originals.versions
        versions.update({key: version for key, version in originals.dirty.items() if key in entries})
        for key in list(entries) if whole else list(originals.dirty):
            if key in entries:
                yield StateRow("original", encode(key), versions[key], encode(entries[key]))

    def _clean(self) -> None:
        engine, books, life = self._engine, self._engine.books, self._engine.life
        for unit in life.dirty:
            unit.dirty = False
        life.dirty.clear()
        life.gone.clear()
        for counter in books.dirty_counters:
            counter.dirty = False
        for account in engine.dirty_accounts:
            account.dirty = False
        books.dirty_counters.clear()
        engine.dirty_accounts.clear()
        books.originals.dirty.clear()

    # ------------------------------------------------------------ from rows

    def load(self, state: Iterable[StateRow], identities: Identities, finals: Finals) -> None:
        """Live entities, identities and stubs of a checkpoint, into a fresh engine that has its catalogs."""
        loaders = {
            "account": self._load_account,
            "counter": self._load_counter,
            "original": self._load_original,
            "unit": self._load_unit,
        }
        for row in sorted(state, key=lambda r: r.kind):  # accounts before what belongs to them
            self._hashes[row.kind, row.entity] = hashed = entity_hash(*row)
            self._sum = (self._sum + hashed) & _MASK
            loaders[row.kind](row, decode(row.body))
        self._load_identities(identities)
        self._load_finals(finals)
        self._engine.compact()
        self._index()

    def _load_account(self, row: StateRow, body: list[Any]) -> None:
        engine = self._engine
        home = (
            engine.partitions == 1 or partition_of(row.entity.decode(), engine.partitions) == engine.partition
        )
        account = AccountState(row.entity.decode(), home)
        account.highest, account.oldest, account.closed_month, account.first_month = body
        if account.highest >= 0:
            account.reach(account.highest, account.highest - account.oldest)
        account.version = row.version
        engine.accounts[account.id] = account
        engine.books.account_count += 1

    def _load_counter(self, row: StateRow, body: list[Any]) -> None:
        account, month, plan, version, name = decode(row.entity)
        known = self._engine.timeline.plan(plan, version, account, month)
        charge = next(c for c in known.charges if c.name == name)
        counter = Counter((account, month, plan, version, name), charge, 1, 1)
        counter.load(body, row.version)
        self._engine.books.counters[counter.key] = counter

    def _load_original(self, row: StateRow, body: list[Any]) -> None:
        originals = self._engine.books.originals
        key = snapshot.original_key(decode(row.entity))
        originals.entries[key] = body
        originals.versions[key] = row.version
        originals.await_expiry(key, body)

    def _load_unit(self, row: StateRow, body: list[Any]) -> None:
        meter = self._engine.timeline.named(body[2]).meter_by_name[body[1]]
        unit = snapshot.unit_from_body(row.entity.decode(), body, meter, row.version)
        self._engine.life.live[unit.unit_id] = unit

    def _load_identities(self, chunks: Identities) -> None:
        for accounts, sources, ids, times in chunks:
            digests, days = [], []
            for account, source, id_, time in zip(accounts, sources, ids, times, strict=True):
                stream = self._engine.stream(account, source)
                day = time // DAY_US
                if day >= stream.account.oldest_day:
                    digests.append(digest(stream.head, id_))
                    days.append(day)
            self._engine.seen.add_many(digests, days)

    def _load_finals(self, finals: Finals) -> None:
        engine = self._engine
        for account_id, meter, name, ordinal, ended, runs in finals:
            account = engine.accounts.get(account_id)
            if account is not None and ended // DAY_US >= account.oldest_day:
                engine.life.load_stub(account, meter, name, ordinal, ended, msgspec.json.decode(runs))

    def _index(self) -> None:
        """Maps and timers, from the units."""
        engine = self._engine
        for unit in engine.life.live.values():
            engine.life.index_runs(unit, engine.accounts[unit.account])
        for unit in sorted(engine.life.live.values(), key=lambda u: (u.opened_offset, u.ordinal)):
            engine.life.index_key(unit, engine.accounts[unit.account])
            if unit.state != FINAL:
                engine.life.schedule(unit)
