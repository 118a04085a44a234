"""`unitrate simulate`: the review before a price is changed, as one screen.

Owns the order of the page (what is earned, who pays what, what changes its fate) and the shape of json and
csv. The figures are `unitrate.replay.simulate`'s; here they are compared, never changed.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from unitrate.catalog import source
from unitrate.cli import output
from unitrate.cli.opening import again, month_words, opened
from unitrate.cli.options import is_server, needed_store
from unitrate.cli.output import Column
from unitrate.cli.progress import replay_bar
from unitrate.figures import EXACT, minor_text, money_text, month_text, pico, ratio, rounded
from unitrate.replay.simulate import Customer, FateChange, Side, Simulation
from unitrate.replay.simulate import simulate as simulated
from unitrate.replay.sums import Fate

MORE = Decimal("1.2")  # who would pay over 20 % more is named
LEVELS = (("light", 10), ("normal", 50), ("heavy", 90))  # customers, by what they pay now
MOST_LINES = 10
FIGURES = ("revenue", "cost", "margin", "margin_rate", "invoiced")
CSV = ("account", *(f"{name}_{side}" for side in ("now", "next") for name in FIGURES), "change")


def simulate(arguments: argparse.Namespace) -> int:
    """`unitrate simulate`."""
    kafka = None
    if is_server(needed_store(arguments)):
        from unitrate.runtime.kafka_connection import connection

        kafka = connection(arguments.brokers)
    versions = source.load([arguments.catalog])
    with opened(arguments, "simulate") as store, replay_bar("simulating") as progress:
        found = simulated(store, versions[-1], arguments.period, progress, kafka)
    if arguments.format == "json":
        output.print_json(document(found))
    elif arguments.format == "csv":
        output.print_csv([Column(key, key) for key in CSV], [_flat(found, one) for one in found.customers])
    else:
        _print(arguments, found)
    return 0


# ---------------------------------------------------------------- for programs


def document(found: Simulation) -> dict[str, Any]:
    """The simulation as JSON: money with all its digits, invoices in minor units' decimals."""
    return {
        "period": month_text(found.period),
        "currency": found.currency,
        "catalogs": list(found.catalogs),
        "catalog": found.catalog,
        "now": _side(found, found.now),
        "next": _side(found, found.next),
        "levels": [_level(found, name, percent) for name, percent in LEVELS],
        "customers": [_customer(found, one) for one in found.customers],
        "over_20_percent_more": [one.account for one in over(found)],
        "units": {"now": found.units[0], "next": found.units[1]},
        "fates": [
            {"now": _fate(change.now), "next": _fate(change.next), "units": change.units}
            for change in found.fates
        ],
        "records": found.records,
        "seconds": round(found.seconds, 3),
    }


def _side(found: Simulation, side: Side) -> dict[str, Any]:
    rate = ratio(pico(side.margin_pico), pico(side.revenue_pico))
    return {
        "revenue": money_text(pico(side.revenue_pico), found.minor_digits),
        "cost": money_text(pico(side.cost_pico), found.minor_digits),
        "margin": money_text(pico(side.margin_pico), found.minor_digits),
        "margin_rate": None if rate is None else f"{rate:f}",
        "invoiced": minor_text(side.invoiced_minor, found.minor_digits),
    }


def _customer(found: Simulation, one: Customer) -> dict[str, Any]:
    change = _change(one.now.invoiced_minor, one.next.invoiced_minor)
    return {
        "account": one.account,
        "now": _side(found, one.now),
        "next": _side(found, one.next),
        "change": None if change is None else f"{change:f}",
    }


def _flat(found: Simulation, one: Customer) -> dict[str, Any]:
    written = _customer(found, one)
    sides = {f"{name}_{side}": written[side][name] for side in ("now", "next") for name in FIGURES}
    return {"account": one.account, **sides, "change": written["change"]}


def _level(found: Simulation, name: str, percent: int) -> dict[str, Any]:
    one = at_percent(found.customers, percent)
    digits = found.minor_digits
    return {
        "level": name,
        "percentile": percent,
        "account": None if one is None else one.account,
        "now": None if one is None else minor_text(one.now.invoiced_minor, digits),
        "next": None if one is None else minor_text(one.next.invoiced_minor, digits),
    }


def _fate(fate: Fate | None) -> dict[str, str] | None:
    return None if fate is None else dict(zip(("disposition", "reason", "size"), fate, strict=True))


# ---------------------------------------------------------------- who


def at_percent(customers: Sequence[Customer], percent: int) -> Customer | None:
    """The customer at a percentile of what customers pay now (nearest rank), of those who pay."""
    paying = sorted(
        (one for one in customers if one.now.invoiced_minor > 0 or one.next.invoiced_minor > 0),
        key=lambda one: (one.now.invoiced_minor, one.account),
    )
    return paying[-(-len(paying) * percent // 100) - 1] if paying else None


def over(found: Simulation) -> list[Customer]:
    """Customers who would pay over 20 % more, the largest rise first."""
    rising = [
        one
        for one in found.customers
        if one.next.invoiced_minor > 0
        and Decimal(one.next.invoiced_minor) > MORE * max(one.now.invoiced_minor, 0)
    ]
    return sorted(rising, key=lambda one: one.now.invoiced_minor - one.next.invoiced_minor)


def _change(now: int, after: int) -> Decimal | None:
    return ratio(Decimal(after - now), Decimal(now)) if now > 0 else None


# ---------------------------------------------------------------- for people


def _print(arguments: argparse.Namespace, found: Simulation) -> None:
    now_names = ", ".join(found.catalogs)
    title = f"{month_words(found.period)} under catalog {found.catalog} instead of {now_names}"
    print(f"{title} · {found.currency}\n")
    _print_totals(found)
    print()
    _print_levels(found)
    _print_over(found)
    _print_fates(found)
    print()
    period = ("--period", month_text(found.period))
    output.print_next(
        [
            (again(arguments, "simulate", "--catalog", arguments.catalog, *period, "--format", "csv"),
             "every customer"),
            (again(arguments, "publish", arguments.catalog, "--dry-run"), "may it be published?"),
        ]
    )  # fmt: skip


def _print_totals(found: Simulation) -> None:
    now, after, digits = found.now, found.next, found.minor_digits
    rows: list[dict[str, Any]] = []
    figures: tuple[tuple[str, Callable[[Side], Decimal]], ...] = (
        ("revenue", lambda side: pico(side.revenue_pico)),
        ("cost", lambda side: pico(side.cost_pico)),
        ("margin", lambda side: pico(side.margin_pico)),
        ("invoices", lambda side: EXACT.scaleb(Decimal(side.invoiced_minor), -digits)),
    )
    notes = {
        "margin": f"{_rate(now)} → {_rate(after)} of revenue",
        "invoices": "with minimums and monthly fees",
    }
    for name, figure in figures:
        before, then = (
            EXACT.quantize(figure(side), EXACT.scaleb(Decimal(1), -digits)) for side in (now, after)
        )
        change = _percent(figure(now), figure(after))
        rows.append({"": name, "now": before, "next": then, "change": change, "note": notes.get(name, "")})
    columns = [
        Column("", ""),
        Column("now", "now", "money"),
        Column("next", "next", "money"),
        Column("change", "change"),
        Column("note", ""),
    ]
    output.print_table(columns, rows, digits=digits)


def _rate(side: Side) -> str:
    rate = ratio(pico(side.margin_pico), pico(side.revenue_pico))
    return "–" if rate is None else f"{rounded(EXACT.multiply(rate, Decimal(100)), 1)} %"


def _percent(now: Decimal, after: Decimal) -> str:
    change = ratio(EXACT.subtract(after, now), now)
    if change is None or not change:
        return "" if now == after else "new"
    shown = rounded(EXACT.multiply(abs(change), Decimal(100)), 1)
    return f"{'+' if (after > now) else '−'} {shown} %"


def _print_levels(found: Simulation) -> None:
    digits = found.minor_digits
    chosen = [at_percent(found.customers, percent) for _, percent in LEVELS]
    if chosen[0] is None:
        print("no customer pays anything in that month, now or then")
        return
    columns = [Column("", "customers")]
    columns += [Column(name, f"{name} (p{percent})", "money") for name, percent in LEVELS]
    rows: list[dict[str, Any]] = []
    for title, side in (("pay now", "now"), ("would pay", "next")):
        amounts = [
            EXACT.scaleb(Decimal(getattr(one, side).invoiced_minor), -digits)
            for one in chosen
            if one is not None
        ]
        rows.append({"": title, **dict(zip((name for name, _ in LEVELS), amounts, strict=True))})
    output.print_table(columns, rows, digits=digits)


def _print_over(found: Simulation) -> None:
    rising = over(found)
    if not rising:
        print("nobody would pay over 20 % more")
        return
    named = []
    for one in rising[:MOST_LINES]:
        change = _change(one.now.invoiced_minor, one.next.invoiced_minor)
        amount = minor_text(one.next.invoiced_minor, found.minor_digits)
        rise = f"new: {amount}" if change is None else f"+{rounded(change * 100, 0)} %, {amount}"
        named.append(f"{one.account} ({rise})")
    more = f" and {len(rising) - MOST_LINES:,} more" if len(rising) > MOST_LINES else ""
    word = "customer" if len(rising) == 1 else "customers"
    text = f"{len(rising):,} {word} would pay over 20 % more: {', '.join(named)}{more}"
    print(textwrap.fill(text, output.NARROW, subsequent_indent="  ", break_on_hyphens=False))


def _print_fates(found: Simulation) -> None:
    changed = sum(
        change.units for change in found.fates if change.now is not None and change.next is not None
    )
    print(f"{changed:,} of {found.units[0]:,} units change their fate" + (":" if found.fates else ""))
    for change in found.fates[:MOST_LINES]:
        print(f"  {change.units:>8,}  {_told(change)}")
    if len(found.fates) > MOST_LINES:
        print(f"  and {len(found.fates) - MOST_LINES:,} more kinds of change: --format json")


def _told(change: FateChange) -> str:
    if change.next is None:
        return f"{_words(change.now)}; such units are not formed any more"
    if change.now is None:
        return f"new units: {_words(change.next)}"
    return f"{_words(change.now)} → {_words(change.next)}"


def _words(fate: Fate | None) -> str:
    if fate is None:
        return ""
    disposition, reason, size = fate
    words = output.fate_words(disposition)
    return " ".join(part for part in (words, f"({reason})", size) if part)
