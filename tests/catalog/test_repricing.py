"""What the corrected file of a published catalog may change, and what follows it."""

from __future__ import annotations

import json

import pytest

from unitrate.catalog.history import follow_problems, is_published
from unitrate.catalog.publication import publication
from unitrate.catalog.repricing import Period, corrected_catalogs, record, repriced
from unitrate.catalog.resolve import resolve
from unitrate.catalog.source import Version, load_text
from unitrate.errors import CatalogError

PUBLISHED = """\
catalog: 2026-10
effective: 2026-10-01T00:00:00Z
currency: USD
timezone: UTC
costs: {models: [{provider: p, model: m, input: 1.00}]}
meters:
  m: {unit: run, workflow: w, settle: 1h}
  n: {unit: run, workflow: v}
plans:
  p:
    version: 3
    minimum: 5
    fees: [{name: f, amount: 9, when: monthly}]
    charges:
      - {name: c, meter: m, by: workspace, prices: {a: {model: unit, rate: 0.4}, b: {model: unit, rate: 0.5}}}
      - {name: d, meter: n, price: {model: cost_plus, markup: 0.10}}
    top_ups: [{name: t, amount: 1, grants: {credit: 2}}]
  q: {version: 1, charges: []}
accounts:
  k: {plan: p, from: 2026-10-01}
"""
LATER = PUBLISHED.replace("2026-10\n", "2026-11\n").replace("effective: 2026-10", "effective: 2026-11")


def version(text: str) -> Version:
    return load_text(text)[0]


def changed(old: str, new: str) -> str:
    assert PUBLISHED.count(old) == 1
    return PUBLISHED.replace(old, new)


def a_rerate(text: str, number: int = 1, before: tuple[bytes, ...] = ()) -> bytes:
    """The record that corrects the published catalog to this text."""
    (now,) = corrected_catalogs([publication(version(PUBLISHED))], before)
    plans = repriced(version(text), now)
    return json.dumps(record(number, "2026-10", plans, Period(), "mia", "why")).encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rate: 0.4", "rate: 0.45"),
        ("{model: unit, rate: 0.5}", "{model: package, size: 10, price: 4.00}"),
        ("name: c, meter: m", "name: c, meter: m, included: 7, per: 10, round: up, minimum: 1, maximum: 9"),
        ("markup: 0.10", "margin: 0.20, per_unit: 0.01"),
        ("minimum: 5", "minimum: 6"),
        ("{name: f, amount: 9, when: monthly}", "{name: g, amount: 8, when: once}"),
    ],
)
def test_what_a_plan_charges_may_change(old: str, new: str) -> None:
    """Prices, tiers, included usage, conversion, minimums, maximums, fees."""
    found = repriced(version(changed(old, new)), resolve(version(PUBLISHED).model))
    assert list(found) == ["p"]


def test_the_published_text_changes_nothing() -> None:
    assert repriced(version("# a remark\n" + PUBLISHED), resolve(version(PUBLISHED).model)) == {}


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("effective: 2026-10-01", "effective: 2026-10-02", "2:12  effective"),
        ("input: 1.00", "input: 2.00", "5:17  costs.models"),
        ("settle: 1h", "settle: 2h", "7:6  meters.m"),
        ("version: 3", "version: 4", "11:14  plans.p.version"),
        ("name: c, meter: m", "name: x, meter: m", "15:16  plans.p.charges[0].name"),
        ("name: c, meter: m", "name: c, meter: n", "15:26  plans.p.charges[0].meter"),
        ("name: c, meter: m", "name: c, meter: m, of: pages", "15:33  plans.p.charges[0].of"),
        ("by: workspace", "by: workflow", "15:33  plans.p.charges[0].by"),
        ("a: {model: unit", "x: {model: unit", "15:52  plans.p.charges[0].prices"),
        ("{model: cost_plus, markup: 0.10}", "{model: unit, rate: 1}",
         "16:44  plans.p.charges[1].price.model"),
        ("markup: 0.10}}", "markup: 0.10}}\n      - {name: e, meter: m, price: {model: unit, rate: 1}}",
         "17:9  plans.p.charges[2]"),
        ("credit: 2", "credit: 3", "17:14  plans.p.top_ups"),
        ("  q: {version: 1, charges: []}\n", "", "9:1  plans.q"),
        ("k: {plan: p", "k: {plan: q", "20:6  accounts.k"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_its_place(old: str, new: str, place: str) -> None:
    """It would decide units otherwise, or other customers' plans: that needs a new version."""
    with pytest.raises(CatalogError) as raised:
        repriced(version(changed(old, new)), resolve(version(PUBLISHED).model))
    (line,) = raised.value.problems
    assert line.startswith(f"catalog.yaml:{place}   ")
    assert line.endswith('; a re-rate of "2026-10" corrects prices alone: publish a new version')


def test_a_corrected_file_counts_as_published_and_so_does_the_first() -> None:
    """A nightly `run --catalog` goes on with either; a third content is refused."""
    published, right = [publication(version(PUBLISHED))], changed("rate: 0.4", "rate: 0.45")
    assert not is_published(version(right), published)
    rerates = [a_rerate(right)]
    assert is_published(version(right), published, rerates)
    assert is_published(version(PUBLISHED), published, rerates)
    assert not is_published(version(changed("rate: 0.4", "rate: 0.46")), published, rerates)


def test_a_later_catalog_has_the_corrected_prices() -> None:
    """The same plan version with the wrong ones would be another content."""
    published, rerates = [publication(version(PUBLISHED))], [a_rerate(changed("rate: 0.4", "rate: 0.45"))]
    assert follow_problems(version(LATER.replace("0.4", "0.45")), published, None, rerates) == []
    (line,) = follow_problems(version(LATER), published, None, rerates)
    assert 'plans.p.version   3 has other content in "2026-10"' in line


def test_a_second_re_rate_is_held_against_the_first() -> None:
    """It says what differs from the prices as they are now."""
    first = a_rerate(changed("rate: 0.4", "rate: 0.45"))
    again = json.loads(a_rerate(PUBLISHED, 2, (first,)))
    assert list(again["plans"]) == ["p"]
    assert again["number"] == 2
