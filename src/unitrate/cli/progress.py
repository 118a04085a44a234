"""A progress bar on a terminal, and nothing anywhere else.

Owns stderr while a run reads events, so that stdout stays clean for programs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unitrate.runtime.embedded import Progress


def _ignored(_: Progress) -> None:
    return None


@contextmanager
def replay_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A callback for a replay's progress (records done, records in all), drawn while the block lasts."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, total=total, completed=done)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[Progress], None]]:
    """A callback for a run's progress, drawn while the block lasts."""
    if not sys.stderr.isatty():
        yield _ignored
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, rate="")

        def drawn(progress: Progress) -> None:
            rate = f"{progress.events / progress.seconds:,.0f} events/s" if progress.seconds else ""
            described = f"{label}: {progress.note}" if progress.note else label
            bar.update(
                task,
                total=progress.total_bytes,
                completed=progress.read_bytes,
                description=described,
                rate=rate,
            )

        yield drawn
