"""The one exception tree.

    UnitrateError            any error a command answers with one line and exit 2
    ├── InputError           what the caller gave is wrong: names the place and the fix
    │   └── CatalogError     a catalog with problems (all of them, see `problems`)
    ├── StoreError           the store cannot be used as asked
    │   ├── StoreBusy        another process holds it
    │   └── StoreUnavailable it does not answer; what was asked may have been done
    ├── FinalConflict        what is final already says something else; it is never overwritten
    ├── LogError             the log is not the one that the store was made from
    │   └── LogUnavailable   it does not answer; asked again, it may
    └── InvariantError       a bug of ours: money would be wrong; processing stops

Bad events are no exceptions: they are values (`events.Rejected`).
"""

from __future__ import annotations


class UnitrateError(Exception):
    """Base of all errors of this package; `str(error)` is one line fit for a person."""


class InputError(UnitrateError):
    """A file, an argument or a value that the caller gave is wrong."""


class CatalogError(InputError):
    """A catalog does not hold; `problems` has one `Problem`-like line per finding."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class StoreError(UnitrateError):
    """The store refuses, is unreachable, or is of another format."""


class StoreBusy(StoreError):
    """Another process holds the store."""


class StoreUnavailable(StoreError):
    """No connection, or no answer: the statement may have been done, so doing it again must be harmless."""


class FinalConflict(UnitrateError):
    """A final invoice or payout would come out otherwise today: the answer is no (exit 1)."""


class LogError(UnitrateError):
    """The log was truncated, re-created or expired, or belongs to another store."""


class LogUnavailable(LogError):
    """The log does not answer now."""


class InvariantError(UnitrateError):
    """An invariant of the money path does not hold; nothing may be written after it."""
