"""The limit that all is compared with: msgspec decodes each line into typed structs, and drops them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from msgspec import Raw, Struct, field
from msgspec.json import Decoder


class Cost(Struct, gc=False):
    """As in the contract, like the two below."""

    amount: str
    currency: str


class Data(Struct, gc=False):
    """`data` of an event; attributes and tags stay undecoded."""

    workflow: str
    run_id: str
    workspace: str = ""
    mode: str = "live"
    retry_of: str = ""
    attributes: Raw = Raw(b"")
    tags: Raw = Raw(b"")
    provider: str = ""
    model: str = ""
    operation: str = "chat"
    status: str = "ok"
    step: str = ""
    attempt: int = 1
    usage: dict[str, int] = field(default_factory=dict)
    cost: Cost | None = None


class Event(Struct, gc=False):
    """A CloudEvent."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: Data


def prepare(path: Path) -> Callable[[], int]:
    """Ready to run over the file."""
    decode = Decoder(Event).decode

    def run() -> int:
        count = 0
        with path.open("rb") as lines:
            for line in lines:
                decode(line)
                count += 1
        return count

    return run
