"""The per-event path: a batch of raw records in; ledger entries, unit changes and rejected rows out.

Second half of the one small room where speed is decided (`prepare` is the first). What is rare is handed to
`Lifecycle`; what is common, a request that joins its open unit, is done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unitrate.arrivals import Item
from unitrate.catalog.compiled import DAY_US
from unitrate.events import Rejected
from unitrate.path import join, prepare
from unitrate.state import derived_id
from unitrate.units import OPEN

if TYPE_CHECKING:
    from unitrate.accounts import Stream
    from unitrate.engine import Batch, Engine
    from unitrate.routing import Shape

WHY = {
    "no_unit": "no unit for this verdict; send it again when the work it judges has been seen",
    "unit_final": "its unit is final: the settle window and all others are past",
    "too_old": "older than the dedupe horizon of its account; it could be a duplicate that was forgotten",
    "wrong_partition": "the account is at home in another partition; key records by account with murmur2",
}


def fold(engine: Engine, batch: Batch) -> int:
    """Fold a batch; see `Engine.fold`. One loop over locals: each call would be seen in the total."""
    prepared = prepare(engine, batch)
    seen, life, buffer = engine.seen, engine.life, engine.buffer
    older = seen.older(prepared.digests()) if seen.has_older else None
    recent, offsets, instants, numbering = seen.recent, batch.offsets, batch.timestamps_us, buffer.generation
    fates: dict[str, int] = {}
    append = buffer.columns.append
    taken = accepted = 0
    since, generation_records = engine.since, engine.generation_records
    found: Any
    while taken < len(prepared):
        spare = generation_records - since - 1  # records before the first that may start a generation
        if spare < len(prepared):
            spare = max(spare, 4 * engine.live_entities - since - 1)
        joined = join(engine, batch, prepared, older, fates, taken, taken + spare)
        taken, since, accepted = taken + joined, since + joined, accepted + joined
        if taken == len(prepared):
            break
        event = prepared[taken]
        (
            time,
            stream,
            which,
            shape,
            attributes,
            completion,
            id_,
            run,
            retry_of,
            _,
            cost,
            _,
            _,
            unpriced,
            usage,
            _,
            _,
        ) = event
        offset = offsets[taken]
        if instants is not None:
            engine.move_clock(instants[taken], offset)
        if stream is None:
            _reject(engine, batch, taken, offset, shape)
        elif not stream.account.at_home:
            _reject(engine, batch, taken, offset, _rejected("wrong_partition", stream, id_))
        else:
            account = stream.account
            if instants is None and time > life.clock:
                life.clock = time
                if time > life.next_due:
                    life.fire(offset)
            day = recent.get(which)
            if day is None and older:
                day = older.get(taken)
            if time < account.oldest:
                _reject(engine, batch, taken, offset, _rejected("too_old", stream, id_))
            elif day is not None and day >= account.oldest_day:
                _duplicate(engine, offset, stream, id_, time)
            else:
                unit = None
                meter = shape.fast_meter
                if meter is not None and not retry_of and not unpriced:
                    state = account.meters.get(meter.name)
                    if state is not None:
                        unit = state.keys.get(run if meter.key is None else attributes[2].get(meter.key))
                        if unit is not None and (
                            unit.state != OPEN
                            or time > unit.window_end
                            or unit.meter is not meter
                            or (meter.key is not None and state.runs.get(run) is not unit)
                        ):
                            unit = None
                if unit is not None:
                    unit.requests += 1
                    unit.cost += cost
                    unit.add_usage(usage)
                    pairs = attributes[0]
                    if pairs:
                        if pairs is unit.repeated and time >= unit.repeated_time:
                            unit.repeated_time, unit.repeated_order = time, offset
                        else:
                            unit.note_attributes(pairs, time, offset)
                    if shape.marks:
                        unit.test |= shape.test
                        unit.internal |= shape.internal
                    if time < unit.started:
                        unit.started = time
                    if time > unit.last_any:
                        unit.last_any = time
                    if time > unit.last:
                        unit.last = time
                        ends, oldest_end = time + meter.idle_us, unit.opening + meter.max_age_us
                        unit.window_end = min(ends, oldest_end)
                    unit.idle_at = life.clock + meter.idle_us
                    unit.version = offset
                    if not unit.dirty:
                        unit.dirty = True
                        life.dirty.append(unit)
                    found = unit
                else:
                    item = Item(
                        shape, time, offset, id_, run, retry_of, completion, cost, unpriced, usage, attributes
                    )
                    if unpriced:
                        item.remember_unpriced(batch.raws[taken])
                        if item.unpriced is not None:  # a request: whatever becomes of it, it is accepted
                            buffer.note_unpriced(item.unpriced)
                    found = life.handle(account, item)
                if found.__class__ is str:
                    fate = _apart(engine, batch, taken, offset, id_, found, shape, stream, time, cost)
                    unit_id = ""
                else:
                    unit_id = found.unit_id
                    name = found.meter.name
                    fate = fates.get(name, -1)
                    if fate < 0:
                        fate = fates[name] = buffer.fates.code((name, ""))
                if fate >= 0:
                    accepted += found != "unit_final"
                    recent[which] = time // DAY_US
                    if time > account.highest:
                        account.reach(time, shape.catalog.dedupe_us)
                    if account.dirty:
                        account.version = offset
                    else:
                        engine.books.touch_account(account, offset)
                    if shape.code_generation != numbering:
                        shape.code, shape.code_generation = buffer.shapes.code(shape.ledger), numbering
                    if stream.code_generation != numbering:
                        stream.code = buffer.streams.code((account.id, stream.source))
                        stream.code_generation = numbering
                    append(prepared, taken, offset, stream.code, shape.code, fate, unit_id)
        taken += 1
        since += 1
        if since >= generation_records:
            engine.since = since
            if engine.starts_generation(offset):
                since = 0
                break
    engine.since = since
    if taken:
        engine.last_offset = offsets[taken - 1]
    engine.counts["records"] += taken
    engine.counts["accepted"] += accepted
    engine.compact()
    return taken


# ---------------------------------------------------------------- what is rare


def _rejected(reason: str, stream: Stream, id_: str) -> Rejected:
    return Rejected(reason, WHY[reason], stream.account.id, stream.source, id_)


def _reject(engine: Engine, batch: Batch, i: int, offset: int, why: Rejected) -> None:
    engine.counts["rejected"] += 1
    engine.rejected(offset, *why, batch.place(i), batch.raws[i])


def _duplicate(engine: Engine, offset: int, stream: Stream, id_: str, time: int) -> None:
    engine.counts["duplicates"] += 1
    engine.out.duplicates.append(
        (engine.partition, offset, offset, stream.account.id, stream.source, id_, time)
    )


def _apart(
    engine: Engine, batch: Batch, i: int, offset: int, id_: str, reason: str, shape: Shape, stream: Stream,
    time: int, cost: int,
) -> int:  # fmt: skip
    """An event that joined no unit: rejected, cost-only, or both. Its fate's code, −1 if not accepted."""
    if reason == "no_unit":
        _reject(engine, batch, i, offset, _rejected(reason, stream, id_))
        return -1
    if reason == "unit_final":
        engine.counts["unit_final"] += 1
        engine.rejected(offset, *_rejected(reason, stream, id_), batch.place(i), batch.raws[i])
    if shape.is_request:
        account = stream.account
        identity = derived_id("event", account.id, stream.source, id_)
        month = engine.timeline.month(account.id, time)
        engine.books.cost_only(
            account, identity, shape.workspace, shape.workflow, reason, month, cost, offset
        )
    return engine.buffer.fates.code(("", reason))
