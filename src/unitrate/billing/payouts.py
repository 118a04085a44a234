"""What builders and providers earn in a month: earnings, the platform's fee, minimum, carry, rewards.

Owns the formulas and their one rounding: earnings and rewards, to the currency's minor unit; all else follows
from them exactly. Fees and minimums of invoices are no part of it: usage revenue only. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

from unitrate.billing.invoice import minor
from unitrate.figures import minor_text, money_text, month_text, pico
from unitrate.pricing import PICO, half_up, to_pico


class Work(NamedTuple):
    """A workflow's month."""

    workflow: str
    units: int
    revenue_pico: int
    cost_pico: int

    @property
    def margin_pico(self) -> int:
        return self.revenue_pico - self.cost_pico


class Served(NamedTuple):
    """Requests that a provider served."""

    provider: str
    requests: int
    cost_pico: int


@dataclass(frozen=True, slots=True)
class Terms:
    """`payouts` of a catalog."""

    platform_fee: Decimal
    builders: tuple[Mapping[str, Any], ...]
    providers: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, payouts: Mapping[str, Any] | None) -> Terms:
        """From the catalog's plain JSON; without `payouts` nobody is paid."""
        given = payouts or {}
        return cls(
            Decimal(given.get("platform_fee", "0")),
            tuple(given.get("builders", ())),
            tuple(given.get("providers", ())),
        )


@dataclass(frozen=True, slots=True)
class Payout:
    """One builder's month."""

    builder: str
    basis: Literal["margin", "revenue"]
    works: tuple[Work, ...]
    earnings_minor: int
    carried_in_minor: int
    payout_minor: int

    @property
    def revenue_pico(self) -> int:
        return sum(work.revenue_pico for work in self.works)

    @property
    def cost_pico(self) -> int:
        return sum(work.cost_pico for work in self.works)

    @property
    def margin_pico(self) -> int:
        return self.revenue_pico - self.cost_pico

    def platform_fee_pico(self, digits: int) -> int:
        """What the platform keeps of the basis."""
        basis = self.margin_pico if self.basis == "margin" else self.revenue_pico
        return basis - self.earnings_minor * int(10 ** (12 - digits))

    @property
    def carried_out_minor(self) -> int:
        return self.earnings_minor + self.carried_in_minor - self.payout_minor


@dataclass(frozen=True, slots=True)
class Reward:
    """One provider's month."""

    provider: str
    requests: int
    cost_pico: int
    reward_minor: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A month's payouts and rewards. `total` is the month of all workflows, paid for or not."""

    period: int
    currency: str
    minor_digits: int
    payouts: tuple[Payout, ...]
    rewards: tuple[Reward, ...]
    total: Work
    status: Literal["draft", "final"] = "draft"

    @property
    def platform_pico(self) -> int:
        """What the platform keeps of the month's margin after earnings and rewards."""
        scale = int(10 ** (12 - self.minor_digits))
        paid = sum(p.earnings_minor for p in self.payouts) + sum(r.reward_minor for r in self.rewards)
        return self.total.margin_pico - paid * scale


def statement(
    period: int,
    currency: str,
    digits: int,
    terms: Terms,
    works: Iterable[Work],
    served: Iterable[Served],
    carried_in: Mapping[str, int],
) -> Statement:
    """The month's payouts and rewards. `carried_in` is by builder, in minor units."""
    done = sorted(works)
    by_builder = assigned(terms, done)
    named = [str(entry["builder"]) for entry in terms.builders]
    payouts = [
        _payout(entry, terms.platform_fee, by_builder[str(entry["builder"])], carried_in, digits)
        for entry in terms.builders
    ]
    # Whoever is no longer in the catalog still gets, or still owes, what was carried.
    payouts += [
        _payout({"builder": name}, terms.platform_fee, (), carried_in, digits)
        for name in sorted(carried_in.keys() - set(named))
        if carried_in[name]
    ]
    total = Work(
        "",
        sum(w.units for w in done),
        sum(w.revenue_pico for w in done),
        sum(w.cost_pico for w in done),
    )
    return Statement(period, currency, digits, tuple(payouts), tuple(_rewards(terms, served, digits)), total)


def assigned(terms: Terms, works: Sequence[Work]) -> dict[str, list[Work]]:
    """Works by builder: an exact name before a glob."""
    found: dict[str, list[Work]] = {str(entry["builder"]): [] for entry in terms.builders}
    for work in works:
        owner = next((e for e in terms.builders if work.workflow in e["workflows"]), None)
        if owner is None:
            owner = next(
                (e for e in terms.builders if any(fnmatchcase(work.workflow, p) for p in e["workflows"])),
                None,
            )
        if owner is not None:
            found[str(owner["builder"])].append(work)
    return found


def _takes(entry: Mapping[str, Any], workflow: str) -> bool:
    return any(fnmatchcase(workflow, pattern) for pattern in entry["workflows"])


def _payout(
    entry: Mapping[str, Any], fee: Decimal, works: Sequence[Work], carried: Mapping[str, int], digits: int
) -> Payout:
    name, basis = str(entry["builder"]), entry.get("basis", "margin")
    revenue = sum(work.revenue_pico for work in works)
    margin = revenue - sum(work.cost_pico for work in works)
    base = revenue if basis == "revenue" else margin
    share = PICO - to_pico(fee) if basis == "revenue" or margin > 0 else PICO
    earnings = half_up(base * share, PICO * int(10 ** (12 - digits)))
    before = carried.get(name, 0)
    least = minor(to_pico(Decimal(entry.get("minimum", "0"))), digits)
    due = earnings + before
    return Payout(name, basis, tuple(works), earnings, before, due if due >= least and due > 0 else 0)


def _rewards(terms: Terms, served: Iterable[Served], digits: int) -> list[Reward]:
    sums: dict[str, tuple[int, int]] = {}
    for one in served:
        requests, cost = sums.get(one.provider, (0, 0))
        sums[one.provider] = requests + one.requests, cost + one.cost_pico
    found = []
    for entry in terms.providers:
        requests, cost = sums.get(str(entry["provider"]), (0, 0))
        reward = half_up(cost * to_pico(Decimal(entry["reward"])), PICO * int(10 ** (12 - digits)))
        found.append(Reward(str(entry["provider"]), requests, cost, reward))
    return found


# ---------------------------------------------------------------- documents


def payout_id(period: int, kind: str, payee: str) -> str:
    """Derived, so that a bank file made twice pays once."""
    return f"pay-{period}-{hashlib.sha256(f'{kind}:{payee}'.encode()).hexdigest()[:16]}"


def payout_document(one: Payout, of: Statement) -> dict[str, Any]:
    """A builder's statement, as the contract's JSON has it."""
    digits = of.minor_digits

    def exact(amount_pico: int) -> str:
        return money_text(pico(amount_pico), digits)

    return {
        "builder": one.builder,
        "period": month_text(of.period),
        "currency": of.currency,
        "revenue": exact(one.revenue_pico),
        "cost": exact(one.cost_pico),
        "margin": exact(one.margin_pico),
        "platform_fee": exact(one.platform_fee_pico(digits)),
        "earnings": minor_text(one.earnings_minor, digits),
        "carried_in": minor_text(one.carried_in_minor, digits),
        "payout": minor_text(one.payout_minor, digits),
        "carried_out": minor_text(one.carried_out_minor, digits),
        "workflows": [
            {
                "workflow": work.workflow,
                "units": work.units,
                "revenue": exact(work.revenue_pico),
                "cost": exact(work.cost_pico),
                "margin": exact(work.margin_pico),
            }
            for work in one.works
        ],
        "payout_id": payout_id(of.period, "builder", one.builder),
        "basis": one.basis,
        "status": of.status,
    }


def reward_document(one: Reward, of: Statement) -> dict[str, Any]:
    """A provider's statement, as the contract's JSON has it."""
    return {
        "provider": one.provider,
        "period": month_text(of.period),
        "requests": one.requests,
        "cost": money_text(pico(one.cost_pico), of.minor_digits),
        "reward": minor_text(one.reward_minor, of.minor_digits),
        "currency": of.currency,
        "payout_id": payout_id(of.period, "provider", one.provider),
        "status": of.status,
    }


def document(of: Statement) -> dict[str, Any]:
    """All of a month."""
    digits = of.minor_digits
    return {
        "payouts": [payout_document(one, of) for one in of.payouts],
        "rewards": [reward_document(one, of) for one in of.rewards],
        "total": {
            "revenue": money_text(pico(of.total.revenue_pico), digits),
            "cost": money_text(pico(of.total.cost_pico), digits),
            "margin": money_text(pico(of.total.margin_pico), digits),
            "platform": money_text(pico(of.platform_pico), digits),
        },
        "status": of.status,
    }
