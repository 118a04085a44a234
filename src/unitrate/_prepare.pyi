from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from unitrate.catalog.compiled import Meter
from unitrate.engine import Batch, Engine
from unitrate.prepare import Prepared, Records

_T = TypeVar("_T")

class HotUnit:
    meter: Meter
    unit_id: str
    repeated: tuple[tuple[str, str], ...] | None
    dirty: bool
    test: bool
    internal: bool
    state: int
    window_end: int
    started: int
    last_any: int
    last: int
    opening: int
    idle_at: int
    version: int
    repeated_time: int
    repeated_order: int
    requests: int
    cost: int
    usage: dict[str, int]
    def add_usage(self, usage: dict[str, int] | None, /) -> None: ...

class HotAccount:
    highest: int
    oldest: int
    oldest_day: int
    version: int
    at_home: bool
    dirty: bool

class Keys(Generic[_T]):
    def get(self, key: str | None, /) -> _T | None: ...
    def pop(self, key: str, other: _T | None, /) -> _T | None: ...
    def __getitem__(self, key: str, /) -> _T: ...
    def __setitem__(self, key: str, value: _T, /) -> None: ...
    def __delitem__(self, key: str, /) -> None: ...
    def __contains__(self, key: str, /) -> bool: ...
    def __len__(self) -> int: ...

class Recent:
    def get(self, digest: bytes, /) -> int | None: ...
    def take(self) -> tuple[bytes, bytes]: ...
    def __setitem__(self, digest: bytes, day: int, /) -> None: ...
    def __len__(self) -> int: ...

class Columns:
    def append(
        self,
        prepared: Sequence[Prepared],
        at: int,
        offset: int,
        stream: int,
        shape: int,
        fate: int,
        unit_id: str,
        /,
    ) -> None: ...
    def take(
        self,
    ) -> tuple[int, list[bytes], list[bytes], list[bytes], list[bytes], list[int], list[tuple[int, int]]]: ...
    def __len__(self) -> int: ...

def prepare(engine: Engine, batch: Batch, /) -> Records: ...
def join(
    engine: Engine,
    batch: Batch,
    prepared: Records,
    older: dict[int, int] | None,
    fates: dict[str, int],
    first: int,
    end: int,
    /,
) -> int: ...
def find_digests(
    high: NDArray[np.uint64], low: NDArray[np.uint64], bloom: NDArray[np.uint64], digests: bytes, /
) -> list[tuple[int, int]]: ...
def half_digest(head: bytes, tail: bytes, hardware: bool, /) -> bytes: ...
def large_pages() -> None: ...
