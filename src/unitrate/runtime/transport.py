"""Faust's Kafka transport, handing over whole partition batches, with offsets that are ours.

Per event Faust does too much for what we need of it, and it commits what it has not processed: its new offset
is one too high after a gap, an event whose agent raised is acknowledged, and a seek on assignment is
overwritten by its recovery. So a message here is a batch of one partition, and for owned topics (the log):

- nothing is ever committed because it was acknowledged; `advise` commits what a checkpoint's marker says;
- nothing is fetched before `start_at` sought to where a checkpoint says, with a fresh token; the token goes
  with every batch that was fetched since, so that a batch of an earlier assignment can be told and dropped;
- an offset that the broker no longer has is reported to the owner of that partition, and stops no other.

Other topics (those to be rekeyed) are committed after acknowledgement, contiguous batches only.
Must never know what a record means.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import aiokafka
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage

from unitrate.runtime.kafka_connection import KafkaConnection

FETCH_WAIT_MS = 200  # how long a broker holds a fetch that has nothing to give
NO_TOKEN = 0
PAUSED_S = 0.02  # how long to wait where every partition is paused


class Batch(NamedTuple):
    """Records of one partition, in log order, and the token of the seek that they were fetched after."""

    token: int
    records: list[Any]


@dataclass(frozen=True)
class TransportOptions:
    """What the transport is told once."""

    connection: KafkaConnection
    owned: frozenset[str]  # topics whose offsets are ours
    on_claimed: Callable[[set[TP]], None]  # owned partitions were assigned; they stay paused until `start_at`
    on_lost_offset: Callable[
        [TP, int, str], None
    ]  # the broker lacks the offset that this token's seek asked for
    max_partition_fetch_bytes: int = 4 << 20


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Runs the aiokafka consumer; what touches positions and tokens runs here, one after another."""

    consumer: BatchConsumer

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tokens: dict[TP, int] = {}

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        """As Faust's, but reading committed records only, and never resetting an offset by itself."""
        conf = self.app.conf
        options = self.consumer.options
        self._assignor = RoundRobinPartitionAssignor
        return aiokafka.AIOKafkaConsumer(
            **options.connection.options(),
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_poll_records=None,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            max_partition_fetch_bytes=options.max_partition_fetch_bytes,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int((conf.broker_rebalance_timeout or 60) * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
        )

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP] | None,
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> Mapping[TP, Any]:
        """Batches by partition, each with the token of its partition's last seek.

        The set is copied and an empty one asks for nothing: aiokafka takes an empty one for "all".
        """
        wanted = set(active_partitions or ())
        if not wanted:
            return {}
        try:
            fetched = await super()._fetch_records(consumer, wanted, timeout, max_records)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            self._report_lost(error)
            return {}
        # No await between the fetch and here: the tokens are those that the records were fetched under.
        batches: dict[TP, Batch] = {}
        for pair, records in fetched.items():
            tp = TP(pair.topic, pair.partition)
            batches[tp] = Batch(self.tokens.get(tp, NO_TOKEN), records)
        return batches

    def _report_lost(self, error: KafkaError) -> None:
        argument = error.args[0] if error.args else None
        if argument is None:
            raise error
        offsets = argument if isinstance(argument, dict) else {argument: "none"}
        for pair, offset in offsets.items():
            tp = TP(pair.topic, pair.partition)
            token = self.tokens.get(tp, NO_TOKEN)
            if token != NO_TOKEN:  # else Faust asked before anybody had sought, which is of no consequence
                notify = self.consumer.options.on_lost_offset
                self.app.loop.call_soon_threadsafe(notify, tp, token, f"offset {offset}")

    async def seek_with_token(self, tp: TP, offset: int, token: int) -> bool:
        """Seek and label what is fetched from now on; False where the partition is no longer ours."""
        consumer = self._ensure_consumer()
        pair = TopicPartition(tp.topic, tp.partition)
        if pair not in consumer.assignment():
            return False
        consumer.seek(pair, offset)
        self.tokens[tp] = token
        return True

    async def seek_unowned(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Seek each partition to what its group committed, or to its beginning."""
        consumer = self._ensure_consumer()
        positions: dict[TP, int] = {}
        for tp in tps:
            pair = TopicPartition(tp.topic, tp.partition)
            offset = await consumer.committed(pair)
            if offset is None:
                offset = (await consumer.beginning_offsets([pair]))[pair]
            consumer.seek(pair, offset)
            self.tokens[tp] = NO_TOKEN
            positions[tp] = offset
        return positions

    async def drop_tokens(self, tps: Iterable[TP]) -> None:
        for tp in tps:
            self.tokens.pop(tp, None)

    async def commit_advice(self, offsets: Mapping[TP, tuple[int, str]]) -> None:
        """Commit where we are. Advice only: whatever the coordinator says to it is logged and forgotten."""
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        pairs = {
            TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, note)
            for tp, (offset, note) in offsets.items()
            if TopicPartition(tp.topic, tp.partition) in assigned
        }
        if not pairs:
            return
        try:
            await consumer.commit(pairs)
        except KafkaError as error:
            self.log.info("offsets were not committed, which changes nothing: %r", error)


class BatchConsumer(driver.Consumer):
    """Faust's consumer, over batches."""

    options: TransportOptions
    _thread: BatchConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Last offsets of the batches that were handed over, in order: of topics that are not owned.
        self._in_flight: defaultdict[TP, deque[int]] = defaultdict(deque)
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def is_owned(self, tp: TP) -> bool:
        return tp.topic in self.options.owned

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109
        """One message a partition batch. A batch in hand is handed over even if its partition pauses now."""
        fetched, _ = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if not fetched or self.should_stop:
            return
        for tp, fetched_batch in fetched.items():
            batch = cast("Batch", fetched_batch)
            # A rebalance began: a new assignment seeks anew, so what is in hand is read again.
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            last = batch.records[-1]
            if not self.is_owned(tp):
                self._in_flight[tp].append(last.offset)
            yield tp, self._message(tp, last, batch)

    def _message(self, tp: TP, last: Any, batch: Batch) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            [],
            None,
            batch,  # type: ignore[arg-type]  # the "raw" codec passes any value on
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _wait_next_records(
        self,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> tuple[Any, set[TP] | None]:
        """As Faust's, without its second of sleep where every partition is paused."""
        if self.flow_active and not self._get_active_partitions():
            await self.sleep(PAUSED_S)
            return None, None
        return await super()._wait_next_records(timeout)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets inside a batch are no gaps, nor are those of transaction markers."""

    def _new_offset(self, tp: TP) -> int | None:
        """What may be committed: one past the contiguous run of acknowledged batches; if owned, nothing."""
        acknowledged = self._acked_index[tp]
        if self.is_owned(tp):
            acknowledged.clear()
            self._acked[tp].clear()
            return None
        waiting, last = self._in_flight[tp], None
        while waiting and waiting[0] in acknowledged:
            last = waiting.popleft()
            acknowledged.discard(last)
        if last is None:
            return None
        self._acked[tp] = [offset for offset in self._acked[tp] if offset in acknowledged]
        return last + 1

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        for tp in revoked:
            self._in_flight.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Called with every assignment, before records flow."""
        for state in (self._in_flight, self._acked, self._acked_index):
            state.clear()
        await super().perform_seek()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Owned partitions stay paused until `start_at`; the others go on where their group committed."""
        assigned = {TP(tp.topic, tp.partition) for tp in self.assignment()}
        owned = {tp for tp in assigned if self.is_owned(tp)}
        self.pause_partitions(owned)
        await self._thread.call_thread(self._thread.drop_tokens, owned)
        positions = await self._thread.call_thread(self._thread.seek_unowned, assigned - owned)
        for tp in owned:
            self._read_offset[tp] = None
        self.options.on_claimed(owned)
        return dict(positions)

    async def start_at(self, tp: TP, offset: int, token: int) -> bool:
        """Seek an owned partition and let it flow; False where it is no longer ours."""
        if not await self._thread.call_thread(self._thread.seek_with_token, tp, offset, token):
            return False
        # Faust silently drops what lies before the highest offset that it has handed over.
        self._read_offset[tp] = None
        self.resume_partitions({tp})
        return True

    async def advise(self, offsets: Mapping[TP, tuple[int, str]]) -> None:
        """Commit (offset, note) of owned partitions to Kafka, for people and for their tools."""
        await self._thread.call_thread(self._thread.commit_advice, offsets)


class BatchTransport(driver.Transport):
    """The transport of one app, made by `install`."""

    Consumer = BatchConsumer


def install(app: AppT, options: TransportOptions) -> None:
    """Give the app this transport."""
    consumer = type("BatchConsumer", (BatchConsumer,), {"options": options})
    made = type("BatchTransport", (BatchTransport,), {"Consumer": consumer})
    app.transport = made(app.conf.broker_consumer, app)
