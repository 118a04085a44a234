"""examples/agency_three_months: three months by hand, closed one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.months.builders import final_rows
from unitrate.billing.statement import hash_of
from unitrate.cli import main
from unitrate.store import open_store

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "agency_three_months"
EXPECTED: dict[str, Any] = json.loads((EXAMPLE / "expected.json").read_text())
STEPS: list[dict[str, Any]] = json.loads((EXAMPLE / "steps.json").read_text())
MONTHS = list(EXPECTED)
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
    return ["top-up", "--store", store, "--account", value["account"], "--name", value["name"]]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, Any]]]:
    """The store after all steps, and all final rows after each."""
    store = str(tmp_path_factory.mktemp("agency") / "books")
    assert main(["run", "--store", store, "--catalog", str(EXAMPLE / "catalog.yaml")]) == 0
    snapshots = []
    for step in STEPS:
        assert main(done(step, store)) == 0
        with open_store(store) as opened:
            snapshots.append(final_rows(opened))
    return store, snapshots


@pytest.fixture
def ask(books: tuple[str, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]) -> Ask:
    def answer(command: str, *options: str) -> Any:
        capsys.readouterr()
        assert main([command, "--store", books[0], *options, "--format", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    return answer


@pytest.mark.parametrize("month", MONTHS)
def test_invoices_are_what_the_readme_works_out(ask: Ask, month: str) -> None:
    """Lines, credits, tax, totals and numbers of both customers."""
    found = ask("invoice", "--period", month)["invoices"]
    assert {
        one["account"]: {
            "number": one["number"],
            "lines": [[line["kind"], line["name"], line["amount"]] for line in one["lines"]],
            **{key: one[key] for key in ("subtotal", "credits", "total")},
        }
        for one in found
    } == EXPECTED[month]["invoices"]
    assert {one["status"] for one in found} == {"final"}


@pytest.mark.parametrize("month", MONTHS)
def test_payouts_are_what_the_readme_works_out(ask: Ask, month: str) -> None:
    """Earnings, carry and payouts of both builders, the provider's reward, the platform's rest."""
    found = ask("payout", "--period", month)
    expected = EXPECTED[month]
    assert {
        one["builder"]: {key: one[key] for key in expected["payouts"]["nord"]} for one in found["payouts"]
    } == expected["payouts"]
    (reward,) = found["rewards"]
    assert {key: reward[key] for key in expected["reward"]} == expected["reward"]
    assert (found["total"], found["status"]) == (expected["total"], "final")


def test_final_rows_never_change(books: tuple[str, list[dict[str, Any]]]) -> None:
    """After every later step, each row that was final before is there as it was."""
    for before, after in zip(books[1], books[1][1:], strict=False):
        for table, rows in before.items():
            assert [row for row in rows if row not in after[table]] == []
    assert len(books[1][-1]["invoices"]) == 6


def test_payouts_rewards_and_the_platform_are_the_margin(ask: Ask) -> None:
    """Σ payouts + what is still carried + rewards + the platform's share = Σ revenue − Σ cost."""
    paid = rewards = platform = margin = Decimal(0)
    found: dict[str, Any] = {"payouts": []}
    for month in MONTHS:
        found = ask("payout", "--period", month)
        paid += sum(Decimal(one["payout"]) for one in found["payouts"])
        rewards += sum(Decimal(one["reward"]) for one in found["rewards"])
        platform += Decimal(found["total"]["platform"])
        report = ask("report", "margin", "--period", month)["total"]
        margin += Decimal(report["margin"])
        assert Decimal(report["margin"]) == Decimal(found["total"]["margin"])
    carried = sum(Decimal(one["carried_out"]) for one in found["payouts"])
    assert (paid, carried, rewards, platform) == (
        Decimal("152.20"), Decimal(0), Decimal("1.90"), Decimal("42.90"),
    )  # fmt: skip
    assert paid + carried + rewards + platform == margin == Decimal("197.00")


def test_workflows_of_payouts_add_up_to_the_usage_that_was_invoiced(ask: Ask) -> None:
    """Usage lines and adjustments of usage, of all customers, are the workflows' revenue."""
    for month in MONTHS:
        invoiced = sum(
            Decimal(line["amount"])
            for one in ask("invoice", "--period", month)["invoices"]
            for line in one["lines"]
            if line["kind"] in ("usage", "adjustment")
        )
        works = [work for one in ask("payout", "--period", month)["payouts"] for work in one["workflows"]]
        assert invoiced == sum(Decimal(work["revenue"]) for work in works)


def test_closing_again_changes_nothing(books: tuple[str, list[dict[str, Any]]]) -> None:
    """Every month closed once more: the same rows, and no record in the log."""
    with open_store(books[0]) as store:
        records = store.query("SELECT count() FROM manifest FINAL").rows
    for month in MONTHS:
        assert main(["close", "--store", books[0], "--period", month]) == 0
    with open_store(books[0]) as store:
        assert final_rows(store) == books[1][-1]
        assert store.query("SELECT count() FROM manifest FINAL").rows == records


def test_the_ledger_of_credits_never_falls_below_zero(ask: Ask) -> None:
    """Welcome is used in October, the top-up in two parts; the end is zero."""
    found = ask("balance", "--account", "studio")
    assert [(m["kind"], m["credit"], m["amount"], m["balance"], m["period"]) for m in found["movements"]] == [
        ("grant", "Welcome", "100.00", "100.00", None),
        ("use", "Welcome", "-100.00", "0.00", "2025-10"),
        ("grant", "Extra credit", "300.00", "300.00", None),
        ("use", "Extra credit", "-245.00", "55.00", "2025-11"),
        ("use", "Extra credit", "-55.00", "0.00", "2025-12"),
    ]
    assert found["balances"] == [{"account": "studio", "balance": "0.00"}]


def test_a_final_invoice_shows_the_arithmetic_and_what_was_free(ask: Ask) -> None:
    """November's documents: tiers as a sum, the cap that cut it. October's failed run is counted."""
    october = next(i for i in ask("invoice", "--period", "2025-10", "--account", "studio")["invoices"])
    assert october["details"][0]["parts"] == [
        {"price": "", "quantity": "5", "included": "3", "amount": "20.00", "sum": "2 × 10.00"}
    ]
    assert october["not_billed"] == {"failed": 1, "unaccepted": 1}
    november = ask("invoice", "--period", "2025-11", "--account", "studio")["invoices"][0]
    (part,) = november["details"][0]["parts"]
    assert (part["sum"], november["details"][0]["maximum"]) == ("3 × 10.00 + 4 × 8.00", "60.00")
    assert [line["late_from"] for line in november["lines"] if line["kind"] == "adjustment"] == [
        "2025-10"
    ] * 2


def test_the_file_for_the_bank_is_the_same_every_time(
    books: tuple[str, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """One row a payment above zero, its id derived from month and payee."""
    texts = []
    for _ in range(2):
        capsys.readouterr()
        assert main(["payout", "--store", books[0], "--period", "2025-11", "--format", "csv"]) == 0
        texts.append(capsys.readouterr().out)
    header, *rows = texts[0].splitlines()
    assert texts[0] == texts[1]
    assert header == "payout_id,payee,kind,period,currency,amount,status"
    assert [row.split(",", 1)[1] for row in rows] == [
        "nord,builder,2025-11,EUR,47.20,final",
        "acme-gpu,provider,2025-11,EUR,0.65,final",
    ]


def test_pages_are_written_by_number_and_are_the_same_when_written_again(
    books: tuple[str, list[dict[str, Any]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two invoices and two statements of November, twice, byte for byte."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        for command in ("invoice", "payout"):
            argv = [command, "--store", books[0], "--period", "2025-11", "--pdf", str(folder)]
            assert main(argv) == 0
    capsys.readouterr()
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert sorted(first) == ["2025-11-nord.pdf", "2025-11-sued.pdf", "A-000003.pdf", "A-000004.pdf"]
    assert first == second


def test_a_final_invoice_says_the_same_as_its_document(ask: Ask) -> None:
    """Lines that are read back from the stored document are those that were hashed."""
    for month in MONTHS:
        for one in ask("invoice", "--period", month)["invoices"]:
            content = {key: value for key, value in one.items() if key != "hash"}
            assert hash_of(content) == one["hash"]


def test_closing_tells_who_waits_and_what_became_final(
    books: tuple[str, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """January has not ended in the log: nobody is closed, both are named with their month's end."""
    capsys.readouterr()
    assert main(["close", "--store", books[0], "--period", "2026-01"]) == 0
    told = capsys.readouterr().out
    assert "January 2026 · closing 0 accounts · EUR" in told
    assert "left open: shop, its month ends 2026-01-31T23:00:00Z; the log is at 2026-01-01T00:00:00Z" in told
    assert "no change" in told


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["close", "--period", "2025-13"], "is no month"),
        (
            ["close", "--period", "2025-11", "--grace", "soon"],
            '"soon" is no span; write it as 30m, 24h',
        ),
        (["top-up", "--account", "studio", "--name", "Nothing"], 'it offers "Extra credit"'),
        (["balance", "--account", "stduio"], 'did you mean "studio"?'),
        (["export", "lines", "--period", "2025-11", "--to", "x.txt"], "ends in .parquet or .csv"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(
    books: tuple[str, list[dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    reason: str,
) -> None:
    """The reason names the fix."""
    capsys.readouterr()
    assert main([argv[0], *argv[1:], "--store", books[0]]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert reason in errors[0]
