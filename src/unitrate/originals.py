"""Business duplicates: which billed units a later one may repeat (ruling 22, D34, D49).

Owns the originals: for each account, meter and combination of values, the billed units that have it. An
original is kept exactly while it bills and while some unit could still repeat it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from unitrate.accounts import AccountState
from unitrate.catalog.compiled import Catalog, Rule
from unitrate.policy import duplicate_rules
from unitrate.timeline import Timeline
from unitrate.units import Unit

Key = tuple[Any, ...]  # account, meter, names, values


class Originals:
    """Originals of one partition."""

    def __init__(self, timeline: Timeline, accounts: Mapping[str, AccountState]) -> None:
        self._timeline = timeline
        self._accounts = accounts
        self.entries: dict[Key, list[list[Any]]] = {}  # [[ended, unit_id, until], …]
        self.versions: dict[Key, int] = {}
        self.dirty: dict[Key, int] = {}  # key -> version, also of those that are gone
        self._rules: dict[Any, tuple[Rule, ...]] = {}
        self._looked_at = 0  # catalogs that `_are_needed` is about
        self._are_needed = False

    def _keys(self, unit: Unit, attributes: Mapping[str, str]) -> list[tuple[Key, int]]:
        keys = []
        for rule in self._duplicate_rules(unit):
            if all(name in attributes for name in rule.by):
                values = tuple(attributes[name] for name in rule.by)
                keys.append(((unit.account, unit.meter.name, rule.by, values), rule.within_us))
        return keys

    def _duplicate_rules(self, unit: Unit) -> tuple[Rule, ...]:
        """Those of the unit's meter and of its plan's charges on it."""
        catalogs = self._timeline.catalogs
        if len(catalogs) != self._looked_at:
            self._looked_at = len(catalogs)
            rules_of = (*(m.rules for c in catalogs for m in c.meters), *_of_charges(catalogs))
            self._are_needed = any(duplicate_rules(rules) for rules in rules_of)
        if not self._are_needed:
            return ()
        plan = self._timeline.plan_at(unit.account, unit.ended)[1]
        which = (unit.meter_catalog, unit.meter.name, None if plan is None else (plan.name, plan.version))
        rules = self._rules.get(which)
        if rules is None:
            charges = plan.charges if plan is not None else ()
            found = [*unit.meter.rules, *(r for c in charges if c.meter == unit.meter.name for r in c.rules)]
            rules = self._rules[which] = duplicate_rules(found)
        return rules

    def is_duplicate(self, unit: Unit, attributes: Mapping[str, str]) -> bool:
        """Whether the unit repeats a billed one. A missing value is never a duplicate."""
        oldest = self._accounts[unit.account].oldest
        return any(
            original[1] != unit.unit_id and original[2] >= oldest and abs(unit.ended - original[0]) <= within
            for key, within in self._keys(unit, attributes)
            for original in self.entries.get(key, ())
        )

    def take_up(self, unit: Unit) -> None:
        """A unit that the fold had let go comes back: under which keys it is an original."""
        keys = tuple(
            (key, within)
            for key, within in self._keys(unit, unit.attribute_texts())
            if any(original[1] == unit.unit_id for original in self.entries.get(key, ()))
        )
        unit.original = (unit.ended, keys) if keys else None

    def note(self, unit: Unit, *, bills: bool) -> None:
        """Keep the unit among the originals exactly while it bills (D34)."""
        if not bills and unit.original is None:
            return
        keys = self._keys(unit, unit.attribute_texts()) if bills else []
        wanted = (unit.ended, tuple(keys)) if keys else None
        if wanted == unit.original:
            return
        for key, _ in unit.original[1] if unit.original else ():
            kept = [o for o in self.entries.get(key, []) if o[1] != unit.unit_id]
            self._set(key, kept, unit.version)
        account = self._accounts[unit.account]
        for key, within in keys:
            until = unit.ended + within
            kept = [*self.entries.get(key, []), [unit.ended, unit.unit_id, until]]
            self._set(key, kept, unit.version)
            heappush(account.expiries, (until, key))
        unit.original = wanted

    def _set(self, key: Key, entries: list[list[Any]], version: int) -> None:
        if entries:
            self.entries[key] = entries
        else:
            self.entries.pop(key, None)
        self.dirty[key] = version

    def await_expiry(self, key: Key, entries: list[list[Any]]) -> None:
        """Queue restored originals to be forgotten in time."""
        for _, _, until in entries:
            heappush(self._accounts[key[0]].expiries, (until, key))

    def forget(self, account: AccountState, version: int) -> None:
        """Drop originals that no unit can repeat any more (D49)."""
        while account.expiries and account.expiries[0][0] < account.oldest:
            _, key = heappop(account.expiries)
            entries = self.entries.get(key)
            if entries is not None:
                kept = [o for o in entries if o[2] >= account.oldest]
                if len(kept) != len(entries):
                    self._set(key, kept, version)


def _of_charges(catalogs: Sequence[Catalog]) -> Iterator[tuple[Rule, ...]]:
    return (charge.rules for c in catalogs for plan in c.plans.values() for charge in plan.charges)
