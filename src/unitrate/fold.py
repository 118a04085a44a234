"""The per-event path: a batch of raw records in; ledger entries, unit changes and rejected rows out.

The one small room where speed is decided. What is rare is handed to `Lifecycle`; what is common, a request
that joins its open unit, is done here. A native or columnar version may stand beside this module, with the
same signature, and be compared with it record for record.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import msgspec

from unitrate.catalog.compiled import DAY_US
from unitrate.events import (
    AHEAD_US,
    MAX_COST_PICO,
    MAX_EVENT_BYTES,
    NO_RAW,
    USAGE_NAMES,
    Attributes,
    Cost,
    Data,
    Event,
    Rejected,
    amount,
    completion_pico,
    decode,
    parse_time,
    read,
    read_attributes,
    read_tags,
)
from unitrate.identities import digest
from unitrate.ledger import Entry
from unitrate.lifecycle import Item
from unitrate.price_book import PROMPT_TOKENS
from unitrate.state import derived_id
from unitrate.units import OPEN, Unit

if TYPE_CHECKING:
    from unitrate.accounts import Stream
    from unitrate.engine import Batch, Engine
    from unitrate.routing import Shape

PICO = 10**12
_MOST_TEXTS = 50_000
_WHY = {
    "no_unit": "no unit for this verdict; send it again when the work it judges has been seen",
    "unit_final": "its unit is final: the settle window and all others are past",
    "too_old": "older than the dedupe horizon of its account; it could be a duplicate that was forgotten",
    "wrong_partition": "the account is at home in another partition; key records by account with murmur2",
}


_Known = tuple[Attributes | str, str, dict[str, str]]  # pairs or what is wrong, JSON text, pairs by name
# attribute pairs, their JSON text, pairs by name, tags' JSON text, completion in 10⁻¹²
Notes = tuple[Attributes, str, dict[str, str], str, int]
_NO_NOTES: Notes = ((), "", {}, "", PICO)


class Texts:
    """Attributes and tags as read before, by their bytes."""

    def __init__(self) -> None:
        self._attributes: dict[bytes, _Known] = {}
        self._tags: dict[bytes, _Known] = {}

    def notes(self, data: Data) -> Notes | tuple[str, str]:
        """Attributes, tags and completion of an event, or what is wrong: (reason, message)."""
        pairs, text, by_name = self._read(self._attributes, read_attributes, bytes(data.attributes))
        if isinstance(pairs, str):
            return "bad_attributes", pairs
        tags, tags_text, _ = self._read(self._tags, read_tags, bytes(data.tags))
        if isinstance(tags, str):
            return "bad_tags", tags
        completion = completion_pico(data.completion)
        if completion is None:
            return "bad_data", f"data.completion: {str(data.completion)[:40]} is not between 0 and 1"
        return pairs, text, by_name, tags_text, completion

    @staticmethod
    def _read(known: dict[bytes, _Known], reader: Callable[[bytes], Attributes | str], raw: bytes) -> _Known:
        found = known.get(raw)
        if found is None:
            if len(known) >= _MOST_TEXTS:
                known.clear()
            if raw in (b"", b"null"):
                found = ((), "", {})
            else:
                pairs = reader(raw)
                found = (pairs, "", {}) if isinstance(pairs, str) else (pairs, raw.decode(), dict(pairs))
            known[raw] = found
        return found


def fold(engine: Engine, batch: Batch) -> int:
    """Fold a batch; see `Engine.fold`. One loop over locals: a call an event would cost a tenth of it."""
    events, times, digests, streams = _decode(engine, batch)
    seen, life, buffer, counts = engine.seen, engine.life, engine.buffer, engine.counts
    older = seen.older(digests)
    recent, find, texts = seen.recent, engine.shapes.find, engine.texts
    offsets, instants, numbering = batch.offsets, batch.timestamps_us, buffer.generation
    fates: dict[str, int] = {}
    entries: list[Entry] = []
    taken = 0
    for i, event in enumerate(events):
        offset = offsets[i]
        if instants is not None:
            engine.move_clock(instants[i], offset)
        time = times[i]
        stream = streams[i]
        if stream is None or event.__class__ is Rejected:
            _reject(engine, batch, i, offset, event)  # type: ignore[arg-type]
        else:
            data = event.data  # type: ignore[union-attr]
            key = (
                event.type, data.workflow, data.workspace, data.mode, data.provider, data.model,  # type: ignore[union-attr]
                data.operation, data.status, data.step, data.background,
            )  # fmt: skip
            shapes = find(key)
            if shapes is None or not (shape := shapes[0]).lo <= time < shape.hi:
                shape = engine.shapes.make(key, event, time)  # type: ignore[arg-type]
            priced: Any = _price(shape, data) if shape.is_request else _NO_COST
            notes: Any = _NO_NOTES
            if data.attributes is not NO_RAW or data.tags is not NO_RAW or data.completion is not None:
                notes = texts.notes(data)
            account = stream.account
            wrong = _wrong(priced, notes, account.at_home)
            if wrong is not None:
                _reject(engine, batch, i, offset, Rejected(*wrong, *_who(event)))  # type: ignore[arg-type]
            else:
                if instants is None and time > life.clock:
                    life.clock = time
                    if time > life.next_due:
                        life.fire(offset)
                which = digests[i]
                day = recent.get(which)
                if day is None:
                    day = older.get(i)
                if time < account.oldest:
                    _reject(engine, batch, i, offset, Rejected("too_old", _WHY["too_old"], *_who(event)))  # type: ignore[arg-type]
                elif day is not None and day >= account.oldest_day:
                    counts["duplicates"] += 1
                    engine.out.duplicates.append(
                        (engine.partition, offset, offset, account.id, stream.source, event.id, time)
                    )
                else:
                    cost, computed, billed, unpriced, usage = priced
                    unit = None
                    meter = shape.fast_meter
                    if meter is not None and not data.retry_of:
                        state = account.meters.get(meter.name)
                        if state is not None:
                            run = data.run_id
                            unit_key = run if meter.key is None else notes[2].get(meter.key)
                            unit = state.keys.get(unit_key)
                            if (
                                unit is None
                                or unit.state != OPEN
                                or time > unit.window_end
                                or unit.meter is not meter
                                or unpriced
                                or (meter.key is not None and state.runs.get(run) is not unit)
                            ):
                                unit = None
                    if unit is not None:
                        unit.requests += 1
                        unit.cost += cost
                        if usage:
                            sums = unit.usage
                            for name, count in usage.items():
                                sums[name] = sums.get(name, 0) + count
                        if notes[0]:
                            unit.note_attributes(notes[0], time, offset)
                        if shape.test:
                            unit.test = True
                        if shape.internal:
                            unit.internal = True
                        if time > unit.last_any:
                            unit.last_any = time
                        if time < unit.started:
                            unit.started = time
                        if time > unit.last:
                            unit.last = time
                            ends, oldest_end = time + meter.idle_us, unit.opening + meter.max_age_us  # type: ignore[union-attr]
                            unit.window_end = ends if ends < oldest_end else oldest_end
                        unit.idle_at = life.clock + meter.idle_us  # type: ignore[union-attr]
                        unit.version = offset
                        if not unit.dirty:
                            unit.dirty = True
                            life.dirty.append(unit)
                        found: Unit | str = unit
                    else:
                        found = life.handle(account, Item(event, shape, time, offset, priced, notes))  # type: ignore[arg-type]
                    if found.__class__ is str:
                        fate = _apart(engine, batch, i, offset, event, found, shape, stream, time, cost)  # type: ignore[arg-type]
                        unit_id = ""
                    else:
                        unit_id = found.unit_id  # type: ignore[union-attr]
                        name = found.meter.name  # type: ignore[union-attr]
                        fate = fates.get(name, -1)
                        if fate < 0:
                            fate = fates[name] = buffer.fates.code((name, ""))
                    if fate >= 0:
                        counts["accepted"] += found != "unit_final"
                        recent[which] = time // DAY_US
                        if time > account.highest:
                            account.reach(time, shape.catalog.dedupe_us)
                        account.version = offset
                        if not account.dirty:
                            account.dirty = True
                            engine.dirty_accounts.append(account)
                        if shape.code_generation != numbering:
                            shape.code, shape.code_generation = buffer.shapes.code(shape.ledger), numbering
                        if stream.code_generation != numbering:
                            stream.code = buffer.streams.code((account.id, stream.source))
                            stream.code_generation = numbering
                        entries.append((
                            offset, time, stream.code, shape.code, fate, event.id, data.run_id,
                            data.retry_of or "", unit_id, data.attempt or 1, cost, computed, billed, unpriced,
                            notes[1], notes[3], notes[4], usage,
                        ))  # fmt: skip
        taken += 1
        engine.last_offset = offset
        engine.since += 1
        if engine.since >= engine.generation_records and engine.starts_generation(offset):
            break
    counts["records"] += taken
    buffer.extend(entries)
    if len(recent) >= seen.limit:
        seen.compact(min((a.oldest_day for a in engine.accounts.values()), default=0))
    return taken


# (cost, computed or −1, billed or −1, unpriced, usage) in 10⁻¹²; or what is wrong: (reason, message)
Priced = tuple[int, int, int, bool, "dict[str, int] | None"]
_NO_COST: Priced = (0, -1, -1, False, None)


def _price(shape: Shape, data: Data) -> Priced | tuple[str, str]:
    """What a request cost; the provider's own bill wins, and both are kept."""
    usage = data.usage
    computed: int | None = None
    rates = shape.rates
    if usage and rates is not None:
        table = rates.flat
        if table is None and rates.tiers:
            prompt = 0
            for name in PROMPT_TOKENS:
                prompt += usage.get(name, 0)
            for threshold, table in rates.tiers:
                if threshold < prompt:
                    break
        if table is not None:
            try:
                total = 0
                for name, count in usage.items():
                    total += count * table[name]
                computed = (total + 500_000) // 1_000_000
            except KeyError:
                computed = None
    if computed is None:
        if usage and not usage.keys() <= USAGE_NAMES:
            usage = {name: count for name, count in usage.items() if name in USAGE_NAMES}
        computed = shape.cost(usage)
    bill = data.cost
    if bill is None:
        if computed is None:
            return 0, -1, -1, True, usage
        if computed > MAX_COST_PICO:
            return "bad_usage", "data.usage: costs more than 9,000,000; one request cannot"
        return computed, computed, -1, False, usage
    return _billed(shape, bill, -1 if computed is None else computed, usage)


def _billed(
    shape: Shape, bill: Cost, computed: int, usage: dict[str, int] | None
) -> Priced | tuple[str, str]:
    value = amount(bill)
    if value is None:
        return "bad_cost", f"data.cost.amount: {str(bill.amount)[:40]!r} is no decimal of at least 0"
    if bill.currency == shape.catalog.currency and computed >= 0 and value == Decimal(computed).scaleb(-12):
        return computed, computed, computed, False, usage
    pico = shape.catalog.costs.converted_pico(value, bill.currency)
    if pico is None:
        return 0, computed, -1, True, usage
    if pico > MAX_COST_PICO:
        return "bad_cost", "data.cost.amount: more than 9,000,000; one request cannot cost that"
    return pico, min(computed, MAX_COST_PICO), pico, False, usage


def _wrong(priced: Any, notes: Any, at_home: bool) -> tuple[str, str] | None:
    if len(priced) == 2:
        return cast("tuple[str, str]", priced)
    if len(notes) == 2:
        return cast("tuple[str, str]", notes)
    return None if at_home else ("wrong_partition", _WHY["wrong_partition"])


def _who(event: Event) -> tuple[str, str, str]:
    return event.subject, event.source, event.id


def _reject(engine: Engine, batch: Batch, i: int, offset: int, why: Rejected) -> None:
    engine.counts["rejected"] += 1
    engine.rejected(offset, *why, batch.place(i), batch.raws[i])


def _apart(
    engine: Engine, batch: Batch, i: int, offset: int, event: Event, reason: str, shape: Shape,
    stream: Stream, time: int, cost: int,
) -> int:  # fmt: skip
    """An event that joined no unit: rejected, cost-only, or both. Code of its fate, −1 if it is not accepted."""
    if reason == "no_unit":
        _reject(engine, batch, i, offset, Rejected(reason, _WHY[reason], *_who(event)))
        return -1
    if reason == "unit_final":
        engine.counts["unit_final"] += 1
        engine.rejected(offset, reason, _WHY[reason], *_who(event), batch.place(i), batch.raws[i])
    if shape.is_request:
        account, data = stream.account, event.data
        identity = derived_id("event", account.id, stream.source, event.id)
        month = engine.timeline.month(account.id, time)
        engine.books.cost_only(
            account, identity, data.workspace or "", data.workflow, reason, month, cost, offset
        )
    return engine.buffer.fates.code(("", reason))


def _decode(
    engine: Engine, batch: Batch
) -> tuple[list[Event | Rejected], list[int], list[bytes], list[Stream | None]]:
    """Decode all records, with their times and identities; what is malformed becomes `Rejected`."""
    events: list[Event | Rejected] = []
    times: list[int] = []
    digests: list[bytes] = []
    streams: list[Stream | None] = []
    accounts = engine.accounts
    for i, raw in enumerate(batch.raws):
        stream: Stream | None = None
        time: int | None = 0
        which = b"\0" * 16
        try:
            event: Event | Rejected = decode(raw) if len(raw) <= MAX_EVENT_BYTES else read(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            event = read(raw)
        if event.__class__ is Event:
            time = parse_time(event.time)
            entered = batch.entered_us if batch.timestamps_us is None else batch.timestamps_us[i]
            if time is None or time > entered + AHEAD_US:
                event = _bad_time(event, time)
            else:
                account = accounts.get(event.subject)
                if account is not None:
                    stream = account.streams.get(event.source)
                if stream is None:
                    stream = engine.stream(event.subject, event.source)
                which = digest(stream.head, event.id)
        events.append(event)
        times.append(time or 0)
        digests.append(which)
        streams.append(stream)
    return events, times, digests, streams


def _bad_time(event: Event, time: int | None) -> Rejected:
    who = (event.subject, event.source, event.id)
    if time is None:
        return Rejected("bad_time", f"time: {event.time[:40]!r} is no RFC 3339 time with a zone, 1970 to 2099", *who)
    return Rejected("in_future", f"time: {event.time} is more than 24 h after it entered the log", *who)
