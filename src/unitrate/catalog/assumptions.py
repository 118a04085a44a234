"""What a prospect is assumed to do in a month: the YAML that `unitrate estimate` reads.

Owns its shape and its errors, with file, line, path and fix as catalogs have them. What it costs and what it
is charged is worked out elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Annotated, Any

from pydantic import Field, ValidationError

from unitrate.catalog.compiled import Catalog, Meter
from unitrate.catalog.document import Document, Path, Problem, read_document
from unitrate.catalog.problems import Places, shape_errors
from unitrate.catalog.scalars import Amount, AttributeValue, Count, Name, PositiveAmount
from unitrate.catalog.section import Items, Section
from unitrate.catalog.spelling import did_you_mean, one_of
from unitrate.errors import InputError
from unitrate.rows import USAGE

MOST = 3  # problems that one error tells
ZERO, ONE = Decimal(0), Decimal(1)


class WorkModel(Section):
    """Pieces of work that are alike."""

    meter: Name
    """Meter that makes a unit of each."""
    units: Amount
    """Units a month that are done and billed."""
    unbilled: Amount = ZERO
    """Further units a month that cost and do not bill: failed, retried elsewhere, tests."""
    requests: PositiveAmount = ONE
    """Model calls of one unit."""
    provider: Name | None = None
    """Provider of the calls."""
    model: Name | None = None
    """Model of the calls."""
    usage: dict[Name, Count] = Field(default_factory=dict)
    """What one call uses: input_tokens, output_tokens, pages …"""
    cost: Amount | None = None
    """What one call costs, in the catalog's currency, where no model and usage tell."""
    attributes: dict[Name, AttributeValue] = Field(default_factory=dict)
    """What each unit brings along: pages, region …"""
    size: Name | None = None
    """Size tier, where no attribute tells."""
    workflow: Name | None = None
    """Workflow, where prices differ by it."""
    workspace: Name | None = None
    """Workspace, where prices differ by it."""


class AssumptionsModel(Section):
    """The whole file."""

    customers: Annotated[dict[Name, Items[WorkModel]], Field(min_length=1)]
    """A month's work by kind of customer: light, normal, heavy."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Assumptions that fit a catalog."""

    file: str
    customers: dict[str, tuple[WorkModel, ...]]


def load(path: str, catalog: Catalog) -> Assumptions:
    """Read and check a file against a catalog. Raises InputError with the first problems."""
    try:
        text = FilePath(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8; save the file as UTF-8") from None
    document = read_document(text, path)
    problems = set(document.problems)
    classes: dict[Path, type[Section]] = {}
    places = Places([document])
    model: AssumptionsModel | None = None
    if not problems:
        try:
            model = AssumptionsModel.model_validate(document.root, context=classes)
        except ValidationError as error:
            problems |= {found.problem(places) for found in shape_errors(error, document.root, classes)}
    if model is not None:
        problems |= set(_unfit(model, catalog, document, places))
    if problems or model is None:
        listed = [str(problem) for problem in sorted(problems, key=lambda p: (p.place, p.message))]
        more = f" (and {len(listed) - MOST} more)" if len(listed) > MOST else ""
        raise InputError(" · ".join(listed[:MOST]) + more)
    return Assumptions(path, {str(name): works for name, works in model.customers.items()})


def _unfit(
    model: AssumptionsModel, catalog: Catalog, document: Document, places: Places
) -> Iterator[Problem]:
    """What the catalog does not know or cannot price."""
    for level, works in model.customers.items():
        for at, work in enumerate(works):
            path: Path = ("customers", str(level), at)
            meter = catalog.meter_by_name.get(work.meter)
            if meter is None:
                known = list(catalog.meter_by_name)
                hint = did_you_mean(work.meter, known) or f"; there are {one_of(known)}"
                yield places.problem((*path, "meter"), f'"{work.meter}" is no meter of the catalog{hint}')
                continue
            yield from _unfit_size(work, meter, path, places)
            yield from _unfit_usage(work, catalog, path, places)


def _unfit_size(work: WorkModel, meter: Meter, path: Path, places: Places) -> Iterator[Problem]:
    if work.size is None:
        return
    names = [name for name, _ in meter.sizes.tiers] if meter.sizes is not None else []
    if work.size not in names:
        hint = did_you_mean(work.size, names) or (
            f"; there are {one_of(names)}" if names else ": it has none"
        )
        yield places.problem((*path, "size"), f'"{work.size}" is no size of {meter.name}{hint}')


def _unfit_usage(work: WorkModel, catalog: Catalog, path: Path, places: Places) -> Iterator[Problem]:
    for name in work.usage:
        if name not in USAGE:
            hint = did_you_mean(name, USAGE) or f"; known are {one_of(USAGE, limit=30)}"
            yield places.problem((*path, "usage", name), f"is no count of a request{hint}")
            return
    if work.cost is not None:
        if work.usage or work.model is not None:
            yield places.problem((*path, "cost"), "stands beside a model and usage; keep one of the two")
    elif work.model is None or not work.usage:
        yield places.problem(
            path, "tells no cost of a request; write provider, model and usage, or cost: 0.01"
        )
    elif request_cost_pico(work, catalog) is None:
        text = f'nobody has priced "{work.model}" of {work.provider or "any provider"} for this usage'
        yield places.problem(
            (*path, "model"), f"{text}; give it a price under costs.models, or write cost: 0.01"
        )


def request_cost_pico(work: WorkModel, catalog: Catalog) -> int | None:
    """What one call costs when the catalog takes effect, in 10⁻¹²; None where nobody has priced it."""
    usage: dict[str, Any] = {str(name): int(count) for name, count in work.usage.items()}
    rates = catalog.costs.rates(work.provider, work.model or "", catalog.effective_us)
    return None if rates is None else rates.cost_pico(usage)
