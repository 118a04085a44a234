"""The topics of a log: made, checked and corrected by `unitrate init`.

Owns their settings. Must never change a number of partitions: an account's home follows from it, and it is
fixed for a log's life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from unitrate.errors import LogError, LogUnavailable
from unitrate.runtime.kafka_connection import KafkaConnection
from unitrate.runtime.log_records import ALERTS_TOPIC, LOG_TOPIC

MAX_MESSAGE_BYTES = 2 << 20
DEFAULT_PARTITIONS = 16
ALREADY_EXISTS = 36
_TOPIC_CONFIG = 1  # a config's source: set on the topic itself
_TRIES = 40
_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What a topic has to be. `partitions` None: as it is, or the default where it is made."""

    name: str
    partitions: int | None
    default_partitions: int
    settings: Mapping[str, str]


def plans(partitions: int | None, settings: Mapping[str, str]) -> tuple[TopicPlan, TopicPlan]:
    """The two topics; `settings` (retention, compression) are checked only where the operator named them."""
    log = {
        # The log's clock is the broker's: producers cannot move timers.
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        "cleanup.policy": "delete",
        **settings,
    }
    alerts = {"cleanup.policy": "delete"}
    return (
        TopicPlan(LOG_TOPIC, partitions, DEFAULT_PARTITIONS, log),
        TopicPlan(ALERTS_TOPIC, None, 1, alerts),
    )


@dataclass(frozen=True, slots=True)
class TopicState:
    name: str
    partitions: int
    change: str  # created, fixed or unchanged


class Topics:
    """An admin client that makes and checks topics. Use as an async context."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._admin = AIOKafkaAdminClient(**connection.options())

    async def __aenter__(self) -> Self:
        try:
            await self._admin.start()
        except KafkaError as error:
            raise LogUnavailable(
                f"Kafka at {self._connection.label} does not answer: {_words(error)}"
            ) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()

    async def ensure(self, plan: TopicPlan, replication: int | None, fix: bool) -> TopicState:
        """Make the topic, or check the one that is there."""
        existing = await self.partitions_of(plan.name)
        if existing is None:
            await self._create(plan, replication)
            count = await self._appeared(plan.name)
            return TopicState(plan.name, count, "created")
        if plan.partitions is not None and plan.partitions != existing:
            raise LogError(
                f"topic {plan.name} has {existing} partitions, not {plan.partitions}; their number is fixed "
                "for a log's life (docs/scaling.md says how to outgrow it)"
            )
        wrong = await self._differences(plan)
        if not wrong:
            return TopicState(plan.name, existing, "unchanged")
        if not fix:
            name, value = next(iter(wrong.items()))
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            raise LogError(
                f"topic {plan.name} has {name}={value}; unitrate needs {plan.settings[name]}{more} "
                "(unitrate init --fix sets it)"
            )
        await self._set(plan)
        return TopicState(plan.name, existing, "fixed")

    async def partitions_of(self, topic: str) -> int | None:
        """Number of partitions, None where there is no such topic."""
        (found,) = await self._admin.describe_topics([topic])
        if found["error_code"]:
            return None
        return len(found["partitions"])

    async def _create(self, plan: TopicPlan, replication: int | None) -> None:
        brokers = len((await self._admin.describe_cluster())["brokers"])
        factor = replication or min(3, brokers)
        settings = dict(plan.settings)
        if factor >= 3:
            settings.setdefault("min.insync.replicas", "2")
        count = plan.partitions or plan.default_partitions
        topic = NewTopic(plan.name, count, factor, topic_configs=settings)
        response = await self._admin.create_topics([topic])
        for _, code, *message in response.topic_errors:
            if code not in (0, ALREADY_EXISTS):
                detail = message[0] if message and message[0] else for_code(code).__name__
                raise LogError(f"topic {plan.name} cannot be made: {detail}")

    async def _appeared(self, topic: str) -> int:
        """Wait until the brokers' metadata show a topic that was just made."""
        for _ in range(_TRIES):
            count = await self.partitions_of(topic)
            if count:
                return count
            await asyncio.sleep(_PAUSE_S)
        raise LogError(f"topic {topic} was made but does not appear; run unitrate init again")

    async def _differences(self, plan: TopicPlan) -> dict[str, str]:
        """Settings that are not as planned, with the values they have."""
        have = await self._settings(plan.name)
        return {
            name: have[name][0]
            for name, value in plan.settings.items()
            if have.get(name, ("", 0))[0] != value
        }

    async def _settings(self, topic: str) -> dict[str, tuple[str, int]]:
        """All settings in force: value and source."""
        (answer,) = await self._admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        ((code, message, _, _, entries),) = answer.resources
        if code:
            raise LogError(f"settings of topic {topic} cannot be read: {message or for_code(code).__name__}")
        return {entry[0]: (entry[1] or "", int(entry[3])) for entry in entries}

    async def _set(self, plan: TopicPlan) -> None:
        """Set what is planned. The request replaces all: what was set on the topic before is sent along."""
        have = await self._settings(plan.name)
        kept = {name: value for name, (value, source) in have.items() if source == _TOPIC_CONFIG}
        wanted: dict[str, Any] = {**kept, **plan.settings}
        resource = ConfigResource(ConfigResourceType.TOPIC, plan.name, wanted)
        (answer,) = await self._admin.alter_configs([resource])
        for code, message, *_ in answer.resources:
            if code:
                raise LogError(f"topic {plan.name} cannot be set: {message or for_code(code).__name__}")


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
