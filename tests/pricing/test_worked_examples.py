"""Every price model against worked examples that others published: figures only, each with its source."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from unitrate.catalog.compiled import Charge, Price, Tier
from unitrate.pricing import charge_pico, to_pico

D = Decimal
CENT_PICO = 10**10


def tiers(*steps: tuple[int | None, str] | tuple[int | None, str, str]) -> tuple[Tier, ...]:
    """(up_to, rate) or (up_to, rate, flat) as tiers."""
    return tuple(
        Tier(None if step[0] is None else D(step[0]), D(step[1]), D(step[2]) if len(step) > 2 else D(0))
        for step in steps
    )


def steps(*flats: tuple[int | None, str]) -> tuple[Tier, ...]:
    """(up_to, flat) as tiers of a stairstep price."""
    return tuple(Tier(None if up_to is None else D(up_to), flat=D(flat)) for up_to, flat in flats)


def charge(price: Price, per: str = "1") -> Charge:
    """A charge with one price."""
    return Charge(
        "c", "m", None, D(0), (), {(): price}, D(per), "none", D(0), None, stop_on_maximum=False, rules=()
    )


def amount(price: Price, paid: int, cost: str = "0") -> Decimal:
    """f of a paid quantity."""
    pico = charge_pico(charge(price), [((), paid * 10**12, to_pico(D(cost)))], None)
    return D(pico).scaleb(-12)


# Stripe, "Set up tiered pricing": fonts at 7 USD up to 5, 6.50 up to 10, 6 beyond.
FONTS = tiers((5, "7"), (10, "6.5"), (None, "6"))


@pytest.mark.parametrize(("fonts", "usd"), [(1, "7"), (5, "35"), (6, "39"), (20, "120"), (25, "150")])
def test_volume_as_stripe_works_it_out(fonts: int, usd: str) -> None:
    """The reached tier's rate holds for all; the sixth font makes five cheaper."""
    assert amount(Price("volume", tiers=FONTS), fonts) == D(usd)


@pytest.mark.parametrize(("fonts", "usd"), [(1, "7"), (5, "35"), (6, "41.5"), (20, "127.5"), (25, "157.5")])
def test_graduated_as_stripe_works_it_out(fonts: int, usd: str) -> None:
    """Each tier's rate holds for the fonts inside it."""
    assert amount(Price("graduated", tiers=FONTS), fonts) == D(usd)


def test_graduated_as_autumn_works_it_out() -> None:
    """Autumn, "Graduated pricing": 15,000 requests at 0.01, 0.008 from 1,001, 0.005 from 10,001: 107."""
    price = Price("graduated", tiers=tiers((1_000, "0.01"), (10_000, "0.008"), (None, "0.005")))
    assert amount(price, 15_000) == D("107")


def test_graduated_and_volume_as_zuplo_works_them_out() -> None:
    """Zuplo, "Pricing models": 15,000 units at 0.10, 0.05, 0.01 are 600 graduated and 150 by volume."""
    schedule = tiers((1_000, "0.10"), (10_000, "0.05"), (None, "0.01"))
    assert amount(Price("graduated", tiers=schedule), 15_000) == D("600")
    assert amount(Price("volume", tiers=schedule), 15_000) == D("150")


def test_unit_as_zuplo_works_it_out() -> None:
    """Zuplo, "Pricing models": 100,000 calls at 0.001 are 100."""
    assert amount(Price("unit", rate=D("0.001")), 100_000) == D("100")


def test_volume_with_a_flat_as_lago_works_it_out() -> None:
    """Lago, "Volume": 65,000 calls at 0.0006 and a flat 10 in the tier up to 100,000 are 49."""
    schedule = tiers(
        (10_000, "0.0010", "10"), (50_000, "0.0008", "10"), (100_000, "0.0006", "10"), (None, "0.0004", "10")
    )
    assert amount(Price("volume", tiers=schedule), 65_000) == D("49")


def test_package_after_free_units_as_lago_works_it_out() -> None:
    """Lago, "Package": 5 per 100 units after 100 free ones: 201 units are 10."""
    assert amount(Price("package", package_size=D(100), package_price=D(5)), 201 - 100) == D("10")


@pytest.mark.parametrize(("seats", "usd"), [(1, "50"), (10, "50"), (11, "100"), (25, "150"), (100, "150")])
def test_stairstep_as_recurly_works_it_out(seats: int, usd: str) -> None:
    """Recurly, "Tiered, volume and stairstep pricing": 50 up to 10 seats, 100 up to 20, 150 beyond."""
    assert amount(Price("stairstep", tiers=steps((10, "50"), (20, "100"), (None, "150"))), seats) == D(usd)


def test_cost_plus_as_gemcar_works_it_out() -> None:
    """GEMCAR: a cost of 100, at 40 % markup 140.00, at 40 % margin 166.67."""
    assert amount(Price("cost_plus", markup=D("0.4")), 1, cost="100") == D("140")
    assert amount(Price("cost_plus", margin=D("0.4")), 1, cost="100") == D("166.666666666667")


@pytest.mark.parametrize(
    ("margin", "usd"),
    [
        ("0.2", "50.00"),
        ("0.3", "57.14"),
        ("0.4", "66.67"),
        ("0.5", "80.00"),
        ("0.6", "100.00"),
        ("0.7", "133.33"),
    ],
)
def test_margin_of_the_price_as_fiscalcalculators_works_it_out(margin: str, usd: str) -> None:
    """Fiscal Calculators, "Markup vs margin": what costs 40 at target margins from 20 to 70 %."""
    assert round(amount(Price("cost_plus", margin=D(margin)), 1, cost="40"), 2) == D(usd)


@pytest.mark.parametrize("rate", ["0.07", "0.000000000001", "1234.567890123456"])
def test_no_digit_is_lost_at_a_quantity_that_a_float_cannot_hold(rate: str) -> None:
    """987,654,321,987 units at any rate: the same as fractions say, to the last of 12 decimals."""
    paid = 987_654_321_987
    assert Fraction(amount(Price("unit", rate=D(rate)), paid)) == Fraction(rate) * paid


def test_a_part_of_a_cent_stays_in_the_line() -> None:
    """f is exact to 12 decimals; cents are the invoice's business."""
    assert charge_pico(charge(Price("unit", rate=D("0.001"))), [((), 10**12, 0)], None) == CENT_PICO // 10
