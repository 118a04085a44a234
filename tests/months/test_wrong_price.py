"""examples/wrong_price: a month at a wrong price, closed, and corrected in the next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unitrate.cli import main

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "wrong_price"
EXPECTED: dict[str, Any] = json.loads((EXAMPLE / "expected.json").read_text())
STEPS: list[dict[str, Any]] = json.loads((EXAMPLE / "steps.json").read_text())
ROW = ("account", "period", "state", "before", "after", "difference", "bill_month")
LINES = """
SELECT account, usage_month, price_value, toString(rated_before), toString(rated_after), toString(amount),
       line_id
FROM lines FINAL WHERE reason = 'rerate' ORDER BY account, usage_month
"""
Ask = Callable[..., Any]


def done(step: dict[str, Any], store: str) -> list[str]:
    """The command of one step."""
    ((what, value),) = step.items()
    if what == "run":
        return ["run", "--store", store, str(EXAMPLE / value)]
    if what == "tick":
        return ["tick", "--store", store, "--until", value]
    if what == "close":
        return ["close", "--store", store, "--period", value]
    words = ["--who", value["who"], "--why", value["why"]]
    return ["rerate", str(EXAMPLE / value["catalog"]), "--store", store, *words]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[str, list[str]]:
    """The store after all steps, and what the dry run and the re-rate printed as JSON."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    store = str(tmp_path_factory.mktemp("wrong") / "books")
    assert main(["run", "--store", store, "--catalog", str(EXAMPLE / "catalog.yaml")]) == 0
    said = []
    for step in STEPS:
        command = done(step, store)
        if "rerate" in step:
            for options in (["--dry-run"], []):
                capture.read_global_capture()
                assert main([*command, "--format", "json", *options]) == 0
                said.append(capture.read_global_capture().out)
        else:
            assert main(command) == 0
    return store, said


@pytest.fixture
def ask(books: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]) -> Ask:
    def answer(command: str, *options: str) -> Any:
        capsys.readouterr()
        assert main([command, "--store", books[0], *options, "--format", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    return answer


def test_the_dry_run_says_what_the_re_rate_then_does(books: tuple[str, list[str]]) -> None:
    """Each account's month before and after, a total; only `written` differs."""
    planned, made = map(json.loads, books[1])
    assert [[row[name] for name in ROW] for row in planned["changes"]] == EXPECTED["rerate"]["changes"]
    assert planned["total"] == EXPECTED["rerate"]["total"]
    assert (planned["written"], made["written"]) == (False, True)
    assert {**planned, "written": True} == made


def test_its_lines_are_what_the_readme_works_out(ask: Ask) -> None:
    found = ask("sql", LINES)["rows"]
    rows = [[*row.values()][:6] for row in found]
    assert [[row[0], f"{row[1] // 100}-{row[1] % 100}", *row[2:]] for row in rows] == EXPECTED["rerate"][
        "lines"
    ]


@pytest.mark.parametrize("month", ["2025-10", "2025-11"])
def test_invoices_are_what_the_readme_works_out(ask: Ask, month: str) -> None:
    """In place in the month that was open, as adjustments for the one that was closed."""
    found = ask("invoice", "--period", month)["invoices"]
    shown = {
        one["account"]: [
            *([line["kind"], line["name"], line["amount"]] for line in one["lines"]), one["total"],
        ]
        for one in found
    }  # fmt: skip
    assert shown == EXPECTED[month]["invoices"]
    assert {one["status"] for one in found} == {"final"}


@pytest.mark.parametrize("month", ["2025-10", "2025-11"])
def test_builders_get_their_share_of_what_was_corrected(ask: Ask, month: str) -> None:
    """By the documents that the price had from their workflows."""
    found = ask("payout", "--period", month)
    expected = EXPECTED[month]["payouts"]
    assert {
        one["builder"]: {name: one[name] for name in expected["nord"]} for one in found["payouts"]
    } == expected


def test_workflows_below_an_invoice_line_are_those_of_the_payouts(ask: Ask) -> None:
    """Acme's November: 0.27 + 2.70 + 0.90 and 0.09 + 0.54; no line is without a workflow."""
    (acme, _) = ask("invoice", "--period", "2025-11")["invoices"]
    found = {one["workflow"]: one["amount"] for one in acme["details"][0]["workflows"]}
    assert found == {"review": "3.87", "deep": "0.63"}
    assert [part["sum"] for part in acme["details"][0]["parts"]] == ["5 × 0.90"]


def test_everything_verifies(ask: Ask) -> None:
    """The replay comes to the same lines and invoices, and to the same corrected prices."""
    found = ask("verify")
    assert found["holds"]
    assert (found["compared"]["rerates"], found["compared"]["rerated_months"]) == (1, 4)


def test_the_corrected_catalog_simulates_to_what_is(ask: Ask) -> None:
    """And the wrong one to what was."""
    for month in ("2025-10", "2025-11"):
        same = ask("simulate", "--catalog", str(EXAMPLE / "corrected.yaml"), "--period", month)
        assert same["now"] == same["next"]
    wrong = ask("simulate", "--catalog", str(EXAMPLE / "catalog.yaml"), "--period", "2025-10")
    assert (wrong["now"]["invoiced"], wrong["next"]["invoiced"]) == ("112.10", "108.86")


def test_the_units_behind_an_adjustment_have_the_re_rate_among_them(ask: Ask) -> None:
    """2.43 of it, and 0.90 of the document that came late: the line's exact amount."""
    (invoice_id,) = [
        i["invoice_id"] for i in ask("invoice", "--period", "2025-11")["invoices"] if i["account"] == "acme"
    ]
    lines = ask("explain", invoice_id)["lines"]
    (adjustment,) = [line for line in lines if line["kind"] == "adjustment"]
    assert {unit["reason"]: unit["amount"] for unit in adjustment["units"]} == {
        "rerate": "2.43",
        "ok": "0.90",
    }


def test_explain_says_who_why_and_both_prices(
    ask: Ask, books: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the arithmetic from before to after."""
    line_id = ask("sql", LINES)["rows"][0]["line_id"]
    found = ask("explain", line_id)
    assert (found["rerate"]["who"], found["rerate"]["why"]) == ("mia", "0.09 was published for 0.90")
    assert found["line"]["counting"] == "2025-10: 5 units at light, of these 2 included"
    assert found["line"]["price"] == "0.09 each → 0.90 each"
    assert found["line"]["arithmetic"] == "f(3) corrected − f(3) as published = 2.70 − 0.27 = 2.43"
    assert main(["explain", line_id, "--store", books[0]]) == 0
    assert "price corrected by mia, 2025-11-08" in capsys.readouterr().out


def test_explain_of_a_unit_shows_its_own_price_and_that_it_was_corrected(ask: Ask) -> None:
    """The line is what it was; a unit of the corrected price has no such remark."""
    found = ask("explain", "o3")
    assert [line["price"] for line in found["lines"]] == ["0.09 each"]
    assert [(one["action"], one["who"]) for one in found["rerates"]] == [("rerate", "mia")]
    later = ask("explain", "n7")
    assert ([line["price"] for line in later["lines"]], later["rerates"]) == (["0.90 each"], [])
