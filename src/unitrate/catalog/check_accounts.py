"""Accounts, payouts and issuer that cannot work as written.

Owns the checks of subscriptions, terms, credits, billing details and of who is paid for what.
"""

from __future__ import annotations

from datetime import date
from fnmatch import fnmatchcase

from unitrate.catalog.accounts import AccountModel
from unitrate.catalog.document import Path
from unitrate.catalog.findings import Findings, Known
from unitrate.catalog.model import CatalogModel
from unitrate.catalog.scalars import shown
from unitrate.catalog.spelling import did_you_mean, nearest, one_of
from unitrate.catalog.zones import zone_names

_MAX_PREFIX = 32


def check_accounts(model: CatalogModel, findings: Findings, known: Known) -> None:
    for account in model.accounts.values():
        _check_plan_keys(account, findings)
        _check_subscriptions(account, findings, known.plans)
        _check_terms(account, model, findings, known.meters)
        _check_credits(account, findings)
        if account.timezone is not None:
            check_zone(account.timezone, (*account.path, "timezone"), findings)
        if account.billing is not None:
            _check_email(account.billing.email, (*account.path, "billing", "email"), findings)
    if model.issuer is not None:
        _check_email(model.issuer.email, ("issuer", "email"), findings)
        prefix = model.issuer.number_prefix
        if prefix is not None and len(prefix) > _MAX_PREFIX:
            findings.add(("issuer", "number_prefix"), f"is longer than {_MAX_PREFIX} characters; shorten it")


def check_zone(name: str, path: Path, findings: Findings) -> None:
    if name not in zone_names():
        fix = did_you_mean(name, zone_names()) or "; write an IANA name such as Europe/Berlin"
        findings.add(path, f"{shown(name)} is no time zone{fix}")


def _check_plan_keys(account: AccountModel, findings: Findings) -> None:
    if account.plan is None:
        for key, value in (("from", account.from_), ("to", account.to)):
            if value is not None:
                findings.add((*account.path, key), "needs a plan; write plan: NAME")
    elif account.from_ is None:
        findings.add((*account.path, "from"), "is missing; write the plan's first day, from: 2026-10-01")
    if account.plan is not None and account.subscriptions:
        findings.add((*account.path, "plan"), "stands beside `subscriptions`; move it into that list")


def _plans_of(account: AccountModel) -> list[tuple[Path, str, date, date | None]]:
    """Each subscription with the path of its keys."""
    found = [(s.path, s.plan, s.from_, s.to) for s in account.subscriptions]
    if account.plan is not None and account.from_ is not None:
        found.append((account.path, account.plan, account.from_, account.to))
    return sorted(found, key=lambda s: s[2])


def _check_subscriptions(account: AccountModel, findings: Findings, plans: frozenset[str]) -> None:
    used = [(s.path, s.plan) for s in account.subscriptions]
    if account.plan is not None:
        used.append((account.path, account.plan))
    for path, plan in used:
        if plan not in plans:
            names = f"; known are {one_of(sorted(plans))}" if plans else "; the catalog has no plans"
            findings.add((*path, "plan"), f"{shown(plan)} is no plan{did_you_mean(plan, plans) or names}")
    before: tuple[str, date | None] | None = None
    for path, plan, first, last in _plans_of(account):
        if last is not None and last < first:
            findings.add((*path, "to"), f"lies before the first day, {first}; `to` is the last day")
        if before is not None:
            other, other_last = before
            if other_last is None:
                message = f"overlaps {other}, which has no last day; give that one to: with the day before"
                findings.add((*path, "from"), message)
            elif first <= other_last:
                message = f"overlaps {other}, whose last day is {other_last}; begin later or end that one"
                findings.add((*path, "from"), message)
        before = plan, last


def _check_terms(
    account: AccountModel, model: CatalogModel, findings: Findings, meters: frozenset[str]
) -> None:
    for name in account.terms:
        path = (*account.path, "terms", name)
        meter = model.meters.get(name)
        if name not in meters:
            fix = did_you_mean(name, meters) or "; name a meter with terms: required"
            findings.add(path, f"{shown(name)} is no meter{fix}")
        elif meter is not None and meter.terms is None:
            findings.add(path, f"meters.{name} does not ask for terms; write terms: required there")


def _check_credits(account: AccountModel, findings: Findings) -> None:
    findings.twice(
        account.credits, lambda c: c.name, lambda _, c: (*c.path, "name"), "credits of the account"
    )
    for credit in account.credits:
        if credit.expires is not None and credit.expires < credit.from_:
            message = f"lies before the first day, {credit.from_}; `expires` is the last day"
            findings.add((*credit.path, "expires"), message)


def _check_email(email: str | None, path: Path, findings: Findings) -> None:
    if email is not None and ("@" not in email.strip("@") or " " in email):
        findings.add(path, f"{shown(email)} is no e-mail address; write name@example.com")


def check_payouts(model: CatalogModel, findings: Findings) -> None:
    if model.payouts is None:
        return
    builders = model.payouts.builders
    findings.twice(builders, lambda b: b.builder, lambda _, b: (*b.path, "builder"), "builders")
    findings.twice(
        model.payouts.providers, lambda p: p.provider, lambda _, p: (*p.path, "provider"), "providers"
    )
    owners: list[tuple[str, str]] = []
    for builder in builders:
        for i, workflow in enumerate(builder.workflows):
            path = findings.item((*builder.path, "workflows"), i)
            _check_workflow(workflow, path, model, findings)
            for other, owner in owners:
                if fnmatchcase(workflow, other) or fnmatchcase(other, workflow):
                    findings.add(path, f"{shown(workflow)} is {owner}'s already; a workflow has one builder")
                    break
            owners.append((workflow, builder.builder))


def _check_workflow(workflow: str, path: Path, model: CatalogModel, findings: Findings) -> None:
    patterns = [pattern for meter in model.meters.values() for pattern in meter.workflow]
    if any(fnmatchcase(workflow, pattern) or fnmatchcase(pattern, workflow) for pattern in patterns):
        return
    match = nearest(workflow, patterns, cutoff=0.8)
    if match is not None:
        findings.add(path, f'no meter takes the workflow {shown(workflow)}; did you mean "{match}"?')
