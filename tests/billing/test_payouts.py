"""Earnings, carry and rewards by the contract's formulas."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from unitrate.billing.payouts import (
    Payout,
    Served,
    Statement,
    Terms,
    Work,
    assigned,
    payout_document,
    payout_id,
    statement,
)

CENT = 10**10


def terms(*builders: dict[str, Any], fee: str = "0.20", providers: tuple[dict[str, Any], ...] = ()) -> Terms:
    return Terms(Decimal(fee), builders, providers)


def a_builder(**values: Any) -> dict[str, Any]:
    return {"builder": "nord", "workflows": ["a"], "basis": "margin", "minimum": "0", **values}


def a_work(revenue: int, cost: int, workflow: str = "a") -> Work:
    """Amounts in cents."""
    return Work(workflow, 1, revenue * CENT, cost * CENT)


def made(entry: dict[str, Any], *works: Work, carried: int = 0, fee: str = "0.20") -> Payout:
    found = statement(202511, "EUR", 2, terms(entry, fee=fee), works, [], {"nord": carried})
    return found.payouts[0]


@pytest.mark.parametrize(("revenue", "cost", "earnings"), [(1000, 200, 640), (100, 300, -200), (300, 300, 0)])
def test_by_margin_a_builder_earns_his_share_of_it_and_bears_a_loss_whole(
    revenue: int, cost: int, earnings: int
) -> None:
    """8.00 × 0.8 = 6.40; −2.00 is −2.00."""
    assert made(a_builder(), a_work(revenue, cost)).earnings_minor == earnings


def test_by_revenue_cost_plays_no_part() -> None:
    """10.00 × 0.8."""
    assert made(a_builder(basis="revenue"), a_work(1000, 5000)).earnings_minor == 800


def test_earnings_are_rounded_once_and_the_platform_takes_the_rest() -> None:
    """0.333333 × 0.8 = 0.2666664 → 0.27; the platform's 0.063333 follows exactly."""
    found = made(a_builder(), Work("a", 1, 333_333_000_000, 0))
    assert found.earnings_minor == 27
    assert found.platform_fee_pico(2) == 333_333_000_000 - 27 * CENT


def test_small_sums_are_carried_until_they_reach_the_minimum() -> None:
    """6.40 with 3.00 carried in: 9.40 of 10.00 is carried out; with 3.60 it is paid."""
    below = made(a_builder(minimum="10"), a_work(1000, 200), carried=300)
    assert (below.payout_minor, below.carried_out_minor) == (0, 940)
    reached = made(a_builder(minimum="10"), a_work(1000, 200), carried=360)
    assert (reached.payout_minor, reached.carried_out_minor) == (1000, 0)


def test_debts_are_carried_and_paid_off_before_anything_is_paid() -> None:
    """−27.00 carried in and 36.80 earned: 9.80; with 20.00 earned, still −7.00."""
    assert made(a_builder(), a_work(4600, 0), carried=-2700).payout_minor == 980
    owing = made(a_builder(), a_work(2500, 0), carried=-2700)
    assert (owing.payout_minor, owing.carried_out_minor) == (0, -700)


def test_who_left_the_catalog_is_still_paid_what_was_carried() -> None:
    """A carry does not vanish with the builder's entry, nor does a debt."""
    found = statement(202511, "EUR", 2, terms(), [], [], {"gone": 500, "owes": -100, "even": 0})
    assert [(one.builder, one.payout_minor, one.carried_out_minor) for one in found.payouts] == [
        ("gone", 500, 0),
        ("owes", 0, -100),
    ]


def test_a_workflow_named_exactly_goes_before_a_pattern() -> None:
    """`a-1` is sued's, the other `a-*` nord's, `b` nobody's."""
    both = terms(a_builder(workflows=["a-*"]), a_builder(builder="sued", workflows=["a-1"]))
    works = [a_work(1, 0, name) for name in ("a-1", "a-2", "b")]
    found = {name: [work.workflow for work in own] for name, own in assigned(both, works).items()}
    assert found == {"nord": ["a-2"], "sued": ["a-1"]}


def test_a_provider_is_rewarded_from_the_cost_of_what_it_served() -> None:
    """Two models of one provider, 10.01 in all: 70 % = 7.007 → 7.01."""
    providers = ({"provider": "gpu", "reward": "0.70"},)
    served = [Served("gpu", 3, 500 * CENT), Served("gpu", 1, 501 * CENT), Served("other", 9, 900 * CENT)]
    found = statement(202511, "EUR", 2, terms(providers=providers), [], served, {})
    assert [(one.requests, one.reward_minor) for one in found.rewards] == [(4, 701)]


def test_earnings_rewards_and_the_platform_add_up_to_the_margin() -> None:
    """Whatever the rounding, and also for workflows that nobody is paid for."""
    works = [Work("a", 1, 1_234_567_890_123, 234_567), Work("z", 2, 99_999_999_999, 1)]
    providers = ({"provider": "gpu", "reward": "0.333"},)
    found = statement(
        202511, "EUR", 2, terms(a_builder(), providers=providers), works, [Served("gpu", 1, 77)], {}
    )
    paid = (found.payouts[0].earnings_minor + found.rewards[0].reward_minor) * CENT
    assert paid + found.platform_pico == sum(work.margin_pico for work in works)


def test_a_document_has_the_contracts_keys() -> None:
    """And further ones: units, id, basis, status."""
    found: Statement = statement(202511, "EUR", 2, terms(a_builder()), [a_work(1000, 200)], [], {})
    document = payout_document(found.payouts[0], found)
    assert {
        "builder": "nord", "period": "2025-11", "currency": "EUR", "revenue": "10.00", "cost": "2.00",
        "margin": "8.00", "platform_fee": "1.60", "earnings": "6.40", "carried_in": "0.00", "payout": "6.40",
        "carried_out": "0.00",
    }.items() <= document.items()  # fmt: skip
    assert {"workflow", "revenue", "cost", "margin"} <= document["workflows"][0].keys()


def test_payouts_are_known_by_month_kind_and_payee() -> None:
    """A builder and a provider of one name are two payees."""
    ids = {
        payout_id(202511, "builder", "x"),
        payout_id(202511, "provider", "x"),
        payout_id(202512, "builder", "x"),
    }
    assert len(ids) == 3
