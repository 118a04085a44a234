"""Does a unit bill: ordered rules, first match is the reason; defaults protect what the list is silent on.

Owns the order of rules and defaults. Knows a unit only through `Facts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from unitrate.catalog.compiled import Charge, Meter, Rule

# Conditions that do not bill unless a rule says so, in the order in which they are tried (D24, D40).
DEFAULT_NONE = (
    "test",
    "internal",
    "duplicate",
    "retry",
    "not_started",
    "failed",
    "cancelled",
    "partial",
    "timed_out",
    "unaccepted",
    "rejected",
    "terms",
)
ENDS_IN_SILENCE = frozenset({"ticket", "conversation"})
FULL = Decimal(1)
NONE = Decimal(0)


class Facts(NamedTuple):
    """What holds of a unit: condition words, its size tier, its attributes as text, its completion."""

    conditions: frozenset[str]
    size: str
    attributes: Mapping[str, str]
    completion: Decimal


class Ruling(NamedTuple):
    """The share that bills (0 = does not bill) and why."""

    share: Decimal
    reason: str


class Rules(NamedTuple):
    """The rules of one charge on one meter, and the defaults that they leave in force."""

    rules: tuple[Rule, ...]
    protected: tuple[str, ...]
    mentions_unpriced: bool


def merged(meter: Meter, charge: Charge | None) -> Rules:
    """The meter's rules with the charge's put in place of those of the same condition, others last."""
    rules = list(meter.rules)
    for own in charge.rules if charge else ():
        same = [i for i, r in enumerate(rules) if _condition(r) == _condition(own)]
        if same:
            rules[same[0]] = own
        else:
            rules.append(own)
    mentioned = {r.when for r in rules}
    protected = tuple(
        c
        for c in DEFAULT_NONE
        if c not in mentioned and not (c == "timed_out" and meter.kind in ENDS_IN_SILENCE)
    )
    return Rules(tuple(rules), protected, "unpriced" in mentioned)


def decide(rules: Rules, facts: Facts) -> Ruling:
    """First match wins; a default `none` that no rule mentions is never overridden by one that charges."""
    share, reason = FULL, "ok"
    for rule in rules.rules:
        if _holds(rule, facts):
            share, reason = _share(rule, facts), rule.reason
            break
    if share == 0:
        return Ruling(NONE, reason)
    for condition in rules.protected:
        if condition in facts.conditions:
            return Ruling(NONE, condition)
    return Ruling(share, reason)


def _condition(rule: Rule) -> tuple[str, str | None, tuple[tuple[str, str], ...]]:
    return rule.when, rule.size, rule.attributes


def _holds(rule: Rule, facts: Facts) -> bool:
    if rule.when == "size":
        return facts.size == rule.size
    if rule.when == "attribute":
        return all(facts.attributes.get(name) == value for name, value in rule.attributes)
    return rule.when in facts.conditions


def _share(rule: Rule, facts: Facts) -> Decimal:
    return facts.completion if rule.charge == "prorata" else rule.charge


def duplicate_rules(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules that look for business duplicates."""
    return tuple(r for r in rules if r.when == "duplicate" and r.by)
