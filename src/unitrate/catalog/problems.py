"""What does not fit the model, in one line each, with the fix.

Owns the wording of shape errors (unknown keys, missing keys, wrong kinds of value). What needs knowledge of
billing is worded where it is checked.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from unitrate.catalog.document import Document, Path, Place, Problem, Scalar
from unitrate.catalog.model import ITEM_RATES, TOKEN_RATES
from unitrate.catalog.plans import PRICE_MODELS
from unitrate.catalog.scalars import shown
from unitrate.catalog.section import Section
from unitrate.catalog.spelling import did_you_mean, one_of

_EXAMPLES = {
    "accept": "accept: {on: work.accepted, within: 14d}",
    "agreed": 'agreed: {ref: "MSA §4.2", on: 2026-09-01}',
    "as": "as: the name in the book",
    "amount": "amount: 100.00",
    "at": "at: [0.8, 1.0]",
    "attribute": "attribute: {NAME: VALUE}",
    "below": "below: 0.30",
    "builder": "builder: a name",
    "by": "by: an attribute such as pages",
    "charge": "charge: none",
    "effective": "effective: 2026-10-01T00:00:00Z",
    "currency": "currency: USD",
    "from": "from: 2026-10-01",
    "credit": "credit: 350.00",
    "flat": "flat: 10.00",
    "grants": "grants: {credit: 350.00}",
    "meter": "meter: the name of a meter",
    "model": "model: a name or a glob",
    "name": "name: a name",
    "on": "on: 2026-10-01",
    "plan": "plan: the name of a plan",
    "price": "price: 50.00",
    "provider": "provider: a name or a glob",
    "rate": "rate: 0.40",
    "ref": 'ref: "MSA §4.2"',
    "requests": "requests: 50",
    "reward": "reward: 0.70",
    "size": "size: 100",
    "tiers": "tiers: a list of tiers",
    "type": "type: ai.request",
    "unit": "unit: run, document, ticket, conversation, action or outcome",
    "version": "version: 1",
    "when": "when: a condition",
    "within": "within: 7d",
    "workflow": "workflow: a name, a list of names, or a glob",
    "workflows": "workflows: a list of names",
}


# Own prices are named almost like what events count.
_RATE_OF_COUNT = {count: rate for rate, count in (*TOKEN_RATES.items(), *ITEM_RATES.items())}


class Places:
    """Where every path of a version stands, over all files that it is made of."""

    def __init__(self, documents: list[Document]) -> None:
        self._values: dict[Path, Place] = {}
        self._keys: dict[Path, Place] = {}
        for document in documents:
            for path, place in document.places.items():
                self._values.setdefault(path, place)
            for path, place in document.keys.items():
                self._keys.setdefault(path, place)

    def of(self, path: Path) -> Place:
        """The value's place, or that of the nearest mapping around it."""
        while path and path not in self._values:
            path = path[:-1]
        return self._values.get(path, Place("catalog", 1, 1))

    def has(self, path: Path) -> bool:
        return path in self._values

    def of_key(self, path: Path) -> Place:
        """The key's place."""
        return self._keys.get(path) or self.of(path)

    def problem(self, path: Path, message: str) -> Problem:
        return Problem(self.of(path), path, message)


class ShapeError:
    """One finding of pydantic's: its path in the document, and whether the key itself is what is wrong."""

    def __init__(self, error: ErrorDetails, root: Any, classes: dict[Path, type[Section]]) -> None:
        self.kind = error["type"]
        self.path, self._parent = _path_in_document(error["loc"], root, missing=self.kind == "missing")
        self._input = error["input"]
        self._error = error
        self._classes = classes
        if self.kind == "price_model" and isinstance(self._input, dict):
            self.path = (*self.path, "model")

    @property
    def is_unknown_key(self) -> bool:
        return self.kind == "extra_forbidden"

    def problem(self, places: Places) -> Problem:
        place = places.of_key(self.path) if self.is_unknown_key else places.of(self.path)
        return Problem(place, self.path, self._message())

    def _message(self) -> str:
        if self.kind == "catalog":
            return str(self._error["ctx"]["message"])
        if self.kind == "missing":
            key = str(self.path[-1])
            return f"is missing; write {_EXAMPLES.get(key, key + ': …')}"
        if self.is_unknown_key:
            return self._unknown_key()
        if isinstance(self._input, Scalar) and self._input.kind == "null":
            return "has no value; give it one or leave the key out"
        if self.kind == "price_model":
            return _unknown_price_model(self._input)
        if self.kind == "literal_error":
            return _not_one_of(self._input, str(self._error["ctx"]["expected"]))
        if self.kind in ("model_type", "model_attributes_type", "dict_type"):
            return f"must be a mapping, not {_described(self._input)}"
        if self.kind in ("tuple_type", "list_type"):
            return f"must be a list, not {_described(self._input)}"
        if self.kind == "too_short":
            return "is empty; list at least one"
        return self._error["msg"]

    def _unknown_key(self) -> str:
        key = str(self.path[-1])
        if key == "<<":
            return "is a YAML 1.1 merge key, which YAML 1.2 does not have; write the keys out"
        section = self._classes.get(self.path[:-1])
        known = section.keys() if section is not None else []
        rate = _RATE_OF_COUNT.get(key)
        if rate in known:
            return f'is no key here; did you mean "{rate}"?'
        close = did_you_mean(key, known)
        return f"is no key here{close or '; known are ' + one_of(known, limit=30)}"


def shape_errors(error: ValidationError, root: Any, classes: dict[Path, type[Section]]) -> list[ShapeError]:
    details = error.errors(include_url=False)
    return [ShapeError(detail, root, classes) for detail in details]


def _path_in_document(loc: tuple[str | int, ...], root: Any, *, missing: bool) -> tuple[Path, Any]:
    """Drops from pydantic's location what is no step in the document: union tags, one-for-a-list indices."""
    path: Path = ()
    node: Any = root
    for i, step in enumerate(loc):
        items: Any = dict(enumerate(node)) if isinstance(node, list) else node
        if isinstance(items, dict) and step in items:
            path, node = (*path, step), items[step]
        elif missing and i == len(loc) - 1:
            path = (*path, step)
    return path, node


def _described(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return shown(value)


def _not_one_of(value: Any, expected: str) -> str:
    known = [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]
    if not isinstance(value, str):
        return f"must be {one_of(known)}, not {_described(value)}"
    if len(known) == 1:
        return f'must be "{known[0]}", not {shown(value)}'
    close = did_you_mean(str(value), known)
    return f"{shown(value)} is not one of {one_of(known)}{close}"


def _unknown_price_model(value: Any) -> str:
    if not isinstance(value, dict):
        return f"must be a price such as {{model: unit, rate: 0.40}}, not {_described(value)}"
    model = value.get("model")
    if not isinstance(model, str):
        return f"is missing; write model: {one_of(PRICE_MODELS)}"
    return (
        f"{shown(model)} is no price model; write {one_of(PRICE_MODELS)}{did_you_mean(model, PRICE_MODELS)}"
    )
