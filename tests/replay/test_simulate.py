"""`unitrate simulate`: a month under another catalog is what a fresh run under that catalog would give."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.embedded.builders import CATALOG, an_event, traffic, versions
from tests.replay.builders import a_store, opened
from unitrate.cli import main
from unitrate.errors import InputError
from unitrate.replay.simulate import FateChange, Side, Simulation, simulate

DAY = 24 * 60
# Everything is different: prices, what ends a unit, what bills, and how units are formed.
OTHER = (
    CATALOG.replace("catalog: 2025-11", "catalog: other")
    .replace("included: 2", "included: 5")
    .replace("rate: 9.90", "rate: 12.50")
    .replace("otherwise: none", "otherwise: full")
    .replace("end: {idle: 30m}, settle: 1h}", "end: {idle: 90m}, settle: 3h}")
    .replace("markup: 0.4", "markup: 0.5")
)
ENDED = [an_event("e1", 0), an_event("e2", 1, type="work.completed")]


def simulated(path: Path, catalog: str, period: int = 202511) -> Simulation:
    with opened(path) as store:
        return simulate(store, versions(catalog)[0], period)


def long_traffic(seed: int, count: int = 900, days: int = 200) -> list[bytes]:
    """Events over many months, some of them late."""
    chance = random.Random(seed)
    lines = []
    for number in range(count):
        minute = days * DAY * number / count - chance.choice((0, 0, 0, 90, 3 * DAY))
        account, document = f"a{chance.randrange(3)}", f"d{number // 12}-{chance.randrange(3)}"
        kind = chance.choice(("ai.request",) * 5 + ("work.completed", "work.failed", "work.accepted"))
        flow = chance.choice(("review", "review", "lead", "tool"))
        attributes = {"document_id": document}
        lines.append(
            an_event(f"e{number}", max(minute, 0), type=kind, account=account, workflow=flow, run_id=document,
                     attributes=attributes)
        )  # fmt: skip
    return lines


@pytest.mark.parametrize("seed", [1, 2])
def test_under_the_same_catalog_nothing_changes(seed: int, tmp_path: Path) -> None:
    """Every figure and every fate is the store's, duplicates, late events and all."""
    found = simulated(a_store(tmp_path / "store", *traffic(seed, 1000)), CATALOG)
    assert found.now == found.next
    assert found.fates == ()
    assert found.now.revenue_pico > 0
    assert all(one.now == one.next for one in found.customers)


@pytest.mark.parametrize("seed", [3, 4])
def test_another_catalog_gives_what_a_fresh_run_gives(seed: int, tmp_path: Path) -> None:
    """Customer by customer, to the last digit."""
    lines = [
        line for line in traffic(seed, 1000) if b"work.accepted" not in line
    ]  # a verdict may find no unit
    found = simulated(a_store(tmp_path / "store", *lines), OTHER)
    fresh = simulated(a_store(tmp_path / "fresh", *lines, catalog=OTHER), OTHER)
    assert [(c.account, c.next) for c in found.customers] == [(c.account, c.now) for c in fresh.customers]
    assert found.next != found.now
    assert found.units[1] == fresh.units[0]


def test_a_month_in_the_middle_is_folded_with_what_it_needs_only(tmp_path: Path) -> None:
    """Runs that began earlier are in it; what can have no part in the month is not even read."""
    path = a_store(tmp_path / "store", *long_traffic(5))
    march = simulated(path, CATALOG, 202603)
    assert march.now == march.next
    assert march.now.cost_pico > 0
    assert march.fates == ()
    assert 200 < march.records < 700
    other = simulated(path, OTHER, 202603)
    fresh = simulated(a_store(tmp_path / "fresh", *long_traffic(5), catalog=OTHER), OTHER, 202603)
    assert other.next.revenue_pico > 0
    assert other.next.cost_pico == fresh.now.cost_pico


def test_a_catalog_of_next_month_applies_as_it_takes_effect(tmp_path: Path) -> None:
    """Its plans hold for the month's customers on the days on which they are customers."""
    later = OTHER.replace("effective: 2025-11-01", "effective: 2026-01-01").replace(
        "a0: {plan: basic, from: 2025-11-01}", "a0: {plan: basic, from: 2025-12-15}"
    )
    path = a_store(tmp_path / "store", *traffic(6, 600))
    assert simulated(path, later).next == simulated(path, OTHER).next


def test_units_whose_fate_changes_are_counted_with_the_reasons(tmp_path: Path) -> None:
    """A lead that nobody accepted bills under `otherwise: full`."""
    lead = {"workflow": "lead", "run_id": "l1"}
    lines = [
        an_event("e1", 0, **lead),
        an_event("e2", 1, type="work.completed", **lead),
        an_event("e3", 5 * DAY),
    ]
    found = simulated(a_store(tmp_path / "store", *lines), OTHER)
    assert found.fates == (FateChange(("not_billed", "unaccepted", ""), ("billable", "ok", ""), 1),)


def test_units_that_only_one_catalog_forms_are_told_apart(tmp_path: Path) -> None:
    """A meter that is not there any more makes no units."""
    without = CATALOG.replace(
        "  tool: {unit: action, workflow: tool, each: {type: ai.request}}\n", ""
    ).replace(
        "      - {name: Tools, meter: tool, price: {model: cost_plus, markup: 0.4, per_unit: 0.01}}\n", ""
    )
    found = simulated(a_store(tmp_path / "store", an_event("e1", workflow="tool")), without)
    assert found.fates == (FateChange(("billable", "ok", ""), None, 1),)
    assert found.next == Side(0, found.now.cost_pico, 0)


def test_what_fees_and_minimums_come_to_is_in_the_invoices_alone(tmp_path: Path) -> None:
    """Revenue is usage, as reports have it; what a customer pays has its monthly fee in it, no single one."""
    fees = "version: 1\n    fees: [{name: F, amount: 10, when: monthly}, {name: S, amount: 99, when: once}]"
    found = simulated(a_store(tmp_path / "store", *ENDED), OTHER.replace("version: 1", fees))
    assert (found.now.revenue_pico, found.next.revenue_pico) == (0, 0)
    assert (found.now.invoiced_minor, found.next.invoiced_minor) == (0, 3000)


def test_a_waived_unit_stays_waived(tmp_path: Path) -> None:
    """An operator's decision holds under every catalog."""
    lines = [an_event(f"e{n}", n, type="work.accepted" if n == 2 else kind, workflow="lead", run_id="l1")
             for n, kind in enumerate(("ai.request", "work.completed", ""))]  # fmt: skip
    path = a_store(tmp_path / "store", *lines, an_event("e9", 10, workflow="tool"))
    assert simulated(path, OTHER).next.revenue_pico > 12 * 10**12
    with opened(path) as store:
        for unit_id, account in store.query("SELECT unit_id, account FROM units FINAL").rows:
            store.command(
                "INSERT INTO corrections "
                "(account, unit_id, version, partition, corrected_at, action, who, why) "
                f"VALUES ('{account}', '{unit_id}', 9, 0, now(), 'waive', 'x', 'y')"
            )
    assert simulated(path, OTHER).next.revenue_pico == 0


def test_a_catalog_in_another_currency_is_refused(tmp_path: Path) -> None:
    path = a_store(tmp_path / "store", *ENDED)
    with pytest.raises(InputError, match="keeps the currency"):
        simulated(path, OTHER.replace("currency: USD", "currency: EUR"))


def test_a_month_before_the_first_event_is_refused(tmp_path: Path) -> None:
    path = a_store(tmp_path / "store", *ENDED)
    with pytest.raises(InputError, match="no event of that month"):
        simulated(path, OTHER, 202501)


# ---------------------------------------------------------------- the command


@pytest.fixture
def stored(tmp_path: Path) -> tuple[str, str]:
    path = a_store(tmp_path / "store", *traffic(8, 500))
    catalog = tmp_path / "next.yaml"
    catalog.write_text(OTHER)
    return str(path), str(catalog)


def test_the_screen_has_the_answer_first(stored: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Totals, levels of customers, who pays more, fates: in this order, in 100 columns."""
    capsys.readouterr()
    assert main(["simulate", "--store", stored[0], "--catalog", stored[1], "--period", "2025-11"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("November 2025 under catalog other instead of 2025-11 · USD\n")
    places = [
        out.index(text)
        for text in ("revenue", "light (p10)", "would pay over 20 % more", "change their fate")
    ]
    assert places == sorted(places)
    assert max(map(len, out[: out.index("Next:")].splitlines())) <= 100


def test_json_and_csv_have_every_customer(
    stored: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["simulate", "--store", stored[0], "--catalog", stored[1], "--period", "2025-11", "--format"]
    capsys.readouterr()
    assert main([*command, "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["level"] for one in found["levels"]] == ["light", "normal", "heavy"]
    assert {one["account"] for one in found["customers"]} == {"a0", "a1", "a2"}
    assert main([*command, "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("account,revenue_now,cost_now")
