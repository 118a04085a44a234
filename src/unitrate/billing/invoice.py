"""What a customer owes for a month: the lines of one invoice, and the one rounding of money.

Owns the order of steps, and why: a charge's usage is summed exactly and rounded once (I1 holds to the last
digit up to here); its minimum tops up the *rounded* usage, so that the customer's own arithmetic agrees;
the plan's minimum then looks at all usage charges together; fees stand beside, they fill no minimum.
Pure: no store, no clock. It must never round anything but the amount of a line.

Units: `_pico` 10⁻¹² of a currency unit or of a quantity, `_minor` the currency's minor unit (cents).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from unitrate.catalog.compiled import Catalog, Charge, Plan
from unitrate.figures import minor_text, month_text, pico, plain
from unitrate.pricing import PICO, half_up, prorated_pico, to_pico
from unitrate.timeline import Timeline, civil_month, month_days

LineKind = Literal["usage", "fee", "minimum", "top_up", "credit", "adjustment", "tax"]


@dataclass(frozen=True, slots=True)
class UsagePart:
    """Rated lines of a month, summed: one price of one charge of one plan version."""

    plan: str
    plan_version: int
    charge: str
    meter: str
    price_value: str
    quantity_pico: int
    amount_pico: int
    catalog: str  # the last that priced them
    included_pico: int = 0  # as the lines tell it; included usage that moved between prices is not in it
    cost_pico: int = 0  # cost base of cost_plus
    workflows: tuple[tuple[str, int, int], ...] = ()  # workflow, quantity, amount


class LineKey(NamedTuple):
    """Identity of what a line of a month bills."""

    kind: str
    plan: str
    plan_version: int
    name: str
    meter: str


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line. Fees and minimums have no quantity; `parts` are a usage line's prices."""

    kind: LineKind
    name: str
    amount_minor: int
    catalog: str
    meter: str | None = None
    quantity_pico: int | None = None
    included_pico: int | None = None
    late_from: int | None = None  # yyyymm, adjustments only
    parts: tuple[UsagePart, ...] = ()
    plan: str = ""
    plan_version: int = 0
    of_kind: LineKind | None = None  # adjustments: the kind of the closed month's line
    of_name: str = ""  # adjustments: its name; credits: the credit's id
    note: str = ""

    @property
    def key(self) -> LineKey:
        """What the line bills: a later adjustment of it is found by that."""
        kind = self.of_kind or self.kind
        return LineKey(kind, self.plan, self.plan_version, self.of_name or self.name, self.meter or "")


@dataclass(frozen=True, slots=True)
class Invoice:
    """One account's month. `final` is the whole document of one that can no longer change, with its hash."""

    account: str
    period: int  # yyyymm
    currency: str
    minor_digits: int
    lines: tuple[InvoiceLine, ...]
    status: Literal["draft", "final"] = "draft"
    final: Mapping[str, Any] | None = None

    @property
    def invoice_id(self) -> str:
        return derived_invoice_id(self.account, self.period)

    @property
    def says_something(self) -> bool:
        """Whether there is a line beside tax, which alone is a tax on nothing."""
        return any(line.kind != "tax" for line in self.lines)

    @property
    def credits_minor(self) -> int:
        return -sum(line.amount_minor for line in self.lines if line.kind == "credit")

    @property
    def tax_minor(self) -> int:
        return sum(line.amount_minor for line in self.lines if line.kind == "tax")

    @property
    def subtotal_minor(self) -> int:
        return sum(line.amount_minor for line in self.lines if line.kind not in ("credit", "tax"))

    @property
    def total_minor(self) -> int:
        return sum(line.amount_minor for line in self.lines)


@dataclass(frozen=True, slots=True)
class Segment:
    """The days of a month on which one plan version is in force (they need not be adjacent)."""

    plan: Plan
    catalog: str  # in force on its last day
    days: int
    of_days: int

    def included_pico(self, charge: Charge) -> int:
        """Included usage of these days, rounded up to a whole unit in a part month (ruling 27)."""
        full = to_pico(charge.included)
        return full if self.days == self.of_days else -(-full * self.days // (self.of_days * PICO)) * PICO


def derived_invoice_id(account: str, period: int) -> str:
    """The id of an account's invoice of a month: derived, so a draft and its final one share it."""
    return f"inv-{period}-{hashlib.sha256(account.encode()).hexdigest()[:16]}"


def segments(timeline: Timeline, account: str, period: int) -> list[Segment]:
    """The account's plans of a month, in the order in which they begin."""
    days = month_days(period)
    found: dict[tuple[str, int], tuple[Plan, Catalog, int]] = {}
    starts = sorted({days.start, *(day for day in _change_days(timeline, account) if day in days)})
    for start, end in zip(starts, [*starts[1:], days.stop], strict=True):
        plan = timeline.plan_on(account, start)[1]
        if plan is not None:
            key = (plan.name, plan.version)
            count = found[key][2] if key in found else 0
            found[key] = (plan, timeline.plan_on(account, end - 1)[0], count + end - start)
    return [Segment(plan, catalog.id, count, len(days)) for plan, catalog, count in found.values()]


def _change_days(timeline: Timeline, account: str) -> set[int]:
    """Days on which the account's plan may change; on no other day a plan begins or ends."""
    zone = timeline.zone(account)
    days = {zone.local_day(catalog.effective_us) for catalog in timeline.catalogs}
    for catalog in timeline.catalogs:
        entry = catalog.accounts.get(account)
        for subscription in entry.subscriptions if entry else ():
            days |= {subscription.from_day, (subscription.to_day or subscription.from_day) + 1}
    return days


def first_month(timeline: Timeline, account: str, plan_name: str) -> int | None:
    """The month in which the account first has a plan of that name, whatever its version; or None."""
    for day in sorted(_change_days(timeline, account)):
        plan = timeline.plan_on(account, day)[1]
        if plan is not None and plan.name == plan_name:
            return civil_month(day)
    return None


def draft(timeline: Timeline, account: str, period: int, usage: Iterable[UsagePart]) -> Invoice:
    """The invoice of an account's month from its rated lines and its plans: usage, minimums, fees."""
    catalog = timeline.catalogs[-1]
    by_plan: dict[tuple[str, int], list[UsagePart]] = {}
    for part in usage:
        by_plan.setdefault((part.plan, part.plan_version), []).append(part)
    held = segments(timeline, account, period)
    lines: list[InvoiceLine] = []
    for segment in held:
        parts = by_plan.pop((segment.plan.name, segment.plan.version), [])
        lines += _segment_lines(segment, parts, catalog.minor_digits)
    for parts in by_plan.values():  # rated under a plan that a later catalog took away from the month
        lines += [
            line for line in _usage_lines(parts, None, catalog.minor_digits).values() if line is not None
        ]
    lines += _fee_lines(timeline, account, period, held, catalog.minor_digits)
    return Invoice(account, period, catalog.currency, catalog.minor_digits, tuple(lines))


def _segment_lines(segment: Segment, parts: list[UsagePart], digits: int) -> list[InvoiceLine]:
    """Usage by charge, each followed by its minimum, then the plan's."""
    usage = _usage_lines(parts, segment, digits)
    by_name: Mapping[str, Charge] = {charge.name: charge for charge in segment.plan.charges}
    lines: list[InvoiceLine] = []
    for name, line in usage.items():
        lines += [line] if line is not None else []
        charge = by_name.get(name)
        if charge is not None and charge.minimum:
            used = line.amount_minor if line is not None else 0
            lines += _minimum(segment, charge.minimum, used, name, charge.meter, digits)
    used = sum(line.amount_minor for line in lines)
    return lines + _minimum(segment, segment.plan.minimum, used, segment.plan.name, None, digits)


def _usage_lines(
    parts: list[UsagePart], segment: Segment | None, digits: int
) -> dict[str, InvoiceLine | None]:
    """One line a charge, in the catalog's order; None for a charge without usage."""
    free = {charge.name: segment.included_pico(charge) for charge in segment.plan.charges} if segment else {}
    by_charge: dict[str, list[UsagePart]] = {name: [] for name in free}
    for part in parts:
        if part.quantity_pico or part.amount_pico:
            by_charge.setdefault(part.charge, []).append(part)
    lines: dict[str, InvoiceLine | None] = {}
    for name, used in by_charge.items():
        lines[name] = None
        if used:
            quantity_pico = sum(part.quantity_pico for part in used)
            lines[name] = InvoiceLine(
                kind="usage",
                name=name,
                meter=used[0].meter,
                quantity_pico=quantity_pico,
                included_pico=min(free.get(name, 0), quantity_pico),  # ruling 25
                amount_minor=minor(sum(part.amount_pico for part in used), digits),
                catalog=used[-1].catalog,
                parts=tuple(used),
                plan=used[0].plan,
                plan_version=used[0].plan_version,
            )
    return lines


def _minimum(
    segment: Segment, amount: Decimal, used_minor: int, name: str, meter: str | None, digits: int
) -> list[InvoiceLine]:
    """What is missing to a minimum of these days; nothing where usage reaches it."""
    due_pico = prorated_pico(amount, segment.days, segment.of_days)
    missing = minor(due_pico - used_minor * 10 ** (12 - digits), digits)
    if missing <= 0:
        return []
    plan = segment.plan
    return [
        InvoiceLine(
            "minimum", name, missing, segment.catalog, meter=meter, plan=plan.name, plan_version=plan.version
        )
    ]


def _fee_lines(
    timeline: Timeline, account: str, period: int, held: list[Segment], digits: int
) -> list[InvoiceLine]:
    """Fees of the month's plans. What is not prorated is due once a plan name, not once a version."""
    lines: list[InvoiceLine] = []
    whole: set[tuple[str, str]] = set()
    for segment in held:
        for fee in segment.plan.fees:
            if fee.monthly and fee.prorate:
                amount_pico = prorated_pico(fee.amount, segment.days, segment.of_days)
            else:
                once = segment.plan.name, fee.name
                due = fee.monthly or first_month(timeline, account, segment.plan.name) == period
                if not due or once in whole:
                    continue
                whole.add(once)
                amount_pico = to_pico(fee.amount)
            plan = segment.plan
            lines.append(
                InvoiceLine(
                    "fee",
                    fee.name,
                    minor(amount_pico, digits),
                    segment.catalog,
                    plan=plan.name,
                    plan_version=plan.version,
                )
            )
    return lines


def minor(amount_pico: int, digits: int) -> int:
    """Money in the currency's minor units, half up."""
    return half_up(amount_pico, 10 ** (12 - digits))


def document(invoice: Invoice) -> dict[str, Any]:
    """The invoice as the contract's JSON has it; a final one tells more (number, hash, details)."""
    digits = invoice.minor_digits
    written = {
        "invoice_id": invoice.invoice_id,
        "account": invoice.account,
        "period": month_text(invoice.period),
        "currency": invoice.currency,
        "status": invoice.status,
        "lines": [
            {
                "kind": line.kind,
                "name": line.name,
                "meter": line.meter,
                "quantity": _quantity(line.quantity_pico),
                "included": _quantity(line.included_pico),
                "amount": minor_text(line.amount_minor, digits),
                "catalog": line.catalog,
                "late_from": None if line.late_from is None else month_text(line.late_from),
            }
            for line in invoice.lines
        ],
        "subtotal": minor_text(invoice.subtotal_minor, digits),
        "credits": minor_text(invoice.credits_minor, digits),
        "total": minor_text(invoice.total_minor, digits),
    }
    return written | {key: value for key, value in (invoice.final or {}).items() if key not in written}


def _quantity(value_pico: int | None) -> str | None:
    return None if value_pico is None else plain(pico(value_pico))
