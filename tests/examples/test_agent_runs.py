"""The real agent runs: conversion, cost and outcome, each figure as the gateway or the benchmark told it."""

from __future__ import annotations

import csv
import gzip
import json
import runpy
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from unitrate.cli import main

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "agent_runs"


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    """The committed events."""
    with gzip.open(FOLDER / "events.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_the_committed_events_are_what_the_converter_makes() -> None:
    """convert.py run again gives the committed events, byte for byte."""
    convert = runpy.run_path(str(FOLDER / "convert.py"))
    assert convert["to_bytes"](convert["events"]()) == gzip.decompress(
        (FOLDER / "events.jsonl.gz").read_bytes()
    )


def test_no_call_and_no_run_is_lost(events: list[dict[str, Any]]) -> None:
    """12,504 calls and 311 ends with one verdict each, ordered by time, every identity once."""
    assert Counter(event["type"] for event in events) == {
        "ai.request": 12_504,
        "work.completed": 311,
        "work.accepted": 225,
        "work.rejected": 86,
    }
    assert len({(event["source"], event["id"]) for event in events}) == len(events)
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)


def test_counts_are_disjoint_and_complete(events: list[dict[str, Any]]) -> None:
    """Input adds up to the gateways' prompt tokens, output (with Portkey reasoning) to completion tokens."""
    prompt = completion = 0
    with gzip.open(FOLDER / "calls.jsonl.gz", "rt", encoding="utf-8") as lines:
        for call in map(json.loads, lines):
            prompt += call["usage"]["prompt_tokens"]
            completion += call["usage"]["completion_tokens"]
            if call["id"].startswith("portkey-"):
                completion += call["usage"]["completion_tokens_details"]["reasoning_tokens"]
    usage: Counter[str] = Counter()
    for event in events:
        usage.update(event["data"].get("usage", {}))
    assert usage["input_tokens"] + usage["cache_read_tokens"] == prompt
    assert usage["output_tokens"] == completion
    assert usage["reasoning_tokens"] <= usage["output_tokens"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the runs in it."""
    path = tmp_path_factory.mktemp("agent_runs") / "store"
    arguments = ["run", "--catalog", str(FOLDER / "catalog.yaml"), "--store", str(path)]
    assert main([*arguments, str(FOLDER / "events.jsonl.gz")]) == 0
    return path


def rows(capsys: pytest.CaptureFixture[str], store: Path, query: str) -> list[dict[str, Any]]:
    """The rows of a query."""
    capsys.readouterr()
    assert main(["sql", "--store", str(store), "--format", "json", query]) == 0
    document = json.loads(capsys.readouterr().out)
    return list(document["rows"] if isinstance(document, dict) else document)


def test_the_computed_cost_of_every_billed_call_is_the_bill(
    store: Path, events: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """12,120 calls: the price book's cost equals the gateway's to the last digit; Σ 141.0587634 USD."""
    billed = {e["id"]: Decimal(e["data"]["cost"]["amount"]) for e in events if "cost" in e["data"]}
    query = (
        "SELECT id, toString(cost_computed) AS computed, toString(cost_billed) AS told "
        "FROM events FINAL WHERE cost_billed IS NOT NULL"
    )
    found = rows(capsys, store, query)
    assert {row["id"]: Decimal(row["computed"]) for row in found} == billed
    assert {row["id"]: Decimal(row["told"]) for row in found} == billed
    assert len(billed) == 12_120
    assert sum(billed.values()) == Decimal("141.0587634")


def test_the_calls_that_nobody_billed_are_priced_too(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The 384 calls of the other gateway compute to 3.8924702 USD; no call is unpriced."""
    query = (
        "SELECT toString(count()) AS calls, toString(sum(cost)) AS cost, "
        "toString(countIf(unpriced)) AS unpriced "
        "FROM events FINAL WHERE type = 'ai.request' AND cost_billed IS NULL"
    )
    (row,) = rows(capsys, store, query)
    assert (int(row["calls"]), Decimal(row["cost"]), int(row["unpriced"])) == (384, Decimal("3.8924702"), 0)


def test_each_run_bills_as_its_verdict_says(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """225 resolved issues are billable, 86 rejected ones are not; a run is one unit with all its calls."""
    with (FOLDER / "outcomes.csv").open(encoding="utf-8", newline="") as lines:
        expected = {
            row["run"]: ("billable" if row["resolved"] == "true" else "not_billed", int(row["calls"]))
            for row in csv.DictReader(lines)
        }
    found = rows(capsys, store, "SELECT key, disposition, toString(requests) AS requests FROM units FINAL")
    assert {row["key"]: (row["disposition"], int(row["requests"])) for row in found} == expected


def test_the_month_bills_what_the_plans_say(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: graduated prices after five included, and the fee; or cost × 1.4 + 0.50 an issue."""
    capsys.readouterr()
    assert main(["invoice", "--store", str(store), "--period", "2025-11", "--format", "json"]) == 0
    invoices = json.loads(capsys.readouterr().out)["invoices"]
    assert {invoice["account"]: invoice["total"] for invoice in invoices} == {
        "astropy/astropy": "9.51",  # 10 × 0.50 + 3.2228126 × 1.4
        "django/django": "293.00",  # 105 − 5 = 100: 20 × 3.10 + 40 × 2.80 + 40 × 2.50 + 19.00
        "matplotlib/matplotlib": "50.00",  # 15 − 5 = 10 × 3.10 + 19.00
        "mwaskom/seaborn": "0.00",  # its only run failed the tests
        "pallets/flask": "0.73",  # 1 × 0.50 + 0.1659960 × 1.4
        "psf/requests": "3.92",  # 3 × 0.50 + 1.7290090 × 1.4
        "pydata/xarray": "9.93",  # 9 × 0.50 + 3.8757256 × 1.4
        "pylint-dev/pylint": "2.36",  # 2 × 0.50 + 0.9696150 × 1.4
        "pytest-dev/pytest": "10.07",  # 9 × 0.50 + 3.9782048 × 1.4
        "scikit-learn/scikit-learn": "74.80",  # 23 − 5 = 18 × 3.10 + 19.00
        "sphinx-doc/sphinx": "43.80",  # 13 − 5 = 8 × 3.10 + 19.00
        "sympy/sympy": "109.00",  # 35 − 5 = 30: 20 × 3.10 + 10 × 2.80 + 19.00
    }
