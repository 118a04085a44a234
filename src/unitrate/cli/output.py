"""Rows as people read them (table) and as programs do (json, csv).

Owns how a value looks: thousands separators and aligned decimals in tables; all digits, as strings, in json
and csv. It must never compute a figure: whatever is printed was asked of a store or of the invoice.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from unitrate.figures import plain, rounded

Kind = Literal["text", "number", "count", "quantity", "money", "rate", "time"]
LEFT: tuple[Kind, ...] = ("text", "time")
MOST_DIGITS = 6  # of money in a table of small amounts
WIDEST = 10_000
NEXT = "Next:  "
NARROW = 100  # columns that a page without a terminal is made for


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key in json and csv, its title in tables, and what its values are."""

    key: str
    title: str
    kind: Kind = "text"


Row = Mapping[str, Any]


def print_json(document: Any) -> None:
    """One document, keys as they stand, readable in a terminal too."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_csv(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([column.key for column in columns])
    for row in rows:
        writer.writerow([machine(row.get(column.key)) for column in columns])


def print_table(
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    total: Row | None = None,
    digits: int = 2,
    indent: int = 0,
) -> None:
    """A table with one header line; `digits` are the currency's minor digits."""
    shown = [*rows, total] if total is not None else list(rows)
    cells = [aligned(column.kind, [row.get(column.key) for row in shown], digits) for column in columns]
    _print_cells(columns, list(zip(*cells, strict=True)) if shown else [], total is not None, indent)


def _print_cells(
    columns: Sequence[Column], lines: Sequence[Sequence[str]], last_is_total: bool, indent: int
) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        # On a narrow terminal words are folded, figures never.
        side: Literal["left", "right"] = "left" if column.kind in LEFT else "right"
        table.add_column(column.title, justify=side, overflow="fold", no_wrap=column.kind != "text")
    for at, line in enumerate(lines):
        table.add_row(*line, style="bold" if last_is_total and at == len(lines) - 1 else None)
    print_rich(table, indent)


def print_rich(renderable: Any, indent: int = 0) -> None:
    """Prints a rich table or tree: bold on a terminal, plain text and as wide as it needs to be elsewhere."""
    from rich.console import Console
    from rich.padding import Padding

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        wide = Console(width=WIDEST)
        needed = wide.measure(renderable).maximum + indent
        console = Console(highlight=False, markup=False, emoji=False, width=max(NARROW, needed))
    with console.capture() as captured:
        console.print(Padding(renderable, (0, 0, 0, indent)) if indent else renderable)
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


def money_digits(values: Sequence[Decimal | None], digits: int) -> int:
    """Decimals of a column of money: the currency's, or more where all of it is under ten cents."""
    largest = max((abs(value) for value in values if value is not None), default=Decimal(0))
    if not 0 < largest < Decimal(1).scaleb(1 - digits):
        return digits
    return max(digits, min(MOST_DIGITS, 2 - largest.adjusted()))


def aligned(kind: Kind, values: Sequence[Any], digits: int) -> list[str]:
    """A column's values as text whose decimal points stand under each other."""
    if kind == "money":
        digits = money_digits(values, digits)
    texts = [human(kind, value, digits) for value in values]
    if kind != "quantity":
        return texts
    longest = max((len(_fraction(text)) for text in texts), default=0)
    return [text + " " * (longest - len(_fraction(text))) for text in texts]


def _fraction(text: str) -> str:
    return text[text.index(".") :] if "." in text else ""


def human(kind: Kind, value: Any, digits: int) -> str:
    """One value as a person reads it."""
    if value is None:
        return "–" if kind == "rate" else ""
    if kind == "count":
        return f"{value:,}"
    if kind == "money":
        return f"{rounded(value, digits):,f}"
    if kind == "quantity":
        return f"{Decimal(plain(value)):,f}"
    if kind == "rate":
        return f"{rounded(value * 100, 1):,f} %"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return str(value)


def fate_words(disposition: str) -> str:
    """billed, not billed, held."""
    return {"billable": "billed", "not_billed": "not billed"}.get(disposition, disposition)


def machine(value: Any) -> Any:
    """One value as a program reads it: decimals as text with all digits, times as RFC 3339."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, list | tuple):
        return [machine(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): machine(item) for key, item in value.items()}
    return value


def print_next(commands: Sequence[tuple[str, str]]) -> None:
    """The next useful commands, each with what it is for; beneath it where a line would be too long."""
    width = max(len(command) for command, _ in commands)
    beside = all(len(NEXT) + width + 3 + len(purpose) <= NARROW for _, purpose in commands)
    for at, (command, purpose) in enumerate(commands):
        head = NEXT if at == 0 else " " * len(NEXT)
        print(f"{head}{command:<{width}}   {purpose}" if beside else f"{head}{command}")
        if not beside:
            print(f"{' ' * len(NEXT)}    {purpose}")
