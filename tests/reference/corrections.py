"""Operators' corrections in the reference rater: a unit is waived, or bills again.

Owns which units may be corrected, and what a final one that is restored bills: what it billed before.
"""

from __future__ import annotations

from dataclasses import replace

from tests.reference.month_records import Correct
from tests.reference.unit_view import Unit
from tests.reference.walk import Walk


def correct(walk: Walk, record: Correct) -> Unit | None:
    """Carry out a correction; the unit, or None if there is none that it may be made of.

    What may be corrected, and as what, is asked before the record moves the log's time (on Kafka).
    """
    may = _may_be_waived if record.action == "waive" else _may_be_restored
    units = [unit for unit in walk.units if may(walk, unit)]
    if not units:
        return None
    unit = units[record.choice % len(units)]
    was_let_go = walk.let_go(unit)
    if record.timestamp_us is not None:
        walk.move(max(walk.clock, record.timestamp_us))
    former = unit.decision
    unit.waived = record.action == "waive"
    if former is None:  # it has not ended: what it bills is decided then
        return unit
    if unit.waived:
        unit.waiver_took, unit.waiver_fraction = dict(unit.booked), former.fraction
        walk.decide(unit)
    elif was_let_go and unit.waiver_took:
        decision = replace(
            former,
            disposition="billable",
            reason="restored",
            fraction=unit.waiver_fraction,
            shares=dict(unit.waiver_took),
        )
        walk.apply(unit, decision)
    else:
        walk.decide(unit)
    return unit


def _may_be_waived(walk: Walk, unit: Unit) -> bool:
    if unit.waived or _is_reopened(unit):
        return False
    return not walk.let_go(unit) or (unit.decision is not None and unit.decision.disposition == "billable")


def _may_be_restored(walk: Walk, unit: Unit) -> bool:
    return unit.waived and not _is_reopened(unit)


def _is_reopened(unit: Unit) -> bool:
    """Open again: its lines stand until it ends, and so do operators."""
    return unit.sealed_at is None and unit.decision is not None
