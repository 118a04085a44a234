"""What operators write under `accounts`, `payouts` and `issuer`: who pays, is paid, sends the invoice.

Owns shapes and single-value rules; what needs two values compared is in `check_accounts`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from unitrate.catalog.meters import AgreementModel
from unitrate.catalog.scalars import Amount, Day, DueDays, Fraction, Name, Note, PositiveAmount, Priority
from unitrate.catalog.section import Items, OneOrMore, Section


class SubscriptionModel(Section):
    """A plan for a span of days."""

    plan: Name
    """Name of a plan."""
    from_: Annotated[Day, Field(alias="from")]
    """First day, in the account's time zone."""
    to: Day | None = None
    """Last day, inclusive; left out: until further notice."""


class CreditModel(Section):
    """An amount that invoices take off until it is used up."""

    name: Name
    """Its name on the invoice."""
    amount: PositiveAmount
    """Amount, in the catalog's currency."""
    from_: Annotated[Day, Field(alias="from")]
    """First day on which it can be used."""
    expires: Day | None = None
    """Last day on which it can be used; left out: it does not expire."""
    priority: Priority = 100
    """Low ones are used first."""


class TaxModel(Section):
    """Tax on an account's invoices."""

    name: Name
    """Its name on the invoice, such as VAT."""
    rate: Fraction
    """Rate as a fraction: 0.19 for 19 %."""
    note: Note | None = None
    """A sentence for the invoice, such as a reverse-charge notice."""


class BillingModel(Section):
    """What an account's invoice needs beside usage."""

    address: Annotated[OneOrMore[Note], Field(min_length=1)] | None = None
    """Lines of the address."""
    email: Name | None = None
    """Where invoices go."""
    tax_id: Name | None = None
    """The customer's tax number."""
    tax: TaxModel | None = None
    """Tax; left out: none."""
    due_days: DueDays | None = None
    """Days from the invoice to the day it is due."""


class AccountModel(Section):
    """A customer who is billed, named as events' `subject` names it."""

    name: Note | None = None
    """Name on invoices and reports; default is the id."""
    plan: Name | None = None
    """Name of a plan; needs `from`. Several in a row: `subscriptions`."""
    from_: Annotated[Day | None, Field(alias="from")] = None
    """First day of the plan, in the account's time zone."""
    to: Day | None = None
    """Last day of the plan, inclusive."""
    subscriptions: Items[SubscriptionModel] = ()
    """Plans one after the other, instead of plan, from and to."""
    timezone: Name | None = None
    """Where its months begin; default is the catalog's."""
    terms: dict[Name, AgreementModel] = Field(default_factory=dict)
    """Meter to the agreement under which its outcomes bill."""
    credits: Items[CreditModel] = ()
    """Credits that invoices take off."""
    internal_workspaces: OneOrMore[Name] = ()
    """Workspaces whose work counts as internal."""
    billing: BillingModel | None = None
    """Address, tax and terms of payment."""


class BuilderModel(Section):
    """Someone who built workflows and earns with them."""

    builder: Name
    """Their name on statements."""
    workflows: Annotated[OneOrMore[Name], Field(min_length=1)]
    """Workflows that they built."""
    basis: Literal["margin", "revenue"] = "margin"
    """What their earnings are a share of."""
    minimum: Amount = Decimal(0)
    """Smaller payouts are carried to the next month."""


class RewardModel(Section):
    """A provider who is rewarded for the requests it served."""

    provider: Name
    """Provider as the price book names it."""
    reward: Fraction
    """Share of the cost of the requests it served."""


class PayoutsModel(Section):
    """Who is paid."""

    platform_fee: Fraction = Decimal(0)
    """The platform's share."""
    builders: Items[BuilderModel] = ()
    """Builders of workflows."""
    providers: Items[RewardModel] = ()
    """Providers."""


class IssuerModel(Section):
    """Who sends the invoices."""

    name: Note
    """Name."""
    address: OneOrMore[Note] = ()
    """Lines of the address."""
    email: Name | None = None
    """For questions about an invoice."""
    tax_id: Name | None = None
    """Tax number."""
    number_prefix: Name | None = None
    """What invoice numbers begin with."""
    due_days: DueDays | None = None
    """Days from the invoice to the day it is due, for accounts that have none of their own."""
