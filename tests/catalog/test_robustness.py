"""Whatever stands anywhere in a catalog, the answer is a list of problems, never a crash."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.catalog.builders import GOOD
from unitrate.catalog.document import read_document
from unitrate.catalog.source import from_data
from unitrate.errors import CatalogError

JUNK: list[Any] = [None, [], {}, "junk", -1, True, [{}], {"x": {"model": "unit"}}, [[]]]


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else str(value)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths(item, (*path, key))


ROOT = plain(read_document(GOOD, "c").root)


def broken(section: str) -> Iterator[dict[str, Any]]:
    """The catalog with each node of a section replaced by each kind of junk, and taken away."""
    for path in [(section,), *paths(ROOT[section], (section,))]:
        for junk in [*JUNK, "remove"]:
            data = copy.deepcopy(ROOT)
            parent = data
            for step in path[:-1]:
                parent = parent[step]
            if junk == "remove":
                del parent[path[-1]]
            else:
                parent[path[-1]] = junk
            yield data


def lines(data: dict[str, Any]) -> list[str]:
    try:
        from_data(data)
    except CatalogError as error:
        return error.problems
    return []


@pytest.mark.parametrize("section", list(ROOT))
def test_junk_anywhere_is_a_problem_and_no_crash(section: str) -> None:
    """Every node of a full catalog, every kind of junk: lines that name the place, and nothing else."""
    found = [line for data in broken(section) for line in lines(data)]
    assert found
    assert [line for line in found if not line.startswith("catalog:1:1") or "\n" in line] == []
