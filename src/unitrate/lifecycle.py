"""The life of units: which unit an event joins, when units end, and what happens to those that ended.

Owns live units, the timers and the stubs of final units. Follows docs/semantics.md D7–D22; the comments
name the step. Calls `Books` whenever facts of an ended unit changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush

from unitrate.accounts import AccountState, MeterState
from unitrate.arrivals import END_BITS, Item, Stub
from unitrate.booking import Books
from unitrate.catalog.compiled import DAY_US, Meter
from unitrate.decision import BROUGHT_LATER
from unitrate.identities import Seen, digest
from unitrate.snapshot import is_live, unit_row
from unitrate.state import derived_id
from unitrate.timeline import civil_month
from unitrate.units import FINAL, NEVER, OPEN, SEALED, EndEvent, Unit, Verdict

_MOST_UNITS = 2**11 - 1  # of one key inside the horizon that are told apart
_FAILED_STATUS = {"error": "work.failed", "timeout": "work.failed", "cancelled": "work.cancelled"}


class Lifecycle:
    """Live units of one partition."""

    def __init__(self, partition: int, books: Books) -> None:
        self.partition = partition
        self.books = books
        self.clock = -(2**62)
        self.live: dict[str, Unit] = {}
        self.dirty: list[Unit] = []
        self.gone: list[Unit] = []
        self.stubs = Seen(with_payload=True, recent_limit=50_000)
        self._heap: list[tuple[int, int, Unit]] = []
        self.next_due = NEVER

    # ------------------------------------------------------------ timers

    def schedule(self, unit: Unit) -> None:
        """Put the unit's next deadline into the heap, unless an earlier entry there will ask again."""
        due = unit.deadline()
        if due < unit.queued:
            unit.queued = due
            heappush(self._heap, (due, unit.opened_offset, unit))
            self.next_due = self._heap[0][0]

    def fire(self, offset: int) -> None:
        """Fire every timer whose deadline the clock has passed, in order (ruling 2)."""
        heap = self._heap
        while heap and heap[0][0] < self.clock:
            due, _, unit = heappop(heap)
            if unit.queued != due:
                continue  # a leftover: the unit was queued earlier since, or is gone
            unit.queued = NEVER
            if unit.deadline() == due:
                self._timer(unit, due, offset)
            if unit.state != FINAL:
                self.schedule(unit)
        self.next_due = heap[0][0] if heap else NEVER

    def _timer(self, unit: Unit, due: int, offset: int) -> None:
        if unit.state == OPEN:
            self._seal(unit, due, offset)
        elif unit.meter.accept is not None and not unit.awaited:
            unit.awaited = True
            self.touch(unit, offset)
            if not unit.verdicts:
                self.books.book(unit, offset)
        else:
            self._finish(unit, offset)

    def touch(self, unit: Unit, offset: int) -> None:
        """Note that the record at the offset changed the unit."""
        unit.version = offset
        if not unit.dirty:
            unit.dirty = True
            self.dirty.append(unit)

    def _seal(self, unit: Unit, instant: int, offset: int) -> None:
        unit.seal(instant)
        self.touch(unit, offset)
        self.books.book(unit, offset)

    def _finish(self, unit: Unit, offset: int) -> None:
        """Every window is past: a row, and a stub in place of the unit, unless it is held."""
        unit.state = FINAL
        unit.queued = NEVER
        self.touch(unit, offset)
        if not is_live(unit):
            self.let_go(unit)

    def append_final(self, unit: Unit) -> None:
        """A row of a unit that is final and not kept."""
        self.books.out.units.append(unit_row(unit, self.partition, unit.period))

    def let_go(self, unit: Unit) -> None:
        """Drop a final unit that nothing holds any more; a stub stays."""
        del self.live[unit.unit_id]
        unit.queued = -1
        self.append_final(unit)
        if unit.meter.each is not None and unit.version == unit.opened_offset:
            return  # it never outlived a record, so no state row tells of it
        self.gone.append(unit)
        if unit.meter.each is not None:
            return
        account = self.books.accounts[unit.account]
        state = account.meter(unit.meter.name)
        if state.keys.get(unit.key) is unit:
            del state.keys[unit.key]
        self._add_stub(account, digest(state.head, unit.key), unit.ended, unit.ordinal)
        for run in unit.runs:
            if state.runs.get(run) is unit:
                del state.runs[run]
            self._add_stub(account, digest(state.run_head, run), unit.ended, 0)

    def _add_stub(self, account: AccountState, which: bytes, ended: int, ordinal: int) -> None:
        """Remember a final unit's key (the highest ordinal stands) or run (the latest end) for the horizon.

        Of every final unit, in whatever order: so that recovery, which reads them all, remembers the same.
        """
        payload = min(ordinal, _MOST_UNITS) << END_BITS | ended
        former = self.stubs.get(which, account.oldest_day)
        if former is None or former[1] < payload:
            self.stubs.add(which, ended // DAY_US, payload)

    def _stub(self, account: AccountState, head: bytes, last: str, by_run: bool = True) -> Stub | None:
        if not self.stubs.recent and not self.stubs.has_older:
            return None
        found = self.stubs.get(digest(head, last), account.oldest_day)
        return None if found is None else Stub(found[1], by_run)

    # ------------------------------------------------------------ routing to a unit

    def handle(self, account: AccountState, item: Item) -> Unit | str:
        """The unit that the event joined, or why none: a cost-only reason, `no_unit` or `unit_final`."""
        attributes = item.by_name
        passed_over = False
        for meter in item.shape.meters:
            if meter.each is not None:
                return "background" if item.shape.background else self._each(account, item, meter)
            fits = _matches(meter, attributes)
            if fits is False:
                continue
            state = account.meter(meter.name)
            key = item.run if meter.key is None else attributes.get(meter.key)
            if fits is None or not key:  # D7
                known = self._known(account, state, meter, item)
                if known is None:
                    passed_over = True
                    continue
                return self._meet(account, state, known, item, meter, None)
            return self._meet(account, state, self._find(account, state, meter, key, item), item, meter, key)
        if not passed_over:
            return "unmetered"
        return "no_unit" if item.shape.is_verdict else "no_key"

    def _run(self, account: AccountState, state: MeterState, meter: Meter, run: str) -> Unit | Stub | None:
        """The unit through which a run is known (D8, D53)."""
        unit = state.runs.get(run)
        if unit is None and meter.key is None:
            unit = state.keys.get(run)
        if unit is not None:
            return unit
        stub = self._stub(account, state.run_head, run)
        if stub is None and meter.key is None:
            stub = self._stub(account, state.head, run)
        return stub

    def _known(
        self, account: AccountState, state: MeterState, meter: Meter, item: Item
    ) -> Unit | Stub | None:
        found = self._run(account, state, meter, item.run)
        if found is None and item.retry_of:
            found = self._run(account, state, meter, item.retry_of)
        return found

    def _find(
        self, account: AccountState, state: MeterState, meter: Meter, key: str, item: Item
    ) -> Unit | Stub | None:
        """D10, D12."""
        run = item.run
        if meter.key is None and run not in state.keys:  # else it was not absorbed (D53)
            absorbed = state.runs.get(run) or self._stub(account, state.run_head, run)
            if absorbed is not None:
                return absorbed
        if item.retry_of and not item.shape.is_verdict and not meter.charges_retries:
            original = self._run(account, state, meter, item.retry_of)
            if isinstance(original, Unit) and original.state != FINAL:
                return original
        unit = state.keys.get(key)
        if unit is not None:
            return unit
        stub = self._stub(account, state.head, key, by_run=False)
        if stub is None and item.shape.is_verdict:
            return self._known(account, state, meter, item)
        return stub

    # ------------------------------------------------------------ recovery

    def load_stub(
        self, account: AccountState, meter: str, name: str, ordinal: int, ended: int, runs: list[str]
    ) -> None:
        """A final unit of the `units` table; `name` is its key as people see it."""
        state = account.meter(meter)
        key = name if ordinal == 1 else name.removesuffix(f"~{ordinal}")
        self._add_stub(account, digest(state.head, key), ended, ordinal)
        for run in runs:
            self._add_stub(account, digest(state.run_head, run), ended, 0)

    def index_runs(self, unit: Unit, account: AccountState) -> None:
        """Find a restored unit by its runs again."""
        state = account.meter(unit.meter.name)
        for run in unit.runs:
            state.runs[run] = unit

    def index_key(self, unit: Unit, account: AccountState) -> None:
        """Find a restored unit by its key again, where that still leads to it; call in the order of opening.

        It does not where every event is a unit, where a later unit of the key is final already, and where its
        run was absorbed by another unit (D53). All runs and stubs are there before.
        """
        state, key = account.meter(unit.meter.name), unit.key
        if unit.meter.each is not None or unit.moved_on:
            return
        later = self._stub(account, state.head, key, by_run=False)
        unit.moved_on = later is not None and later.ordinal > unit.ordinal
        if unit.meter.key is None and (key in state.runs or self._stub(account, state.run_head, key)):
            unit.moved_on = True
        if not unit.moved_on:
            state.keys[key] = unit

    # ------------------------------------------------------------ meeting a unit

    def _meet(
        self, account: AccountState, state: MeterState, found: Unit | Stub | None, item: Item, meter: Meter,
        key: str | None,
    ) -> Unit | str:  # fmt: skip
        shape, time = item.shape, item.time
        if found is None:
            if shape.is_verdict:
                return "no_unit"
            if shape.background or key is None:
                return "background"
            return self._open(account, state, item, meter, key, 1)
        if isinstance(found, Stub):
            if not found.by_run and key is not None and self._opens_next(found.ended, item, meter):  # D55
                return self._open(account, state, item, meter, key, found.ordinal + 1)
            return "unit_final"
        unit = found
        if unit.state == OPEN and item.ordinary and time > unit.window_end:
            self._seal(unit, self.clock, item.offset)  # D13
            self.schedule(unit)  # its windows may be over before its idle time would have been
        if unit.state == OPEN:
            self._join_open(account, state, unit, item)
            return unit
        return self._meet_ended(account, state, unit, item, meter, key)

    def _meet_ended(
        self,
        account: AccountState,
        state: MeterState,
        unit: Unit,
        item: Item,
        now: Meter,
        key: str | None,
    ) -> Unit | str:
        """D15. `now` is the meter at the event's time, for a next unit; this one keeps its own (ruling 9)."""
        meter, time, clock = unit.meter, item.time, self.clock
        sealed = unit.state == SEALED
        if sealed and self._is_new_retry(unit, item):  # a
            return self._reopen(account, state, unit, item)
        opener = meter if sealed else now  # of a final unit nothing but its end counts any more
        reopen = opener.reopen
        if reopen is not None and item.shape.type == "work.reopened" and time > unit.ended:  # b
            if sealed and reopen.same_unit and unit.inside(reopen.within_us, time, clock):
                return self._reopen(account, state, unit, item)
        elif reopen is not None and self._opens_next(unit.ended, item, opener):
            if sealed and reopen.same_unit and unit.inside(reopen.within_us, time, clock):
                return self._reopen(account, state, unit, item)
            if key == unit.key:  # D55
                return self._open(account, state, item, now, key, unit.ordinal + 1)
        settling = sealed and unit.inside(meter.settle_us, time, clock)
        deciding = sealed and item.shape.is_verdict and unit.takes_verdict(item.shape.type, time, clock)
        if not settling and not deciding:  # e
            return "unit_final"
        self._join(account, state, unit, item)  # c, d
        if settling and item.shape.type == "work.escalated":
            unit.escalated = True
        if deciding:
            self._note_verdict(unit, item)
        self.books.book(unit, item.offset)
        self.schedule(unit)
        if self.next_due < self.clock:  # a rejection may have ended its last window in the past
            self.fire(item.offset)
        return unit

    @staticmethod
    def _opens_next(ended: int, item: Item, meter: Meter) -> bool:
        if meter.reopen is None or not item.ordinary or item.time <= ended:
            return False
        return item.shape.is_request or item.shape.type == "work.started"

    @staticmethod
    def _is_new_retry(unit: Unit, item: Item) -> bool:
        if not item.retry_of or not item.ordinary or unit.meter.charges_retries:
            return False
        return item.run not in unit.retry_runs

    def _reopen(self, account: AccountState, state: MeterState, unit: Unit, item: Item) -> Unit:
        unit.open_from(item.time, self.clock)
        self._join_open(account, state, unit, item)
        return unit

    def _open(
        self, account: AccountState, state: MeterState, item: Item, meter: Meter, key: str, ordinal: int
    ) -> Unit:
        unit = self._new(account, item, meter, key, ordinal)
        self._move_on(state.keys.get(key), item.offset)
        state.keys[key] = unit
        if item.retry_of:
            unit.retry = True
            unit.retry_runs[item.run] = None
        unit.open_from(item.time, self.clock)
        self._join_open(account, state, unit, item)
        return unit

    def _new(self, account: AccountState, item: Item, meter: Meter, key: str, ordinal: int) -> Unit:
        shape, offset = item.shape, item.offset
        unit_id = derived_id(account.id, meter.name, key, ordinal, self.partition, offset)
        unit = Unit(unit_id, account.id, meter, shape.catalog.id, key, ordinal)
        unit.opened_offset = offset
        unit.opened_month = civil_month(item.time // DAY_US)
        unit.workspace, unit.workflow = shape.workspace, shape.workflow
        self.live[unit_id] = unit
        return unit

    def _each(self, account: AccountState, item: Item, meter: Meter) -> Unit:
        """Every event is one unit, ended and final at once (D9)."""
        unit = self._new(account, item, meter, item.id, 1)
        unit.retry = bool(item.retry_of)
        unit.open_from(item.time, self.clock)
        shape = item.shape
        type_ = _FAILED_STATUS.get(shape.status, "work.completed") if shape.is_request else shape.type
        if type_ not in ("work.failed", "work.cancelled"):
            type_ = "work.completed"
        unit.note_end(EndEvent(item.time, item.offset, type_, item.completion_pico))
        self._add(unit, item)
        unit.seal(self.clock)
        unit.awaited = True
        self.touch(unit, item.offset)
        self.books.book(unit, item.offset)
        self._finish(unit, item.offset)
        return unit

    # ------------------------------------------------------------ joining

    def _join_open(self, account: AccountState, state: MeterState, unit: Unit, item: Item) -> None:
        """D14."""
        shape = item.shape
        self._join(account, state, unit, item)
        if shape.is_verdict:
            if shape.type == "work.escalated":
                unit.escalated = True
            self._note_verdict(unit, item)
        elif not shape.background:
            unit.renew(item.time, self.clock)
            if shape.type in unit.meter.end_on:
                self._seal(unit, self.clock, item.offset)
        self.schedule(unit)

    def _join(self, account: AccountState, state: MeterState, unit: Unit, item: Item) -> None:
        run = item.run
        if self._is_new_retry(unit, item):  # D11
            unit.attempts += 1
            unit.retry_runs[run] = None
            self._know(state, unit, run, item.offset)
        elif unit.meter.key is not None:
            self._know(state, unit, run, item.offset)
        if item.shape.type in unit.meter.end_on:
            unit.note_end(EndEvent(item.time, item.offset, item.shape.type, item.completion_pico))
        self._add(unit, item)
        self.touch(unit, item.offset)

    def _move_on(self, former: Unit | None, offset: int) -> None:
        """The unit is no longer found by its key; recovery must know that, too."""
        if former is not None and not former.moved_on:
            former.moved_on = True
            self.touch(former, offset)

    def _know(self, state: MeterState, unit: Unit, run: str, offset: int) -> None:
        """From here on the run is known through this unit."""
        former = state.runs.get(run)
        if former is unit or (unit.meter.key is None and run == unit.key):
            return
        if former is not None:
            del former.runs[run]
            self.touch(former, offset)
        if unit.meter.key is None:
            self._move_on(state.keys.pop(run, None), offset)  # D53: its own unit is not found by its key
        state.runs[run] = unit
        unit.runs[run] = None

    @staticmethod
    def _add(unit: Unit, item: Item) -> None:
        shape, time = item.shape, item.time
        if shape.is_request:
            unit.requests += 1
            unit.background_requests += shape.background
            unit.cost += item.cost
            unit.add_usage(item.usage)
            if item.unpriced is not None:
                unit.unpriced.append(item.unpriced)
        if item.attributes:
            unit.note_attributes(item.attributes, time, item.offset)
        unit.test |= shape.test
        unit.internal |= shape.internal
        unit.started_seen |= shape.type == "work.started"
        if time > unit.last_any:
            unit.last_any = time
        if time < unit.started and not shape.is_verdict:
            unit.started = time

    def _note_verdict(self, unit: Unit, item: Item) -> None:
        type_, reverse = item.shape.type, unit.meter.reverse
        if type_ == "work.accepted":
            accepted = True
        elif type_ == "work.rejected" or (reverse is not None and type_ in reverse.on):
            accepted = False
        else:
            return
        unit.verdicts.append(Verdict(item.time, item.offset, accepted, self.clock))

    # ------------------------------------------------------------ publications

    def decide_held(self, offset: int) -> None:
        """A publication may bring what held units lack (contract §2)."""
        waiting = (
            u
            for u in self.live.values()
            if u.state != OPEN and u.disposition == "held" and u.reason in BROUGHT_LATER
        )
        for unit in sorted(waiting, key=lambda u: u.opened_offset):
            self.touch(unit, offset)
            self.books.book(unit, offset)
            if unit.state == FINAL and not is_live(unit):
                self.let_go(unit)


def _matches(meter: Meter, attributes: Mapping[str, str]) -> bool | None:
    """True, False, or None where the event lacks an attribute that `match` names."""
    fits: bool | None = True
    for name, value in meter.match:
        own = attributes.get(name)
        if own is None:
            fits = None
        elif own != value:
            return False
    return fits
