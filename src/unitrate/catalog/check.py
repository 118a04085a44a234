"""What a catalog must hold beyond its shape.

Owns the list of checks and those of the top level and of costs; meters, plans, policies and accounts have
modules of their own, what changes between versions is in `history`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from unitrate.catalog.check_accounts import check_accounts, check_payouts, check_zone
from unitrate.catalog.check_meters import check_meters
from unitrate.catalog.check_plans import check_plans
from unitrate.catalog.currencies import MINOR_DIGITS
from unitrate.catalog.document import Path, Problem, path_text
from unitrate.catalog.findings import Findings, Known
from unitrate.catalog.history import changes
from unitrate.catalog.model import ITEM_RATES, TOKEN_RATES, CatalogModel
from unitrate.catalog.problems import Places
from unitrate.catalog.resolve import resolve
from unitrate.catalog.scalars import shown
from unitrate.catalog.spelling import did_you_mean, one_of


def check_version(model: CatalogModel, places: Places, known: Known) -> list[Problem]:
    """Problems of one version. `known`: names in the source, broken parts included."""
    findings = Findings(places)
    _check_currency(model.currency, ("currency",), findings)
    check_zone(model.timezone, ("timezone",), findings)
    if model.dedupe < timedelta(days=1):
        findings.add(
            ("dedupe",), "must be at least 1d, so that repeated events are known; the default is 35d"
        )
    _check_costs(model, findings)
    check_meters(model, findings)
    check_plans(model, findings, known)
    check_accounts(model, findings, known)
    check_payouts(model, findings)
    return findings.problems


def _check_currency(code: str, path: Path, findings: Findings) -> None:
    if code not in MINOR_DIGITS:
        known = code.upper() if code.upper() in MINOR_DIGITS else None
        fix = f'; did you mean "{known}"?' if known else did_you_mean(code, MINOR_DIGITS)
        findings.add(path, f"{shown(code)} is no currency{fix or '; write an ISO 4217 code such as USD'}")


def _check_costs(model: CatalogModel, findings: Findings) -> None:
    costs = model.costs
    seen: dict[tuple[str, str], Path] = {}
    for entry in costs.models:
        pair = (entry.provider, entry.model)
        if pair in seen:
            findings.add(entry.path, f"prices what {path_text(seen[pair][-2:])} prices already; keep one")
        seen.setdefault(pair, entry.path)
        if not entry.rates():
            rates = one_of([*TOKEN_RATES, *ITEM_RATES], limit=20)
            findings.add(entry.path, f"has no price; write at least one of {rates}")
    aliases: dict[tuple[str | None, str | None], Path] = {}
    for alias in costs.aliases:
        names = (alias.provider, alias.model)
        if names == (None, None):
            findings.add(alias.path, "names nothing; write provider: or model: as gateways write it")
        elif names in aliases:
            findings.add(alias.path, f"has the names of {path_text(aliases[names][-2:])}; keep one")
        elif alias.as_ == (alias.model or alias.provider):
            findings.add((*alias.path, "as"), "is the same name; write the name that the book knows")
        aliases.setdefault(names, alias.path)
    for code in costs.fx:
        path = ("costs", "fx", code)
        _check_currency(code, path, findings)
        if code == model.currency:
            findings.add(path, "is the catalog's own currency; remove it")


def check_versions(versions: Sequence[tuple[CatalogModel, Places]]) -> list[Problem]:
    """Problems between versions, given in the order of their effective instants."""
    problems: list[Problem] = []
    earlier: list[dict[str, object]] = []
    for model, places in versions:
        resolved = resolve(model)
        for path, message in changes(earlier, resolved):
            problems.append(places.problem(path, message))
        earlier.append(resolved)
    return problems
