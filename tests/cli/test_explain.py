"""`unitrate explain`: from a bill to its requests, and the numbers add up (I8)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.cli.builders import CATALOG, a_document, a_store, an_event
from unitrate.billing.invoice import derived_invoice_id
from unitrate.cli import main
from unitrate.explain import explain_unit
from unitrate.listing import UnitFilter, unit_rows
from unitrate.published import timeline
from unitrate.store import open_store

Ask = Callable[..., str]  # a question's stdout

RICH = """\
catalog: 2025-11
effective: 2025-11-01T00:00:00Z
currency: USD
timezone: UTC
costs:
  models:
    - {provider: acme-ai, model: "big*", input: 2.00, cache_read: 0.20, output: 10.00}
    - {provider: acme-gpu, model: "*", image: 0.004, search: 0.0137}
meters:
  review:
    unit: document
    workflow: review
    key: document_id
    settle: 24h
    attributes: {pages: max}
    sizes: {by: pages, tiers: [{name: light, up_to: 10}, {name: heavy}]}
    policy:
      - {when: duplicate, by: [sha256], within: 24h, charge: none}
      - {when: partial, charge: prorata}
  lead:
    unit: outcome
    workflow: leads
    accept: {on: work.accepted, within: 1d, otherwise: none}
    reverse: {on: [work.rejected], within: 30d}
plans:
  growth:
    version: 1
    charges:
      - name: Reviews
        meter: review
        by: size
        included: 1
        prices:
          light: {model: unit, rate: 0.40}
          heavy: {model: graduated, tiers: [{up_to: 2, rate: 2.50}, {rate: 2.00}]}
          default: {model: unit, rate: 1.20}
        maximum: 5.00
      - {name: Leads, meter: lead, price: {model: cost_plus, markup: 0.40, per_unit: 0.10}}
accounts:
  acme: {name: Acme, plan: growth, from: 2025-11-01}
"""


def rich_events() -> Iterable[dict[str, Any]]:
    """Documents of several fates and sizes, leads with verdicts, a provider's own bill, items and retries."""
    for number, (pages, usage) in enumerate([(3, 1000), (20, 77_777), (30, 5), (40, 1), (5, 12_345)]):
        yield from a_document(
            f"d{number}", f"09:{number * 2:02d}", usage={"input_tokens": usage, "output_tokens": usage // 7},
            attributes={"document_id": f"d{number}", "pages": pages},
        )  # fmt: skip
    yield an_event("p1", "10:00", run="p", document="p")
    yield an_event("p2", "10:01", kind="work.completed", run="p", document="p", completion="0.25")
    yield an_event("f1", "10:10", run="f", document="f", status="error")
    yield an_event("f2", "10:11", kind="work.failed", run="f", document="f")
    yield an_event("f3", "10:12", run="f-again", document="f", retry_of="f")
    yield an_event("f4", "10:13", kind="work.failed", run="f-again", document="f")
    yield an_event("t1", "10:20", run="t", document="t", mode="test")
    yield an_event("t2", "10:21", kind="work.completed", run="t", document="t")
    lead: dict[str, Any] = {"workflow": "leads", "attributes": {}}
    for name, verdict in (("l1", "work.accepted"), ("l2", "work.rejected"), ("l3", "")):
        billed: dict[str, Any] = {"cost": {"amount": "0.5", "currency": "USD"}} if name == "l1" else {}
        yield an_event(f"{name}-1", "11:00", run=name, **lead, **billed)
        yield an_event(
            f"{name}-2",
            "11:01",
            run=name,
            provider="acme-gpu",
            model="x",
            usage={"images": 3, "searches": 1},
            **lead,
        )
        yield an_event(f"{name}-3", "11:02", kind="work.completed", run=name, **lead)
        if verdict:
            yield an_event(f"{name}-4", "11:30", kind=verdict, run=name, **lead)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return a_store(tmp_path_factory.mktemp("explain"), rich_events(), RICH)


@pytest.fixture
def ask(store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """A question to the store (named by the environment); its stdout, after exit 0."""
    monkeypatch.setenv("UNITRATE_STORE", store)

    def asked(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    return asked


def explained(ask: Ask, what: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(ask("explain", what, "--all", "--format", "json"))
    return document


def test_every_unit_is_explained_down_to_requests_that_add_up(store: str) -> None:
    """I8: the lines add up to the revenue, the requests and the usage classes to the cost, for every unit."""
    with open_store(store, command="test") as books:
        catalogs = timeline(books)
        units, count = unit_rows(books, UnitFilter())
        documents = [explain_unit(books, catalogs, unit["unit_id"]).document(2, every=True) for unit in units]
    assert count == 11
    for unit, found in zip(units, documents, strict=True):
        cost = found["cost"]
        assert found["differences"] == []
        assert sum(Decimal(line["amount"]) for line in found["lines"]) == unit["revenue"]
        assert sum(Decimal(request["cost"]) for request in found["requests"]) == unit["cost"]
        assert len(found["requests"]) == unit["requests"] == found["requests_in_all"]
        classes = sum(Decimal(entry["amount"]) for entry in cost["classes"])
        parts = classes + Decimal(cost["rounding"]) + Decimal(cost["billed_difference"])
        assert parts == Decimal(cost["total"]) == unit["cost"]
        for line in found["lines"]:
            assert Decimal(line["rated_after"]) - Decimal(line["rated_before"]) == Decimal(line["amount"])


def test_every_class_is_its_quantity_times_its_rate(ask: Ask) -> None:
    """77,777 × 2 per million and 11,111 × 10 per million."""
    classes = explained(ask, "d1")["cost"]["classes"]
    assert [(c["usage"], c["quantity"], c["rate"], c["per"], c["amount"]) for c in classes] == [
        ("input_tokens", "77777", "2", 1_000_000, "0.155554"),
        ("output_tokens", "11111", "10", 1_000_000, "0.11111"),
    ]


def test_an_invoice_is_explained_down_to_units_that_add_up(ask: Ask) -> None:
    """Each usage line: the exact amounts of its units, rounded once."""
    found = explained(ask, derived_invoice_id("acme", 202511))
    assert found["kind"] == "invoice"
    for line in found["lines"]:
        exact = sum(Decimal(unit["amount"]) for unit in line["units"])
        assert exact == Decimal(line["exact"])
        assert abs(exact - Decimal(line["amount"])) <= Decimal("0.005")
        assert len(line["units"]) == line["units_in_all"]


def test_a_billed_unit_as_a_tree(ask: Ask) -> None:
    """Why, when, price with its arithmetic, cost by class, margin, requests, and the next command."""
    assert (
        ask("explain", "d2")
        == f"""\
acme · review · d2                                                    billed 2.50 USD, November 2025
├─ why              document: completed, and no rule is against it
├─ started … ended  2025-11-03 09:04:00 … 09:05:00 UTC, ended by work.completed
├─ price            plan growth v1, charge Reviews, catalog 2025-11
│                   2nd unit of the month at heavy: tier up to 2 at 2.50
│                   f(2) − f(1) = 5.00 − 2.50 = 2.50
├─ cost             0.00001 USD = 1 request (acme-ai big-1)
│                     uncached input  5 × 2.00/M  0.00001
│                   price book genai-prices {version("genai-prices")}, own prices first
├─ margin           2.50 USD, 100.0 % of the price, markup 24999900.0 % on the cost
└─ requests         d2-1  09:04:00  5 in / 0 out  0.00001

Next:  unitrate invoice --period 2025-11 --account acme   the invoice that it is on
"""
    )


WHY = [
    ("d0", "document: completed, and no rule is against it"),
    ("p", "document: completed; rule when: partial, charge: prorata"),
    ("f", "not billed: it failed (the default: failed does not bill)"),
    ("t", "not billed: test traffic (the default: test does not bill)"),
    ("l1", "outcome: accepted by work.accepted 2025-11-03 11:30:00 (accept, within 1 d)"),
    ("l2", "not billed: rejected 2025-11-03 11:30:00 (the default: rejected does not bill)"),
    ("l3", "held: waiting for a verdict within 1 d of its end"),
]


@pytest.mark.parametrize(("key", "why"), WHY, ids=[key for key, _ in WHY])
def test_the_rule_or_verdict_that_decided_is_named(ask: Ask, key: str, why: str) -> None:
    """A sentence for every fate."""
    assert explained(ask, key)["why"][0] == why


def test_a_price_that_the_maximum_cuts_is_explained(ask: Ask) -> None:
    """Two heavy documents reach the month's 5.00: the third bills nothing."""
    (line,) = explained(ask, "d3")["lines"]
    assert line["amount"] == "0.00"
    assert "its maximum of 5.00 a month: 5.00 − 5.00 = 0.00" in line["arithmetic"]


def test_a_providers_own_bill_is_told_apart_from_the_computed_cost(ask: Ask) -> None:
    """0.50 was billed where 0.20 computes; the bill counts, both are shown."""
    cost = explained(ask, "l1")["cost"]
    assert (cost["billed"], cost["billed_requests"], cost["billed_difference"]) == ("0.50", 1, "0.30")
    text = ask("explain", "l1")
    assert "billed by the provider for 1 request: 0.50, 0.30 above computed: the bill counts" in text
    assert "f(cost 0.5257) − f(cost 0.00) = 0.83598 − 0.00 = 0.83598" in text


def test_a_unit_can_be_named_in_every_way(ask: Ask) -> None:
    """By id, key, line id, or one of its runs."""
    unit = explained(ask, "d1")["unit"]
    line = explained(ask, "d1")["lines"][0]["line_id"]
    for what in (unit["unit_id"], line):
        assert explained(ask, what)["unit"] == unit
    assert explained(ask, "f-again")["unit"]["key"] == "f"
    assert "├─ this line " in ask("explain", line)


def test_the_first_requests_are_shown_and_all_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five, and how many more there are."""
    events = [an_event(f"e{n}", f"09:{n:02d}") for n in range(8)]
    books = a_store(tmp_path, events, CATALOG)
    capsys.readouterr()
    assert main(["explain", "--store", books, "d1"]) == 0
    few = capsys.readouterr().out
    assert "(3 more: --all)" in few
    assert "e5  " not in few
    assert main(["explain", "--store", books, "d1", "--all"]) == 0
    every = capsys.readouterr().out
    assert "more: --all" not in every
    assert "e7  " in every
    assert "not decided yet: it has not ended" in every


def test_a_key_that_several_units_have_needs_an_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the units."""
    events = [*a_document("d1", "09:00"), *a_document("d1", "10:00", account="idle")]
    books = a_store(tmp_path, [event | {"subject": event["subject"]} for event in _two_accounts(events)])
    capsys.readouterr()
    assert main(["explain", "--store", books, "d1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith('unitrate: 2 units are called "d1"; explain one by its id: ')
    assert "(acme, review)" in error
    assert "(idle, review)" in error


def _two_accounts(events: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for at, event in enumerate(events):
        yield event | {"subject": "acme" if at < 2 else "idle"}


def test_what_is_called_nothing_is_an_error(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and where names are found."""
    assert main(["explain", "--store", store, "zz"]) == 2
    assert capsys.readouterr().err == (
        f'unitrate: no unit, line, invoice or run is called "zz" in {store}; '
        f"unitrate units --store {store} lists the units\n"
    )


def test_a_model_that_is_priced_later_is_explained_with_the_later_price(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held as unpriced; a later catalog prices the model, the unit bills, and its costs add up."""
    unpriced = CATALOG.replace('model: "big*"', 'model: "small*"')
    books = a_store(tmp_path, a_document("d1", "09:00", model="nobody-knows-big"), unpriced)
    capsys.readouterr()
    assert main(["explain", "--store", books, "d1"]) == 0
    assert "1 request unpriced: the cost is not known" in capsys.readouterr().out
    later = CATALOG.replace("catalog: 2025-11", "catalog: later").replace("2025-11-01T00", "2025-11-04T00")
    (tmp_path / "later.yaml").write_text(later.replace('"big*"', '"*big"'), encoding="utf-8")
    assert main(["publish", str(tmp_path / "later.yaml"), "--store", books]) == 0
    capsys.readouterr()
    assert main(["explain", "--store", books, "d1"]) == 0
    text = capsys.readouterr().out
    assert "1 request had no price at first; a later catalog brought it" in text
    assert "uncached input  100,000 × 2.00/M  0.20" in text


def test_a_bill_in_a_currency_whose_rate_comes_later_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0.50 EUR without a rate is held; a later catalog brings 1.10: 0.55 USD in a line of its own."""
    bill = {"cost": {"amount": "0.50", "currency": "EUR"}}
    books = a_store(tmp_path, a_document("d1", "09:00", **bill))
    later = CATALOG.replace("catalog: 2025-11", "catalog: later").replace("2025-11-01T00", "2025-11-04T00")
    later = later.replace("costs:\n", "costs:\n  fx: {EUR: 1.10}\n")
    (tmp_path / "later.yaml").write_text(later, encoding="utf-8")
    assert main(["publish", str(tmp_path / "later.yaml"), "--store", books]) == 0
    capsys.readouterr()
    assert main(["explain", "--store", books, "d1"]) == 0
    assert "billed in another currency  0.55\n" in capsys.readouterr().out
