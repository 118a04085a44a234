"""`unitrate explain`: the tree from a bill down to its requests.

Owns the layout (labels to the left, sentences and aligned figures to the right); every figure and sentence is
`unitrate.explain`'s.
"""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Sequence
from decimal import Decimal

from unitrate import explain as explaining
from unitrate.billing.invoice import InvoiceLine
from unitrate.cli import output
from unitrate.cli.opening import again, month_words, opened
from unitrate.explain.cost import CostExplanation
from unitrate.explain.invoice import FIRST as FIRST_UNITS
from unitrate.explain.price import LineExplanation
from unitrate.explain.unit import FIRST as FIRST_REQUESTS
from unitrate.explain.unit import MadeCorrection, Request, explain_one_line
from unitrate.explain.words import grouped, moment, money, plural
from unitrate.figures import EXACT, minor_text, month_text, pico, ratio, rounded
from unitrate.price_book import PROMPT_TOKENS
from unitrate.published import timeline

LABEL = 17
NARROWEST = 100
Branch = tuple[str, list[str]]  # a label, and the lines beside it


def explain(arguments: argparse.Namespace) -> int:
    """`unitrate explain`; exit 1 where the numbers do not add up."""
    with opened(arguments, "explain") as store:
        published = timeline(store)
        digits = published.catalogs[-1].minor_digits
        named = {name for catalog in published.catalogs for name in catalog.accounts}
        target = explaining.find(store, arguments.what, named)
        if target.kind == "invoice":
            return _invoice(arguments, explaining.explain_invoice(store, published, target.id, target.period))
        if target.kind == "line":
            return _unitless_line(arguments, *explain_one_line(store, published, target.id), digits)
        found = explaining.explain_unit(store, published, target.id, target.line_id)
    if arguments.format == "json":
        output.print_json(found.document(digits, arguments.all))
    else:
        _print_unit(arguments, found, digits)
    return 1 if found.differences else 0


def _print_unit(arguments: argparse.Namespace, found: explaining.UnitExplanation, digits: int) -> None:
    unit = found.unit
    left = " · ".join((unit["account"], unit["meter"], unit["key"]))
    right = f"{_fate(found, digits)}, {month_words(unit['period'])}"
    print(f"{left}{' ' * max(3, NARROWEST - len(left) - len(right))}{right}")
    branches: list[Branch] = [("why", list(found.why)), ("started … ended", [_life(found)])]
    if found.corrections:
        branches.append(("corrected", [_correction(made) for made in found.corrections]))
    if found.rerates:
        words = [_correction(made) for made in found.rerates]
        branches.append(("re-rated", [*words, "the month's lines of reason rerate carry the difference"]))
    for line in found.lines:
        label = "this line" if line.row["line_id"] == found.line_id else "price"
        branches.append((label, _price(line, revised=len(found.lines) > 1)))
    branches.append(("cost", _cost(found.cost, found.currency, digits)))
    branches.append(("margin", [_margin(found, digits)]))
    branches.append(("requests", _requests(found.requests, digits, arguments.all)))
    if found.differences:
        branches.append(("does not add up", list(found.differences)))
    _print_tree(branches)
    print()
    period = ("--period", month_text(unit["period"]))
    if found.lines:
        command = again(arguments, "invoice", *period, "--account", unit["account"])
        output.print_next([(command, "the invoice that it is on")])
    else:
        command = again(arguments, "report margin", *period, "--by", "reason")
        output.print_next([(command, "what else did not bill")])


def _fate(found: explaining.UnitExplanation, digits: int) -> str:
    disposition = found.unit["disposition"]
    if disposition == "billable" or found.revenue:
        return f"billed {money(found.revenue, digits)} {found.currency}"
    return "not billed" if disposition == "not_billed" else "held"


def _correction(made: MadeCorrection) -> str:
    done = {"waive": "waived", "restore": "restored", "rerate": "price corrected"}[made.action]
    return f"{done} by {made.who}, {moment(made.at)}: {made.why}"


def _life(found: explaining.UnitExplanation) -> str:
    unit = found.unit
    started = moment(unit["started"])
    if unit["ended"] is None:
        return f"{started} UTC … open, last event {moment(unit['last_event'])}"
    ended = moment(unit["ended"])
    if unit["started"].date() == unit["ended"].date():
        ended = ended.partition(" ")[2]
    by = {"idle": "silence", "max_age": "its age"}.get(unit["ended_by"], unit["ended_by"])
    attempts = f", {unit['attempts']} attempts" if unit["attempts"] > 1 else ""
    return f"{started} … {ended} UTC, ended by {by}{attempts}"


def _price(line: LineExplanation, *, revised: bool) -> list[str]:
    words = [line.heading, ": ".join(part for part in (line.counting, line.price) if part), line.arithmetic]
    if revised:
        words.append(f"revision {line.row['revision']}, reason {line.row['reason']}")
    return words


def _cost(cost: CostExplanation, currency: str, digits: int) -> list[str]:
    models = ", ".join(cost.models)
    head = f"{money(cost.total, digits)} {currency} = {plural(cost.requests, 'request')}"
    rows = [
        (c.name, f"{c.quantity:,}", f"× {_rate(c.rate, c.per, digits)}", c.amount)
        for c in cost.classes
    ]  # fmt: skip
    others = (
        ("rounding", cost.rounding),
        ("billed above computed", cost.billed_difference),
        ("billed in another currency", cost.later_billed),
    )
    rows += [(name, "", "", amount) for name, amount in others if amount]
    return [f"{head} ({models})" if models else head, *_aligned_amounts(rows), *_billing(cost, digits)]


def _rate(rate: Decimal, per: int, digits: int) -> str:
    return f"{money(rate, digits)}{'/M' if per > 1 else ''}"


def _aligned_amounts(rows: Sequence[tuple[str, str, str, Decimal]]) -> list[str]:
    """name, quantity × rate, amount in columns, the amounts' points under each other."""
    if not rows:
        return []
    amounts = [money(row[3], 2) for row in rows]
    decimals = max(len(text.partition(".")[2]) for text in amounts)
    amounts = [f"{row[3]:,.{decimals}f}" for row in rows]
    names, left, right = (max(map(len, texts)) for texts in zip(*(row[:3] for row in rows), strict=True))
    middles = [f"{row[1]:>{left}} {row[2]:<{right}}" if left else "" for row in rows]
    wide = max(map(len, amounts))
    return [
        f"  {row[0]:<{names}}  {middle}{'  ' if middle else ''}{amount:>{wide}}".rstrip()
        for row, middle, amount in zip(rows, middles, amounts, strict=True)
    ]


def _billing(cost: CostExplanation, digits: int) -> list[str]:
    words = []
    if cost.billed_requests:
        which = (
            "" if cost.billed_requests == cost.requests else f" for {plural(cost.billed_requests, 'request')}"
        )
        text = f"billed by the provider{which}: {money(cost.billed, digits)}"
        if cost.billed_difference:
            words.append(f"{text}, {money(cost.billed_difference, digits)} above computed: the bill counts")
        else:
            words.append(f"{text}, equal to the computed cost")
    if cost.later_priced:
        words.append(
            f"{plural(cost.later_priced, 'request')} had no price at first; a later catalog brought it"
        )
    if cost.unpriced_requests:
        words.append(f"{plural(cost.unpriced_requests, 'request')} unpriced: the cost is not known")
    if cost.price_books:
        words.append(f"price book {', '.join(cost.price_books)}, own prices first")
    return words


def _margin(found: explaining.UnitExplanation, digits: int) -> str:
    margin = found.margin
    text = f"{money(rounded(margin, max(digits, 2)), digits)} {found.currency}"
    of_price, on_cost = ratio(margin, found.revenue), ratio(margin, found.cost.total)
    if of_price is not None:
        text += f", {rounded(EXACT.multiply(of_price, Decimal(100)), 1)} % of the price"
    if on_cost is not None and found.revenue:
        text += f", markup {rounded(EXACT.multiply(on_cost, Decimal(100)), 1)} % on the cost"
    return text


def _requests(requests: Sequence[Request], digits: int, every: bool) -> list[str]:
    if not requests:
        return ["none"]
    listed = requests if every else requests[:FIRST_REQUESTS]
    wide = max(len(request.id) for request in listed)
    costs = [money(request.cost, digits) for request in listed]
    usages = [_usage(request) for request in listed]
    widths = max(map(len, usages)), max(len(cost.partition(".")[0]) for cost in costs)
    lines = []
    for request, usage, cost in zip(listed, usages, costs, strict=True):
        note = "" if request.row["status"] == "ok" else f"  {request.row['status']}"
        note += "  background" if request.row["background"] else ""
        amount = " " * (widths[1] - len(cost.partition(".")[0])) + cost
        lines.append(
            f"{request.id:<{wide}}  {request.row['time']:%H:%M:%S}  {usage:<{widths[0]}}  {amount}{note}"
        )
    more = len(requests) - len(listed)
    return [*lines, f"({more:,} more: --all)"] if more else lines


def _usage(request: Request) -> str:
    """7,012 in / 311 out; other classes by name."""
    usage = request.usage
    prompt = sum(usage.get(name, 0) for name in PROMPT_TOKENS)
    answer = usage.get("output_tokens", 0) + usage.get("output_audio_tokens", 0)
    parts = [f"{prompt:,} in / {answer:,} out"] if prompt or answer else []
    others = {n: c for n, c in usage.items() if not n.endswith("_tokens")}
    return ", ".join([*parts, *(f"{count:,} {name.replace('_', ' ')}" for name, count in others.items())])


def _unitless_line(
    arguments: argparse.Namespace, line: LineExplanation, rerate: MadeCorrection | None, digits: int
) -> int:
    if arguments.format == "json":
        made = {} if rerate is None else {"rerate": rerate.document()}
        output.print_json({"kind": "line", "line": line.document(digits), **made})
        return 0
    row = line.row
    print(f"{row['account']} · {row['charge']} · {row['reason']}   {money(row['amount'], digits)}")
    made_by = [] if rerate is None else [("re-rated", [_correction(rerate)])]
    _print_tree([*made_by, ("price", _price(line, revised=rerate is None))])
    return 0


def _invoice(arguments: argparse.Namespace, found: explaining.InvoiceExplanation) -> int:
    if arguments.format == "json":
        output.print_json(found.document(arguments.all))
        return 0
    invoice = found.invoice
    total = minor_text(invoice.total_minor, invoice.minor_digits)
    title = f"{invoice.account} · {invoice.status} invoice for {month_words(invoice.period)}"
    print(f"{title}   {total} {invoice.currency}")
    _print_tree([_invoice_line(entry, invoice.minor_digits, arguments.all) for entry in found.lines])
    print()
    units = [unit for entry in found.lines for unit in entry.units]
    if units:
        dearest = max(units, key=lambda unit: Decimal(unit["amount"]))
        what = dearest["key"] or f"{dearest['unit_id']}.0.0"
        output.print_next([(again(arguments, "explain", what), "the dearest of these units")])
    return 0


def _invoice_line(entry: explaining.invoice.LineUnits, digits: int, every: bool) -> Branch:
    line = entry.line
    amount = minor_text(line.amount_minor, digits)
    if not entry.units:
        return line.kind, [f"{line.name}: {amount}"]
    head = f"{line.name}: {amount}, rounded once from {money(entry.exact, digits)}"
    if line.late_from is not None:
        was = f"rounded now − billed before; {money(entry.exact, digits)} before rounding"
        head = f"{line.name}, late from {month_words(line.late_from)}: {amount}, {was}"
    listed = entry.units if every else entry.units[:FIRST_UNITS]
    rows = [
        (unit["key"] or unit["reason"], grouped(unit["quantity"]), unit["reason"], Decimal(unit["amount"]))
        for unit in listed
    ]
    more = len(entry.units) - len(listed)
    tail = [f"  ({more:,} more: --all)"] if more else []
    return line.kind, [head, _quantities(line, len(entry.units)), *_aligned_amounts(rows), *tail]


def _quantities(line: InvoiceLine, units: int) -> str:
    quantity = grouped(pico(line.quantity_pico or 0))
    included = f", of these {grouped(pico(line.included_pico))} included" if line.included_pico else ""
    return f"{plural(units, 'unit')}, quantity {quantity}{included}"


def _print_tree(branches: Sequence[Branch]) -> None:
    """Labels and lines as a tree; long sentences are wrapped, figures are not."""
    width = max(NARROWEST, shutil.get_terminal_size((NARROWEST, 24)).columns)
    for at, (label, lines) in enumerate(branches):
        last = at == len(branches) - 1
        beside = [part for line in lines for part in _wrapped(line, width - LABEL - 3)]
        for row, text in enumerate(beside or [""]):
            stem = ("└─ " if last else "├─ ") if row == 0 else ("   " if last else "│  ")
            print(f"{stem}{label if row == 0 else '':<{LABEL}}{text}".rstrip())


def _wrapped(line: str, width: int) -> list[str]:
    return [line] if line.startswith("  ") else textwrap.wrap(line, width, subsequent_indent="  ") or [""]
