"""Counters of a month and the lines they give: f(Q after) − f(Q before), exact, whatever the order.

Owns the counters. A counter belongs to one account, month, plan version and charge (a segment, D29) and
keeps per price the total quantity, the part of it that is included, and for cost_plus the cost base.
Everything is an integer of 10⁻¹².
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from unitrate.catalog.compiled import Charge
from unitrate.errors import InvariantError
from unitrate.pricing import (
    PICO,
    Exact,
    charge_pico,
    converted,
    half_up,
    prorated_pico,
    rated_yocto,
    to_pico,
)

Value = tuple[str, ...]  # which of a charge's prices


class Share(NamedTuple):
    """What one unit contributes to one charge."""

    value: Value
    quantity_pico: int
    cost_pico: int
    units_pico: int  # the units it bills, for the customer's count


class Move(NamedTuple):
    """One line's arithmetic."""

    value: Value
    quantity_pico: int
    units_pico: int
    total: tuple[int, int]  # before, after
    included: tuple[int, int]
    cost: tuple[int, int]
    rated: tuple[int, int]


class Counter:
    """Quantities of one charge in one segment."""

    __slots__ = ("charge", "dirty", "included", "key", "maximum", "prices", "rated", "version")

    def __init__(self, key: tuple[Any, ...], charge: Charge, days: int, of_days: int) -> None:
        self.key = key  # (account, month, plan, plan version, charge name)
        self.charge = charge
        self.prices: dict[Value, list[int]] = {}  # value -> [total, included, cost base]
        self.rated = 0
        self.version = -1
        self.dirty = False
        self.included = 0
        self.maximum: int | None = None
        self._prorate(days, of_days)

    def _prorate(self, days: int, of_days: int) -> None:
        charge = self.charge
        if days == 0:  # D45
            self.included, self.maximum = 0, None
            return
        self.included = to_pico(charge.included)
        if days < of_days:
            self.included = -(-self.included * days // (of_days * PICO)) * PICO
        self.maximum = None if charge.maximum is None else prorated_pico(charge.maximum, days, of_days)

    def change(self, old: Share | None, new: Share | None) -> list[Move]:
        """Take a unit's former share off and put its new one on; the moves that this makes (D32, D41)."""
        if old is not None and new is not None and old.value == new.value:
            same = old.quantity_pico == new.quantity_pico and old.cost_pico == new.cost_pico
            return [] if same else [self._move(new.value, _minus(new, old))]
        moves = []
        if old is not None:
            moves.append(self._move(old.value, _minus(Share(old.value, 0, 0, 0), old)))
        if new is not None:
            moves.append(self._move(new.value, new))
        return moves

    def reprorate(self, days: int, of_days: int) -> Move | None:
        """Included and maximum for another number of days; the move, if it changes what is rated (D42)."""
        before, included_before, maximum_before = self.rated, self.included, self.maximum
        self._prorate(days, of_days)
        if self.included == included_before and self.maximum == maximum_before:
            return None
        self._fit_included()
        self.rated = self._f()
        return Move((), 0, 0, (0, 0), (included_before, self.included), (0, 0), (before, self.rated))

    def _fit_included(self) -> None:
        """Less included usage comes off in the reverse order of prices, more is handed on (D42)."""
        used = sum(p[1] for p in self.prices.values())
        for value in reversed(list(self.charge.prices)):
            over = min(max(used - self.included, 0), self.prices.get(value, [0, 0])[1])
            if over:
                self.prices[value][1] -= over
                used -= over
        self._spread(self.included - used)

    def recharge(self, charge: Charge, days: int, of_days: int) -> list[Move]:
        """The same quantities at corrected prices; the moves that this makes, one a price (D67).

        Under a maximum, which is over all prices, it is one move for the whole charge.
        """
        old, rated, included, maximum = self.charge, self.rated, self.included, self.maximum
        before = {value: (price[0], price[1], price[2]) for value, price in self.prices.items()}
        self.charge = charge
        self._prorate(days, of_days)
        self._fit_included()
        self.rated = self._f()
        if charge.by and (maximum is not None or self.maximum is not None):
            moves = [Move((), 0, 0, (0, 0), (included, self.included), (0, 0), (rated, self.rated))]
        else:
            moves = list(self._by_price(old, before, maximum))
        return [move for move in moves if move.rated[0] != move.rated[1]]

    def _by_price(
        self, old: Charge, before: Mapping[Value, tuple[int, int, int]], maximum: int | None
    ) -> Iterator[Move]:
        """From the old prices to the new ones, one after the other in the catalog's order."""
        worth = {value: _yocto(old, value, figures) for value, figures in before.items()}
        rated = _capped(worth.values(), maximum)
        for value in (value for value in self.charge.prices if value in before):
            total, included, cost = self.prices[value]
            worth[value] = _yocto(self.charge, value, (total, included, cost))
            after = _capped(worth.values(), self.maximum)
            was = before[value][1]
            yield Move(value, 0, 0, (total, total), (was, included), (cost, cost), (rated, after))
            rated = after

    def _move(self, value: Value, delta: Share) -> Move:
        price = self.prices.setdefault(value, [0, 0, 0])
        before, rated = tuple(price), self.rated
        quantity = delta.quantity_pico
        price[0] += quantity
        price[2] += delta.cost_pico
        if quantity > 0:
            free = self.included - sum(p[1] for p in self.prices.values())
            price[1] += min(quantity, max(free, 0))
        elif price[1] > price[0]:
            freed = price[1] - price[0]
            price[1] = price[0]
            self._spread(freed)
        if price[0] < 0 or price[1] < 0:
            raise InvariantError(f"counter {self.key} price {value}: below zero")
        self.rated = self._f()
        return Move(
            value,
            quantity,
            delta.units_pico,
            (before[0], price[0]),
            (before[1], price[1]),
            (before[2], price[2]),
            (rated, self.rated),
        )

    def _spread(self, freed: int) -> None:
        """Give included usage to quantities still paid, in the catalog's order of prices (ruling 25)."""
        for value in self.charge.prices:
            if freed <= 0:
                return
            price = self.prices.get(value)
            if price is not None:
                part = min(freed, price[0] - price[1])
                price[1] += part
                freed -= part

    def _f(self) -> int:
        paid = ((value, p[0] - p[1], p[2]) for value, p in self.prices.items())
        return charge_pico(self.charge, paid, self.maximum)

    def body(self) -> list[Any]:
        """State body."""
        return [self.included, self.maximum, self.rated, [[list(v), p] for v, p in self.prices.items()]]

    def load(self, body: list[Any], version: int) -> None:
        """Restore from a state body."""
        self.included, self.maximum, self.rated = body[0], body[1], body[2]
        self.prices = {tuple(v): p for v, p in body[3]}
        self.version = version


def _yocto(charge: Charge, value: Value, figures: tuple[int, int, int]) -> Exact:
    """What one price is worth at its total, included usage and cost base."""
    total, included, cost = figures
    return rated_yocto(charge.prices[value], converted(total - included, charge), cost)


def _capped(worth: Iterable[Exact], maximum: int | None) -> int:
    total = half_up(sum(worth), PICO)
    return total if maximum is None else min(total, maximum)


def price_value(charge: Charge, wanted: Value) -> Value | None:
    """The price that a value uses: its own, else `default`, level by level; None if there is none."""
    if wanted in charge.prices:
        return wanted
    found: list[Value] = [()]
    for name in wanted:
        found = [(*above, step) for above in found for step in dict.fromkeys((name, "default"))]
    return next((value for value in found if value in charge.prices), None)


def _minus(new: Share, old: Share) -> Share:
    return Share(
        new.value,
        new.quantity_pico - old.quantity_pico,
        new.cost_pico - old.cost_pico,
        new.units_pico - old.units_pico,
    )


def share_pico(amount_pico: int, share: Decimal) -> int:
    """A share of an amount, half up to 10⁻¹² (D43)."""
    if share == 1:
        return amount_pico
    return half_up(amount_pico * to_pico(share), PICO)
