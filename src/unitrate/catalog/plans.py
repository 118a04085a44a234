"""What operators write under `plans`: fees, charges, prices, alerts and top-ups.

Owns shapes and single-value rules; what needs two values compared is in `check_plans`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag
from typing_extensions import TypeAliasType

from unitrate.catalog.meters import RuleModel
from unitrate.catalog.scalars import Amount, Count, Flag, Fraction, Name, PositiveAmount, Share, Span
from unitrate.catalog.section import Items, OneOrMore, Section

ZERO = Decimal(0)
PRICE_MODELS = ("unit", "graduated", "volume", "package", "stairstep", "cost_plus")


class UnitPrice(Section):
    """One rate for every unit."""

    model: Literal["unit"]
    """Price model."""
    rate: Amount
    """Price of one."""


class RateTierModel(Section):
    """A tier with a rate and, where wanted, a flat amount."""

    up_to: PositiveAmount | None = None
    """Last quantity of the tier; the last tier has none."""
    rate: Amount = ZERO
    """Price of one."""
    flat: Amount = ZERO
    """Amount due once the tier is entered."""


class FlatTierModel(Section):
    """A tier with a flat amount."""

    up_to: PositiveAmount | None = None
    """Last quantity of the tier; the last tier has none."""
    flat: Amount
    """Amount due when the quantity lies in this tier."""


class GraduatedPrice(Section):
    """Each tier's rate for the quantity inside it."""

    model: Literal["graduated"]
    """Price model."""
    tiers: Annotated[Items[RateTierModel], Field(min_length=1)]
    """Tiers from low to high, counted from the first paid unit."""


class VolumePrice(Section):
    """The reached tier's rate for all."""

    model: Literal["volume"]
    """Price model."""
    tiers: Annotated[Items[RateTierModel], Field(min_length=1)]
    """Tiers from low to high."""


class PackagePrice(Section):
    """Packages of a size; part packages count whole."""

    model: Literal["package"]
    """Price model."""
    size: PositiveAmount
    """Quantity in one package."""
    price: Amount
    """Price of one package."""


class StairstepPrice(Section):
    """The reached tier's flat amount."""

    model: Literal["stairstep"]
    """Price model."""
    tiers: Annotated[Items[FlatTierModel], Field(min_length=1)]
    """Tiers from low to high."""


class CostPlusPrice(Section):
    """What the unit cost us, and something on top."""

    model: Literal["cost_plus"]
    """Price model."""
    markup: Share | None = None
    """On cost: cost × (1 + markup). Exactly one of markup and margin."""
    margin: Fraction | None = None
    """Of the price: cost ÷ (1 − margin). Exactly one of markup and margin."""
    per_unit: Amount = ZERO
    """Surcharge on every unit."""


def _price_tag(value: Any) -> str | None:
    model = value.get("model") if isinstance(value, dict) else getattr(value, "model", None)
    return f"<{model}>" if isinstance(model, str) and str(model) in PRICE_MODELS else None


AnyPrice = Annotated[
    Annotated[UnitPrice, Tag("<unit>")]
    | Annotated[GraduatedPrice, Tag("<graduated>")]
    | Annotated[VolumePrice, Tag("<volume>")]
    | Annotated[PackagePrice, Tag("<package>")]
    | Annotated[StairstepPrice, Tag("<stairstep>")]
    | Annotated[CostPlusPrice, Tag("<cost_plus>")],
    Discriminator(_price_tag, custom_error_type="price_model", custom_error_message="price model"),
]


def _is_price(value: Any) -> str:
    """A price has at least one value that is no mapping; a map of prices has nothing but mappings."""
    if isinstance(value, dict) and value and all(isinstance(v, (dict, Section)) for v in value.values()):
        return "<values>"
    return "<price>"


if TYPE_CHECKING:
    PriceTree = AnyPrice | dict[str, Any]
else:
    PriceTree = TypeAliasType(
        "PriceTree",
        Annotated[
            Annotated[AnyPrice, Tag("<price>")] | Annotated[dict[Name, "PriceTree"], Tag("<values>")],
            Discriminator(_is_price),
        ],
    )


class ChargeModel(Section):
    """A usage charge: what a meter's units cost the customer."""

    name: Name
    """Its name on the invoice."""
    meter: Name
    """Meter whose units it charges."""
    of: Name = "units"
    """units, or an attribute whose value is the quantity: pages."""
    included: Amount = ZERO
    """Quantity a month that is free, used up in the order units are first rated."""
    by: OneOrMore[Name] = ()
    """One price a value of: size, workspace, workflow or an attribute; a list makes `prices` nested maps."""
    price: AnyPrice | None = None
    """The price, where there is no `by`."""
    prices: Annotated[dict[Name, PriceTree], Field(min_length=1)] | None = None
    """With `by`: value to price; default is for all other values."""
    per: PositiveAmount = Decimal(1)
    """Quantity that one priced unit stands for, such as 1000."""
    round: Literal["up", "down", "none"] = "none"
    """What happens to a part of `per`."""
    minimum: Amount = ZERO
    """Due for every month in which the account has the plan."""
    maximum: Amount | None = None
    """Cap a month."""
    on_maximum: Literal["absorb", "stop"] = "absorb"
    """absorb: go on, free; stop: the entitlement turns off as well."""
    policy: Items[RuleModel] = ()
    """Rules that replace the meter's of the same condition; others come last."""


class FeeModel(Section):
    """A fee that does not depend on usage."""

    name: Name
    """Its name on the invoice."""
    amount: Amount
    """Amount, in the catalog's currency."""
    when: Literal["once", "monthly"]
    """once: in the first month of the plan; monthly: every month."""
    prorate: Flag = True
    """Monthly fees of a part month by days."""


class UsageAlertModel(Section):
    """Tells when a share of the included usage or of the maximum is used up."""

    on: Literal["included", "maximum"]
    """What the share is of."""
    at: Annotated[Items[PositiveAmount], Field(min_length=1)]
    """Shares, such as [0.8, 1.0]."""


class MarginAlertModel(Section):
    """Tells when an account's margin falls below a rate."""

    on: Literal["margin"]
    """Margin of the month so far."""
    below: Fraction
    """Margin rate."""


def _alert_tag(value: Any) -> str:
    on = value.get("on") if isinstance(value, dict) else getattr(value, "on", None)
    return "<margin>" if on == "margin" else "<usage>"


Alert = Annotated[
    Annotated[UsageAlertModel, Tag("<usage>")] | Annotated[MarginAlertModel, Tag("<margin>")],
    Discriminator(_alert_tag),
]


class GrantModel(Section):
    """What a top-up gives."""

    credit: PositiveAmount
    """Credit, in the catalog's currency."""


class TopUpModel(Section):
    """Something customers can buy in addition."""

    name: Name
    """Its name on the invoice and for `unitrate top-up`."""
    amount: Amount
    """What it costs."""
    grants: GrantModel
    """What it gives."""
    expires: Span | None = None
    """How long the grant lasts; left out: it does not expire."""


class PlanModel(Section):
    """What a customer has agreed to pay."""

    version: Count
    """Raise it with every change; a version in use never changes."""
    fees: Items[FeeModel] = ()
    """Fees that do not depend on usage."""
    charges: Items[ChargeModel] = ()
    """Usage charges."""
    minimum: Amount = ZERO
    """Due for all usage charges together, every month in which the account has the plan."""
    alerts: Items[Alert] = ()
    """What to tell the operator."""
    top_ups: Items[TopUpModel] = ()
    """What customers can buy in addition."""
