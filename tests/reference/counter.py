"""The month's counter of one charge in one segment, replayed from the list of its changes.

Owns D30–D32, D41, D42: how included usage is used up, freed and handed on. A counter keeps nothing but its
list of changes; every figure is worked out from the first change on, each time it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from tests.reference.catalog_view import Charge
from tests.reference.own_pricing import f

Value = tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """What a unit contributes to a charge: a quantity at a price, and a cost base for cost_plus."""

    value: Value
    quantity: Fraction
    cost: Fraction = Fraction(0)


@dataclass(frozen=True)
class Terms:
    """Included usage and cap of the segment, as known from some record on."""

    included: Fraction
    maximum: Fraction | None


@dataclass(frozen=True)
class Change:
    """One step: a unit's old share goes, its new one comes; or new terms (a plan change) hold."""

    old: Share | None = None
    new: Share | None = None
    terms: Terms | None = None


def difference(old: Share | None, new: Share | None) -> tuple[Share | None, Share | None]:
    """What goes and what comes: at the same price only the difference (D41)."""
    if old is None or new is None or old.value != new.value:
        return old, new
    cost = new.cost - old.cost
    if new.quantity < old.quantity:
        return Share(old.value, old.quantity - new.quantity, -cost), None
    return None, Share(old.value, new.quantity - old.quantity, cost)


@dataclass
class Figures:
    """Totals per price."""

    total: dict[Value, Fraction] = field(default_factory=dict)
    included: dict[Value, Fraction] = field(default_factory=dict)
    cost: dict[Value, Fraction] = field(default_factory=dict)

    def paid(self, value: Value) -> Fraction:
        """Quantity that is paid for."""
        return self.total[value] - self.included[value]


@dataclass
class Counter:
    """Changes of one charge in one segment."""

    charge: Charge
    changes: list[Change] = field(default_factory=list)

    @property
    def terms(self) -> Terms:
        """Terms that hold now."""
        return [c.terms for c in self.changes if c.terms is not None][-1]

    def figures(self) -> Figures:
        """Totals after all changes, from scratch."""
        now = Figures()
        for value in self.charge.prices:  # catalog order
            now.total[value] = now.included[value] = now.cost[value] = Fraction(0)
        limit = Fraction(0)
        for change in self.changes:
            if change.terms is not None:
                limit = change.terms.included
                self._take_back(now, limit)
            gone, come = difference(change.old, change.new)
            if gone is not None:
                self._remove(now, gone)
            self._hand_on(now, limit)
            if come is not None:
                self._add(now, come, limit)
        return now

    def amount(self) -> Fraction:
        """f of the charge after all changes."""
        now = self.figures()
        paid = {v: (now.paid(v), now.cost[v]) for v in self.charge.prices}
        return f(self.charge, paid, self.terms.maximum)

    def _take_back(self, now: Figures, limit: Fraction) -> None:
        for value in reversed(list(self.charge.prices)):  # less included: the last price gives first
            excess = max(Fraction(0), sum(now.included.values()) - limit)
            now.included[value] -= min(excess, now.included[value])

    def _remove(self, now: Figures, old: Share) -> None:
        paid = min(now.paid(old.value), old.quantity)
        now.total[old.value] -= old.quantity
        now.included[old.value] -= old.quantity - paid
        now.cost[old.value] -= old.cost

    def _hand_on(self, now: Figures, limit: Fraction) -> None:
        for value in self.charge.prices:
            free = limit - sum(now.included.values())
            now.included[value] += min(free, now.paid(value))

    def _add(self, now: Figures, new: Share, limit: Fraction) -> None:
        free = limit - sum(now.included.values())
        now.total[new.value] += new.quantity
        now.included[new.value] += min(free, new.quantity)
        now.cost[new.value] += new.cost
