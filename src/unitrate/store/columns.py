"""Rows of the engine as Arrow columns.

Owns the encoding only: from `rows.Output` to `pyarrow.Table`s whose types ClickHouse takes without a
conversion. Buffers are built from integers (a Decimal object a cell would cost more than the fold);
must never round, reorder or drop a row.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from unitrate import rows
from unitrate.errors import InvariantError

MONEY = pa.decimal128(38, 12)
INSTANT = pa.timestamp("us", tz="UTC")
_BIGGEST = 10**38 - 1  # what Decimal(38, 12) holds, in 10^-12
Integers: TypeAlias = "Sequence[int] | array[int] | np.ndarray[Any, Any]"


def _strings(values: Sequence[str] | rows.Texts) -> pa.Array:
    if not isinstance(values, rows.Texts):
        return pa.array(values, pa.string())
    starts = pa.py_buffer(b"\0\0\0\0" + values.ends)
    return pa.StringArray.from_buffers(len(values), starts, pa.py_buffer(values.joined))


def _blobs(values: Sequence[bytes]) -> pa.Array:
    return pa.array(values, pa.binary())


def _texts(values: Sequence[str]) -> pa.Array:
    """Few distinct values: codes and a dictionary, as LowCardinality wants them."""
    codes: dict[str, int] = {}
    indices = array("i", [codes.setdefault(value, len(codes)) for value in values])
    return _coded(indices, codes)


def _coded(indices: Integers, codes: Mapping[str, int]) -> pa.Array:
    dictionary = pa.array(list(codes), pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(_integers(indices, np.int32)), dictionary)


def _integers(values: Integers, kind: type[np.generic]) -> np.ndarray[Any, Any]:
    """The values as numpy integers of their own: an array may go on growing after this."""
    if isinstance(values, array):
        return np.frombuffer(values, values.typecode).astype(kind)
    return np.array(values, kind)


def _int(values: Integers) -> pa.Array:
    return pa.array(_integers(values, np.int64))


def _uint(values: Integers) -> pa.Array:
    return pa.array(_integers(values, np.uint64))


def _small(values: Integers) -> pa.Array:
    return pa.array(_integers(values, np.uint32))


def _flag(values: Integers) -> pa.Array:
    return pa.array(_integers(values, np.int64) != 0)


def _instant(values: Integers) -> pa.Array:
    return pa.array(_integers(values, np.int64)).cast(INSTANT)


def _nullable(encode: Callable[[Integers], pa.Array]) -> Callable[[Any], pa.Array]:
    """The encoder for columns with NULLs: a list with None, or a masked array."""

    def encoded(values: np.ma.MaskedArray[Any, Any] | Sequence[int | None]) -> pa.Array:
        if isinstance(values, np.ma.MaskedArray):
            present, plain = ~np.ma.getmaskarray(values), encode(values.filled(0))
        else:
            present = np.array([value is not None for value in values], bool)
            plain = encode([value or 0 for value in values])
        bits = np.packbits(present, bitorder="little").tobytes()
        return pa.Array.from_buffers(plain.type, len(plain), [pa.py_buffer(bits), *plain.buffers()[1:]])

    return encoded


def _money(values: Integers) -> pa.Array:
    """Integers of 10^-12 as decimal128: 16 bytes each, little-endian, two's complement."""
    try:
        low = _integers(values, np.int64)
    except OverflowError:
        return _wide_money(values)
    wide = np.empty((len(low), 2), np.int64)
    wide[:, 0] = low
    wide[:, 1] = low >> 63  # the sign, spread over the high half
    return pa.Array.from_buffers(MONEY, len(low), [None, pa.py_buffer(wide.tobytes())])


def _wide_money(values: Iterable[int]) -> pa.Array:
    values = list(values)
    if any(abs(value) > _BIGGEST for value in values):
        raise InvariantError("an amount has more than 26 digits before the point: it does not fit the store")
    buffer = b"".join(value.to_bytes(16, "little", signed=True) for value in values)
    return pa.Array.from_buffers(MONEY, len(values), [None, pa.py_buffer(buffer)])


ENCODERS: dict[str, Callable[[Any], pa.Array]] = {
    "str": _strings,
    "code": _texts,
    "bytes": _blobs,
    "id": _strings,
    "int": _int,
    "uint": _uint,
    "small": _small,
    "month": _small,
    "flag": _flag,
    "time": _instant,
    "time?": _nullable(_instant),
    "money": _money,
    "money?": _nullable(_money),
    "quantity": _money,
}


def from_rows(columns: Sequence[rows.Column], tuples: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Tuples in the order of the table's columns, as a table."""
    names = [column.name for column in columns]
    values: Sequence[Sequence[Any]] = list(zip(*tuples, strict=True)) if tuples else [()] * len(names)
    arrays = [ENCODERS[column.kind](part) for column, part in zip(columns, values, strict=True)]
    return pa.table(arrays, names=names)


def from_events(events: rows.EventColumns, partition: int) -> pa.Table:
    """The event ledger's buffers as a table; columns that the engine leaves out are constants."""
    arrays, names = [], []
    for column in rows.EVENTS:
        values = events.columns.get(column.name)
        if values is None:
            encoded = _constant(column, partition, events.count)
        elif column.kind == "code":
            encoded = _coded(values, events.codes[column.name])
        else:
            encoded = ENCODERS[column.kind](values)
        if len(encoded) != events.count:
            raise InvariantError(f"events.{column.name} has {len(encoded)} values for {events.count} events")
        arrays.append(encoded)
        names.append(column.name)
    return pa.table(arrays, names=names)


def _constant(column: rows.Column, partition: int, count: int) -> pa.Array:
    if column.name == "partition":
        return pa.array(np.full(count, partition, np.uint32))
    raise InvariantError(f"the engine gave no values for events.{column.name}")


def from_state(state: Sequence[rows.StateRow], partition: int, generation: int) -> pa.Table:
    """State facts as a table."""
    kinds, entities, versions, bodies = zip(*state, strict=True) if state else ((), (), (), ())
    count = len(state)
    return pa.table(
        {
            "partition": pa.array(np.full(count, partition, np.uint32)),
            "generation": pa.array(np.full(count, generation, np.int64)),
            "kind": _texts(kinds),
            "entity": _blobs(entities),
            "version": _int(versions),
            "body": _blobs(bodies),
        }
    )
