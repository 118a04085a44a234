"""Corrected catalogs: a published one with other prices, and nothing else that is different.

Owns what is drawn of a re-rate.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from tests.reference.catalog_strategies import a_price
from tests.reference.drawing import Draw, chance, pick
from tests.reference.strategies import holds

TRIES = 10


def corrected(draw: Draw, document: dict[str, Any]) -> dict[str, Any] | None:
    """The catalog with one or two other prices; None where none was found that holds."""
    for _ in range(TRIES):
        found = copy.deepcopy(document)
        for _ in range(pick(draw, [1, 2])):
            plan = found["plans"][pick(draw, sorted(found["plans"]))]
            _change(draw, plan)
        if found != document and holds(found):
            return found
    return None


def _change(draw: Draw, plan: dict[str, Any]) -> None:
    """One thing of a plan that a re-rate may correct."""
    charges = plan["charges"]
    if not charges or chance(draw, 6):
        if chance(draw, 2):
            plan["minimum"] = pick(draw, ["6.00", "0.50", "0"])
        else:
            plan["fees"] = [{"name": "Platform", "amount": pick(draw, ["39.00", "51.11"]), "when": "monthly"}]
        return
    charge = pick(draw, charges)
    what = pick(draw, ["price", "price", "price", "included", "minimum", "maximum", "per"])
    if what == "price":
        _change_price(draw, charge)
    elif what == "included":
        if not any(price["model"] == "cost_plus" for _, _, price in _leaves(charge)):
            charge["included"] = pick(draw, ["0", "1", "2", "4"])
    elif what == "per":
        charge |= {"per": pick(draw, ["1", "2", "5"]), "round": pick(draw, ["none", "up", "down"])}
    else:
        charge[what] = pick(draw, ["0.99", "2.00", "8.00"])
        if chance(draw, 4):
            del charge[what]


def _change_price(draw: Draw, charge: dict[str, Any]) -> None:
    place, name, price = pick(draw, list(_leaves(charge)))
    if price["model"] == "cost_plus":
        place[name] = {"model": "cost_plus", **pick(draw, [{"markup": "0.55"}, {"margin": "0.15"}])}
    else:
        place[name] = a_price(draw, cost_plus=False)


def _leaves(charge: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    """Each price, with the mapping that it stands in and its name there."""
    waiting = [(charge, "price" if "price" in charge else "prices")]
    while waiting:
        place, name = waiting.pop()
        value = place[name]
        if "model" in value:
            yield place, name, value
        else:
            waiting += [(value, below) for below in value]
