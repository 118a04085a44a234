"""Final invoices: made from closings, written once, read back.

Owns the order of writing: lines, uses of credits, and last the invoices, which vouch for both. Everything
follows from rows before the close record, so two closers, or one that was killed and came back, write
identical rows. What is final is never overwritten: a difference raises FinalConflict.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unitrate.billing.assembling import assemble, issuer_of, time_us
from unitrate.billing.drafts import drafts, payers_of
from unitrate.billing.invoice import Invoice, segments
from unitrate.billing.month import Scope, figures, plan_days, repeats
from unitrate.billing.statement import Closing, canonical, final_document, hash_of, invoice_of
from unitrate.catalog.compiling import compile_publication, compile_rerate
from unitrate.errors import FinalConflict, InvariantError, StoreError
from unitrate.figures import month_text
from unitrate.published import check_account
from unitrate.store import publications
from unitrate.store.final_tables import CREDIT_MOVEMENTS, INVOICE_LINES, INVOICES
from unitrate.timeline import Timeline

if TYPE_CHECKING:
    from unitrate.store import Store

CLOSINGS = """
SELECT control_seq, account, period, version, partition, closed_at FROM closings FINAL
ORDER BY control_seq, period, account
"""
KNOWN = "SELECT control_seq, period, account, issuer, hash, engine_version FROM invoices FINAL"
FINALS = """
SELECT document, minor_digits, hash FROM invoices FINAL
WHERE period = {period:UInt32} AND ({account:String} = '' OR account = {account:String}) ORDER BY account
"""
PUBLISHED = """
SELECT publication FROM catalogs FINAL
WHERE partition = {partition:UInt32} AND published_offset < {before:Int64} ORDER BY published_offset
"""
MARKERS = """
SELECT partition, last_offset, meta FROM checkpoints
ORDER BY partition, last_offset DESC LIMIT 1 BY partition
"""
LINE_TOTALS = """
SELECT count(), sum(toDecimal256(amount, 12)) FROM lines FINAL
WHERE bill_month = {period:UInt32} AND partition = {partition:UInt32} AND version <= {last:Int64}
"""


@dataclass(frozen=True, slots=True)
class Made:
    """A final invoice, about to be written or compared."""

    closing: Closing
    invoice: Invoice
    content: dict[str, Any]
    sequence: int
    issuer: str
    hash: str
    plan_days: int


def invoices(store: Store, timeline: Timeline, period: int, account: str | None = None) -> list[Invoice]:
    """Every invoice of a month by account: final where the account has closed it, else the draft."""
    if account is not None:
        check_account(store, account, timeline)
    found = finals(store, period, account)
    if account is None or not found:
        found += drafts(store, timeline, period, account)
    return sorted(found, key=lambda one: one.account)


def finals(store: Store, period: int, account: str | None = None) -> list[Invoice]:
    """Final invoices of a month by account."""
    rows = store.query(FINALS, {"period": period, "account": account or ""}).rows
    return [invoice_of(json.loads(text), digits, hash_) for text, digits, hash_ in rows]


def closings(store: Store) -> dict[tuple[int, int], list[Closing]]:
    """Closings by close record and month, in the order in which invoices are numbered."""
    found: dict[tuple[int, int], list[Closing]] = {}
    for *row, closed_at in store.query(CLOSINGS).rows:
        closing = Closing(row[0], row[1], row[2], row[3], row[4], time_us(closed_at))
        found.setdefault((closing.control_seq, closing.period), []).append(closing)
    return found


def issue(store: Store, period: int, *, write: bool = True) -> list[Made]:
    """Write what is missing, and compare what is there for `period`; the invoices that are new.

    Without `write` it compares only. Raises FinalConflict where an invoice would come out otherwise.
    """
    known: dict[tuple[int, int], dict[str, tuple[str, str, int]]] = {}
    for seq, month, account, issuer, hash_, engine in store.query(KNOWN).rows:
        known.setdefault((seq, month), {})[account] = (issuer, hash_, engine)
    numbered: Counter[str] = Counter()
    new: list[Made] = []
    timelines: dict[int, Timeline] = {}
    for group, closed in closings(store).items():
        there = known.get(group, {})
        if there and group[1] != period:
            numbered.update(issuer for issuer, _, _ in there.values())
            continue
        _check_lines(store, group[1])
        if group[0] not in timelines:
            timelines = {group[0]: timeline_before(store, closed[0])}
        made = _make(store, timelines[group[0]], closed, numbered, {a: e for a, (_, _, e) in there.items()})
        numbered.update(one.issuer for one in made)
        _compare(made, there)
        fresh = [one for one in made if one.invoice.account not in there]
        if write:
            _write(store, fresh)
        new += fresh
    return new


def timeline_before(store: Store, closing: Closing) -> Timeline:
    """Catalogs and re-rates that stand in the log before a close record: the same in every partition."""
    found = Timeline()
    rows = store.query_arrow(PUBLISHED, {"partition": closing.partition, "before": closing.version})
    for publication in rows.column("publication").to_pylist():
        found.add(compile_publication(publication))
    for offset, body in publications.read_rerates(store, closing.partition, closing.version - 1):
        found.rerate(compile_rerate(body), {closing.partition: offset})
    if not found.catalogs:
        raise StoreError(f"no catalog stands before the close record in {store.label}: restore a backup")
    return found


def _check_lines(store: Store, period: int) -> None:
    """The store has all lines of the month that the fold made (their count and sum)."""
    for partition, last, meta in store.query(MARKERS).rows:
        count, total = json.loads(meta)["lines"].get(str(period), (0, 0))
        parameters = {"period": period, "partition": partition, "last": last}
        (found,) = store.query(LINE_TOTALS, parameters).rows
        if (int(found[0]), int(found[1].scaleb(12))) != (count, total):
            raise InvariantError(
                f"the lines of {month_text(period)} in partition {partition} of {store.label} do not add "
                "up to what was rated: restore the store from a backup, or rebuild it from the log"
            )


def _make(
    store: Store,
    timeline: Timeline,
    closed: list[Closing],
    numbered: Counter[str],
    engines: dict[str, int],
) -> list[Made]:
    """Invoices of one close record and month, in order of accounts."""
    first = closed[0]
    scope = Scope(first.period, first.control_seq)
    found = figures(store, timeline, scope)
    engine_version = min(int(json.loads(meta)["engine_version"]) for *_, meta in store.query(MARKERS).rows)
    payers = payers_of(found, first.period)
    zones = {timeline.zone(closing.account).name: timeline.zone(closing.account) for closing in closed}
    bounds = {closing.partition: closing.version for closing in closed}
    free = repeats(store, zones.values(), scope, bounds)
    sequences = Counter(numbered)
    made = []
    for closing in closed:
        account = closing.account
        has_plan = bool(segments(timeline, account, closing.period))
        if account not in payers and not has_plan:
            continue
        found.grants[account] = [g for g in found.grants.get(account, []) if g.version < closing.version]
        invoice = assemble(timeline, account, closing.period, found, closing.closed_us)
        if not invoice.says_something and not has_plan:
            continue
        issuer = str(issuer_of(timeline, closing.closed_us).get("name") or "")
        sequences[issuer] += 1
        counts = found.not_billed.get(account, {}) | free[timeline.zone(account).name].get(account, {})
        engine = engines.get(account, engine_version)
        content = final_document(invoice, timeline, closing, sequences[issuer], engine, counts)
        days = plan_days(timeline, account, closing.period)
        made.append(Made(closing, invoice, content, sequences[issuer], issuer, hash_of(content), days))
    return made


def _compare(made: Iterable[Made], there: dict[str, tuple[str, str, int]]) -> None:
    for one in made:
        known = there.get(one.invoice.account)
        if known is not None and known[1] != one.hash:
            raise FinalConflict(
                f"invoice {one.content['number']} of {one.invoice.account} for {one.content['period']} is "
                f"final and would come out otherwise today (hash {known[1][:12]}, now {one.hash[:12]}); "
                "it is not overwritten"
            )


# ---------------------------------------------------------------- writing


def _write(store: Store, made: list[Made]) -> None:
    from unitrate.store.columns import from_rows

    if not made:
        return
    store.insert("invoice_lines", from_rows(INVOICE_LINES, [row for one in made for row in _line_rows(one)]))
    uses = [row for one in made for row in _use_rows(one)]
    if uses:
        store.insert("credit_movements", from_rows(CREDIT_MOVEMENTS, uses))
    store.insert("invoices", from_rows(INVOICES, [_invoice_row(one) for one in made]))


def _pico(amount_minor: int, digits: int) -> int:
    return amount_minor * int(10 ** (12 - digits))


def _line_rows(one: Made) -> list[tuple[Any, ...]]:
    invoice, digits = one.invoice, one.invoice.minor_digits
    return [
        (
            invoice.period, invoice.account, at, one.closing.control_seq, invoice.invoice_id, line.kind,
            line.of_kind or "", line.name, line.of_name, line.meter or "", line.plan, line.plan_version,
            line.quantity_pico, line.included_pico, _pico(line.amount_minor, digits), line.catalog,
            line.late_from or 0,
        )
        for at, line in enumerate(invoice.lines, 1)
    ]  # fmt: skip


def _use_rows(one: Made) -> list[tuple[Any, ...]]:
    invoice = one.invoice
    return [
        (
            invoice.account, line.of_name, invoice.period, one.closing.control_seq, line.name,
            _pico(-line.amount_minor, invoice.minor_digits), invoice.invoice_id, one.closing.closed_us,
        )
        for line in invoice.lines
        if line.kind == "credit"
    ]  # fmt: skip


def _invoice_row(one: Made) -> tuple[Any, ...]:
    invoice, closing, content = one.invoice, one.closing, one.content
    amounts = (invoice.subtotal_minor, invoice.credits_minor, invoice.tax_minor, invoice.total_minor)
    return (
        invoice.period, invoice.account, closing.control_seq, closing.partition, one.issuer, one.sequence,
        content["number"], invoice.invoice_id, closing.closed_us, invoice.currency, invoice.minor_digits,
        *(_pico(amount, invoice.minor_digits) for amount in amounts), one.plan_days,
        content["catalogs"][-1], content["engine_version"], one.hash, canonical(content),
    )  # fmt: skip
