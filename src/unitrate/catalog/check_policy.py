"""Policy rules that would bill what a customer has not agreed to, or that cannot work.

Owns the checks of rules, in a meter and in a charge (rulings 18 and 19).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from unitrate.catalog.check_names import attribute_problem, declared_attributes
from unitrate.catalog.document import Path, path_text
from unitrate.catalog.findings import Findings
from unitrate.catalog.meters import AttributeCondition, MeterModel, RuleModel, SizeCondition
from unitrate.catalog.scalars import shown
from unitrate.catalog.spelling import did_you_mean, one_of

# What nobody pays for unless the plan names the customer's agreement, and how messages call it.
PROTECTED = {
    "test": "tests",
    "internal": "internal work",
    "duplicate": "duplicates",
    "retry": "retries",
    "failed": "failed runs",
}
# Ends without a `completion`: prorata would bill them in full.
_WITHOUT_COMPLETION = ("failed", "cancelled", "timed_out")


class _Placed(NamedTuple):
    rule: RuleModel
    path: Path


def condition_text(rule: RuleModel) -> str:
    """A rule's condition as its reason code writes it."""
    if isinstance(rule.when, SizeCondition):
        return f"size:{rule.when.size}"
    if isinstance(rule.when, AttributeCondition):
        pairs = sorted(rule.when.attribute.items())
        return "attribute:" + ",".join(f"{name}={value}" for name, value in pairs)
    return rule.when


def _lacks_agreement(rule: RuleModel) -> bool:
    return condition_text(rule) in PROTECTED and _charges(rule) and rule.agreed is None


def _charges(rule: RuleModel) -> bool:
    return rule.charge not in ("none", 0)


def check_meter_policy(name: str, meter: MeterModel, findings: Findings) -> None:
    placed = [_Placed(rule, rule.path) for rule in meter.policy]
    _check_rules(placed, name, meter, findings)
    for charging, protecting in _unprotected(placed):
        message = f"charges before {path_text(protecting.path[-2:])} can protect {_protected(protecting)}"
        findings.add(charging.path, f"{message}; move it below that rule")


def check_charge_policy(
    policy: Sequence[RuleModel], meter_name: str, meter: MeterModel, findings: Findings
) -> None:
    """Rules of a charge, by themselves and in the place that they take among the meter's."""
    own = [_Placed(rule, rule.path) for rule in policy]
    _check_rules(own, meter_name, meter, findings)
    meter_rules = [_Placed(rule, rule.path) for rule in meter.policy]
    own_paths = {placed.path for placed in own}
    replaced = {condition_text(placed.rule): path_text(placed.path) for placed in meter_rules}
    late: set[Path] = set()
    for charging, protecting in _unprotected(_combined(meter_rules, own)):
        word, other = _protected(protecting), path_text(protecting.path)
        if charging.path in own_paths:
            place = replaced.get(condition_text(charging.rule))
            message = f"charges before {other} can protect {word}; move it below that rule"
            if place is not None and protecting.path not in own_paths:
                message = f"takes the place of {place}, before {other} can protect {word}; swap these two"
            findings.add(charging.path, message)
        elif protecting.path in own_paths and protecting.path not in late:
            late.add(protecting.path)
            message = f"comes after {path_text(charging.path)}, which charges, and so does not protect {word}"
            findings.add(protecting.path, f"{message}; put it into the meter's policy, above that rule")


def _combined(meter_rules: list[_Placed], own: list[_Placed]) -> list[_Placed]:
    """Ruling 19: a charge's rule replaces the meter's of the same condition in place; others come last."""
    by_condition = {condition_text(placed.rule): placed for placed in reversed(own)}
    combined = [by_condition.pop(condition_text(placed.rule), placed) for placed in meter_rules]
    return combined + [placed for placed in own if condition_text(placed.rule) in by_condition]


def _unprotected(rules: Sequence[_Placed]) -> Iterator[tuple[_Placed, _Placed]]:
    """Each charging rule with the first one below it that protects something and can no longer do so."""
    for i, charging in enumerate(rules):
        if not _charges(charging.rule) or _lacks_agreement(charging.rule):
            continue  # the second has a problem of its own already
        for protecting in rules[i + 1 :]:
            if condition_text(protecting.rule) in PROTECTED and not _charges(protecting.rule):
                yield charging, protecting
                break


def _protected(placed: _Placed) -> str:
    return PROTECTED[condition_text(placed.rule)]


def _check_rules(rules: Sequence[_Placed], meter_name: str, meter: MeterModel, findings: Findings) -> None:
    first: dict[str, Path] = {}
    for rule, path in rules:
        condition = condition_text(rule)
        if condition in first:
            message = f"has the condition of {path_text(first[condition][-2:])}, which comes first; keep one"
            findings.add((*path, "when"), message)
        first.setdefault(condition, path)
        _check_condition(rule, path, meter_name, meter, findings)
        _check_charge(rule, path, findings)
        _check_duplicate(rule, path, meter_name, meter, findings)


def _check_condition(
    rule: RuleModel, path: Path, meter_name: str, meter: MeterModel, findings: Findings
) -> None:
    when = rule.when
    if isinstance(when, SizeCondition):
        at = (*path, "when", "size")
        if meter.sizes is None:
            findings.add(at, f"meters.{meter_name} has no sizes; give it sizes: {{by: …, tiers: …}}")
            return
        names = [tier.name for tier in meter.sizes.tiers]
        if when.size not in names:
            close = did_you_mean(when.size, names) or f"; its sizes are {one_of(names)}"
            findings.add(at, f"{shown(when.size)} is no size of meters.{meter_name}{close}")
    elif isinstance(when, AttributeCondition):
        for name in when.attribute:
            message = attribute_problem(name, declared_attributes(meter), meter_name)
            if message is not None:
                findings.add((*path, "when", "attribute", name), message)


def _check_charge(rule: RuleModel, path: Path, findings: Findings) -> None:
    when = condition_text(rule)
    if _lacks_agreement(rule):
        fix = "name the customer's agreement, agreed: {ref: …, on: …}"
        findings.add(path, f"charges {PROTECTED[when]}: {fix}")
    if rule.charge == "prorata" and when in _WITHOUT_COMPLETION:
        fix = "write a fraction such as 0.5"
        findings.add((*path, "charge"), f"{when} units have no completion to prorate by; {fix}")


def _check_duplicate(
    rule: RuleModel, path: Path, meter_name: str, meter: MeterModel, findings: Findings
) -> None:
    if rule.when != "duplicate":
        for key in ("by", "within"):
            if rule.was_given(key):
                findings.add((*path, key), f"goes with when: duplicate, not with {condition_text(rule)}")
        return
    if not rule.by:
        findings.add((*path, "by"), "is missing; name what copies have in common, by: [sha256]")
    if rule.within is None:
        findings.add((*path, "within"), "is missing; write how far apart copies may lie, within: 24h")
    for i, name in enumerate(rule.by):
        message = attribute_problem(name, declared_attributes(meter), meter_name)
        if message is not None:
            findings.add(findings.item((*path, "by"), i), message)
