"""The loop that one writes first: pydantic validates, a set dedupes, a dict sums up, Decimal prices."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

RATES = (Decimal("0.000002"), Decimal("0.0000002"), Decimal("0.000012"))


class Usage(BaseModel):
    """Token counts."""

    input_tokens: int = Field(default=0, ge=0)
    cache_read_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)


class Data(BaseModel):
    """`data` of an event, as far as the loop needs it."""

    workflow: str
    run_id: str
    attributes: dict[str, str | int | bool] = {}
    tags: dict[str, str] = {}
    provider: str = ""
    model: str = ""
    usage: Usage = Usage()


class Event(BaseModel):
    """A CloudEvent."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: Data


def prepare(path: Path) -> Callable[[], int]:
    """Ready to run over the file."""

    def run() -> int:
        count = 0
        seen: set[tuple[str, str, str]] = set()
        runs: dict[tuple[str, str], list[Any]] = {}
        with path.open("rb") as lines:
            for line in lines:
                count += 1
                event = Event.model_validate_json(line)
                identity = (event.subject, event.source, event.id)
                if identity in seen:
                    continue
                seen.add(identity)
                usage = event.data.usage
                counts = (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens)
                total = runs.setdefault((event.subject, event.data.run_id), [0, Decimal(0)])
                total[0] += 1
                total[1] += sum(count * rate for count, rate in zip(counts, RATES, strict=True))
        return count

    return run
