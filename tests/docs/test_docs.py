"""The documentation is complete and its links hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from unitrate import events, rows
from unitrate.catalog.meters import CONDITION_WORDS
from unitrate.catalog.model import CatalogModel

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/README.md")])


def text_of(name: str) -> str:
    """A page of docs/."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def catalog_keys(schema: Any) -> Iterator[str]:
    """Every key that the catalog's models know, by its YAML spelling."""
    if isinstance(schema, dict):
        properties = schema.get("properties")
        yield from properties if isinstance(properties, dict) else ()
        for value in schema.values():
            yield from catalog_keys(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from catalog_keys(value)


def test_the_catalog_reference_names_every_key() -> None:
    """docs/catalog.md has each key of the catalog's models in code quotes, or in an example in them."""
    quoted = " ".join(re.findall(r"`([^`]+)`", text_of("catalog.md") + text_of("policies.md")))
    words = set(re.findall(r"[a-z_0-9]+", quoted))
    assert set(catalog_keys(CatalogModel.model_json_schema(by_alias=True))) - words == set()


def test_the_policies_page_names_every_condition() -> None:
    """docs/policies.md has a row for each condition word."""
    page = text_of("policies.md")
    assert [word for word in CONDITION_WORDS if f"| `{word}` |" not in page] == []


def test_the_events_reference_names_every_field_type_and_reason() -> None:
    """docs/events.md has each field, type, operation, usage count and rejection reason."""
    page = text_of("events.md")
    names = {*events.Event.__struct_fields__, *events.Data.__struct_fields__, *rows.USAGE}
    names |= {*get_args(events.EventType), *get_args(events.Operation)}
    names |= {reason for _, reason in events._REASONS}
    assert sorted(name for name in names if f"`{name}`" not in page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    """A relative link points at a file of the repository."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []
