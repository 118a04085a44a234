"""Closing a month, and selling a top-up: control records into the log, and what follows from them.

Owns the barrier: the record stands in every partition, each partition's checkpoint past it is the
acknowledgement, and only then is anything made final. Killed anywhere, the same command goes on: every step
either sees that it was done, or does it again with the same result.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from unitrate.billing import final, paying
from unitrate.billing.drafts import log_time_us
from unitrate.billing.outlook import Outlook, outlook
from unitrate.errors import InputError, LogError
from unitrate.figures import month_text
from unitrate.pricing import to_pico
from unitrate.published import check_account, timeline
from unitrate.runtime import embedded_log
from unitrate.runtime.session import PARTITION, Session
from unitrate.store import checkpoint
from unitrate.timeline import civil_month, next_month

if TYPE_CHECKING:
    from unitrate.billing.final import Made
    from unitrate.runtime.kafka_connection import KafkaConnection
    from unitrate.store import Store

MARKERS = "SELECT partition, max(last_offset) FROM checkpoints GROUP BY partition"
_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Order:
    """What `unitrate close` was asked."""

    period: int
    grace_us: int = 0
    now: bool = False
    dry_run: bool = False
    wait_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Closed:
    """What a close did: the outlook before it, the invoices that it made final, and whether payouts are."""

    outlook: Outlook
    invoices: tuple[Made, ...]
    payouts_final: bool


@dataclass(frozen=True, slots=True)
class TopUp:
    """A top-up that was sold."""

    account: str
    name: str
    amount_pico: int
    credit_pico: int
    expires_us: int | None
    currency: str


def close(
    store: Store,
    order: Order,
    connection: KafkaConnection | None = None,
    before: Callable[[Outlook], None] = lambda _: None,
) -> Closed:
    """Close a month for every account past its end. `before` is told what waits, ahead of any writing."""
    if store.is_folder:
        _catch_up(store)
    found = outlook(store, timeline(store), order.period, order.grace_us, order.now)
    _check_begun(store, order, found)
    if found.closing and not order.dry_run and connection is None and not store.is_folder:
        raise _unreachable(store)
    before(found)
    if order.dry_run:
        return Closed(found, (), False)
    if found.closing:
        body: dict[str, object] = {"period": order.period, "grace_us": order.grace_us, "now": order.now}
        # The same number of records seen, the same id: of two closers at once the fold takes one record.
        control_id = f"close:{order.period}:{order.grace_us}:{order.now}:{found.control_seq}"
        write(store, "close", control_id, body, connection, order.wait_s)
    made = final.issue(store, order.period)
    return Closed(found, tuple(made), paying.issue(store, order.period))


def _unreachable(store: Store) -> InputError:
    return InputError(
        f"{store.label} is filled from Kafka: give --brokers HOST:PORT,…, or set UNITRATE_BROKERS"
    )


def _check_begun(store: Store, order: Order, found: Outlook) -> None:
    """A month that lies ahead of the log's time altogether is a slip of the pen."""
    if found.closing or found.closed:
        current = civil_month(timeline(store).catalogs[-1].zone.local_day(max(found.clock_us, 0)))
        if order.now and order.period > next_month(current):
            raise InputError(
                f"{month_text(order.period)} lies ahead of the log, whose time is in {month_text(current)}"
            )


def _catch_up(store: Store) -> None:
    """What a killed run left past its checkpoint is folded first; most often there is nothing."""
    entries, marker = embedded_log.read_entries(store), checkpoint.read_marker(store, PARTITION)
    seen = marker.last_offset if marker is not None else -1
    if entries and entries[-1].end_offset > seen + 1:
        with Session.opened(store) as session:
            session.finish([])


def write(
    store: Store,
    kind: str,
    control_id: str,
    content: dict[str, object],
    connection: KafkaConnection | None,
    wait_s: float = 600.0,
) -> None:
    """A control record into every partition; returns once every checkpoint is past it."""
    body = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    if store.is_folder:
        with Session.opened(store) as session:
            session.finish([])
            session.control(kind, control_id, body)
        return
    if connection is None:
        raise _unreachable(store)
    offsets = asyncio.run(_broadcast(connection, kind, control_id, body))
    _wait(store, offsets, wait_s)


async def _broadcast(connection: KafkaConnection, kind: str, control_id: str, body: bytes) -> dict[int, int]:
    from unitrate.runtime.kafka_log import Control, write_controls
    from unitrate.runtime.log_view import log_partitions

    partitions = await log_partitions(connection)
    record = Control(kind, control_id, body)
    return dict(enumerate(await write_controls(connection, partitions, lambda _: [record])))


def _wait(store: Store, offsets: dict[int, int], wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        seen = dict(store.query(MARKERS).rows)
        missing = [part for part, offset in offsets.items() if seen.get(part, -1) < offset]
        if not missing:
            return
        if time.monotonic() > deadline:
            named = ", ".join(map(str, missing[:8]))
            raise LogError(
                f"partition {named} has no checkpoint past the record after {wait_s:.0f} s: "
                "see that workers run (unitrate status), then run this again"
            )
        time.sleep(_POLL_S)


def top_up(
    store: Store,
    account: str,
    name: str,
    connection: KafkaConnection | None = None,
    *,
    dry_run: bool = False,
    reference: str | None = None,
) -> TopUp:
    """Sell a top-up of the account's plan. Raises InputError where the plan offers no such top-up.

    `reference` (an order's number) makes the same purchase, sent twice, one.
    """
    if store.is_folder and not dry_run:
        _catch_up(store)
    catalogs = timeline(store)
    check_account(store, account, catalogs)
    in_force, plan = catalogs.plan_at(account, log_time_us(store))
    if plan is None:
        raise InputError(f"{account} has no plan in the log's time; top-ups belong to plans")
    offered = in_force.extra.get("plans", {}).get(plan.name, {}).get("top_ups", [])
    chosen = next((entry for entry in offered if entry["name"] == name), None)
    if chosen is None:
        names = ", ".join(f'"{entry["name"]}"' for entry in offered) or "none"
        raise InputError(f'the plan {plan.name} offers no top-up "{name}"; it offers {names}')
    sold = _sold(account, chosen, in_force.currency)
    if not dry_run:
        content: dict[str, object] = {
            "account": account,
            "name": name,
            "amount_pico": sold.amount_pico,
            "credit_pico": sold.credit_pico,
            "expires_us": sold.expires_us,
        }
        write(store, "top_up", _purchase_id(account, name, reference), content, connection)
    return sold


def _sold(account: str, chosen: dict[str, str | int | None], currency: str) -> TopUp:
    expires = chosen["expires_us"]
    return TopUp(
        account,
        str(chosen["name"]),
        to_pico(Decimal(str(chosen["amount"]))),
        to_pico(Decimal(str(chosen["credit"]))),
        None if expires is None else int(expires),
        currency,
    )


def _purchase_id(account: str, name: str, reference: str | None) -> str:
    return f"top_up:{account}:{name}:{reference or uuid.uuid4().hex}"
