"""Credits of accounts at any moment: the ledger of grants, uses and expiries.

Owns the order and the moment of movements. A use is when the invoice became final. A credit lapses once it
has expired and the last month that it may pay is closed: until then an open month may still use it. So what
is left is never below zero.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from unitrate.billing.assembling import held_credits, time_us
from unitrate.billing.month import GRANTS, Grant
from unitrate.pricing import to_pico
from unitrate.published import check_account
from unitrate.timeline import civil_month

if TYPE_CHECKING:
    from unitrate.billing.settling import Credit
    from unitrate.store import Store
    from unitrate.timeline import Timeline

ALL_GRANTS = GRANTS + "({account:String} = '' OR account = {account:String}) ORDER BY account, version"
USES = """
SELECT account, credit_id, period, amount, invoice_id, moved_at FROM credit_movements FINAL
WHERE ({account:String} = '' OR account = {account:String}) ORDER BY account, period
"""
CLOSED = """
SELECT account, period, closed_at FROM closings FINAL
WHERE ({account:String} = '' OR account = {account:String}) ORDER BY account, period
"""


class Movement(NamedTuple):
    """One movement of one credit; `balance_minor` is the account's after it."""

    account: str
    at_us: int
    kind: str  # grant, use or expiry
    credit: str
    amount_minor: int
    balance_minor: int
    period: int  # of a use; else 0
    invoice_id: str  # of a use
    expires_us: int | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """Movements up to a moment, and what is left by account."""

    at_us: int
    currency: str
    minor_digits: int
    movements: tuple[Movement, ...]

    def balances(self) -> dict[str, int]:
        """What is left by account, in minor units."""
        found: dict[str, int] = {}
        for movement in self.movements:
            found[movement.account] = movement.balance_minor
        return found


class _Use(NamedTuple):
    period: int
    amount_pico: int
    invoice_id: str
    at_us: int


def ledger(store: Store, timeline: Timeline, at_us: int, account: str | None = None) -> Ledger:
    """Every movement up to `at_us`."""
    if account is not None:
        check_account(store, account, timeline)
    chosen = {"account": account or ""}
    grants: dict[str, list[Grant]] = defaultdict(list)
    for row in store.query(ALL_GRANTS, chosen).rows:
        grant = Grant._make((*row[:4], to_pico(row[4]), to_pico(row[5]), *row[6:]))
        grants[grant.account].append(grant)
    uses: dict[tuple[str, str], list[_Use]] = defaultdict(list)
    for name, credit_id, period, amount, invoice_id, moved_at in store.query(USES, chosen).rows:
        uses[name, credit_id].append(_Use(period, to_pico(amount), invoice_id, time_us(moved_at)))
    closed: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for name, period, closed_at in store.query(CLOSED, chosen).rows:
        closed[name].append((period, time_us(closed_at)))
    last = timeline.catalogs[-1]
    named = {name for catalog in timeline.catalogs for name in catalog.accounts} | grants.keys()
    found: list[Movement] = []
    for name in sorted(named if account is None else named & {account}):
        moves = []
        for credit in held_credits(timeline, name, grants[name]):
            moves += _moves(timeline, name, credit, grants[name], uses[name, credit.id], closed[name])
        found += _balanced([move for move in moves if move.at_us <= at_us])
    return Ledger(at_us, last.currency, last.minor_digits, tuple(found))


def _moves(
    timeline: Timeline,
    account: str,
    credit: Credit,
    grants: list[Grant],
    uses: list[_Use],
    closed: list[tuple[int, int]],
) -> list[Movement]:
    zone, digits = timeline.zone(account), timeline.catalogs[-1].minor_digits
    bought = next((grant for grant in grants if grant.grant_id == credit.id), None)
    begins = zone.day_start_us(credit.from_day) if bought is None else time_us(bought.granted_at)
    expires: int | None = None
    if bought is not None and bought.expires_at is not None:
        expires = time_us(bought.expires_at)
    elif credit.expires_day is not None:
        expires = zone.day_start_us(credit.expires_day + 1)
    name = credit.name
    # A later catalog may have lowered the amount below what was used by then: what is used stays granted.
    spent = sum(use.amount_pico for use in uses) // int(10 ** (12 - digits))
    left = max(credit.amount_minor, spent)
    moves = [Movement(account, begins, "grant", name, left, 0, 0, "", expires)]
    for use in uses:
        used = use.amount_pico // int(10 ** (12 - digits))
        left -= used
        # A credit that begins after the invoice's month was closed cannot have paid it: the order holds.
        moves.append(
            Movement(
                account, max(use.at_us, begins), "use", name, -used, 0, use.period, use.invoice_id, expires
            )
        )
    if credit.expires_day is not None and expires is not None and left > 0:
        last = civil_month(credit.expires_day)
        at = next((closed_us for period, closed_us in closed if period >= last), None)
        if at is not None:
            moves.append(Movement(account, max(expires, at), "expiry", name, -left, 0, 0, "", expires))
    return moves


def _balanced(moves: list[Movement]) -> list[Movement]:
    found, balance = [], 0
    order = {"grant": 0, "use": 1, "expiry": 2}
    for move in sorted(moves, key=lambda m: (m.at_us, order[m.kind], m.credit, m.period)):
        balance += move.amount_minor
        found.append(move._replace(balance_minor=balance))
    return found
