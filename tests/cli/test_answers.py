"""What the questions answer, to the letter, for a small month."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest

from tests.cli.builders import a_document, a_store, an_event
from unitrate.billing.invoice import derived_invoice_id
from unitrate.cli import main
from unitrate.reports import report
from unitrate.store import open_store

Ask = Callable[..., str]  # a question's stdout
PERIOD = ("--period", "2025-11")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three documents of acme: one included, one paid, one that failed; and an unmetered request."""
    events = [
        *a_document("d1", "09:00"),
        *a_document("d2", "10:00", usage={"input_tokens": 250_000, "output_tokens": 10_000}),
        an_event("d3-1", "11:00", run="d3", document="d3", usage={"input_tokens": 50_000}),
        an_event("d3-2", "11:01", kind="work.failed", run="d3", document="d3"),
        an_event("x-1", "11:30", run="x", usage={"input_tokens": 1}, workflow="chat"),
    ]
    return a_store(tmp_path_factory.mktemp("answers"), events)


@pytest.fixture
def ask(store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """A question to the store (named by the environment); its stdout, after exit 0."""
    monkeypatch.setenv("UNITRATE_STORE", store)

    def asked(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    return asked


def test_a_margin_report_is_made_to_be_read(ask: Ask) -> None:
    """Aligned decimals, the currency, a total, and the next command."""
    assert (
        ask("report", "margin", *PERIOD, "--by", "reason")
        == """\
Margin · November 2025 · USD
reason     units  revenue  cost  margin  of revenue   on cost
failed         1     0.00  0.10   -0.10           –  -100.0 %
ok             2     1.25  0.80    0.45      36.0 %    56.3 %
unmetered      0     0.00  0.00    0.00           –  -100.0 %
total          3     1.25  0.90    0.35      28.0 %    38.9 %

Next:  unitrate units --period 2025-11 --disposition not_billed   the units that did not bill
       unitrate invoice --period 2025-11                          what customers owe
"""
    )


def test_a_usage_report_shows_what_was_done(ask: Ask) -> None:
    """Units, how many of them billed, and requests stand first."""
    table = ask("report", "usage", *PERIOD).splitlines()
    assert table[:3] == [
        "Usage · November 2025 · USD",
        "       units  billed units  requests  cost  revenue",
        "total      3             2         4  0.90     1.25",
    ]


def test_both_reports_have_the_same_json_with_the_contracts_keys(ask: Ask) -> None:
    """Money with all its digits as text, counts as numbers, rates null where they have no whole."""
    document = json.loads(ask("report", "margin", *PERIOD, "--by", "account,reason", "--format", "json"))
    assert list(document) == ["period", "currency", "rows", "total"]
    assert (document["period"], document["currency"]) == ("2025-11", "USD")
    assert document["rows"][0] == {
        "account": "acme",
        "reason": "failed",
        "units": 1,
        "billable_quantity": "0",
        "requests": 1,
        "revenue": "0.00",
        "cost": "0.10",
        "margin": "-0.10",
        "margin_rate": None,
        "markup_rate": "-1.000000",
    }
    assert document["total"] == {
        "units": 3,
        "billable_quantity": "2",
        "requests": 4,
        "revenue": "1.25",
        "cost": "0.900002",
        "margin": "0.349998",
        "margin_rate": "0.279998",
        "markup_rate": "0.388886",
    }
    usage = json.loads(ask("report", "usage", *PERIOD, "--by", "account,reason", "--format", "json"))
    assert usage == document


def test_a_report_as_csv_has_the_json_keys_as_columns(ask: Ask) -> None:
    """One line a row, no total."""
    rows = list(
        csv.DictReader(io.StringIO(ask("report", "margin", *PERIOD, "--by", "reason", "--format", "csv")))
    )
    assert [row["reason"] for row in rows] == ["failed", "ok", "unmetered"]
    assert rows[1]["revenue"] == "1.25"
    assert rows[0]["margin_rate"] == ""


def test_a_month_without_events_says_so(ask: Ask) -> None:
    """An empty report is an answer: exit 0."""
    assert (
        ask("report", "usage", "--period", "2024-01")
        == "Usage · January 2024 · USD\nnothing happened in that month\n"
    )
    empty = json.loads(ask("report", "usage", "--period", "2024-01", "--by", "meter", "--format", "json"))
    assert empty["rows"] == []
    assert (empty["total"]["units"], empty["total"]["revenue"]) == (0, "0.00")


def test_an_invoice_has_the_contracts_keys(ask: Ask) -> None:
    """Amounts rounded to the cent; 1 of 2 documents is included; the fee beside it."""
    document = json.loads(ask("invoice", *PERIOD, "--account", "acme", "--format", "json"))
    assert document == {
        "invoices": [
            {
                "invoice_id": derived_invoice_id("acme", 202511),
                "account": "acme",
                "period": "2025-11",
                "currency": "USD",
                "status": "draft",
                "lines": [
                    {
                        "kind": "usage",
                        "name": "Reviews",
                        "meter": "review",
                        "quantity": "2",
                        "included": "1",
                        "amount": "1.25",
                        "catalog": "2025-11",
                        "late_from": None,
                    },
                    {
                        "kind": "fee",
                        "name": "Platform",
                        "meter": None,
                        "quantity": None,
                        "included": None,
                        "amount": "30.00",
                        "catalog": "2025-11",
                        "late_from": None,
                    },
                ],
                "subtotal": "31.25",
                "credits": "0.00",
                "total": "31.25",
            }
        ]
    }


def test_one_invoice_is_printed_line_by_line(ask: Ask) -> None:
    """What is owed for, how much of it was included, and the total."""
    invoice = derived_invoice_id("acme", 202511)
    assert (
        ask("invoice", *PERIOD, "--account", "acme")
        == f"""\
acme · draft invoice for November 2025 · USD
line      kind   quantity  included  amount
Reviews   usage         2         1    1.25
Platform  fee                         30.00
total                                 31.25

Next:  unitrate explain {invoice}             the units behind each line
       unitrate report margin --period 2025-11 --account acme   what it leaves over
"""
    )


def test_several_invoices_are_printed_as_a_list(ask: Ask) -> None:
    """Every account with a plan is on it, the idle one too."""
    assert ask("invoice", *PERIOD).splitlines()[:5] == [
        "2 invoices for November 2025 · USD",
        "account  usage   fees  total  status",
        "acme      1.25  30.00  31.25  draft",
        "idle      0.00  30.00  30.00  draft",
        "total     1.25  60.00  61.25",
    ]


def test_invoices_as_csv_have_one_row_a_line(ask: Ask) -> None:
    """The invoice's keys are repeated on each."""
    rows = list(csv.DictReader(io.StringIO(ask("invoice", *PERIOD, "--format", "csv"))))
    assert [(row["account"], row["name"], row["amount"]) for row in rows] == [
        ("acme", "Reviews", "1.25"),
        ("acme", "Platform", "30.00"),
        ("idle", "Platform", "30.00"),
    ]


def test_an_account_that_nobody_knows_is_a_slip_of_the_pen(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not an empty invoice: the nearest name."""
    for command in (["invoice", *PERIOD], ["report", "usage", *PERIOD], ["units"]):
        assert main([*command, "--store", store, "--account", "acne"]) == 2
        assert capsys.readouterr().err == f'unitrate: no account "acne" in {store}; did you mean "acme"?\n'


def test_a_month_before_every_plan_has_no_invoice(ask: Ask) -> None:
    """Exit 0 and a sentence; an empty list for programs."""
    assert ask("invoice", "--period", "2025-10") == (
        "nobody has an invoice for October 2025: no plan, and nothing rated\n"
    )
    assert json.loads(ask("invoice", "--period", "2025-10", "--format", "json")) == {"invoices": []}


def test_units_say_once_what_is_the_same_for_all(ask: Ask) -> None:
    """Account, meter, workflow and month are in the heading, not in every row."""
    assert (
        ask("units")
        == """\
3 units · account acme · meter review · workflow review · period 2025-11 · USD
key  state   fate        reason  ended             requests  cost  revenue  margin
d1   final   billable    ok      2025-11-03 09:01         1  0.20     0.00   -0.20
d2   final   billable    ok      2025-11-03 10:01         1  0.60     1.25    0.65
d3   sealed  not_billed  failed  2025-11-03 11:01         1  0.10     0.00   -0.10

Next:  unitrate explain d1   why the first is what it is
"""
    )


def test_units_for_programs_have_the_contracts_keys(ask: Ask) -> None:
    """All columns, token counts included; the unit's id is stable."""
    document = json.loads(ask("units", "--disposition", "not_billed", "--format", "json"))
    (unit,) = document["units"]
    assert unit.pop("unit_id") == json.loads(ask("units", "--format", "json"))["units"][2]["unit_id"]
    assert unit == {
        "account": "acme", "workspace": "", "workflow": "review", "meter": "review", "key": "d3",
        "state": "sealed", "disposition": "not_billed", "reason": "failed", "size": "", "quantity": "1",
        "period": "2025-11", "started": "2025-11-03T11:00:00Z", "ended": "2025-11-03T11:01:00Z",
        "requests": 1, "attempts": 1, "input_tokens": 50_000, "cache_read_tokens": 0, "cache_write_tokens": 0,
        "cache_write_1h_tokens": 0, "output_tokens": 0, "reasoning_tokens": 0, "input_audio_tokens": 0,
        "cache_read_audio_tokens": 0, "output_audio_tokens": 0, "images": 0, "pages": 0, "seconds": 0,
        "characters": 0, "searches": 0, "tool_calls": 0, "cost": "0.10", "revenue": "0.00", "margin": "-0.10",
    }  # fmt: skip


def test_no_unit_is_an_answer(ask: Ask) -> None:
    """Exit 0 and a sentence."""
    assert ask("units", "--disposition", "held") == "no unit is like that\n"
    assert json.loads(ask("units", "--disposition", "held", "--format", "json")) == {"units": []}


def test_sql_reads_every_table(ask: Ask) -> None:
    """Columns by name; decimals are text in json."""
    query = "SELECT reason, sum(cost) AS cost FROM units FINAL GROUP BY reason ORDER BY reason"
    assert ask("sql", query) == "reason  cost\nfailed   0.1\nok       0.8\n"
    assert json.loads(ask("sql", f"{query};", "--format", "json")) == {
        "rows": [{"reason": "failed", "cost": "0.1"}, {"reason": "ok", "cost": "0.8"}]
    }
    assert ask("sql", query, "--format", "csv") == "reason,cost\nfailed,0.1\nok,0.8\n"


@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE units", "TRUNCATE TABLE lines", "INSERT INTO units (account) VALUES ('x')",
     "SELECT 1; DROP TABLE units",
     "ALTER TABLE lines DELETE WHERE 1", "SELECT * FROM units SETTINGS readonly = 0"],
)  # fmt: skip
def test_sql_cannot_write(store: str, statement: str, ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    """The engine refuses; one line, exit 2, and the store is as it was."""
    before = ask("units")
    assert main(["sql", "--store", store, statement]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"unitrate: the store {store} refuses: ")
    assert error.count("\n") == 1
    assert ask("units") == before


def test_sql_with_a_mistake_is_one_line(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """ClickHouse says what is wrong; no traceback."""
    assert main(["sql", "--store", store, "SELECT nonsense FROM units"]) == 2
    error = capsys.readouterr().err
    assert "nonsense" in error
    assert error.count("\n") == 1


def test_a_report_by_request_columns_adds_up(store: str) -> None:
    """A unit's revenue and cost are shared over its requests; the rows add up to the total."""
    with open_store(store, command="test") as books:
        for column in ("provider", "model", "operation", "day", "tag:team", "workspace", "meter", "size"):
            found = report(books, 202511, [column])
            for figure in ("revenue", "cost", "margin", "requests"):
                assert sum(row[figure] for row in found.rows) == found.total[figure]
