"""What is asked of the log itself: verify, simulate, correct.

Owns the words and tables around the answers; the work is `unitrate.replay`'s.
"""

from __future__ import annotations

import argparse
from typing import Any

from unitrate.cli import output
from unitrate.cli.opening import again, month_words, opened
from unitrate.cli.options import is_server, needed_store
from unitrate.cli.output import Column
from unitrate.cli.progress import replay_bar
from unitrate.errors import InputError
from unitrate.figures import month_text
from unitrate.replay.verify import Verified
from unitrate.replay.verify import verify as verified

DIFFERENCE = (
    Column("table", "table"),
    Column("row", "row"),
    Column("column", "column"),
    Column("stored", "in the store"),
    Column("replayed", "replayed"),
)
COMPARED = ("events", "units", "lines", "cost_lines")


def verify(arguments: argparse.Namespace) -> int:
    """`unitrate verify`: exit 0 where everything is the same, 1 with the differences."""
    with opened(arguments, "verify") as store, replay_bar("replaying") as progress:
        if is_server(needed_store(arguments)):
            raise InputError("verify works on a folder: it reads the log from the store's ledgers")
        answer = verified(store, arguments.period, progress)
    if arguments.format == "json":
        output.print_json(_document(arguments, answer))
    elif arguments.format == "csv":
        output.print_csv(DIFFERENCE, [one._asdict() for one in answer.first])
    else:
        _print_verified(arguments, answer)
    return 0 if answer.holds else 1


def _document(arguments: argparse.Namespace, answer: Verified) -> dict[str, Any]:
    return {
        "period": month_text(arguments.period) if arguments.period else None,
        "holds": answer.holds,
        "records": answer.records,
        "compared": {name: answer.rows.get(name, 0) for name in COMPARED},
        "differing": answer.differing,
        "differences": [one._asdict() for one in answer.first],
        "seconds": round(answer.seconds, 3),
    }


def _print_verified(arguments: argparse.Namespace, answer: Verified) -> None:
    what = ", ".join(f"{answer.rows.get(name, 0):,} {name.replace('_', ' ')}" for name in COMPARED)
    month = f" of {month_words(arguments.period)}" if arguments.period else ""
    rate = f"{answer.records / answer.seconds:,.0f} records/s" if answer.seconds else ""
    if answer.holds:
        print(f"verified: {answer.records:,} records replayed give the same {what}{month} ({rate})")
        return
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in answer.differing.items())
    print(f"{answer.records:,} records replayed do not give what the store holds{month}: {counts} differ\n")
    output.print_table(DIFFERENCE, [one._asdict() for one in answer.first])
    print()
    output.print_next([(again(arguments, "verify", "--format", "json"), "the same for programs")])
