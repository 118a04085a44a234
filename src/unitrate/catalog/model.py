"""The whole catalog as operators write it, strict and with every key named.

Owns the top level and the costs section. Defaults that depend on another value (a ticket's idle time) stay
None here and are filled by `publication`.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from unitrate.catalog.accounts import AccountModel, IssuerModel, PayoutsModel
from unitrate.catalog.meters import MeterModel
from unitrate.catalog.plans import PlanModel
from unitrate.catalog.scalars import Amount, Instant, Name, PositiveAmount, Span
from unitrate.catalog.section import Items, Section

# How own prices name what an event's `usage` counts.
TOKEN_RATES = {
    "input": "input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "output": "output_tokens",
    "input_audio": "input_audio_tokens",
    "cache_read_audio": "cache_read_audio_tokens",
    "output_audio": "output_audio_tokens",
}
ITEM_RATES = {
    "image": "images",
    "page": "pages",
    "second": "seconds",
    "character": "characters",
    "search": "searches",
    "tool_call": "tool_calls",
}


class ModelCost(Section):
    """An own or negotiated price of a model; it wins over the book."""

    provider: Name
    """Provider, exact or glob."""
    model: Name
    """Model, exact or glob."""
    input: Amount | None = None
    """Per million uncached input tokens."""
    cache_read: Amount | None = None
    """Per million input tokens read from a cache."""
    cache_write: Amount | None = None
    """Per million input tokens written to a cache."""
    cache_write_1h: Amount | None = None
    """Per million input tokens written to a one-hour cache."""
    output: Amount | None = None
    """Per million output tokens, reasoning included."""
    input_audio: Amount | None = None
    """Per million audio input tokens."""
    cache_read_audio: Amount | None = None
    """Per million audio input tokens read from a cache."""
    output_audio: Amount | None = None
    """Per million audio output tokens."""
    image: Amount | None = None
    """Per image."""
    page: Amount | None = None
    """Per page."""
    second: Amount | None = None
    """Per second."""
    character: Amount | None = None
    """Per character."""
    search: Amount | None = None
    """Per search."""
    tool_call: Amount | None = None
    """Per tool call."""

    def rates(self) -> dict[str, Decimal]:
        """The rates that were written, by their YAML names."""
        found = {name: getattr(self, name) for name in (*TOKEN_RATES, *ITEM_RATES)}
        return {name: rate for name, rate in found.items() if rate is not None}


class AliasModel(Section):
    """A name as gateways write it, and as the book knows it: of a provider, or of a model."""

    provider: Name | None = None
    """Provider as events name it."""
    model: Name | None = None
    """Model as events name it."""
    as_: Annotated[Name, Field(alias="as")]
    """Name in the book."""


class CostsModel(Section):
    """What requests cost us."""

    book: Literal["genai-prices"] = "genai-prices"
    """Price book; a publication carries a snapshot of it."""
    models: Items[ModelCost] = ()
    """Own or negotiated prices: per million tokens, or per item."""
    aliases: Items[AliasModel] = ()
    """Names as gateways write them."""
    fx: dict[Name, PositiveAmount] = Field(default_factory=dict)
    """Currency to what one of it is in the catalog's currency."""
    unknown: Literal["hold", "zero"] = "hold"
    """What becomes of units with a model that nobody has priced."""


class CatalogModel(Section):
    """One version of the catalog: costs, meters, plans and accounts from an instant on."""

    catalog: Name
    """Name of this version, such as 2026-10."""
    effective: Instant
    """From when it holds, such as 2026-10-01T00:00:00Z."""
    currency: Name
    """Currency of prices, ISO 4217."""
    timezone: Name = "UTC"
    """Where a billing month begins, for accounts without a time zone of their own."""
    dedupe: Span = timedelta(days=35)
    """How long event identities are remembered, by an account's own event times."""
    issuer: IssuerModel | None = None
    """Who sends the invoices."""
    costs: CostsModel = CostsModel()
    """What requests cost us."""
    meters: dict[Name, MeterModel] = Field(default_factory=dict)
    """What one billable unit is, by name; an event belongs to the first that matches."""
    plans: dict[Name, PlanModel] = Field(default_factory=dict)
    """What customers pay, by name."""
    accounts: dict[Name, AccountModel] = Field(default_factory=dict)
    """Customers, by the id that events carry as `subject`."""
    payouts: PayoutsModel | None = None
    """Who is paid."""
