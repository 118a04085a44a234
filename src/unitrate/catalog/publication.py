"""A checked version → the bytes that are published into the log.

Owns the writing side of a publication's format, which `compiling` reads:

    {"format": 1, "catalog": resolved catalog (see `resolve`), "book": price-book snapshot (see `book`),
     "zones": {name: {"starts": [seconds], "offsets": [seconds]}}, "made_with": {"zones": "tzdata 2026.1"}}

Canonical JSON: sorted keys, no spaces, UTF-8; decimals are texts. Reads installed package data, no files of
the caller and no clock, so the same version and packages give the same bytes.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from unitrate.catalog import zones
from unitrate.catalog.book import snapshot
from unitrate.catalog.compiling import FORMAT, compile_publication
from unitrate.catalog.resolve import resolve
from unitrate.catalog.source import Version
from unitrate.errors import CatalogError

# Kafka's max.message.bytes is 2 MiB for the topic; the rest is for the record's own overhead.
MAX_PUBLICATION_BYTES = 2 * 1024 * 1024 - 64 * 1024


def publication(version: Version) -> bytes:
    """All that a replay needs of one version, in canonical JSON."""
    catalog = resolve(version.model)
    used = {catalog["timezone"], *(a["timezone"] for a in catalog["accounts"].values() if "timezone" in a)}
    content = {
        "format": FORMAT,
        "catalog": catalog,
        "book": _book(),
        "zones": {name: _zone_table(name) for name in sorted(used)},
        "made_with": {"zones": zones.data_version()},
    }
    data = canonical_json(content)
    if len(data) > MAX_PUBLICATION_BYTES:
        path = ("accounts",) if catalog["accounts"] else ()
        message = (
            f"the catalog takes {len(data):,} bytes as one record of the log, {MAX_PUBLICATION_BYTES:,} are "
            "the limit; move customers whose plans have ended to an older version"
        )
        raise CatalogError([str(version.places.problem(path, message))])
    return data


def canonical_json(content: Any) -> bytes:
    """One text for one value."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@lru_cache(maxsize=1)
def _book() -> dict[str, Any]:
    return snapshot()


def _zone_table(name: str) -> dict[str, Any]:
    starts, offsets = zones.offset_changes(name)
    return {"starts": list(starts), "offsets": list(offsets)}


__all__ = ["MAX_PUBLICATION_BYTES", "canonical_json", "compile_publication", "publication"]
