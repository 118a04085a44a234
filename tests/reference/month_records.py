"""Records of the month end, as histories of several months have them: closes, top-ups, corrections, re-rates.

Owns their shapes only. A correction names no unit: it picks one of those that there are when it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.reference.rater import Record


@dataclass(frozen=True)
class Close:
    """Close a month, and what the closer does after it: make it final, or be killed before."""

    offset: int
    period: int
    grace_us: int = 0
    now: bool = False
    issues: bool = True
    timestamp_us: int | None = None


@dataclass(frozen=True)
class TopUp:
    """A top-up that an account bought; amounts as text."""

    offset: int
    account: str
    name: str
    amount: str
    credit: str
    expires_us: int | None = None
    timestamp_us: int | None = None


@dataclass(frozen=True)
class Correct:
    """An operator waives one of the units that may be waived, or restores one that was."""

    offset: int
    action: str
    choice: int
    timestamp_us: int | None = None


@dataclass(frozen=True)
class Rerate:
    """The corrected document of a published catalog; for months from an instant's, or from a month on."""

    offset: int
    document: Mapping[str, Any]
    from_us: int | None = None
    from_month: int = 0
    timestamp_us: int | None = None


MonthRecord = Record | Close | TopUp | Correct | Rerate


@dataclass(frozen=True)
class MonthHistory:
    """A drawn log of several months. `restarts`: the engine is made anew from the store at every close."""

    kafka: bool
    records: tuple[MonthRecord, ...]
    restarts: bool = False
