"""`unitrate verify`: a replay from the first record gives what the store holds, or says where not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.embedded.builders import CATALOG, START, an_event, append, traffic, versions, write
from tests.replay.builders import a_store, delete, opened, update, verified
from unitrate.catalog.source import load
from unitrate.cli import main
from unitrate.errors import InputError
from unitrate.replay.verify import verify
from unitrate.runtime import embedded

EXAMPLES = sorted(p.parent for p in (Path(__file__).parents[2] / "examples").glob("*/events.jsonl*"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_verifies(example: Path, tmp_path: Path) -> None:
    """The replay of every packaged example gives the rows of its run, to the last digit."""
    events = next(example.glob("events.jsonl*"))
    with opened(tmp_path / "store") as store:
        embedded.run(store, load([example / "catalog.yaml"]), [str(events)])
        answer = verify(store)
    assert answer.differing == {}
    assert answer.rows["events"] > 0
    assert answer.rows["units"] > 0


def test_mixed_traffic_verifies(tmp_path: Path) -> None:
    """Duplicates, late and malformed events, verdicts without a unit: all are in the replay."""
    answer = verified(a_store(tmp_path / "store"))
    assert answer.differing == {}
    assert answer.rows["lines"] > 100


def test_what_came_in_several_runs_verifies(tmp_path: Path) -> None:
    """Ticks, growing files, a retry of rejected events and a second catalog are records like any other."""
    path, file = tmp_path / "store", tmp_path / "events.jsonl"
    lines = traffic(3, 900)
    second = CATALOG.replace("catalog: 2025-11", "catalog: 2025-12").replace("2025-11-01T", "2025-11-04T", 1)
    with opened(path) as store:
        embedded.run(store, versions(), [write(file, lines[:500])])
        embedded.tick(store, int(START.timestamp() * 1e6) + 5 * 3600 * 10**6)
        embedded.publish(
            store, versions(second.replace("rate: 9.90", "rate: 8.80").replace("version: 1", "version: 2"))
        )
        embedded.retry(store)
        append(file, lines[500:])
        embedded.run(store, [], [str(file)])
    assert verified(path).differing == {}


ODD = [
    an_event("o1", 0, attributes={"document_id": 'a"b\\c/d', "n": 12, "flag": True, "rate": "0.5"}),
    an_event(
        "o2", 1, attributes={"document_id": "ünï"}, tags={"team": "a/b"}, workspace="w", step="s", attempt=3
    ),
    an_event("o3", 2, cost={"amount": "0.004596", "currency": "USD"}, background=True),
    an_event("o4", 3, usage={"input_tokens": 0, "output_tokens": 7, "reasoning_tokens": 3}, model="m2"),
    an_event("o5", 4, usage=None, status="error", mode="test"),
    an_event("o6", 5, type="work.completed", completion=0.25, retry_of="r-none"),
    an_event("o7", 6, workflow="nobody"),
]


def test_fields_of_every_kind_come_back(tmp_path: Path) -> None:
    """Quotes, unicode, numbers, bills, counts of zero, completion: the fold cannot tell the difference."""
    answer = verified(a_store(tmp_path / "store", *ODD))
    assert answer.differing == {}
    assert answer.rows["events"] == len(ODD)


def test_a_bill_in_a_currency_that_a_later_catalog_converts_verifies(tmp_path: Path) -> None:
    """What the provider billed is kept until something converts it, for the replay too."""
    later = CATALOG.replace("catalog: 2025-11", "catalog: next").replace("2025-11-01T", "2025-12-01T", 1)
    later = later.replace("costs:", "costs:\n  fx: {EUR: 1.25}")
    path, file = tmp_path / "store", tmp_path / "events.jsonl"
    bill = {"amount": "0.80", "currency": "EUR"}
    with opened(path) as store:
        lines = [an_event("e1", 0, cost=bill), an_event("e2", 1, type="work.completed")]
        embedded.run(store, versions(), [write(file, lines)])
        assert store.query("SELECT reason FROM units FINAL").rows == [("unpriced",)]
        embedded.publish(store, versions(later))
        assert [str(row[0]) for row in store.query("SELECT cost FROM units FINAL").rows] == ["1.000000000000"]
    assert verified(path).differing == {}


# ---------------------------------------------------------------- what is found


CHANGES = [  # table, column, another value
    ("lines", "amount", "amount + 0.000000000001"),
    ("cost_lines", "cost", "cost + 0.000000000001"),
    ("units", "billable_quantity", "billable_quantity + 1"),
    ("units", "disposition", "'held'"),
    ("events", "input_tokens", "input_tokens + 1"),
    ("events", "cost", "cost + 0.000000000001"),
    ("events", "run_id", "'other'"),
]


def test_a_cell_that_was_changed_is_found(tmp_path: Path) -> None:
    """One cell of one row, in the last digit, in any table; put back, everything is the same again."""
    with opened(a_store(tmp_path / "store", *traffic(11, 400))) as store:
        for table, column, value in CHANGES:
            key = "offset" if table == "events" else "version"
            one = "type = 'ai.request' AND workflow = 'review'" if table == "events" else "1"
            first = f"{key} = (SELECT min({key}) FROM {table} WHERE {one})"
            old, type_ = store.query(
                f"SELECT toString({column}), toTypeName({column}) FROM {table} WHERE {first}"
            ).rows[0]
            update(store, table, f"{column} = {value}", first)
            assert 0 < sum(verify(store).differing.values()) < 20, (table, column)
            update(store, table, f"{column} = CAST('{old}' AS {type_})", first)
        assert verify(store).holds


def test_a_row_that_is_gone_is_found(tmp_path: Path) -> None:
    """A row less is a difference, whichever table it is missing in."""
    with opened(a_store(tmp_path / "store", *traffic(12, 400))) as store:
        for table, found_in in (
            ("lines", "lines"),
            ("cost_lines", "cost_lines"),
            ("units", "units"),
            ("events", "counts"),
        ):
            key = "offset" if table == "events" else "version"
            assert found_in not in verify(store).differing
            delete(store, table, f"{key} = (SELECT max({key}) FROM {table})")
            assert found_in in verify(store).differing


def test_a_period_looks_at_that_month_alone(tmp_path: Path) -> None:
    """A change in November is none of December's."""
    with opened(a_store(tmp_path / "store", *traffic(13, 300))) as store:
        update(store, "lines", "amount = 7", "version = (SELECT max(version) FROM lines)")
        assert not verify(store, 202511).holds
        assert verify(store, 202512).holds


def test_the_difference_names_the_row_and_both_values(tmp_path: Path) -> None:
    """A person can look the row up, and see what it should be."""
    path = a_store(tmp_path / "store", an_event("e1", 0), an_event("e2", 1, type="work.completed"))
    with opened(path) as opened_store:
        update(opened_store, "lines", "amount = 7", "1")
        (found,) = verify(opened_store).first
    assert (found.table, found.column, found.stored) == ("lines", "amount", "7.000000000000")
    assert found.replayed == "0.000000000000"
    assert found.row.startswith("a0 Reviews d0 (")


def test_a_run_that_was_killed_has_to_end_first(tmp_path: Path) -> None:
    """Past the last checkpoint there is nothing to compare with."""
    path = a_store(tmp_path / "store", an_event("e1"))
    with opened(path) as opened_store:
        opened_store.command(
            "INSERT INTO manifest SELECT seq + 1, base_offset + count, 1, 'tick', entered, '{}', '' "
            "FROM manifest ORDER BY seq DESC LIMIT 1"
        )
    with pytest.raises(InputError, match="stopped before its end; `unitrate run --store"):
        verified(path)


# ---------------------------------------------------------------- the command


def test_the_command_says_in_one_line_that_all_is_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = a_store(tmp_path / "store", an_event("e1"), an_event("e2", 1, type="work.completed"))
    capsys.readouterr()
    assert main(["verify", "--store", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "verified: 3 records replayed give the same 2 events, 1 units, 1 lines, 1 cost lines"
    )
    assert out.count("\n") == 1


def test_the_command_answers_no_with_the_differences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = a_store(tmp_path / "store", an_event("e1"), an_event("e2", 1, type="work.completed"))
    with opened(path) as opened_store:
        update(opened_store, "lines", "amount = 7", "1")
    capsys.readouterr()
    assert main(["verify", "--store", str(path), "--format", "json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["differing"] == {"lines": 1}
    assert answer["differences"][0]["column"] == "amount"
