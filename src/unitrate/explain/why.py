"""Why a unit counts or does not: the rule, the verdict or the window that decided, in words.

Owns the sentence for every reason code. It reads the unit's row and its meter, and decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from unitrate.catalog.compiled import Charge, Meter, Rule
from unitrate.explain.words import moment, span
from unitrate.figures import plain
from unitrate.policy import DEFAULT_NONE, merged

HELD = {
    "open": "not decided yet: it has not ended",
    "awaiting_acceptance": "held: waiting for a verdict",
    "no_plan": "held: its account has no plan on that day; a catalog that gives it one decides it",
    "unpriced": "held: the cost of a request is not known; a catalog that prices the model decides it",
    "no_price": "held: the charge has no price for its value and no default; a catalog with one decides it",
}
NOT_BILLED = {
    "test": "test traffic",
    "internal": "internal traffic",
    "duplicate": "it repeats an earlier billed unit",
    "retry": "it repeats another run, whose unit is unknown or final",
    "not_started": "it never had the work.started that opens it",
    "failed": "it failed",
    "cancelled": "it was cancelled",
    "partial": "it was completed in part only",
    "timed_out": "it ended without an end event",
    "unaccepted": "nobody accepted it in time",
    "rejected": "rejected",
    "escalated": "it was escalated",
    "terms": "it ended before the customer agreed to the terms",
    "not_in_plan": "no charge of the account's plan is on this meter",
    "no_quantity": "the attribute that the charge counts is missing",
    "unpriced": "the cost of a request is not known",
    "waived": "an operator waived it",
}


def why(unit: Mapping[str, Any], meter: Meter, charge: Charge | None) -> list[str]:
    """Sentences, the deciding one first."""
    reason = unit["reason"]
    if unit["state"] == "open":
        return [
            HELD["open"]
            + f"; it ends after {span(meter.idle_us)} of silence, or {span(meter.max_age_us)} of age"
        ]
    if unit["disposition"] == "held":
        text = HELD.get(reason, f"held: {reason}")
        if reason == "awaiting_acceptance" and meter.accept is not None:
            text += f" within {span(meter.accept.within_us)} of its end"
        return [text, *_conditions(unit, reason)]
    rule = next((r for r in merged(meter, charge).rules if r.reason == reason), None)
    if unit["disposition"] == "not_billed":
        return [_not_billed(unit, meter, reason, rule), *_conditions(unit, reason)]
    return [_billable(unit, meter, rule), *_conditions(unit, reason)]


def _not_billed(unit: Mapping[str, Any], meter: Meter, reason: str, rule: Rule | None) -> str:
    text = f"not billed: {NOT_BILLED.get(reason, reason)}"
    if reason == "rejected" and unit["verdict_time"] is not None:
        text += f" {moment(unit['verdict_time'])}"
    if reason == "unaccepted" and meter.accept is not None:
        text += f", {span(meter.accept.within_us)} after its end"
    if rule is not None:
        return f"{text} ({_rule(rule)})"
    return f"{text} (the default: {reason} does not bill)" if reason in DEFAULT_NONE else text


def _billable(unit: Mapping[str, Any], meter: Meter, rule: Rule | None) -> str:
    kind = unit["unit"]
    if meter.accept is not None and unit["verdict"] == "accepted":
        within = f"accept, within {span(meter.accept.within_us)}"
        text = f"{kind}: accepted by work.accepted {moment(unit['verdict_time'])} ({within})"
    elif meter.accept is not None:
        text = f"{kind}: no verdict within {span(meter.accept.within_us)} of its end (accept: otherwise full)"
    else:
        text = f"{kind}: {_status(unit)}"
    if rule is not None:
        return f"{text}; {_rule(rule)}"
    return text if meter.accept is not None else f"{text}, and no rule is against it"


def _status(unit: Mapping[str, Any]) -> str:
    by = unit["ended_by"]
    if by in ("idle", "max_age"):
        return "ended in silence" if by == "idle" else "ended by its age"
    return by.removeprefix("work.") if by else "done"


def _conditions(unit: Mapping[str, Any], reason: str) -> list[str]:
    """What else holds of the unit, for the reader who wonders why it did not decide."""
    held = [c for c in json.loads(unit["conditions"]) if c not in (reason, "awaiting_acceptance")]
    return [f"also: {', '.join(held)}"] if held else []


def _rule(rule: Rule) -> str:
    """A rule as its catalog writes it, with the agreement that it rests on."""
    when = f"{{size: {rule.size}}}" if rule.when == "size" else rule.when
    if rule.when == "attribute":
        when = "{attribute: {" + ", ".join(f"{name}: {value}" for name, value in rule.attributes) + "}}"
    text = f"rule when: {when}"
    if rule.by:
        text += f", by: [{', '.join(rule.by)}], within: {span(rule.within_us)}"
    text += f", charge: {_charge(rule.charge)}"
    return f'{text}, agreed: "{rule.agreed.ref}"' if rule.agreed is not None else text


def _charge(charge: Decimal | str) -> str:
    if isinstance(charge, str):
        return charge
    return {Decimal(0): "none", Decimal(1): "full"}.get(charge) or plain(charge)
