"""JSON Schemas of catalogs and events, generated from the models.

    python -m unitrate.catalog.schema [--check] [--to schemas]

Owns the two files in `schemas/`: writes them, or with `--check` says which of them is not current (exit 1).
For editors: `# yaml-language-server: $schema=schemas/catalog.schema.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unitrate.catalog.event_schema import Event
from unitrate.catalog.model import CatalogModel

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def catalog_schema() -> dict[str, Any]:
    """Schema of one catalog file: a version, or sections that versions share."""
    schema = _tidy(CatalogModel.model_json_schema(by_alias=True))
    # A file without `catalog` holds shared sections; one with it may leave the currency to them.
    schema.pop("required")
    schema["dependentRequired"] = {"catalog": ["effective"]}
    return {"$schema": DRAFT, "$id": "urn:unitrate:catalog", "title": "unitrate catalog", **schema}


def event_schema() -> dict[str, Any]:
    """Schema of one event."""
    schema = _tidy(Event.model_json_schema(by_alias=True))
    return {"$schema": DRAFT, "$id": "urn:unitrate:event", "title": "unitrate event", **schema}


def _tidy(value: Any, *, is_names: bool = False) -> Any:
    """Without titles, which only repeat names, and without nulls: a key is left out, never empty."""
    if isinstance(value, list):
        return [_tidy(item) for item in value if item != {"type": "null"}]
    if not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for key, item in value.items():
        if is_names:
            out[key] = _tidy(item)
        elif key != "title" and not (key == "default" and item is None):
            out[key] = _tidy(item, is_names=key in ("properties", "$defs"))
    alternatives = out.get("anyOf", [])
    if len(alternatives) == 1 and not is_names:
        del out["anyOf"]
        out = {**alternatives[0], **out}
    return out


def schemas() -> dict[str, str]:
    """File name to text, of all schemas."""
    made = {"catalog.schema.json": catalog_schema(), "event.schema.json": event_schema()}
    return {name: json.dumps(schema, indent=1, ensure_ascii=False) + "\n" for name, schema in made.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m unitrate.catalog.schema", description="Writes the JSON Schemas."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is not current")
    parser.add_argument("--to", default="schemas", help="folder, default schemas")
    options = parser.parse_args(arguments)
    folder = Path(options.to)
    stale = []
    for name, text in schemas().items():
        file = folder / name
        if options.check:
            if not file.is_file() or file.read_text(encoding="utf-8") != text:
                stale.append(str(file))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    for stale_file in stale:
        sys.stderr.write(f"{stale_file} is not current; write it with python -m unitrate.catalog.schema\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
