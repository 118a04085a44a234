"""Names of attributes: which a meter declares, and which use of one looks like a typing error.

Events may bring any attribute, so an undeclared name is no error by itself; one that is nearly a declared
name is. Who means it declares it.
"""

from __future__ import annotations

from collections.abc import Iterable

from unitrate.catalog.meters import MeterModel
from unitrate.catalog.scalars import shown
from unitrate.catalog.spelling import nearest

_SURELY_A_TYPO = 0.8
# Figures of a unit that operators take for attributes.
_FIGURES = frozenset({"requests", "attempts", "tokens", "cost", "input_tokens", "output_tokens"})


def declared_attributes(meter: MeterModel) -> frozenset[str]:
    """Attributes that a meter names as such."""
    by_size = {meter.sizes.by} if meter.sizes is not None else set()
    return frozenset({*meter.attributes, *meter.match, meter.key, *by_size}) - {"run_id"}


def attribute_problem(
    name: str, declared: frozenset[str], meter_name: str, words: Iterable[str] = ()
) -> str | None:
    """What to tell if `name` is nearly one of the declared attributes, or of the words that stand beside."""
    if name in declared or name in words:
        return None
    declare = f"declare it in meters.{meter_name}: attributes: {{{name}: last}}"
    match = nearest(name, {*declared, *words}, cutoff=_SURELY_A_TYPO)
    if match is not None:
        return f'{shown(name)} is no attribute known here; did you mean "{match}"? Otherwise {declare}'
    if name in _FIGURES:
        return (
            f"{shown(name)} is a figure, no attribute; if events bring an attribute of this name, {declare}"
        )
    return None
