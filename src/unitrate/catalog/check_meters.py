"""Meters that cannot work as written.

Owns the checks of one meter, and of meters that take each other's events.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from unitrate.catalog.check_names import attribute_problem
from unitrate.catalog.check_policy import check_meter_policy
from unitrate.catalog.findings import Findings
from unitrate.catalog.meters import MeterModel
from unitrate.catalog.model import CatalogModel
from unitrate.catalog.resolve import decimal_text
from unitrate.catalog.scalars import shown
from unitrate.catalog.spelling import nearest

_NOT_WITH_EACH = ("key", "start", "end", "settle", "reopen", "long", "accept", "reverse")


def check_meters(model: CatalogModel, findings: Findings) -> None:
    for name, meter in model.meters.items():
        _check_each(meter, findings)
        _check_names(name, meter, findings)
        _check_sizes(meter, findings)
        _check_lists(meter, findings)
        check_meter_policy(name, meter, findings)
    _check_reach(model, findings)


def _check_each(meter: MeterModel, findings: Findings) -> None:
    if meter.each is None:
        return
    for key in _NOT_WITH_EACH:
        if meter.was_given(key):
            message = "does not go with `each`, whose units are single events; remove it"
            findings.add((*meter.path, key), message)
    if meter.each.operation is not None and meter.each.type != "ai.request":
        message = f"{meter.each.type} events have no operation; remove it, or write type: ai.request"
        findings.add((*meter.path, "each", "operation"), message)


def _check_names(name: str, meter: MeterModel, findings: Findings) -> None:
    if (
        meter.key != "run_id"
        and nearest(meter.key, ["run_id"], cutoff=0.8)
        and meter.key not in meter.attributes
    ):
        message = f'{shown(meter.key)} is neither run_id nor an attribute known here; did you mean "run_id"?'
        findings.add((*meter.path, "key"), message)
    if meter.sizes is not None:
        declared = frozenset({*meter.attributes, *meter.match, meter.key}) - {"run_id"}
        message_or_none = attribute_problem(meter.sizes.by, declared, name)
        if message_or_none is not None:
            findings.add((*meter.path, "sizes", "by"), message_or_none)


def _check_sizes(meter: MeterModel, findings: Findings) -> None:
    if meter.sizes is None:
        return
    path = (*meter.path, "sizes", "tiers")
    tiers = meter.sizes.tiers
    findings.twice(tiers, lambda t: t.name, lambda i, _: (*path, i, "name"), "sizes")
    last = None
    for i, tier in enumerate(tiers):
        if tier.name == "default":
            message = '"default" stands for all other values in prices; give the size another name'
            findings.add((*path, i, "name"), message)
        if tier.up_to is None and i < len(tiers) - 1:
            message = "is missing; only the last size may go without, those below it would never be reached"
            findings.add((*path, i, "up_to"), message)
        if tier.up_to is not None and last is not None and tier.up_to <= last:
            message = f"must be higher than {decimal_text(last)}, the size before it"
            findings.add((*path, i, "up_to"), message)
        last = tier.up_to if tier.up_to is not None else last


def _check_lists(meter: MeterModel, findings: Findings) -> None:
    reverse_on = meter.reverse.on if meter.reverse is not None else ()
    lists = ((("workflow",), meter.workflow), (("end", "on"), meter.end.on), (("reverse", "on"), reverse_on))
    for keys, values in lists:
        for i, value in enumerate(values):
            if value in values[:i]:
                findings.add((*meter.path, *keys, i), f"{shown(value)} stands twice; keep one")


def _check_reach(model: CatalogModel, findings: Findings) -> None:
    """An event belongs to the first meter that matches; one that comes too late never gets any."""
    above: list[tuple[str, MeterModel]] = []
    for name, meter in model.meters.items():
        for other_name, other in above:
            if _takes_all_of(other, meter):
                message = (
                    f"never gets an event: meters.{other_name} above it takes the same workflows; move it up"
                )
                findings.add(meter.path, message)
                break
        above.append((name, meter))


def _takes_all_of(first: MeterModel, second: MeterModel) -> bool:
    if first.each is not None and first.each != second.each:
        return False
    if not set(first.match.items()) <= set(second.match.items()):
        return False
    # An event without the first meter's key attribute goes on to the second.
    if first.key not in ("run_id", second.key) and first.each is None:
        return False
    return all(any(_covers(wide, narrow) for wide in first.workflow) for narrow in second.workflow)


def _covers(wide: str, narrow: str) -> bool:
    """Whether the first pattern takes all that the second takes, where that is certain."""
    if wide in ("*", narrow):
        return True
    return not any(c in narrow for c in "*?[") and fnmatchcase(narrow, wide)
