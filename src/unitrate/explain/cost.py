"""What a unit cost, by usage class × rate, from its requests and the price book of the publication.

Owns the sums by class; a request's own cost is the ledger's. What separates the two (rounding, a provider's
bill, a price that came later) stands in lines of its own, so the lines always add up to the cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from unitrate.explain.words import instant_us
from unitrate.figures import EXACT, money_text, pico, plain
from unitrate.price_book import PROMPT_TOKENS
from unitrate.pricing import PICO, half_up
from unitrate.rows import USAGE

if TYPE_CHECKING:
    from unitrate.catalog.compiled import Catalog
    from unitrate.costs import Rates
    from unitrate.timeline import Timeline

ZERO = Decimal(0)
MILLION = 1_000_000
NAMES = {
    "input_tokens": "uncached input",
    "cache_read_tokens": "cache read",
    "cache_write_tokens": "cache write",
    "cache_write_1h_tokens": "cache write 1 h",
    "output_tokens": "output",
    "input_audio_tokens": "audio input",
    "cache_read_audio_tokens": "audio cache read",
    "output_audio_tokens": "audio output",
}
PER_REQUEST = "requests"


@dataclass(frozen=True, slots=True)
class ClassCost:
    """One usage class of one model at one rate. `rate` is per `per` items (a million for tokens)."""

    provider: str
    model: str
    usage: str
    quantity: int
    rate: Decimal
    per: int
    amount: Decimal

    @property
    def name(self) -> str:
        return NAMES.get(self.usage, self.usage.replace("_", " "))


@dataclass(frozen=True, slots=True)
class CostExplanation:
    """Σ classes + rounding + billed_difference + later_billed = total; later_priced is in the classes."""

    total: Decimal
    requests: int
    classes: tuple[ClassCost, ...]
    rounding: Decimal
    computed: Decimal
    billed_requests: int
    billed: Decimal
    billed_difference: Decimal  # what providers billed above what was computed for the same requests
    unpriced_requests: int
    price_books: tuple[str, ...]
    later_priced: int  # requests that a later catalog priced
    later_billed: Decimal  # bills in a currency for which a later catalog brought the rate

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(f"{c.provider} {c.model}".strip() for c in self.classes))

    def document(self, digits: int) -> dict[str, Any]:
        """The cost for programs."""
        return {
            "total": money_text(self.total, digits),
            "requests": self.requests,
            "classes": [
                {
                    "provider": c.provider,
                    "model": c.model,
                    "usage": c.usage,
                    "quantity": str(c.quantity),
                    "rate": plain(c.rate),
                    "per": c.per,
                    "amount": money_text(c.amount, digits),
                }
                for c in self.classes
            ],
            "rounding": money_text(self.rounding, digits),
            "computed": money_text(self.computed, digits),
            "billed_requests": self.billed_requests,
            "billed": money_text(self.billed, digits),
            "billed_difference": money_text(self.billed_difference, digits),
            "later_billed": money_text(self.later_billed, digits),
            "unpriced_requests": self.unpriced_requests,
            "later_priced_requests": self.later_priced,
            "price_books": list(self.price_books),
        }


@dataclass(slots=True)
class _Sums:
    classes: dict[tuple[str, str, str, Fraction], int]
    computed: Decimal = ZERO
    billed: Decimal = ZERO
    difference: Decimal = ZERO
    total: Decimal = ZERO
    billed_requests: int = 0
    unpriced: int = 0
    later: int = 0


def explain_cost(
    requests: Sequence[Mapping[str, Any]], timeline: Timeline, unit: Mapping[str, Any]
) -> CostExplanation:
    """From rows of `events`: the requests of one unit, and the unit's row."""
    sums = _Sums({})
    for row in requests:
        _add(sums, row, timeline)
    # The ledger does not keep a bill in a foreign currency; the unit knows what a later rate made of it.
    later_billed = ZERO
    if any(row["unpriced"] for row in requests):
        later_billed = EXACT.subtract(unit["cost"], sums.total)
        sums.total, sums.unpriced = unit["cost"], unit["unpriced_requests"]
    classes = tuple(_classes(sums.classes))
    shown = sum_of(c.amount for c in classes)
    return CostExplanation(
        total=sums.total,
        requests=len(requests),
        classes=classes,
        rounding=EXACT.subtract(sums.computed, shown),
        computed=sums.computed,
        billed_requests=sums.billed_requests,
        billed=sums.billed,
        billed_difference=sums.difference,
        unpriced_requests=sums.unpriced,
        price_books=tuple(dict.fromkeys(row["price_book"] for row in requests if row["price_book"])),
        later_priced=sums.later,
        later_billed=later_billed,
    )


def request_cost(row: Mapping[str, Any], timeline: Timeline) -> Decimal:
    """What a request costs now: the ledger's figure, or what a later catalog priced it at."""
    if not row["unpriced"] or row["cost_computed"] is not None:
        return Decimal(row["cost"])
    priced = _later(row, timeline)
    return ZERO if priced is None else priced[1]


def sum_of(values: Iterable[Decimal]) -> Decimal:
    """An exact sum."""
    total = ZERO
    for value in values:
        total = EXACT.add(total, value)
    return total


def _add(sums: _Sums, row: Mapping[str, Any], timeline: Timeline) -> None:
    catalog, computed = timeline.named(row["catalog"]), row["cost_computed"]
    cost = Decimal(row["cost"])
    if row["unpriced"]:
        priced = _later(row, timeline) if computed is None else None
        if priced is None:
            sums.unpriced += 1
            computed = None  # the bill counts, in a currency without a rate
        else:
            catalog, computed = priced
            cost = computed
            sums.later += 1
    if computed is not None:
        sums.computed = EXACT.add(sums.computed, computed)
        for key, count in _parts(row, catalog).items():
            sums.classes[key] = sums.classes.get(key, 0) + count
    if row["cost_billed"] is not None:
        sums.billed_requests += 1
        sums.billed = EXACT.add(sums.billed, row["cost_billed"])
        sums.difference = EXACT.add(sums.difference, EXACT.subtract(row["cost_billed"], computed or ZERO))
    sums.total = EXACT.add(sums.total, cost)


def _later(row: Mapping[str, Any], timeline: Timeline) -> tuple[Catalog, Decimal] | None:
    """The first later catalog that prices a request, and its cost there."""
    at = timeline.catalogs.index(timeline.named(row["catalog"]))
    for catalog in timeline.catalogs[at + 1 :]:
        rates = _rates(row, catalog)
        cost_pico = None if rates is None else rates.cost_pico(_usage(row))
        if cost_pico is not None:
            return catalog, pico(cost_pico)
    return None


def _usage(row: Mapping[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in USAGE if row[name]}


def _rates(row: Mapping[str, Any], catalog: Catalog) -> Rates | None:
    return catalog.costs.rates(row["provider"], row["model"], instant_us(row["time"]))


def _parts(row: Mapping[str, Any], catalog: Catalog) -> dict[tuple[str, str, str, Fraction], int]:
    """(provider, model, usage, rate per item) → count of one request; Σ count × rate is its computed cost."""
    rates = _rates(row, catalog)
    if rates is None:
        return {}
    usage = _usage(row)
    prompt = sum(usage.get(name, 0) for name in PROMPT_TOKENS)
    step = next((s for threshold, s in rates.steps if threshold < prompt), rates.steps[-1][1])
    provider, model = catalog.costs.names(row["provider"], row["model"])
    parts = {}
    for name, count in usage.items():
        rate = Fraction(step.get(name, 0), rates.scale)
        if rate:
            least = rates.least_seconds if name == "seconds" else 0
            parts[provider or "", model, name, rate] = max(count, least)
    if rates.per_request:
        parts[provider or "", model, PER_REQUEST, Fraction(rates.per_request, rates.scale)] = 1
    return parts


def _classes(found: Mapping[tuple[str, str, str, Fraction], int]) -> Iterable[ClassCost]:
    order = {name: at for at, name in enumerate((*USAGE, PER_REQUEST))}
    for (provider, model, usage, rate), count in sorted(
        found.items(), key=lambda entry: (*entry[0][:2], order[entry[0][2]], entry[0][3])
    ):
        per = MILLION if usage.endswith("_tokens") else 1
        shown = EXACT.divide(Decimal(rate.numerator * per), Decimal(rate.denominator))
        amount = pico(half_up(rate * count * PICO, 1))
        yield ClassCost(provider, model, usage, count, _short(shown), per, amount)


def _short(rate: Decimal) -> Decimal:
    """A rate with all its digits where it ends, and twelve decimals where it does not."""
    return (
        rate
        if len(plain(rate).partition(".")[2]) <= 24
        else pico(int(EXACT.to_integral_value(rate.scaleb(12))))
    )
