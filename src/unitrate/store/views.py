"""Views for a person with a SQL prompt: the common questions, already deduplicated and summed exactly.

Owns their names and texts. The sums are those of `queries`, so a view and a report never disagree. A view
keeps the columns of its tables at its creation: a step that adds some to `units` or `events` makes it anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from unitrate.rows import USAGE
from unitrate.store import booked, queries, sharing
from unitrate.store.schema import quoted

_MONEY = "toDecimal256({name}, 12) / toDecimal256(1000000000000, 0) AS {name}"
_DEDUPED = "do_not_merge_across_partitions_select_final = 1"


@dataclass(frozen=True, slots=True)
class View:
    name: str
    comment: str
    select: str


def create_view(view: View, database: str) -> str:
    """The view's CREATE statement; running it again brings it up to date."""
    return (
        f"CREATE OR REPLACE VIEW `{database}`.`{view.name}` AS\n{view.select.strip()}\n"
        f"COMMENT {quoted(view.comment)}"
    )


def views() -> tuple[View, ...]:
    """All views, by what they answer."""
    sums = ", ".join(f"sum(toUInt64({name})) AS {name}" for name in USAGE)
    return (
        View(
            "margin",
            "Units, requests, revenue, cost and margin of a month by everything a unit has. "
            "SELECT meter, sum(revenue), sum(cost), sum(margin) FROM margin(period = 202511) GROUP BY meter",
            _margin(booked.UNIT_COLUMNS),
        ),
        View(
            "margin_by_request",
            "The same, also by provider, model, operation and day: a unit's money is shared over its "
            "requests by cost; the unit itself counts in every row that it has a part in. "
            "SELECT model, sum(revenue), sum(cost) FROM margin_by_request(period = 202511) GROUP BY model",
            _margin((*booked.UNIT_COLUMNS, *sharing.REQUEST_COLUMNS)),
        ),
        View(
            "usage",
            "Requests, tokens and cost by UTC day of the request; whatever became of the unit",
            f"""
SELECT toYYYYMM(time) AS month, toDate(time, 'UTC') AS day, account, workspace, workflow, meter,
       provider, model, operation, status, count() AS requests, {sums}, sum(toDecimal256(cost, 12)) AS cost,
       countIf(unpriced) AS unpriced_requests
FROM events FINAL WHERE type = 'ai.request'
GROUP BY ALL
SETTINGS {_DEDUPED}""",
        ),
        View(
            "billed",
            "What each charge bills in a month, by price: the figures of an invoice's usage lines",
            """
SELECT bill_month, usage_month, account, meter, plan, plan_version, charge, price_value,
       sum(toDecimal256(units, 12)) AS billed_units, sum(toDecimal256(quantity, 12)) AS billed_quantity,
       sum(toDecimal256(included_after, 12) - toDecimal256(included_before, 12)) AS included,
       sum(toDecimal256(amount, 12)) AS billed_amount
FROM lines FINAL
GROUP BY ALL""",
        ),
        View(
            "unit",
            "Units as they are now, with their margin",
            "SELECT *, toDecimal256(revenue, 12) - toDecimal256(cost, 12) AS margin FROM units FINAL",
        ),
        View(
            "request",
            "The ledger of accepted events, each once",
            f"SELECT * FROM events FINAL SETTINGS {_DEDUPED}",
        ),
        View(
            "rejected",
            "Rejected events that were not taken again",
            """
SELECT * FROM rejected_events FINAL
WHERE (partition, offset) NOT IN (SELECT partition, offset FROM retried_events)""",
        ),
    )


def _margin(by: tuple[str, ...]) -> str:
    """A report's rows as a view with the parameter `period`; amounts as decimals."""
    columns = ", ".join(f"`{name}`" for name in by)
    figures = ", ".join(_MONEY.format(name=name) for name in ("billable_quantity", "revenue", "cost"))
    text = queries.report_sql(by).replace("{account:String}", "''")
    return f"SELECT {columns}, units, requests, {figures}, revenue - cost AS margin FROM ({text})"
