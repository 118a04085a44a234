"""What is done to the log as a whole or to one unit of it: verify, correct.

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
from unitrate.figures import money_text, month_text, pico
from unitrate.replay.correct import Decision, Effect, Line
from unitrate.replay.correct import correct as corrected
from unitrate.replay.verify import Verified
from unitrate.replay.verify import verify as verified

DIFFERENCE = (
    Column("table", "table"),
    Column("row", "row"),
    Column("column", "column"),
    Column("stored", "in the store"),
    Column("replayed", "replayed"),
)
COMPARED = (
    "events", "units", "lines", "cost_lines", "closings", "grants", "corrections", "rerates",
    "rerated_months", "invoices",
)  # fmt: skip
ALWAYS = 4  # of these are named in a sentence even where there are none


def verify(arguments: argparse.Namespace) -> int:
    """`unitrate verify`: exit 0 where everything is the same, 1 with the differences."""
    with opened(arguments, "verify") as store, replay_bar("replaying") as progress:
        if store.is_folder:
            answer = verified(store, arguments.period, progress)
        else:
            from unitrate.replay import kafka
            from unitrate.runtime.kafka_connection import connection

            answer = kafka.verify(store, connection(arguments.brokers), arguments.period, progress)
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
    named = [name for at, name in enumerate(COMPARED) if at < ALWAYS or answer.rows.get(name)]
    what = ", ".join(f"{answer.rows.get(name, 0):,} {name.replace('_', ' ')}" for name in named)
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


# ---------------------------------------------------------------- correct


def correct(arguments: argparse.Namespace) -> int:
    """`unitrate correct`."""
    decision = Decision(arguments.action, arguments.who, arguments.why)
    kafka = None
    if arguments.brokers and is_server(needed_store(arguments)):
        from unitrate.runtime.kafka_connection import connection

        kafka = connection(arguments.brokers)
    with opened(arguments, "correct") as store:
        effect = corrected(store, arguments.unit, decision, kafka, dry_run=arguments.dry_run)
    if arguments.format == "json":
        output.print_json(_effect_document(arguments, effect))
    elif arguments.format == "csv":
        output.print_csv(EFFECT, [_effect_row(effect, line) for line in effect.lines])
    else:
        _print_effect(arguments, effect)
    return 0


EFFECT = (
    Column("bill_month", "invoice of"),
    Column("usage_month", "for"),
    Column("charge", "charge"),
    Column("amount", "amount", "money"),
)


def _effect_row(effect: Effect, line: Line) -> dict[str, Any]:
    return {
        "bill_month": month_text(line.bill_month),
        "usage_month": month_text(line.usage_month),
        "charge": line.charge,
        "amount": money_text(pico(line.amount_pico), effect.minor_digits),
    }


def _effect_document(arguments: argparse.Namespace, effect: Effect) -> dict[str, Any]:
    return {
        "account": effect.account,
        "unit_id": effect.unit_id,
        "meter": effect.meter,
        "key": effect.key,
        "action": arguments.action,
        "who": arguments.who,
        "why": arguments.why,
        "written": not arguments.dry_run,
        "before": dict(zip(("disposition", "reason"), effect.before, strict=True)),
        "after": dict(zip(("disposition", "reason"), effect.after, strict=True)),
        "currency": effect.currency,
        "lines": [_effect_row(effect, line) for line in effect.lines],
    }


def _print_effect(arguments: argparse.Namespace, effect: Effect) -> None:
    done = {"waive": "waived", "restore": "restored"}[arguments.action]
    would = "would be " if arguments.dry_run else ""
    unit = f"{effect.account} · {effect.meter} · {effect.key}"
    print(f"{unit}   {would}{done} by {arguments.who}: {arguments.why}")
    if effect.state == "open" and arguments.action == "waive":
        print("it is open still: it bills nothing when it ends")
    else:
        before, after = (f"{output.fate_words(d)} ({r})" for d, r in (effect.before, effect.after))
        print(f"{before} → {after}")
    for line in effect.lines:
        late = (
            "" if line.bill_month == line.usage_month else f", adjustment for {month_words(line.usage_month)}"
        )
        amount = money_text(pico(line.amount_pico), effect.minor_digits)
        print(f"  {amount} {effect.currency}  {line.charge}, invoice of {month_words(line.bill_month)}{late}")
    if not effect.lines:
        print("  no line changes")
    print()
    output.print_next([(again(arguments, "explain", effect.unit_id), "the unit, with who and why")])
