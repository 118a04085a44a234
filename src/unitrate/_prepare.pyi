from unitrate.engine import Batch, Engine
from unitrate.ledger import Entry
from unitrate.prepare import Prepared

def prepare(engine: Engine, batch: Batch, /) -> list[Prepared]: ...
def join(
    engine: Engine,
    batch: Batch,
    prepared: list[Prepared],
    older: dict[int, int] | None,
    fates: dict[str, int],
    entries: list[Entry],
    first: int,
    end: int,
    /,
) -> int: ...
def extend(engine: Engine, entries: list[Entry], /) -> None: ...
def half_digest(head: bytes, tail: bytes, hardware: bool, /) -> bytes: ...
def large_pages() -> None: ...
