"""`unitrate estimate`: what assumed customers would pay, cost and leave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unitrate.cli import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "estimate"
CATALOG = """
catalog: c1
effective: 2026-01-01T00:00:00Z
currency: USD
costs:
  models: [{provider: p, model: m, input: 1.00, output: 2.00}]
meters:
  review: {unit: document, workflow: review, key: document_id, long: {requests: 10}}
  pages: {unit: document, workflow: pages}
  free: {unit: run, workflow: free}
plans:
  basic:
    version: 2
    minimum: 30.00
    fees: [{name: Setup, amount: 500, when: once}, {name: Base, amount: 10, when: monthly}]
    charges:
      - {name: Reviews, meter: review, included: 5, price: {model: unit, rate: 2.00}, maximum: 100.00}
      - {name: Pages, meter: pages, of: pages, price: {model: cost_plus, markup: 1, per_unit: 0.01}}
"""
CALLS = "provider: p, model: m, usage: {input_tokens: 100000, output_tokens: 50000}"  # 0.20 a call


def asked(tmp_path: Path, work: str, *options: str, plan: str = "basic") -> int:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    (tmp_path / "assume.yaml").write_text(f"customers:\n  normal:\n{work}")
    files = [str(tmp_path / "catalog.yaml"), "--plan", plan, "--assume", str(tmp_path / "assume.yaml")]
    return main(["estimate", *files, *options])


def normal(tmp_path: Path, capsys: pytest.CaptureFixture[str], work: str) -> dict[str, object]:
    """The one customer of the answer."""
    capsys.readouterr()
    assert asked(tmp_path, work, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["plan_version"], found["once"]) == (2, "500.00")
    (one,) = found["customers"]
    return one


def test_a_month_is_an_invoice_and_the_cost_of_its_calls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """30 units, 5 included: 25 × 2.00; and the monthly fee. 32 units of 3 calls cost; 2 earn nothing."""
    one = normal(tmp_path, capsys, f"    - {{meter: review, units: 30, unbilled: 2, requests: 3, {CALLS}}}\n")
    assert (one["price"], one["cost"]) == ("60.00", "19.20")
    assert (one["margin"], one["margin_rate"]) == ("40.80", "0.680000")


def test_minimum_and_maximum_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan's minimum fills up, the charge's maximum caps."""
    assert normal(tmp_path, capsys, "    - {meter: review, units: 1, cost: 0}\n")["price"] == "40.00"
    assert normal(tmp_path, capsys, "    - {meter: review, units: 500, cost: 0}\n")["price"] == "110.00"


def test_a_charge_of_an_attribute_counts_it_and_cost_plus_takes_the_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """100 documents of 20 pages: 2,000 × 0.01 and twice the cost of 100 × 0.50."""
    work = "    - {meter: pages, units: 100, attributes: {pages: 20}, requests: 2, cost: 0.25}\n"
    one = normal(tmp_path, capsys, work)
    assert (one["price"], one["cost"]) == ("130.00", "50.00")


def test_long_units_count_more_than_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """11 calls make two of a unit that may have 10."""
    work = "    - {meter: review, units: 20, requests: 11, cost: 0}\n"
    assert normal(tmp_path, capsys, work)["price"] == "80.00"


def test_what_the_plan_does_not_bill_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = "    - {meter: free, units: 9, cost: 1}\n    - {meter: pages, units: 9, cost: 0}\n"
    one = normal(tmp_path, capsys, work)
    assert one["notes"] == [
        "no charge of the plan is on free: its units bill nothing",
        "Pages: counts pages, which the assumptions do not tell: bills nothing",
    ]
    assert one["cost"] == "9.00"


def test_the_example_gives_the_figures_of_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    """examples/estimate/README.md works out the normal customer by hand."""
    files = [str(EXAMPLE / "catalog.yaml"), "--plan", "growth", "--assume", str(EXAMPLE / "assumptions.yaml")]
    capsys.readouterr()
    assert main(["estimate", *files, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    one = next(c for c in found["customers"] if c["customer"] == "normal")
    assert (one["price"], one["cost"], one["margin"]) == ("271.50", "65.472", "206.028")
    assert main(["estimate", *files]) == 0
    assert "and once, in the first month: 500.00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (
            "{meter: reveiw, units: 1, cost: 1}",
            '3:15 customers.normal[0].meter "reveiw" is no meter of the catalog',
        ),
        ("{meter: review, units: -1, cost: 1}", "customers.normal[0].units must not be negative, is -1"),
        (
            "{meter: review, unit: 1, cost: 1}",
            'customers.normal[0].unit is no key here; did you mean "units"?',
        ),
        (
            "{meter: review, units: 1}",
            "tells no cost of a request; write provider, model and usage, or cost: 0.01",
        ),
        ("{meter: review, units: 1, size: big, cost: 1}", '"big" is no size of review: it has none'),
        (
            "{meter: review, units: 1, provider: p, model: m, usage: {input: 5}}",
            "usage.input is no count of a request",
        ),
        (
            "{meter: review, units: 1, provider: q, model: zz, usage: {input_tokens: 5}}",
            'nobody has priced "zz" of q for this usage',
        ),
        ("{meter: review, units: 0.1.2, cost: 1}", "must be a number"),
    ],
)
def test_an_assumption_that_does_not_fit_is_told_with_place_and_fix(
    work: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(tmp_path, f"    - {work}\n") == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1


def test_a_plan_that_there_is_not_is_told_with_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(tmp_path, "    - {meter: review, units: 1, cost: 1}\n", plan="gold") == 2
    assert 'catalog c1 has no plan "gold"; it has basic' in capsys.readouterr().err
