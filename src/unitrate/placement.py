"""Which log partition an account is at home in: murmur2, as Kafka's own Java clients compute it.

Pure, and fixed for a log's life: librdkafka's default partitioner is CRC32, so a producer that leaves the
choice to its client may put one account into two partitions. Ours set the partition by this function, and
the fold rejects an event that stands elsewhere (`wrong_partition`).
"""

from __future__ import annotations

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """MurmurHash2 of `data` as an unsigned 32-bit integer (org.apache.kafka.common.utils.Utils)."""
    length = len(data)
    hashed = _SEED ^ length
    whole = length & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _MASK
        k = (k ^ k >> 24) * _MULTIPLIER & _MASK
        hashed = hashed * _MULTIPLIER & _MASK ^ k
    if whole < length:
        hashed = (hashed ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _MASK
    hashed = (hashed ^ hashed >> 13) * _MULTIPLIER & _MASK
    return hashed ^ hashed >> 15


def partition_of(account: str, partitions: int) -> int:
    """Home of `account` in a log of `partitions` partitions."""
    return (murmur2(account.encode("utf-8", "surrogatepass")) & 0x7FFFFFFF) % partitions
