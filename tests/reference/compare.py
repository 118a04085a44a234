"""What differs between the reference rater's figures and the engine's rows.

Owns the comparison, column by column; returns sentences, none if all agree.
"""

from __future__ import annotations

import json
from collections import defaultdict
from fractions import Fraction
from typing import Any

from tests.reference.engine_view import Row, Store, usage_of
from tests.reference.incoming import USAGE
from tests.reference.rater import Figures, UnitFigures
from tests.reference.unit_view import Unit

PICO = 10**12
REASONS = ("too_old", "in_future", "no_unit", "unit_final")
SAME = (
    "state disposition reason size period started last_event ended workspace workflow requests "
    "background_requests attempts unpriced_requests verdict"
).split()
PICO_COLUMNS = ("quantity", "billable_quantity", "cost", "revenue")
# Sorting keys of the ledgers, by which the store replaces (docs: durability).
LEDGERS = {
    "lines": ("account", "bill_month", "unit_id", "charge", "price_value", "revision"),
    "cost_lines": ("account", "bill_month", "unit_id", "revision", "side"),
}


def differences(figures: Figures, store: Store) -> list[str]:
    """All that differs; empty if the engine and the reference agree."""
    return [
        *_fates(figures, store),
        *_units(figures, store),
        *_lines(figures, store),
        *_cost_only(figures, store),
        *invariants(store),
    ]


def pico(value: Fraction) -> int | Fraction:
    """A Fraction in 10^-12; stays a Fraction, and so differs, where it has more digits."""
    scaled = value * PICO
    return scaled.numerator if scaled.denominator == 1 else scaled


def _fates(figures: Figures, store: Store) -> list[str]:
    got: dict[int, str] = {row["offset"]: "accepted" for row in store.events}
    for row in store.rejected:
        got[row["offset"]] = row["reason"] if row["reason"] in REASONS else "malformed"
    for row in store.duplicates:
        got[row["offset"]] = "duplicate"
    everything = sorted(figures.fates.keys() | got.keys())
    return [
        f"record {offset}: reference {figures.fates.get(offset)}, engine {got.get(offset)}"
        for offset in everything
        if figures.fates.get(offset) != got.get(offset)
    ]


def _units(figures: Figures, store: Store) -> list[str]:
    got = {(u["account"], u["meter"], u["key"], u["opened_offset"]): u for u in store.units.values()}
    found = [f"unit {key}: only the reference has it" for key in figures.units.keys() - got.keys()]
    found += [f"unit {key}: only the engine has it" for key in got.keys() - figures.units.keys()]
    units = {(u.account, u.meter.name, u.key, u.opened): u for u in figures.walk.units}
    for key in figures.units.keys() & got.keys():
        found += _unit(key, figures.units[key], units[key], got[key])
    return found


def _unit(key: tuple[Any, ...], want: UnitFigures, unit: Unit, got: Row) -> list[str]:
    wanted = {name: getattr(want, name) for name in SAME}
    wanted |= {name: pico(getattr(want, name)) for name in PICO_COLUMNS}
    if want.state == "open":  # decided when it ends
        del wanted["size"]
    elif want.disposition == "billable":
        wanted["catalog"] = want.catalog
    if unit.booked:
        wanted |= {"plan": want.plan, "plan_version": want.plan_version}
    wanted |= {name: sum(e.usage.get(name, 0) for e in unit.requests) for name in USAGE}
    got = {**got, **usage_of(got)}
    wanted["attributes"], got["attributes"] = _attributes(unit), _numbers(unit, json.loads(got["attributes"]))
    return [
        f"unit {key} {name}: reference {value!r}, engine {got[name]!r}"
        for name, value in wanted.items()
        if got[name] != value
    ]


def _attributes(unit: Unit) -> dict[str, Any]:
    """Its aggregated attributes."""
    names = {name for event in unit.events for name in event.attributes}
    return _numbers(unit, {name: value for name in names if (value := unit.attribute(name)) is not None})


def _numbers(unit: Unit, texts: dict[str, str]) -> dict[str, Any]:
    """What is a maximum or a sum as a number: 7.0 is 7."""
    return {n: Fraction(t) if unit.meter.how.get(n) in ("max", "sum") else t for n, t in texts.items()}


def _lines(figures: Figures, store: Store) -> list[str]:
    amounts: dict[tuple[Any, ...], int] = defaultdict(int)
    quantities: dict[tuple[Any, ...], int] = defaultdict(int)
    for line in store.lines:
        segment = (line["account"], line["usage_month"], (line["plan"], line["plan_version"]))
        amounts[segment, line["charge"]] += line["amount"]
        quantities[segment, line["charge"], line["price_value"]] += line["quantity"]
    found = []
    for key in sorted(figures.charges.keys() | amounts.keys()):
        want = pico(figures.charges[key].amount) if key in figures.charges else 0
        if want != amounts.get(key, 0):
            found.append(f"charge {key}: f(Q) by the reference {want}, lines add up to {amounts.get(key)}")
    for key, charge in figures.charges.items():
        for value, price in charge.prices.items():
            got = quantities.pop((*key, "/".join(value)), 0)
            if got != pico(price.total):
                found.append(f"charge {key} price {value}: quantity {pico(price.total)}, lines {got}")
    found += [
        f"charge {key}: lines of a price that the reference does not know"
        for key in quantities
        if quantities[key]
    ]
    return found


def _cost_only(figures: Figures, store: Store) -> list[str]:
    wanted = {
        offset: (row.account, row.reason, row.month, pico(row.cost))
        for offset, row in figures.cost_only.items()
        if row.request
    }
    got = {
        row["version"]: (row["account"], row["reason"], row["usage_month"], row["cost"])
        for row in store.cost_lines
        if row["meter"] == ""
    }
    return [
        f"cost-only record {offset}: reference {wanted.get(offset)}, engine {got.get(offset)}"
        for offset in sorted(wanted.keys() | got.keys())
        if wanted.get(offset) != got.get(offset)
    ]


def invariants(store: Store) -> list[str]:
    """I1, I2, I4 and the ledgers' agreement, from the engine's rows alone."""
    found = []
    revenue: dict[str, int] = defaultdict(int)
    booked: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for line in store.lines:
        revenue[line["unit_id"]] += line["amount"]
        if line["amount"] != line["rated_after"] - line["rated_before"]:
            found.append(f"line {line['line_id']}: amount is not the difference of f")
    for row in store.cost_lines:
        figures = (row["units"], row["billable_quantity"], row["requests"], row["revenue"], row["cost"])
        booked[row["unit_id"]] = [a + b for a, b in zip(booked[row["unit_id"]], figures, strict=True)]
    for unit_id, unit in store.units.items():
        units, billable, requests, money, cost = booked[unit_id]
        if unit["revenue"] != revenue[unit_id] or money != revenue[unit_id]:
            found.append(
                f"unit {unit['key']}: revenue {unit['revenue']}, lines {revenue[unit_id]}, ledger {money}"
            )
        if (requests, cost) != (unit["booked_requests"], unit["booked_cost"]):
            found.append(f"unit {unit['key']}: booked {unit['booked_cost']}, ledger {cost}")
        if unit["state"] != "open":
            if (units, billable, cost) != (1, unit["billable_quantity"], unit["cost"]):
                found.append(
                    f"unit {unit['key']}: ledger has {units} units, {billable} billable, cost {cost}"
                )
    found += [f"{table}: the store keeps one of two rows {key}" for table, key in replaced(store)]
    received = [r["offset"] for r in store.rejected if r["reason"] != "unit_final"]
    received += [r["offset"] for r in store.duplicates] + [r["offset"] for r in store.events]
    if len(received) != len(set(received)):
        found.append("a record has two fates")
    return found


def replaced(store: Store) -> list[tuple[str, tuple[Any, ...]]]:
    """Ledger rows of one key: the store would replace the one by the other, and its money is gone."""
    found = []
    for table, key in LEDGERS.items():
        seen: set[tuple[Any, ...]] = set()
        for row in getattr(store, table):
            one = tuple(row[name] for name in key)
            found += [(table, one)] if one in seen else []
            seen.add(one)
    return found
