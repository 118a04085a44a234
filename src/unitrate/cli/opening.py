"""Opening the store that a command was given, and what every answer says about it."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unitrate.cli.options import needed_store

if TYPE_CHECKING:
    from unitrate.store import Store

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@contextmanager
def opened(arguments: argparse.Namespace, command: str) -> Iterator[Store]:
    """The store of `--store`, closed afterwards; a second process that wants it reads `command`."""
    from unitrate.store import open_store

    store = open_store(needed_store(arguments), command=f"unitrate {command}")
    try:
        yield store
    finally:
        store.close()


def again(arguments: argparse.Namespace, command: str, *options: str) -> str:
    """A command on the same store, to be typed next; `--store` is left out where the environment has it."""
    named = [] if os.environ.get("UNITRATE_STORE") == arguments.store else ["--store", arguments.store]
    return " ".join(["unitrate", command, *(shlex.quote(part) for part in (*named, *options))])


def minor_digits(currency: str) -> int:
    """Decimals of a currency; two where a store has no catalog yet."""
    from unitrate.catalog.currencies import MINOR_DIGITS

    return MINOR_DIGITS.get(currency, 2)


def month_words(period: int) -> str:
    """202511 as November 2025."""
    return f"{MONTHS[period % 100 - 1]} {period // 100}"
