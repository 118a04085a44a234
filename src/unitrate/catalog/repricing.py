"""The corrected file of a published catalog → what a re-rate changes, and the record that says so.

Owns what a re-rate may correct: what plans charge, and nothing that decides units or whose they are (D66).
Also owns how published catalogs look after a log's re-rates. The record's format, which `compiling` reads:

    {"format": 1, "number": 1, "catalog": "2026-10", "plans": {name: resolved plan (see `resolve`)},
     "from_us": null or microseconds, "from_month": 0 or yyyymm, "who": "…", "why": "…"}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from unitrate.catalog.compiling import FORMAT
from unitrate.catalog.document import Path
from unitrate.catalog.resolve import resolve
from unitrate.catalog.scalars import shown
from unitrate.errors import CatalogError

if TYPE_CHECKING:
    from unitrate.catalog.source import Version

Resolved = Mapping[str, Any]
PRICED = frozenset({"fees", "charges", "minimum"})  # of a plan: what may differ, charges in part
FIXED = ("name", "meter", "of", "by", "policy")  # of a charge: what decides its units
_WRITTEN = {"effective_us": "effective", "dedupe_us": "dedupe"}  # resolved names → those in the file


class Period(NamedTuple):
    """Months that a re-rate is for: from an instant's, or from a month in each account's zone; or all."""

    from_us: int | None = None
    from_month: int = 0


def record(
    number: int, catalog: str, plans: Mapping[str, Any], period: Period, who: str, why: str
) -> dict[str, Any]:
    """The content of a re-rate's record."""
    return {
        "format": FORMAT, "number": number, "catalog": catalog, "plans": dict(plans),
        "from_us": period.from_us, "from_month": period.from_month, "who": who, "why": why,
    }  # fmt: skip


def stages(published: Sequence[bytes], rerates: Sequence[bytes]) -> Iterator[list[Resolved]]:
    """A log's catalogs as published, then as they are after each of its re-rates."""
    catalogs: list[Resolved] = [json.loads(data)["catalog"] for data in published]
    yield catalogs
    for body in rerates:
        corrected = json.loads(body)["plans"]
        catalogs = [_with(catalog, corrected) for catalog in catalogs]
        yield catalogs


def corrected_catalogs(published: Sequence[bytes], rerates: Sequence[bytes]) -> list[Resolved]:
    """A log's catalogs as they are now."""
    *_, last = stages(published, rerates)
    return last


def _with(catalog: Resolved, corrected: Mapping[str, Any]) -> Resolved:
    plans = {
        name: corrected[name] if plan["version"] == corrected.get(name, plan)["version"] else plan
        for name, plan in catalog["plans"].items()
        if name in corrected
    }
    return {**catalog, "plans": {**catalog["plans"], **plans}} if plans else catalog


def repriced(version: Version, published: Resolved) -> dict[str, Any]:
    """Plans, by name, that the file prices otherwise than the published catalog of its name; none: no change.

    Raises CatalogError, with the first place, where it changes more than prices.
    """
    resolved = resolve(version.model)
    for path, what in _refused(published, resolved):
        message = f"{what}; a re-rate of {shown(version.id)} corrects prices alone: publish a new version"
        raise CatalogError([str(version.places.problem(path, message))])
    plans = resolved["plans"]
    return {name: plan for name, plan in plans.items() if plan != published["plans"][name]}


def _refused(before: Resolved, after: Resolved) -> Iterator[tuple[Path, str]]:
    """Path and message of each difference that is no price."""
    for key in before:
        if key == "plans" or before[key] == after[key]:
            continue
        old, new = before[key], after[key]
        if key == "meters":
            old, new = ({meter["name"]: meter for meter in meters} for meters in (old, new))
        name = _WRITTEN.get(key, key)
        path = (name, _differing(old, new)) if isinstance(old, dict) and isinstance(new, dict) else (name,)
        yield path, "differs from what was published"
    old_plans, new_plans = before["plans"], after["plans"]
    for name in dict.fromkeys((*old_plans, *new_plans)):
        if name not in old_plans or name not in new_plans:
            yield ("plans", name), "was not published" if name in new_plans else "was published and is gone"
        else:
            yield from _refused_of_plan(("plans", name), old_plans[name], new_plans[name])


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The first name whose value differs; where only their order does, the first of them."""
    names = [*new, *(name for name in old if name not in new)]
    return next((name for name in names if old.get(name) != new.get(name)), names[0])


def _refused_of_plan(path: Path, old: Resolved, new: Resolved) -> Iterator[tuple[Path, str]]:
    for key in old:
        if key not in PRICED and old[key] != new[key]:
            yield (*path, key), "differs from what was published"
    for at in range(max(len(old["charges"]), len(new["charges"]))):
        where = (*path, "charges", at)
        if at >= len(old["charges"]) or at >= len(new["charges"]):
            yield where, "charges were added or are gone"
            return
        yield from _refused_of_charge(where, old["charges"][at], new["charges"][at])


def _refused_of_charge(path: Path, old: Resolved, new: Resolved) -> Iterator[tuple[Path, str]]:
    for key in FIXED:
        if old[key] != new[key]:
            yield (*path, key), "decides which units are charged, or how much of them, and differs"
    before, after = (
        {tuple(values): price["model"] == "cost_plus" for values, price in charge["prices"]}
        for charge in (old, new)
    )
    if list(before) != list(after):
        yield (*path, "prices"), "has other values, or in another order, than what was published"
        return
    for values, by_cost in after.items():
        if by_cost != before[values]:
            where: Path = ("prices", *values, "model") if values else ("price", "model")
            yield (*path, *where), "cannot become cost_plus, nor another model from it"
