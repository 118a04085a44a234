"""Broker and ClickHouse engine of the streaming tests, one each a session; a fresh log for every test."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.infra.cluster import Broker, ClickHouse, Installation
from tests.infra.containers import ContainerBroker, ContainerClickHouse
from tests.infra.kafka_jars import KafkaMissingError

CONTAINERS = bool(os.environ.get("UNITRATE_TEST_CONTAINERS"))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("kafka")
    try:
        made: Any = ContainerBroker(folder) if CONTAINERS else Broker(folder)
    except KafkaMissingError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the real broker cannot run here: {missing}")
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    folder = tmp_path_factory.mktemp("clickhouse")
    made: Any = ContainerClickHouse(folder) if CONTAINERS else ClickHouse(folder)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def installation(broker: Broker, clickhouse: ClickHouse, tmp_path: Path) -> Iterator[Installation]:
    """A log without topics yet, and an empty database."""
    clickhouse.clear_faults()
    asyncio.run(delete_topics(broker.bootstrap))
    made = Installation(tmp_path / "installation", broker.bootstrap, clickhouse.spec(f"t{uuid.uuid4().hex}"))
    yield made
    made.stop_workers()


async def delete_topics(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name.startswith("unitrate.")]
        if names:
            await admin.delete_topics(names)
        for _ in range(100):
            if not any(name.startswith("unitrate.") for name in await admin.list_topics()):
                return
            await asyncio.sleep(0.1)
    finally:
        await admin.close()
    raise AssertionError("the topics of the test before do not go away")
