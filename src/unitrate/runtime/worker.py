"""The Faust worker: partitions come and go, batches go to their runs, ticks keep quiet partitions moving.

Owns the app and which run has which partition. Faust runs the lifecycle, the assignment, the agent, the
timers and the web server; folding and writing happen in the runs' own threads. Must never decide where a
partition goes on: the checkpoint's marker is the only truth.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faust.types import TP

from unitrate.errors import InputError, LogUnavailable
from unitrate.runtime import leaving, rekeying, transport, worker_web
from unitrate.runtime.group_commit import GroupCommit
from unitrate.runtime.kafka_connection import KafkaConnection
from unitrate.runtime.log_records import ALERTS_TOPIC, LOG_TOPIC, tick_headers
from unitrate.runtime.log_view import SharedLogView, log_partitions
from unitrate.runtime.partition_run import PartitionRun, RunEvents, RunOptions
from unitrate.runtime.worker_web import alert_body, note_of
from unitrate.store import Store, open_store
from unitrate.store.address import ServerAddress, parse_address
from unitrate.store.cluster import Shards, nodes

log = logging.getLogger("unitrate.worker")

GROUP = "unitrate.worker"
REVOKED_FLUSH_S = 10.0
SHUTDOWN_FLUSH_S = 20.0
TICK_AFTER_S = 2.0  # a partition without records for this long is ticked if a timer is due …
TICK_ANYWAY_S = 60.0  # … or after this long, so that months can close
# A broker that has just started may not know its topics yet, and whoever leads the group then gives nobody a
# partition. Only the next look at the topics mends that; aiokafka's own is five minutes away.
METADATA_AGE_MS = 3_000
US = 1_000_000
# Faust makes a folder for tables, of which there are none.
DATA_FOLDER = str(Path(tempfile.gettempdir()) / f"unitrate-worker-{os.getuid()}")


@dataclass(frozen=True)
class WorkerOptions:
    """What `unitrate worker` is told."""

    connection: KafkaConnection
    store: str
    name: str
    cluster: str | None = None  # of ClickHouse: `store` is one of its nodes
    web_port: int = 6066
    session_timeout_s: float = 10.0
    rekey: tuple[str, ...] = ()  # topics whose events are keyed and forwarded
    instance: str | None = None  # static membership: the same partitions after a restart
    run: RunOptions = field(default_factory=RunOptions)
    max_partition_fetch_bytes: int = 4 << 20


class Runs:
    """The runs of this worker, one an assigned partition. Used on the app's loop only."""

    def __init__(self, app: faust.App, options: WorkerOptions, partitions: int) -> None:
        self.app, self.options = app, options
        self._partitions = partitions
        self.current: dict[int, PartitionRun] = {}
        self._token = 0
        self._shards = _shards(options)
        count = len(self._shards) if self._shards else 1
        self._writers = [GroupCommit(partial(self._open_store, shard)) for shard in range(count)]
        self._turn = threading.Lock()
        self._producer_lock = asyncio.Lock()
        self._view: SharedLogView | None = None
        self._producer: AIOKafkaProducer | None = None
        self._ticked: dict[int, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._events = RunEvents(
            ready=self._on_loop(self._start_flow),
            drained=self._on_loop(self._resume),
            written=self._on_loop(self._written),
            failed=self._on_loop(self._failed),
            state_changed=self._on_loop(self._state_changed),
        )

    @property
    def consumer(self) -> transport.BatchConsumer:
        return cast("transport.BatchConsumer", self.app.consumer)

    # ------------------------------------------------------------ assignment

    def claim(self, tps: set[TP]) -> None:
        """Begin a fresh run for every partition that was assigned; they are paused until it is ready."""
        for number in list(self.current):
            self.current.pop(number).request_close()
        self._begin(sorted(tp.partition for tp in tps))

    def _begin(self, numbers: list[int]) -> None:
        if self._view is None:
            self._view = SharedLogView(self.options.connection, self._partitions)
        for number in numbers:
            self._token += 1
            run = PartitionRun(
                number,
                self._token,
                partial(self._open_store, number),
                self._writers[number % len(self._writers)],
                self._view,
                self._events,
                self.options.run,
                self._turn,
            )
            self.current[number] = run
            run.start()
        log.info("assigned partitions %s", ", ".join(map(str, numbers)))

    def _open_store(self, number: int) -> Store:
        """The store of a log partition."""
        if self._shards:
            return self._shards.open(number)
        return open_store(self.options.store, command="unitrate worker")

    def offer(self, tp: TP, batch: transport.Batch) -> None:
        """Hand a batch to its run; one that was fetched under an earlier assignment is dropped."""
        run = self.current.get(tp.partition)
        if run is None or run.token != batch.token:
            return
        if not run.offer(batch.records):
            self.consumer.pause_partitions({tp})

    async def close(self, timeout_s: float) -> None:
        """End all runs; what was folded is written first, if the store takes it in time."""
        runs = list(self.current.values())
        self.current.clear()
        for run in runs:
            run.request_close()
        end = time.monotonic() + timeout_s
        loop = asyncio.get_running_loop()
        joins = [loop.run_in_executor(None, run.join, max(0.5, end - time.monotonic())) for run in runs]
        for run, in_time in zip(runs, await asyncio.gather(*joins), strict=True):
            if not in_time:
                log.warning("%s: its last checkpoint was not written; it is folded again", run.label)

    async def shut_down(self) -> None:
        await self.close(SHUTDOWN_FLUSH_S)
        for task in list(self._tasks):
            task.cancel()
        if self._view is not None:
            await self._view.close()
        if self._producer is not None:
            await self._producer.stop()

    def lost_offset(self, tp: TP, token: int, words: str) -> None:
        """The broker lacks what a run was to read on from: its recovery says what that means."""
        run = self.current.get(tp.partition)
        if run is not None and run.token == token:
            log.error("%s: the broker does not have %s any more; recovering anew", run.label, words)
            self.current.pop(tp.partition).request_close()
            self._begin([tp.partition])

    # ------------------------------------------------------------ what runs report

    def _on_loop(self, act: Any) -> Any:
        """A call from a run's thread, carried out on the app's loop if that run is still the current one."""

        def report(run: PartitionRun, *details: Any) -> None:
            self.app.loop.call_soon_threadsafe(self._if_current, act, run, details)

        return report

    def _if_current(self, act: Any, run: PartitionRun, details: tuple[Any, ...]) -> None:
        if self.current.get(run.number) is run:
            act(run, *details)

    def _start_flow(self, run: PartitionRun, offset: int) -> None:
        log.info("%s: recovered in %.2f s, goes on at %d", run.label, run.figures.recovery_s, offset)
        self._spawn(self.consumer.start_at(TP(LOG_TOPIC, run.number), offset, run.token))

    def _resume(self, run: PartitionRun) -> None:
        self.consumer.resume_partitions({TP(LOG_TOPIC, run.number)})

    def _written(self, run: PartitionRun, offset: int) -> None:
        """Nothing to do at once: `advise` tells Kafka every second."""

    def _failed(self, run: PartitionRun, error: BaseException) -> None:
        self.consumer.pause_partitions({TP(LOG_TOPIC, run.number)})

    def _state_changed(self, run: PartitionRun) -> None:
        if run.state in ("failed", "clock_ahead", "waiting_for_store"):
            self._spawn(self._alert(run))

    # ------------------------------------------------------------ every second

    async def advise(self) -> None:
        """Commit positions with a note of how each run does: for `unitrate status` and for Kafka's tools."""
        offsets = {
            TP(LOG_TOPIC, run.number): (run.figures.position, note_of(self.options.name, run))
            for run in self.current.values()
        }
        if offsets:
            await self.consumer.advise(offsets)

    async def tick(self) -> None:
        """Produce a tick where a partition is quiet and a timer is due, or has been quiet for long."""
        now = time.monotonic()
        for run in list(self.current.values()):
            quiet_s = now - max(run.figures.folded_at, self._ticked.get(run.number, 0.0))
            due_us = run.figures.next_due_us
            due = due_us is not None and due_us < time.time() * US
            if run.state != "running" or quiet_s < TICK_AFTER_S or not (due or quiet_s >= TICK_ANYWAY_S):
                continue
            self._ticked[run.number] = now
            self._spawn(self._send_tick(run))

    async def _send_tick(self, run: PartitionRun) -> None:
        try:
            producer = await self._opened_producer()
            await producer.send_and_wait(LOG_TOPIC, value=b"", partition=run.number, headers=tick_headers())
        except KafkaError as error:
            log.warning("%s: a tick was not sent: %r", run.label, error)

    async def _alert(self, run: PartitionRun) -> None:
        try:
            producer = await self._opened_producer()
            key = str(run.number).encode()
            await producer.send_and_wait(ALERTS_TOPIC, value=alert_body(self.options.name, run), key=key)
        except KafkaError as error:
            log.warning("alert of %s was not sent: %r", run.label, error)

    async def _opened_producer(self) -> AIOKafkaProducer:
        async with self._producer_lock:
            return self._producer or await self._new_producer()

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self.options.connection.options(),
            client_id=f"{self.options.name}-ticks",
            acks="all",
            enable_idempotence=True,
        )
        await producer.start()
        self._producer = producer
        return producer

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("the worker cannot go on", exc_info=error)
            asyncio.ensure_future(self.app.crash(error))  # noqa: RUF006


def _shards(options: WorkerOptions) -> Shards | None:
    if options.cluster is None:
        return None
    address = parse_address(options.store)
    if not isinstance(address, ServerAddress):
        raise InputError("--cluster needs a server store")
    return Shards(options.store, nodes(address, options.cluster))


def make_app(options: WorkerOptions, partitions: int) -> tuple[faust.App, Runs]:
    """The Faust app over a log of `partitions`, and over the topics to be rekeyed."""
    session_s = options.session_timeout_s
    app = faust.App(
        GROUP,
        broker=[f"kafka://{address}" for address in options.connection.bootstrap],
        broker_credentials=worker_web.credentials(options.connection),
        broker_client_id=options.name,
        broker_session_timeout=session_s,
        broker_heartbeat_interval=min(3.0, session_s / 5),
        broker_request_timeout=max(30.0, session_s + 5),
        broker_max_poll_interval=300.0,
        consumer_group_instance_id=options.instance,
        consumer_metadata_max_age_ms=METADATA_AGE_MS,
        datadir=DATA_FOLDER,
        stream_buffer_maxsize=16,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_port=options.web_port,
        web_bind="0.0.0.0",  # noqa: S104 - metrics are scraped from outside
        web_in_thread=False,
    )
    runs = Runs(app, options, partitions)
    transport.install(
        app,
        transport.TransportOptions(
            connection=options.connection,
            owned=frozenset({LOG_TOPIC}),
            on_claimed=runs.claim,
            on_lost_offset=runs.lost_offset,
            max_partition_fetch_bytes=options.max_partition_fetch_bytes,
        ),
    )
    _declare(app, runs)
    if options.rekey:
        rekeying.declare(app, options.rekey, rekeying.Rekeyer(options.connection, partitions))
    return app, runs


def _declare(app: faust.App, runs: Runs) -> None:
    topic = app.topic(
        LOG_TOPIC, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )

    @app.agent(topic, name="unitrate.fold")
    async def fold(stream: Any) -> None:
        async for event in stream.events():
            runs.offer(event.message.tp, event.value)

    @app.on_partitions_revoked.connect
    async def revoked(*_: Any, **__: Any) -> None:
        await runs.close(REVOKED_FLUSH_S)

    # A clean stop does not revoke: this is its flush.
    @app.on_before_shutdown.connect
    async def shut_down(*_: Any, **__: Any) -> None:
        await runs.shut_down()

    app.timer(1.0, name="unitrate.advise")(runs.advise)
    app.timer(0.5, name="unitrate.tick")(runs.tick)

    worker_web.declare(app, runs.current, partial(time.time))


def _partitions(connection: KafkaConnection) -> int:
    """Number of partitions of the log; waits for brokers that are away."""
    pause_s = 0.5
    while True:
        try:
            return asyncio.run(log_partitions(connection))
        except (KafkaError, LogUnavailable) as error:
            log.warning("%s; waiting for it", error)
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 15.0)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - as the web server will
        except OSError:
            raise InputError(f"port {port} is taken; give this worker another --web-port") from None


def run(options: WorkerOptions) -> int:
    """Run a worker until a signal ends it; the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for name in ("faust", "mode", "aiokafka", "aiohttp"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # What is missing is said in one line, before anything starts.
    partitions = _partitions(options.connection)
    _check_port(options.web_port)
    app, _ = make_app(options, partitions)
    # The fold makes hardly any cycles, and its state is large: rare collections, not of all of it.
    gc.set_threshold(200_000, 20, 50)
    # Who fetches asks for the interpreter once a packet: rarer changes (20 ms) starve it under a backlog, and
    # the heartbeats with it. That only one partition folds at a time spares the caches.
    sys.setswitchinterval(0.005)
    worker = leaving.Worker(app, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return int(end.code or 0)
