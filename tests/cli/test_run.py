"""`unitrate run`, `tick`, `publish`, `rejected`: what they say and what they leave."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.builders import CATALOG, a_document, an_event, written
from unitrate.cli import main

Do = Callable[..., tuple[int, str, str]]


@pytest.fixture
def do(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Do:
    """A command in an empty folder with catalog.yaml; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNITRATE_STORE", "books")
    Path("catalog.yaml").write_text(CATALOG, encoding="utf-8")

    def done(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return done


def figures(do: Do, *arguments: str) -> dict[str, Any]:
    """The JSON of a run."""
    code, out, err = do("run", *arguments, "--format", "json")
    assert (code, err) == (0, "")
    document: dict[str, Any] = json.loads(out)
    return document


def test_a_run_says_what_it_read_and_what_the_store_holds(do: Do) -> None:
    """Counts, fates, revenue, cost, margin, and the next commands."""
    written(
        Path("events.jsonl"),
        [*a_document("d1", "09:00"), *a_document("d2", "10:00"), *a_document("d1", "09:00")],
    )
    code, out, err = do("run", "--catalog", "catalog.yaml", "events.jsonl")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "published   catalog 2025-11"
    assert lines[1].startswith("  events                 6   in ")
    assert lines[2:] == [
        "  duplicates             2",
        "  rejected               0",
        "",
        "in books",
        "  units                  2   2 billed",
        "  model calls            2",
        "  revenue             1.25 USD",
        "  cost                0.40",
        "  margin              0.85   68.0 % of revenue",
        "",
        "Next:  unitrate report margin --period 2025-11 --by account   what it earned",
        "       unitrate invoice --period 2025-11                      what customers owe",
    ]


def test_the_same_files_again_change_nothing(do: Do) -> None:
    """The second run reads no event, and the figures stay."""
    written(Path("events.jsonl"), a_document("d1", "09:00"))
    first = figures(do, "--catalog", "catalog.yaml", "events.jsonl")
    second = figures(do, "--catalog", "catalog.yaml", "events.jsonl")
    assert (first["events"], second["events"]) == (2, 0)
    assert (first["published"], second["published"]) == (["2025-11"], [])
    assert {key: first[key] for key in ("units", "revenue", "cost", "margin")} == {
        key: second[key] for key in ("units", "revenue", "cost", "margin")
    }


def test_a_run_for_programs_is_one_document(do: Do) -> None:
    """Counts are numbers, money is text."""
    written(Path("events.jsonl"), [*a_document("d1", "09:00"), "nonsense"])
    found = figures(do, "--catalog", "catalog.yaml", "events.jsonl")
    assert {key: value for key, value in found.items() if "second" not in key} == {
        "events": 3,
        "accepted": 2,
        "duplicates": 0,
        "rejected": 1,
        "late": 0,
        "published": ["2025-11"],
        "waiting": [],
        "units": {"billable": 1, "not_billed": 0, "held": 0},
        "requests": 1,
        "currency": "USD",
        "revenue": "0.00",
        "cost": "0.20",
        "margin": "-0.20",
    }


def test_events_come_from_standard_input_too(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads what is piped in."""
    text = "".join(json.dumps(event) + "\n" for event in a_document("d1", "09:00"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert figures(do, "--catalog", "catalog.yaml", "-")["accepted"] == 2


WRONG = [
    ((), "nothing to do: give --catalog CATALOG, or EVENTS; see unitrate run --help"),
    (("missing.jsonl",), "missing.jsonl: there is no such file or folder"),
    (("--catalog", "missing.yaml"), "missing.yaml: there is no such file or folder"),
    (("events.jsonl",), "the store books has no catalog yet: give one with --catalog"),
    (("--store", "catalog.yaml", "events.jsonl"), "the store catalog.yaml is a file; --store takes a folder"),
    (
        ("--store", "clickhouse://localhost/books", "events.jsonl"),
        "run works on a folder; with a server store the log is in Kafka (--brokers)",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_input_is_one_line(do: Do, arguments: tuple[str, ...], message: str) -> None:
    """Exit 2, nothing on stdout."""
    written(Path("events.jsonl"), a_document("d1", "09:00"))
    assert do("run", *arguments) == (2, "", f"unitrate: {message}\n")


def test_rejected_events_are_listed_with_their_place_and_reason(do: Do) -> None:
    """The run goes on; `rejected` says what is wrong, where."""
    negative = an_event("n", "09:30", usage={"input_tokens": -1})
    written(Path("events.jsonl"), ["nonsense", *a_document("d1", "09:00"), negative])
    _, out, _ = do("run", "--catalog", "catalog.yaml", "events.jsonl")
    assert "  rejected               2   why: unitrate rejected" in out.splitlines()
    code, out, _ = do("rejected")
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "2 rejected: 1 not_json, 1 bad_usage"
    assert lines[2].startswith("not_json   events.jsonl:1")
    assert lines[3].startswith("bad_usage  events.jsonl:4  acme")
    assert "Next:  unitrate rejected retry --dry-run" in lines[-1]


def test_rejected_events_for_programs_are_whole(do: Do) -> None:
    """The bytes as they came, also where they are no UTF-8."""
    Path("events.jsonl").write_bytes(b"nonsense \xff\n")
    do("run", "--catalog", "catalog.yaml", "events.jsonl")
    _, out, _ = do("rejected", "--format", "json")
    (event,) = json.loads(out)["rejected"]
    assert list(event) == [
        "partition", "offset", "received", "reason", "place", "account", "source", "id", "message", "raw",
    ]  # fmt: skip
    assert (event["reason"], event["raw"]) == ("not_json", "nonsense \\xff")


def test_rejected_events_can_be_picked_by_reason(do: Do) -> None:
    """A reason that none has: a sentence, exit 0."""
    written(Path("events.jsonl"), ["nonsense"])
    do("run", "--catalog", "catalog.yaml", "events.jsonl")
    assert do("rejected", "--reason", "bad_usage")[:2] == (0, "no rejected event with reason bad_usage\n")
    assert "1 rejected: 1 not_json" in do("rejected", "--reason", "not_json")[1]


def test_a_verdict_that_came_too_soon_is_taken_again(do: Do) -> None:
    """`no_unit` at first; after its unit is there, retry takes it and it is off the list."""
    verdict = an_event("v", "09:30", kind="work.rejected", run="d1", document="d1")
    written(Path("early.jsonl"), [verdict])
    written(Path("late.jsonl"), a_document("d1", "09:00"))
    do("run", "--catalog", "catalog.yaml", "early.jsonl")
    assert "1 rejected: 1 no_unit" in do("rejected")[1]
    do("run", "late.jsonl")
    assert do("rejected", "retry", "--dry-run") == (0, "1 event would be taken again\n", "")
    assert do("rejected", "retry")[1].startswith("1 event taken again\n")
    assert do("rejected") == (0, "no rejected event\n", "")
    (unit,) = json.loads(do("units", "--format", "json")[1])["units"]
    assert (unit["disposition"], unit["reason"]) == ("not_billed", "rejected")


def test_a_tick_ends_what_is_silent(do: Do) -> None:
    """The document's idle time passes without new events."""
    written(Path("events.jsonl"), [an_event("e", "09:00")])
    do("run", "--catalog", "catalog.yaml", "events.jsonl")
    assert do("tick", "--until", "2025-11-06T00:00:00Z") == (0, "the log's time moved on\n", "")
    (unit,) = json.loads(do("units", "--format", "json")[1])["units"]
    assert (unit["state"], unit["reason"]) == ("final", "timed_out")
    again = do("tick", "--until", "2025-11-05T00:00:00Z")
    assert again == (0, "the log's time is there already; nothing changed\n", "")


def test_publish_puts_a_version_into_the_log_once(do: Do) -> None:
    """--dry-run says so, publish does so, publishing again changes nothing."""
    assert do("publish", "catalog.yaml") == (0, "published catalog 2025-11\n", "")
    assert do("publish", "catalog.yaml") == (0, "the log has every version already; nothing changed\n", "")
    later = CATALOG.replace("catalog: 2025-11", "catalog: 2025-12").replace("2025-11-01T", "2025-12-01T")
    Path("later.yaml").write_text(later, encoding="utf-8")
    assert do("publish", "later.yaml", "--dry-run") == (0, "would publish catalog 2025-12\n", "")
    assert do("publish", "later.yaml") == (0, "published catalog 2025-12\n", "")


def test_a_changed_version_is_refused(do: Do) -> None:
    """What was published is never changed: exit 2 and the place."""
    do("publish", "catalog.yaml")
    Path("catalog.yaml").write_text(CATALOG.replace("rate: 1.25", "rate: 1.30"), encoding="utf-8")
    code, out, err = do("publish", "catalog.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("unitrate: catalog.yaml:")
    assert err.count("\n") == 1
