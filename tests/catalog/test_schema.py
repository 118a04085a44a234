"""The JSON Schemas are current, hold for what is right, and refuse what is plainly wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.catalog.builders import GOOD, with_change
from unitrate import events, rows
from unitrate.catalog import event_schema as described
from unitrate.catalog.document import Scalar, read_document
from unitrate.catalog.schema import catalog_schema, event_schema, main, schemas

ROOT = Path(__file__).resolve().parents[2]
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "s",
    "type": "ai.request",
    "subject": "acme",
    "time": "2026-10-01T00:00:00.5Z",
    "data": {
        "workflow": "w",
        "run_id": "r",
        "usage": {"input_tokens": 1},
        "attributes": {"pages": 2, "eu": True},
    },
}


def as_an_editor_reads(value: Any) -> Any:
    """YAML as an editor hands it to JSON Schema: numbers as numbers."""
    if isinstance(value, dict):
        return {key: as_an_editor_reads(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_an_editor_reads(item) for item in value]
    if isinstance(value, Scalar) and value.kind in ("int", "decimal", "bool", "null"):
        return json.loads(value or "null")
    return str(value)


def errors_of(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(catalog_schema())
    content = as_an_editor_reads(read_document(text, "c").root)
    return [error.json_path for error in validator.iter_errors(content)]


def event_errors(**changes: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(event_schema())
    return [error.json_path for error in validator.iter_errors({**EVENT, **changes})]


def test_the_files_are_current() -> None:
    """`python -m unitrate.catalog.schema` was run after the last change of a model."""
    written = {name: (ROOT / "schemas" / name).read_text(encoding="utf-8") for name in schemas()}
    assert written == schemas()


def test_the_command_writes_and_then_finds_them_current(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--check names each file that is not, and exits 1."""
    assert main(["--check", "--to", str(tmp_path)]) == 1
    assert f"{tmp_path}/event.schema.json is not current" in capsys.readouterr().err
    assert main(["--to", str(tmp_path)]) == 0
    assert main(["--check", "--to", str(tmp_path)]) == 0


def test_a_full_catalog_is_valid() -> None:
    """Every key that the contract has."""
    assert errors_of(GOOD) == []


def test_shared_sections_alone_are_valid() -> None:
    """A file of a folder has no `catalog:` and no `effective`."""
    assert errors_of("plans: {p: {version: 1}}\n") == []
    assert errors_of("catalog: a\n") == ["$"]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("timezone: UTC", "timezon: UTC", "$"),
        ("timezone: UTC", "timezone:", "$.timezone"),
        ("dedupe: 35d", "dedupe: 35 days", "$.dedupe"),
        ("unit: document", "unit: page", "$.meters.review.unit"),
        ("input: 2.00", "input: -2.00", "$.costs.models[0].input"),
        (
            "light: {model: unit, rate: 0.40}",
            "light: {model: unit}",
            "$.plans.growth.charges[0].prices.light",
        ),
        ("- {when: test, charge: none}", "- {when: tests, charge: none}", "$.meters.review.policy[0].when"),
    ],
)
def test_an_editor_marks_what_is_wrong(old: str, new: str, path: str) -> None:
    """At the same path where `check` reports it, or the mapping around it."""
    assert path in errors_of(with_change(old, new))


def test_descriptions_stand_at_keys() -> None:
    """What an editor shows on hover."""
    schema = catalog_schema()
    assert schema["properties"]["effective"]["description"].startswith("From when it holds")
    assert all("description" in field for field in schema["$defs"]["ChargeModel"]["properties"].values())


def test_an_event_is_valid_and_may_have_more_fields() -> None:
    """Fields that are not named are ignored, not refused."""
    assert event_errors() == []
    assert event_errors(datacontenttype="application/json") == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"id": ""}, "$.id"),
        ({"type": "ai.call"}, "$.type"),
        ({"time": "2026-10-01T00:00:00"}, "$.time"),
        ({"data": {"workflow": "w"}}, "$.data"),
        ({"data": {**EVENT["data"], "usage": {"input_tokens": -1}}}, "$.data.usage.input_tokens"),
        ({"data": {**EVENT["data"], "usage": {"pages": 1.5}}}, "$.data.usage.pages"),
        ({"data": {**EVENT["data"], "attributes": {"pages": 1.5}}}, "$.data.attributes.pages"),
        ({"data": {**EVENT["data"], "cost": {"amount": 0.5, "currency": "USD"}}}, "$.data.cost.amount"),
        ({"data": {**EVENT["data"], "tags": {"team": 1}}}, "$.data.tags.team"),
        ({"data": {**EVENT["data"], "completion": 1.5}}, "$.data.completion"),
    ],
)
def test_a_wrong_event_is_refused_where_it_is_wrong(changes: dict[str, Any], path: str) -> None:
    """Floats of money and quantity, negative counts, missing runs."""
    assert path in event_errors(**changes)


def test_the_described_event_has_the_fields_that_are_decoded() -> None:
    """The description and the decoder name the same fields, types and counts."""
    assert set(described.Event.model_fields) == set(events.Event.__struct_fields__)
    assert set(described.Data.model_fields) == set(events.Data.__struct_fields__)
    assert set(described.Cost.model_fields) == set(events.Cost.__struct_fields__)
    assert tuple(described.Usage.model_fields) == rows.USAGE
    assert get_args(described.Event.model_fields["type"].annotation) == get_args(events.EventType)
    assert get_args(described.Data.model_fields["operation"].annotation) == get_args(events.Operation)


@pytest.mark.parametrize(
    "example", sorted(ROOT.glob("examples/*/catalog*.yaml")), ids=lambda path: path.parent.name
)
def test_the_examples_are_valid(example: Path) -> None:
    """What we show is what an editor accepts."""
    assert errors_of(example.read_text(encoding="utf-8")) == []
