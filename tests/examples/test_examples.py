"""Every folder of examples/ bills what its README works out by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from unitrate.cli import main

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/expected_invoice.json"))
# Figures of `unitrate units` that the examples state; money is compared as numbers, not as text.
MONEY = frozenset({"cost", "quantity", "revenue"})


def answer(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> Any:
    """The JSON document that a command prints."""
    capsys.readouterr()
    assert main([str(arg) for arg in argv]) == 0
    return json.loads(capsys.readouterr().out)


def by_kind_and_name(invoice: dict[str, Any]) -> dict[str, Any]:
    """An invoice without its id, its lines in an order that does not matter."""
    lines = sorted(invoice["lines"], key=lambda line: (line["kind"], line["name"]))
    return {name: value for name, value in invoice.items() if name != "invoice_id"} | {"lines": lines}


def figures(unit: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The named columns of a unit, money as Decimal."""
    return {name: Decimal(unit[name]) if name in MONEY else unit[name] for name in names}


def units_of(document: Any) -> list[dict[str, Any]]:
    """The rows of a units answer."""
    return list(document["units"] if isinstance(document, dict) else document)


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_example_bills_what_its_readme_works_out(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Running the events under the catalog gives the expected invoices and the expected fate of each unit."""
    example, store = EXAMPLES / folder, tmp_path / "store"
    assert (
        main(
            [
                "run",
                "--catalog",
                str(example / "catalog.yaml"),
                "--store",
                str(store),
                str(example / "events.jsonl"),
            ]
        )
        == 0
    )

    expected = json.loads((example / "expected_invoice.json").read_text())["invoices"]
    invoices = answer(
        capsys, "invoice", "--store", store, "--period", expected[0]["period"], "--format", "json"
    )["invoices"]
    assert [by_kind_and_name(i) for i in invoices] == [by_kind_and_name(i) for i in expected]

    wanted = json.loads((example / "expected_units.json").read_text())
    names = list(wanted[0])
    units = units_of(answer(capsys, "units", "--store", store, "--format", "json"))
    found = sorted(
        (figures(unit, names) for unit in units), key=lambda unit: (unit.get("account", ""), unit["key"])
    )
    assert found == sorted(
        (figures(u, names) for u in wanted), key=lambda unit: (unit.get("account", ""), unit["key"])
    )


def test_every_example_is_complete() -> None:
    """An example has a catalog, events, a README and both expectations; none is left out of these tests."""
    # Tested in test_agent_runs, tests/months and tests/replay.
    apart = {"agent_runs", "agency_three_months", "estimate", "wrong_price"}
    folders = [path for path in EXAMPLES.iterdir() if path.is_dir() and path.name not in apart]
    assert len(folders) >= 11
    for folder in folders:
        names = {path.name for path in folder.iterdir()}
        assert {
            "catalog.yaml",
            "events.jsonl",
            "README.md",
            "expected_invoice.json",
            "expected_units.json",
        } <= names
