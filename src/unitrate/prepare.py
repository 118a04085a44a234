"""What can be said of an event before any state is looked at: decoded, checked, timed, priced, digested.

First half of the per-event path (`fold` is the second). Owns the shape of a `Prepared` tuple; changes nothing
but caches. `unitrate._prepare` (native/) is a faster version of `prepare`, equal to it record for record: it
leaves to `prepare_one` all that is not plain. What this module imports by name is what that one reads, too.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from unitrate.events import (
    AHEAD_US,
    MAX_COST_PICO,
    MAX_EVENT_BYTES,
    PICO,
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
    plain_pico,
    read,
    read_attributes,
    read_tags,
)
from unitrate.price_book import PROMPT_TOKENS

if TYPE_CHECKING:
    from unitrate.engine import Batch, Engine
    from unitrate.routing import Shape

# (time µs, stream, digest, shape, attributes as `Known`, completion, id, run_id, retry_of, attempt, cost,
#  computed cost or −1, billed cost or −1, unpriced, attributes JSON, tags JSON, usage or None); money and
# completion in 10⁻¹². Of what is rejected: time 0, stream None, and the `Rejected` in the shape's place.
Prepared = tuple[Any, ...]

# attribute pairs or what is wrong with them, their JSON text, pairs by name
Known = tuple[Attributes | str, str, dict[str, str]]
_NOTHING: Known = ((), "", {})
_MOST_TEXTS = 50_000
_NO_DIGEST = bytes(16)


class Texts:
    """Attributes and tags as read before, by their bytes: most repeat."""

    def __init__(self) -> None:
        self.attributes: dict[bytes, Known] = {b"": _NOTHING}
        self.tags: dict[bytes, Known] = {b"": _NOTHING}

    def read_attributes(self, raw: bytes) -> Known:
        """Attributes that are not known yet."""
        return self._read(self.attributes, read_attributes, raw)

    def read_tags(self, raw: bytes) -> Known:
        """Tags that are not known yet."""
        return self._read(self.tags, read_tags, raw)

    @staticmethod
    def _read(known: dict[bytes, Known], reader: Callable[[bytes], Attributes | str], raw: bytes) -> Known:
        if len(known) >= _MOST_TEXTS:
            known.clear()
            known[b""] = _NOTHING
        pairs: Attributes | str = () if raw == b"null" else reader(raw)
        text = "" if raw == b"null" or isinstance(pairs, str) else raw.decode()
        found = known[raw] = (pairs, text, {} if isinstance(pairs, str) else dict(pairs))
        return found


class Records(list[Prepared]):
    """What a batch holds."""

    def digests(self) -> bytes:
        """Those of all records, 16 bytes each."""
        return b"".join([record[2] for record in self])


def prepare(engine: Engine, batch: Batch) -> Records:
    """One `Prepared` for each record of the batch."""
    instants = batch.timestamps_us
    if instants is None:
        ahead = batch.entered_us + AHEAD_US
        return Records([prepare_one(engine, raw, ahead) for raw in batch.raws])
    return Records(
        [prepare_one(engine, raw, t + AHEAD_US) for raw, t in zip(batch.raws, instants, strict=False)]
    )


def prepare_one(engine: Engine, raw: bytes, ahead_us: int) -> Prepared:
    """One record's `Prepared`; `ahead_us` is the latest time that its event may have."""
    try:
        event: Any = decode(raw) if len(raw) <= MAX_EVENT_BYTES else read(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        event = read(raw)
    if event.__class__ is not Event:
        return _rejected(event)
    time = parse_time(event.time)
    if time is None or time > ahead_us:
        return _rejected(_bad_time(event, time))
    data = event.data
    key = (
        event.type, data.workflow, data.workspace, data.mode, data.provider, data.model, data.operation,
        data.status, data.step, data.background,
    )  # fmt: skip
    shapes = engine.shapes.find(key)
    if shapes is None or not (shape := shapes[0]).lo <= time < shape.hi:
        shape = engine.shapes.make(key, event, time)
    priced: Any = price(shape, data) if shape.is_request else _NO_COST
    texts = engine.texts
    attributes = texts.attributes.get(raw := bytes(data.attributes)) or texts.read_attributes(raw)
    tags = texts.tags.get(raw := bytes(data.tags)) or texts.read_tags(raw)
    completion = PICO if data.completion is None else completion_pico(data.completion)
    if len(priced) == 2 or attributes[0].__class__ is str or tags[0].__class__ is str or completion is None:
        return _rejected(_wrong(event, priced, attributes[0], tags[0]))
    account = engine.accounts.get(event.subject)
    stream = None if account is None else account.streams.get(event.source)
    if stream is None:
        stream = engine.stream(event.subject, event.source)
    return (
        time, stream, sha256(stream.head + event.id.encode()).digest()[:16], shape, attributes, completion,
        event.id, data.run_id, data.retry_of or "", data.attempt or 1, *priced, attributes[1], tags[1],
    )  # fmt: skip


def _rejected(why: Rejected) -> Prepared:
    return (0, None, _NO_DIGEST, why, *(None,) * 13)


def _bad_time(event: Event, time: int | None) -> Rejected:
    who = (event.subject, event.source, event.id)
    if time is None:
        return Rejected(
            "bad_time", f"time: {event.time[:40]!r} is no RFC 3339 time with a zone, 1970 to 2099", *who
        )
    return Rejected("in_future", f"time: {event.time} is more than 24 h after it entered the log", *who)


def _wrong(event: Event, priced: Any, attributes: Any, tags: Any) -> Rejected:
    reason, message = "bad_data", f"data.completion: {str(event.data.completion)[:40]} is not between 0 and 1"
    if len(priced) == 2:
        reason, message = priced
    elif isinstance(attributes, str):
        reason, message = "bad_attributes", attributes
    elif isinstance(tags, str):
        reason, message = "bad_tags", tags
    return Rejected(reason, message, event.subject, event.source, event.id)


# ---------------------------------------------------------------- cost

# (cost, computed or −1, billed or −1, unpriced, usage); or what is wrong: (reason, message)
Priced = tuple[int, int, int, bool, "dict[str, int] | None"]
_NO_COST: Priced = (0, -1, -1, False, None)


def price(shape: Shape, data: Data) -> Priced | tuple[str, str]:
    """What a request cost; the provider's own bill wins, and both are kept."""
    usage = data.usage
    computed: int | None = None
    rates = shape.rates
    if usage and rates is not None:
        table = rates.flat
        if table is None and rates.tiers:
            table = rates.tiers[-1][1]
            if sum(usage.values()) > rates.tiers[-2][0]:  # else no sum of prompt tokens can reach a tier
                prompt = sum([usage[name] for name in PROMPT_TOKENS if name in usage])
                table = next(t for threshold, t in rates.tiers if threshold < prompt)
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
    pico = plain_pico(bill.amount) if bill.currency == shape.catalog.currency else None
    if pico is None:
        value = amount(bill)
        if value is None:
            return "bad_cost", f"data.cost.amount: {str(bill.amount)[:40]!r} is no decimal of at least 0"
        pico = shape.catalog.costs.converted_pico(value, bill.currency)
    if computed > MAX_COST_PICO:
        computed = -1  # no column could hold it, and it does not count
    if pico is None:
        return 0, computed, -1, True, usage
    if pico > MAX_COST_PICO:
        return "bad_cost", "data.cost.amount: more than 9,000,000; one request cannot cost that"
    return pico, computed, pico, False, usage
