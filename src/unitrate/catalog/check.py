"""What a catalog must hold beyond its shape.

Owns the list of checks; each part's own are in `check_meters`, `check_plans`, `check_accounts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unitrate.catalog.document import Problem
from unitrate.catalog.model import CatalogModel
from unitrate.catalog.problems import Places


def check_version(model: CatalogModel, places: Places, known: Mapping[str, frozenset[str]]) -> list[Problem]:
    """Problems of one version. `known` has all names that stand in the source, broken parts included."""
    return []


def check_versions(versions: Sequence[tuple[CatalogModel, Places]]) -> list[Problem]:
    """Problems between versions, given in the order of their effective instants."""
    return []
