"""Commands that fold a store's log again: their options, help texts and examples."""

from __future__ import annotations

import argparse

from unitrate.cli import options
from unitrate.cli.registry import Command


def _verify(parser: argparse.ArgumentParser) -> None:
    options.store(parser)
    options.brokers(parser)
    options.period(parser, required=False)
    options.output_format(parser)


def _simulate(parser: argparse.ArgumentParser) -> None:
    options.store(parser)
    options.brokers(parser)
    parser.add_argument(
        "--catalog",
        required=True,
        metavar="CATALOG",
        help="YAML file or folder; of a folder, the last version",
    )
    options.period(parser, required=True)
    options.output_format(parser)


def _correct(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("unit", metavar="UNIT", help="a unit's id, or its key")
    options.store(parser)
    options.brokers(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--waive", dest="action", action="store_const", const="waive", help="it bills nothing, now and later"
    )
    which.add_argument(
        "--restore", dest="action", action="store_const", const="restore", help="take a waiver back"
    )
    parser.add_argument("--who", required=True, help="who decides; explain shows it")
    parser.add_argument("--why", required=True, help="the reason; explain shows it")
    options.dry_run(parser)
    options.output_format(parser)


def _rerate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "catalog", metavar="CATALOG", help="corrected YAML of a published version: same name, other prices"
    )
    options.store(parser)
    options.brokers(parser)
    parser.add_argument(
        "--from",
        dest="since",
        metavar="TIME",
        type=options.month_or_instant,
        default=(None, 0),
        help="first month, as 2025-11 (in each account's time zone), or the instant when it begins "
        "(default: as long as the plan version has been there)",
    )
    parser.add_argument("--who", required=True, help="who decides; explain shows it")
    parser.add_argument("--why", required=True, help="the reason; explain shows it")
    options.dry_run(parser)
    options.output_format(parser)


def _estimate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "catalog", metavar="CATALOG", help="YAML file or folder; of a folder, the last version"
    )
    parser.add_argument("--plan", required=True, metavar="P", help="the plan that is offered")
    parser.add_argument(
        "--assume",
        required=True,
        metavar="FILE",
        help="YAML: what light, normal and heavy customers would do",
    )
    options.output_format(parser)


COMMANDS = (
    Command(
        "verify",
        "folds the whole log again and compares every line, cost and unit with the store",
        "Replays the log from its first record and compares what comes out with what the store holds, to\n"
        "the last digit. Exit 0 if everything is the same, 1 with the differences. Writes nothing.\n"
        "A folder's log is read from its ledgers; with a server store the log is read from --brokers.",
        "unitrate verify --store ./books\nunitrate verify --store ./books --period 2025-11",
        _verify,
        "unitrate.cli.replay:verify",
    ),
    Command(
        "simulate",
        "a month's traffic under another catalog: who would pay what, and why",
        "Folds the month's events under another catalog: meters, policies, plans, own model prices.\n"
        "Fixed are the events, who was a customer on which day, what providers billed, and waivers.\n"
        "Writes nothing.",
        "unitrate simulate --store ./books --catalog next.yaml --period 2025-11",
        _simulate,
        "unitrate.cli.simulation:simulate",
    ),
    Command(
        "estimate",
        "what a prospect would pay a month, and what is left of it",
        "Prices assumed months (light, normal, heavy …) under a plan: the invoice, what the model calls\n"
        "cost, the margin. The assumptions are a YAML file: units by meter, requests a unit, model, usage.",
        "unitrate estimate catalog.yaml --plan growth --assume examples/estimate/assumptions.yaml",
        _estimate,
        "unitrate.cli.estimation:estimate",
    ),
    Command(
        "correct",
        "waives a unit or takes the waiver back, with who and why, as a record in the log",
        "Writes an operator's decision about one unit into the log and shows what it changes. A unit of a\n"
        "closed month becomes an adjustment on the next invoice. A held unit is priced by publishing a\n"
        "catalog that has what is missing (unitrate publish), not here.",
        'unitrate correct run-4711 --waive --who mia --why "outage on 3 November" --store ./books --dry-run\n'
        'unitrate correct run-4711 --restore --who mia --why "it was another run" --store ./books',
        _correct,
        "unitrate.cli.replay:correct",
    ),
    Command(
        "rerate",
        "corrects a price that was published wrong, with who and why, as a record in the log",
        "Rates what was rated under a published plan version anew, at the corrected prices of the file: in\n"
        "place in months that are open, as adjustments on the next invoice for closed ones. Shows who is\n"
        "affected; with --dry-run it writes nothing. Only what a plan charges may differ from the published\n"
        "catalog; anything else needs a new version (unitrate publish).",
        'unitrate rerate catalog.yaml --store ./books --who mia --why "0.09 for 0.90" --dry-run\n'
        'unitrate rerate catalog.yaml --store ./books --who mia --why "0.09 for 0.90" --from 2025-11',
        _rerate,
        "unitrate.cli.rerating:rerate",
    ),
)
