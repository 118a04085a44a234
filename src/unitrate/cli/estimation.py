"""`unitrate estimate`: a quote for a prospect, as one table.

Owns the table and the json; the figures are `unitrate.estimate`'s.
"""

from __future__ import annotations

import argparse
from typing import Any

from unitrate.billing.estimate import Estimate, Quote
from unitrate.billing.estimate import estimate as estimated
from unitrate.catalog import assumptions, source
from unitrate.catalog.compiling import compile_publication
from unitrate.catalog.publication import publication
from unitrate.cli import output
from unitrate.cli.output import Column
from unitrate.figures import EXACT, minor_text, money_text, pico, plain, ratio

COLUMNS = (
    Column("customer", "customer"),
    Column("units", "units", "quantity"),
    Column("price", "price a month", "money"),
    Column("cost", "cost", "money"),
    Column("margin", "margin", "money"),
    Column("margin_rate", "of price", "rate"),
    Column("per_unit", "price a unit", "money"),
)


def estimate(arguments: argparse.Namespace) -> int:
    """`unitrate estimate`."""
    version = source.load([arguments.catalog])[-1]
    catalog = compile_publication(publication(version))
    quote = estimated(catalog, arguments.plan, assumptions.load(arguments.assume, catalog))
    rows = [_row(quote, one) for one in quote.estimates]
    if arguments.format == "json":
        output.print_json(_document(quote))
    elif arguments.format == "csv":
        output.print_csv(COLUMNS, rows)
    else:
        _print(quote, rows)
    return 0


def _row(quote: Quote, one: Estimate) -> dict[str, Any]:
    digits = quote.catalog.minor_digits
    price, margin = EXACT.scaleb(one.price_minor, -digits), pico(one.margin_pico(digits))
    return {
        "customer": one.name,
        "units": one.units,
        "price": price,
        "cost": pico(one.cost_pico),
        "margin": margin,
        "margin_rate": ratio(margin, price),
        "per_unit": ratio(price, one.units),
    }


def _document(quote: Quote) -> dict[str, Any]:
    digits = quote.catalog.minor_digits
    return {
        "catalog": quote.catalog.id,
        "plan": quote.plan.name,
        "plan_version": quote.plan.version,
        "currency": quote.catalog.currency,
        "once": minor_text(quote.once_minor, digits),
        "customers": [
            {
                "customer": one.name,
                "units": plain(one.units),
                "unbilled": plain(one.unbilled),
                "price": minor_text(one.price_minor, digits),
                "cost": money_text(pico(one.cost_pico), digits),
                "margin": money_text(pico(one.margin_pico(digits)), digits),
                "margin_rate": None if rate is None else f"{rate:f}",
                "lines": [
                    {
                        "kind": line.kind,
                        "name": line.name,
                        "quantity": None if line.quantity_pico is None else plain(pico(line.quantity_pico)),
                        "amount": minor_text(line.amount_minor, digits),
                    }
                    for line in one.lines
                ],
                "notes": list(one.notes),
            }
            for one, rate in ((one, _row(quote, one)["margin_rate"]) for one in quote.estimates)
        ],
    }


def _print(quote: Quote, rows: list[dict[str, Any]]) -> None:
    catalog, digits = quote.catalog, quote.catalog.minor_digits
    print(f"plan {quote.plan.name} v{quote.plan.version} of catalog {catalog.id} · {catalog.currency}\n")
    output.print_table(COLUMNS, rows, digits=digits)
    if quote.once_minor:
        print(f"and once, in the first month: {minor_text(quote.once_minor, digits)}")
    print()
    for one in quote.estimates:
        lines = ", ".join(f"{line.name} {minor_text(line.amount_minor, digits)}" for line in one.lines)
        print(f"{one.name}: {lines or 'nothing to pay'}")
        for note in one.notes:
            print(f"  {note}")
