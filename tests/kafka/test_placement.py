"""The home partition of an account is the one that Kafka's Java clients choose."""

from __future__ import annotations

import random

import pytest
from aiokafka.partitioner import murmur2 as kafka_murmur2

from unitrate.placement import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "hashed"),
    [  # org.apache.kafka.common.utils.UtilsTest.testMurmur2, signed as Java has it
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_javas(key: bytes, hashed: int) -> None:
    """Kafka's own test vectors."""
    assert murmur2(key) == hashed & 0xFFFFFFFF


def test_murmur2_is_aiokafkas() -> None:
    """Any length, any bytes: the same as the client's."""
    source = random.Random(1)
    for length in range(64):
        data = source.randbytes(length)
        assert murmur2(data) == kafka_murmur2(data) & 0xFFFFFFFF


def test_homes_are_spread_and_stable() -> None:
    """Accounts fill all partitions, and one account has one home."""
    homes = [partition_of(f"account-{n}", 16) for n in range(1000)]
    assert set(homes) == set(range(16))
    assert partition_of("account-1", 16) == homes[1]
