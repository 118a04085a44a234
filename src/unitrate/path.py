"""Those parts of the per-event path that have a native version: that one where it was built, else the plain.

Both give the same, event for event. Owns nothing but the choice, which is made once, at import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unitrate.engine import Batch, Engine
    from unitrate.prepare import Records


def plain_join(
    engine: Engine,
    batch: Batch,
    prepared: Records,
    older: dict[int, int] | None,
    fates: dict[str, int],
    first: int,
    end: int,
    /,
) -> int:
    """How many events from `first` on joined their open units here: none, `fold` itself has the plain way."""
    return 0


def plain_large_pages() -> None:
    """Ask for large memory pages for what is allocated from here on: nothing, Python has no way."""


try:
    from unitrate._prepare import join, large_pages, prepare
except ImportError:
    from unitrate.prepare import prepare

    join, large_pages = plain_join, plain_large_pages

__all__ = ["join", "large_pages", "plain_join", "prepare"]
