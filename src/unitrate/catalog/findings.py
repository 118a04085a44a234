"""Where checks put what they find. Owns the collecting and the places; knows no rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from unitrate.catalog.document import Path, Problem
from unitrate.catalog.problems import Places

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Known:
    """What the source has, parts that could not be read included: so that one error causes no others."""

    meters: frozenset[str]
    plans: frozenset[str]
    broken_plans: frozenset[str]


class Findings:
    """Problems of one version so far."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.problems: list[Problem] = []

    def add(self, path: Path, message: str) -> None:
        self.problems.append(self._places.problem(path, message))

    def item(self, path: Path, index: int) -> Path:
        """Path of a list's item, or of the one value that stands for a list of one."""
        inner = (*path, index)
        return inner if self._places.has(inner) else path

    def twice(
        self,
        things: Iterable[Thing],
        name_of: Callable[[Thing], str],
        path_of: Callable[[int, Thing], Path],
        what: str,
    ) -> None:
        """Reports every name that an earlier thing has already."""
        seen: set[str] = set()
        for i, thing in enumerate(things):
            name = name_of(thing)
            if name in seen:
                self.add(path_of(i, thing), f'"{name}" is the name of two {what}; give each its own')
            seen.add(name)
