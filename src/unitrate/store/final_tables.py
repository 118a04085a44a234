"""Tables of what is final once a month is closed: invoices, their lines, uses of credits, payouts.

Owns their columns and keys. Only the month-end jobs write them; a row is never changed, so a job that writes
it again writes the same.
"""

from __future__ import annotations

from unitrate.rows import Column
from unitrate.store.schema import Table

INVOICES = (
    Column("period", "month", "the month"),
    Column("account", "code", "customer"),
    Column("control_seq", "int", "close record that made it final"),
    Column("partition", "small", "log partition of the account"),
    Column("issuer", "code", "who sends it: each issuer numbers its own"),
    Column("sequence", "int", "1, 2, 3 … of the issuer, without gaps"),
    Column("number", "str", "number on the invoice"),
    Column("invoice_id", "str", "derived from account and month"),
    Column("issued_at", "time", "log time of the close"),
    Column("currency", "code", "currency"),
    Column("minor_digits", "small", "decimals of the currency"),
    Column("subtotal", "money", "all lines but credits and tax"),
    Column("credits", "money", "credits that it used"),
    Column("tax", "money", "tax"),
    Column("total", "money", "what is due"),
    Column("plan_days", "small", "days of the month on which the account had a plan"),
    Column("catalog", "code", "last catalog version at the close"),
    Column("engine_version", "small", "rules of the engine at the close"),
    Column("hash", "str", "SHA-256 of the document"),
    Column("document", "str", "the whole invoice, canonical JSON"),
)
INVOICE_LINES = (
    Column("period", "month", "the month"),
    Column("account", "code", "customer"),
    Column("line", "small", "place on the invoice, from 1"),
    Column("control_seq", "int", "close record that made it final"),
    Column("invoice_id", "str", "invoice"),
    Column("kind", "code", "usage, fee, minimum, top_up, credit, adjustment or tax"),
    Column("of_kind", "code", "adjustments: kind of the line of the closed month"),
    Column("name", "str", "name on the invoice"),
    Column("of_name", "str", "name of the line that it bills or adjusts"),
    Column("meter", "code", "meter, empty where none"),
    Column("plan", "code", "plan, empty where none"),
    Column("plan_version", "small", "its version"),
    Column("quantity", "money?", "quantity; NULL where it has none"),
    Column("included", "money?", "of it included; NULL where it has none"),
    Column("amount", "money", "amount, rounded to the currency's minor unit"),
    Column("catalog", "code", "catalog version"),
    Column("late_from", "month", "adjustments: the closed month; else 0"),
)
CREDIT_MOVEMENTS = (
    Column("account", "code", "customer"),
    Column("credit_id", "str", "credit: catalog:NAME, or the top-up's grant id"),
    Column("period", "month", "month whose invoice it paid"),
    Column("control_seq", "int", "close record that made the invoice final"),
    Column("name", "str", "name of the credit"),
    Column("amount", "money", "what was used, above zero"),
    Column("invoice_id", "str", "invoice"),
    Column("moved_at", "time", "log time of the close"),
)
PAYOUTS = (
    Column("period", "month", "the month"),
    Column("kind", "code", "builder, provider, or period: the month as a whole"),
    Column("payee", "str", "builder or provider; empty for the month"),
    Column("control_seq", "int", "close record up to which account months are in it"),
    Column("payout_id", "str", "derived from month and payee"),
    Column("currency", "code", "currency"),
    Column("minor_digits", "small", "decimals of the currency"),
    Column("units", "int", "units"),
    Column("requests", "int", "requests"),
    Column("revenue", "money", "usage revenue"),
    Column("cost", "money", "cost"),
    Column("platform_fee", "money", "the platform's share"),
    Column("earnings", "money", "earnings of a builder, reward of a provider"),
    Column("carried_in", "money", "carried from earlier months"),
    Column("payout", "money", "what is paid"),
    Column("carried_out", "money", "carried to the next month"),
    Column("hash", "str", "SHA-256 of the document"),
    Column("document", "str", "the whole statement, canonical JSON"),
)
FINAL_TABLES = (
    Table(
        "invoices",
        INVOICES,
        "ReplacingMergeTree(`control_seq`)",
        ("period", "account"),
        "`period`",
        "Final invoices. An account's month without a row here has a draft only",
    ),
    Table(
        "invoice_lines",
        INVOICE_LINES,
        "ReplacingMergeTree(`control_seq`)",
        ("period", "account", "line"),
        "`period`",
        "Lines of final invoices, rounded",
    ),
    Table(
        "credit_movements",
        CREDIT_MOVEMENTS,
        "ReplacingMergeTree(`control_seq`)",
        ("account", "credit_id", "period"),
        "",
        "What final invoices used of credits; what is used is never restored",
    ),
    Table(
        "payouts",
        PAYOUTS,
        "ReplacingMergeTree(`control_seq`)",
        ("period", "kind", "payee"),
        "`period`",
        "Final payouts of builders and rewards of providers",
    ),
)
