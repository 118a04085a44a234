"""A publication carries all that a replay needs, as canonical bytes, and compiles to what was written."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.catalog.builders import GOOD, good
from unitrate.catalog.compiled import DAY_US, Agreement, Credit, Fee, Price, Rule, Subscription, Tier
from unitrate.catalog.publication import compile_publication, publication
from unitrate.catalog.source import load_text
from unitrate.errors import CatalogError, LogError

HOUR_US = 3_600_000_000
MINIMAL = """\
catalog: a
effective: 2026-10-01T00:00:00Z
currency: USD
meters:
  run: {unit: run, workflow: r}
  ticket: {unit: ticket, workflow: t, key: ticket_id}
  chat: {unit: conversation, workflow: c, key: chat_id, end: {idle: 1h}}
"""


def day(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 86_400


def test_the_same_version_gives_the_same_bytes() -> None:
    """Read twice, published twice: one text."""
    assert publication(good()) == publication(load_text(GOOD)[0])


def test_the_bytes_do_not_depend_on_the_process() -> None:
    """Another interpreter with other hash seeds writes the same bytes."""
    program = (
        "import hashlib, sys; from unitrate.catalog.publication import publication;"
        "from unitrate.catalog.source import load_text;"
        "print(hashlib.sha256(publication(load_text(sys.stdin.read())[0])).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            input=GOOD,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "src", "TZ": "Asia/Tokyo"},
        ).stdout
        for seed in ("1", "2")
    }
    assert digests == {compile_publication(publication(good())).sha256 + "\n"}


def test_how_a_catalog_is_written_does_not_change_what_is_published() -> None:
    """Remarks, order of keys, 0.40 or 0.4, a list of one: the same publication."""
    other = GOOD.replace("rate: 0.40", "rate: 0.4").replace("by: size", "by: [size]").replace("35d", "840h")
    lines = other.splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    assert publication(load_text("# a remark\n" + "".join(lines))[0]) == publication(good())


def test_decimals_are_texts_and_nothing_is_a_float() -> None:
    """A JSON float would lose what was written."""

    def refuse(text: str) -> float:
        raise AssertionError(f"a float: {text}")

    content = json.loads(publication(good()), parse_float=refuse)
    assert content["catalog"]["plans"]["growth"]["fees"][0]["amount"] == "499"
    assert content["catalog"]["costs"]["fx"] == {"EUR": "1.0832"}


def test_a_publication_is_far_below_the_size_of_a_record() -> None:
    """With the price book and a time zone: less than a quarter of 2 MiB."""
    assert len(publication(good())) < 512 * 1024


def test_ten_thousand_customers_fit_into_one_record() -> None:
    """What the month-end issue asks for."""
    accounts = "".join(f"  customer-{i}: {{plan: p, from: 2026-10-01}}\n" for i in range(10_000))
    text = MINIMAL + "plans: {p: {version: 1}}\naccounts:\n" + accounts
    assert len(publication(load_text(text)[0])) < 1024 * 1024


def test_a_catalog_that_is_too_large_for_a_record_is_an_error_with_a_fix() -> None:
    """Better than a record that the broker refuses."""
    accounts = "".join(f"  customer-{i}: {{name: {'x' * 200}}}\n" for i in range(8_000))
    version = load_text(MINIMAL + "accounts:\n" + accounts)[0]
    with pytest.raises(
        CatalogError, match=r"catalog.yaml:8:1  accounts   the catalog takes .* are the limit; move"
    ):
        publication(version)


def test_defaults_are_those_of_the_contract() -> None:
    """Ruling 5: ends, silence, age and settling by kind of unit."""
    meters = compile_publication(publication(load_text(MINIMAL)[0])).meter_by_name
    run, ticket, chat = meters["run"], meters["ticket"], meters["chat"]
    assert sorted(run.end_on) == ["work.cancelled", "work.completed", "work.failed"]
    assert (run.idle_us, run.max_age_us, run.settle_us) == (24 * HOUR_US, 30 * DAY_US, 24 * HOUR_US)
    assert (list(ticket.end_on), ticket.idle_us) == (["work.closed"], 72 * HOUR_US)
    assert (list(chat.end_on), chat.idle_us, chat.max_age_us) == (["work.closed"], HOUR_US, 30 * DAY_US)
    assert (run.key, ticket.key) == (None, "ticket_id")


def test_a_settle_time_of_nothing_is_kept() -> None:
    """`settle: 0h` is no missing value."""
    text = MINIMAL.replace("{unit: run,", "{unit: run, settle: 0h,")
    assert compile_publication(publication(load_text(text)[0])).meter_by_name["run"].settle_us == 0


def test_meters_compile_in_their_order_and_whole() -> None:
    """Sizes, rules and windows of the full catalog."""
    catalog = compile_publication(publication(good()))
    assert [meter.name for meter in catalog.meters] == ["review", "lead", "tool"]
    review, lead, tool = catalog.meters
    assert (review.workflows, review.match, review.key) == (
        ("contract-review",),
        (("region", "eu"),),
        "document_id",
    )
    assert review.sizes is not None
    assert review.sizes.tiers == (("light", Decimal(10)), ("heavy", Decimal(500)), ("oversize", None))
    assert review.rules[:2] == (
        Rule("test", Decimal(0)),
        Rule("duplicate", Decimal(0), by=("sha256",), within_us=24 * HOUR_US),
    )
    assert review.rules[3:] == (Rule("partial", "prorata"), Rule("size", Decimal(1), size="oversize"))
    assert lead.terms_required
    assert lead.accept is not None
    assert lead.reverse is not None
    assert (lead.accept.within_us, lead.accept.otherwise_full) == (14 * DAY_US, False)
    assert sorted(lead.reverse.on) == ["work.rejected", "work.reopened"]
    assert lead.reverse.within_us == 30 * DAY_US
    assert tool.each is not None
    assert (tool.each.type, tool.each.operation) == ("ai.request", "tool")


def test_plans_compile_with_exact_prices() -> None:
    """Every amount is the Decimal that was written."""
    plan = compile_publication(publication(good())).plans["growth"]
    reviews, tools, leads = plan.charges
    assert plan.version == 3
    assert plan.fees == (Fee("Platform", Decimal(499), monthly=True, prorate=True),)
    assert list(reviews.prices) == [("light",), ("heavy",), ("default",)]
    assert reviews.prices["light",] == Price("unit", rate=Decimal("0.40"))
    assert reviews.prices["heavy",].tiers == (
        Tier(Decimal(1000), Decimal("0.90")),
        Tier(None, Decimal("0.75")),
    )
    assert [reviews.minimum, reviews.maximum, reviews.included] == [Decimal(200), Decimal(5000), Decimal(500)]
    assert reviews.rules == (
        Rule("failed", Decimal("0.5"), agreed=Agreement("order 118", day("2026-09-01"))),
    )
    assert tools.prices == {(): Price("cost_plus", markup=Decimal("0.40"), per_unit=Decimal("0.10"))}
    assert leads.prices == {(): Price("package", package_size=Decimal(10), package_price=Decimal(50))}
    assert leads.per == Decimal(1)
    assert leads.round == "up"
    assert leads.of is None


def test_nested_prices_compile_to_one_entry_a_combination() -> None:
    """`by` as a list: the path through the nested maps, in the order written."""
    text = MINIMAL + (
        "plans: {p: {version: 1, charges: [{name: c, meter: run, by: [region, workspace], prices: "
        "{eu: {b: {model: unit, rate: 2}, a: {model: unit, rate: 1}}, "
        "default: {default: {model: unit, rate: 3}}}}]}}\n"
    )
    charge = compile_publication(publication(load_text(text)[0])).plans["p"].charges[0]
    assert charge.by == ("region", "workspace")
    assert list(charge.prices) == [("eu", "b"), ("eu", "a"), ("default", "default")]


def test_accounts_compile_with_plans_terms_and_credits() -> None:
    """In days since 1970, in the account's zone."""
    accounts = compile_publication(publication(good())).accounts
    acme, beta = accounts["acme/eu"], accounts["beta"]
    assert acme.subscriptions == (Subscription("growth", day("2026-10-10"), day("2026-12-31")),)
    assert (acme.zone.name, list(acme.internal_workspaces), acme.name) == ("Europe/Berlin", ["q"], "acme/eu")
    assert [(s.from_day, s.to_day) for s in beta.subscriptions] == [
        (day("2026-10-01"), day("2026-10-15")),
        (day("2026-10-16"), None),
    ]
    assert beta.terms == {"lead": Agreement("email", day("2026-10-02"))}
    assert beta.credits == (Credit("Launch", Decimal(100), day("2026-10-01"), day("2026-12-31"), 1),)


def test_what_the_engine_does_not_act_on_is_kept_as_json() -> None:
    """Payouts, issuer, alerts, top-ups and billing wait for the month-end commands."""
    extra = compile_publication(publication(good())).extra
    assert extra["payouts"]["platform_fee"] == "0.2"
    assert extra["payouts"]["builders"][0]["workflows"] == ["contract-review", "qualify"]
    assert extra["issuer"]["address"] == ["Main St 1", "10115 Berlin"]
    assert extra["plans"]["growth"]["alerts"] == [{"on": "included", "at": ["0.8", "1"]}]
    assert extra["plans"]["growth"]["top_ups"][0]["expires_us"] == 90 * DAY_US
    assert extra["billing"]["beta"]["tax"] == {"name": "VAT", "rate": "0.19", "note": None}


def test_costs_compile_with_own_prices_over_the_book() -> None:
    """An own price, an alias and the book's price each give their cost."""
    costs = compile_publication(publication(good())).costs
    at = good().effective_us
    own = costs.rates("Google AI Studio", "gemini-3-pro-preview", at)
    book = costs.rates("anthropic", "claude-sonnet-4-5", at)
    assert own is not None
    assert book is not None
    assert own.cost_pico({"input_tokens": 1_000_000, "output_tokens": 500_000}) == 8 * 10**12
    assert (book.cost_pico({"input_tokens": 1_000_000}) or 0) > 0
    assert costs.converted_pico(Decimal(2), "EUR") == 2_166_400_000_000


@pytest.mark.parametrize(("currency", "digits"), [("USD", 2), ("JPY", 0), ("KWD", 3)])
def test_minor_units_follow_the_currency(currency: str, digits: int) -> None:
    """ISO 4217: the yen has none, the Kuwaiti dinar three."""
    text = MINIMAL.replace("currency: USD", f"currency: {currency}")
    assert compile_publication(publication(load_text(text)[0])).minor_digits == digits


def test_a_publication_of_a_later_format_is_refused() -> None:
    """An older release must not guess."""
    data = publication(good()).replace(b'"format":1', b'"format":2')
    with pytest.raises(LogError, match="format 2, this version reads 1; upgrade unitrate"):
        compile_publication(data)


def test_compiling_needs_no_package_of_the_edge() -> None:
    """A replay reads bytes alone: no YAML, no pydantic, no price book, no time-zone data."""
    program = (
        "import sys; from unitrate.catalog.compiling import compile_publication;"
        "compile_publication(sys.stdin.buffer.read());"
        "print([m for m in ('pydantic', 'ruamel', 'genai_prices', 'zoneinfo', 'tzdata') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=publication(good()),
        capture_output=True,
        check=True,
        env={"PYTHONPATH": "src"},
    )
    assert done.stdout == b"[]\n"
