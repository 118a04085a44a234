"""What closes an invoice beside its month's own lines: adjustments, top-ups, credits, tax.

Owns rulings 35 and 36, and the order: adjustments and top-ups make the subtotal, credits pay a positive
subtotal, tax is on what is left. Pure: no store, no clock. Rounds nothing but the tax.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from unitrate.billing.invoice import InvoiceLine, LineKey, LineKind
from unitrate.errors import InvariantError
from unitrate.figures import month_text
from unitrate.pricing import PICO, half_up, to_pico

TOP_UP_PRIORITY = 100  # a top-up states none; the catalog's default for credits


@dataclass(frozen=True, slots=True)
class Billed:
    """What final invoices billed for one line of a closed month: the line itself and adjustments of it."""

    amount_minor: int
    quantity_pico: int | None
    included_pico: int | None
    catalog: str


@dataclass(frozen=True, slots=True)
class Credit:
    """A credit that an account holds. Days are those of its account's zone."""

    id: str  # catalog:NAME, or a top-up's grant id
    name: str
    amount_minor: int
    from_day: int
    expires_day: int | None
    priority: int
    is_top_up: bool
    catalog: str

    def overlaps(self, days: range) -> bool:
        """Whether it may pay an invoice of these days (ruling 36)."""
        return self.from_day < days.stop and (self.expires_day is None or self.expires_day >= days.start)


class Tax(NamedTuple):
    """Tax of an account, from the catalog's `billing`."""

    name: str
    rate: Decimal
    note: str


def adjustments(
    month: int, now: Iterable[InvoiceLine], billed: Mapping[LineKey, Billed], catalog: str
) -> list[InvoiceLine]:
    """Per line of a closed month: rounded now − rounded already billed, minimums included (ruling 35)."""
    lines = []
    left = dict(billed)
    for line in now:
        before = left.pop(line.key, None)
        found = _difference(line, before, month)
        lines += [found] if found is not None else []
    for key, before in left.items():  # a line that is no longer due
        gone = InvoiceLine(
            kind=_kind(key.kind),
            name=key.name,
            amount_minor=0,
            catalog=catalog,
            meter=key.meter or None,
            quantity_pico=0 if before.quantity_pico is not None else None,
            included_pico=0 if before.included_pico is not None else None,
            plan=key.plan,
            plan_version=key.plan_version,
        )
        found = _difference(gone, before, month)
        lines += [found] if found is not None else []
    return lines


def _kind(kind: str) -> LineKind:
    known: dict[str, LineKind] = {"usage": "usage", "minimum": "minimum", "fee": "fee"}
    if kind not in known:
        raise InvariantError(f"a line of kind {kind} is never adjusted")
    return known[kind]


def _difference(line: InvoiceLine, before: Billed | None, month: int) -> InvoiceLine | None:
    amount = line.amount_minor - (before.amount_minor if before else 0)
    quantity = _minus(line.quantity_pico, before.quantity_pico if before else 0)
    included = _minus(line.included_pico, before.included_pico if before else 0)
    if not amount and not quantity:
        return None
    suffix = "" if line.kind == "usage" else f" ({line.kind})"
    return replace(
        line,
        kind="adjustment",
        name=line.name + suffix,
        amount_minor=amount,
        quantity_pico=quantity,
        included_pico=included,
        late_from=month,
        of_kind=line.kind,
        of_name=line.name,
        note=f"{month_text(month)} after its close",
    )


def _minus(now: int | None, before: int | None) -> int | None:
    return None if now is None else now - (before or 0)


def use_order(credit: Credit) -> tuple[int, float, str, str]:
    """Priority (low first), then expiry, then name."""
    expires = credit.expires_day if credit.expires_day is not None else 1 << 62
    return credit.priority, expires, credit.name, credit.id


def credit_lines(
    lines: Sequence[InvoiceLine], held: Iterable[tuple[Credit, int]], days: range
) -> list[InvoiceLine]:
    """Lines that pay a positive subtotal from credits, each with what is left of it, in minor units.

    The credit that a top-up grants pays no top-up: it would pay for itself.
    """
    due = sum(line.amount_minor for line in lines)
    without_top_ups = sum(line.amount_minor for line in lines if line.kind != "top_up")
    found = []
    for credit, left in sorted(held, key=lambda pair: use_order(pair[0])):
        payable = min(due, without_top_ups) if credit.is_top_up else due
        used = min(left, payable)
        if used <= 0 or not credit.overlaps(days):
            continue
        due -= used
        without_top_ups -= used
        found.append(InvoiceLine("credit", credit.name, -used, credit.catalog, of_name=credit.id))
    return found


def tax_line(tax: Tax, lines: Iterable[InvoiceLine], catalog: str) -> InvoiceLine:
    """Tax on what is left after credits, rounded once; at rate 0 the line carries the note."""
    base = sum(line.amount_minor for line in lines)
    amount = half_up(base * to_pico(tax.rate), PICO)
    percent = f"{(tax.rate * 100).normalize():f} %"
    return InvoiceLine("tax", f"{tax.name} {percent}", amount, catalog, note=tax.note)
