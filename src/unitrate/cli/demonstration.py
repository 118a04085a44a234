"""`unitrate demo`: the story on one screen.

Owns the layout: what happened to the left, what it earned to the right, then a few sentences and
what to try next. Figures are `unitrate.demo`'s.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from decimal import Decimal
from itertools import zip_longest

from unitrate.billing.invoice import Invoice
from unitrate.cli import output
from unitrate.cli.opening import again, minor_digits, month_words
from unitrate.demo import Story
from unitrate.explain.words import plural
from unitrate.figures import minor_text, month_text

GAP = 6
REASONS = {"rejected": "rejected by tests"}  # the example's verdict is the benchmark's hidden tests


def print_story(arguments: argparse.Namespace, found: Story) -> None:
    """The story, and the next commands."""
    digits = minor_digits(found.by_account.currency)
    left = ["What happened", *_happened(found)]
    right = [f"What it earned, {month_words(found.period)}", *_earned(found, digits)]
    wide = max(map(len, left)) + GAP
    for one, other in zip_longest(left, right, fillvalue=""):
        print(f"  {one:<{wide}}{other}".rstrip())
    print()
    for sentence in _sentences(found, digits):
        print(f"  {sentence}")
    _print_next(arguments, found)


def _happened(found: Story) -> list[str]:
    total = found.by_account.total
    rows = [("model calls", total["requests"]), ("duplicates", found.duplicates)]
    if found.rejected:
        rows.append(("rejected events", found.rejected))
    rows.append(("runs", total["units"]))
    fates: dict[str, int] = {}
    for row in found.by_reason.rows:
        fates[row["disposition"]] = fates.get(row["disposition"], 0) + row["units"]
    for fate, count in fates.items():
        rows.append((f"  {output.fate_words(fate)}", count))
        rows += [
            (f"    {REASONS.get(row['reason'], row['reason'])}", row["units"])
            for row in found.by_reason.rows
            if row["disposition"] == fate and fate != "billable"
        ]
    names = max(len(name) for name, _ in rows)
    return [f"{name:<{names}}  {count:>7,}" for name, count in rows]


def _earned(found: Story, digits: int) -> list[str]:
    """customer, resolved, billed, cost, margin; the customer who pays most first."""
    ordered = sorted(found.by_account.rows, key=lambda row: (-row["revenue"], row["account"]))
    shown = [*ordered, {**found.by_account.total, "account": "total"}]
    columns = [
        ["customer", *(row["account"] for row in shown)],
        ["resolved", *output.aligned("quantity", [row["billable_quantity"] for row in shown], digits)],
        ["billed", *output.aligned("money", [row["revenue"] for row in shown], digits)],
        ["cost", *output.aligned("money", [row["cost"] for row in shown], digits)],
        ["margin", *output.aligned("rate", [row["margin_rate"] for row in shown], digits)],
    ]
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(text.ljust(width) if at == 0 else text.rjust(width) for at, (text, width) in enumerate(
            zip(line, widths, strict=True)
        )).rstrip()
        for line in zip(*columns, strict=True)
    ]  # fmt: skip


def _sentences(found: Story, digits: int) -> Iterable[str]:
    currency = found.by_account.currency
    failed = next((row for row in found.by_reason.rows if row["reason"] == "rejected"), None)
    if failed is not None:
        cost = output.human("money", failed["cost"], digits)
        runs = plural(failed["units"], "run")
        yield f"{runs} failed their tests: customers pay nothing for them, they cost us {cost} {currency}."
    if found.dearest is not None:
        dearest = found.dearest
        cost, revenue = (output.human("money", dearest[name], digits) for name in ("cost", "revenue"))
        calls = plural(dearest["requests"], "call")
        run = f"The costliest run that billed, {dearest['key']}"
        yield f"{run}, took {calls} and {cost} {currency}; it billed {revenue}."
    if found.invoices:
        largest, total = _largest(found.invoices), sum(one.total_minor for one in found.invoices)
        lines = " + ".join(f"{line.name} {minor_text(line.amount_minor, digits)}" for line in largest.lines)
        amount = f"{minor_text(largest.total_minor, digits)} {currency}"
        yield f"The largest draft invoice, {largest.account}: {lines} = {amount}."
        yield f"All {len(found.invoices)} draft invoices: {Decimal(minor_text(total, digits)):,} {currency}."


def _largest(invoices: Iterable[Invoice]) -> Invoice:
    return max(invoices, key=lambda one: one.total_minor)


def _print_next(arguments: argparse.Namespace, found: Story) -> None:
    month = ("--period", month_text(found.period))
    commands = []
    if found.dearest is not None:
        commands.append((again(arguments, "explain", found.dearest["key"]), "why it billed what it billed"))
    if found.invoices:
        account = _largest(found.invoices).account
        commands.append((again(arguments, "invoice", *month, "--account", account), "a draft invoice"))
    commands.append(
        (again(arguments, "report margin", *month, "--by", "account,reason"), "where margin goes")
    )
    print()
    output.print_next(commands)
