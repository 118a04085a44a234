"""What a worker shows of itself: metrics for Prometheus, its state as JSON, notes and alerts.

Reads the runs' figures when it is asked, and owns no counter of its own. Must never show a secret or an
event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from unitrate.runtime.kafka_connection import KafkaConnection
from unitrate.runtime.partition_run import PartitionRun

STATES = ("recovering", "running", "waiting_for_store", "clock_ahead", "failed", "closed")
_GAUGES: tuple[tuple[str, str, Callable[[PartitionRun], float]], ...] = (
    ("unitrate_position", "Log offset up to which everything is in the store", lambda r: r.figures.position),
    ("unitrate_queued_bytes", "Bytes that wait for the fold", lambda r: r.figures.queued_bytes),
    ("unitrate_checkpoint_seconds", "Duration of the last checkpoint", lambda r: r.figures.checkpoint_s),
    ("unitrate_checkpointed_at", "Unix time of the last checkpoint", lambda r: r.figures.checkpointed_at),
    ("unitrate_recovery_seconds", "Duration of the recovery", lambda r: r.figures.recovery_s),
    ("unitrate_log_time", "The log's time, Unix seconds", lambda r: max(r.figures.clock_us, 0) / 1e6),
)
_COUNTERS: tuple[tuple[str, str, Callable[[PartitionRun], float]], ...] = (
    ("unitrate_records", "Records folded since assignment", lambda r: r.figures.records),
    ("unitrate_checkpoints", "Checkpoints written since assignment", lambda r: r.figures.checkpoints),
    ("unitrate_store_retries", "Tries that the store did not answer", lambda r: r.figures.store_retries),
)


class RunsCollector:
    """A Prometheus collector over the runs of the moment."""

    def __init__(self, runs: Mapping[int, PartitionRun]) -> None:
        self._runs = runs

    def collect(self) -> Iterator[Metric]:
        runs = list(self._runs.values())
        for name, text, value in _GAUGES:
            yield _filled(GaugeMetricFamily(name, text, labels=["partition"]), runs, value)
        for name, text, value in _COUNTERS:
            yield _filled(CounterMetricFamily(name, text, labels=["partition"]), runs, value)
        states = GaugeMetricFamily(
            "unitrate_state", "1 for the state that a partition is in", labels=["partition", "state"]
        )
        for run in runs:
            for state in STATES:
                states.add_metric([str(run.number), state], float(run.state == state))
        yield states


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily,
    runs: list[PartitionRun],
    value: Callable[[PartitionRun], float],
) -> Metric:
    for run in runs:
        family.add_metric([str(run.number)], float(value(run)))
    return family


def declare(app: faust.App, runs: Mapping[int, PartitionRun], clock: Callable[[], float]) -> None:
    """The pages of the worker's web server."""
    registry = CollectorRegistry()
    registry.register(RunsCollector(runs))

    @app.page("/metrics")
    async def metrics(web: Any, request: Any) -> Any:
        return web.bytes(generate_latest(registry), content_type="text/plain; version=0.0.4")

    @app.page("/partitions")
    async def partitions(web: Any, request: Any) -> Any:
        return web.json({"time": clock(), "partitions": [summary(run) for run in runs.values()]})


def summary(run: PartitionRun) -> dict[str, Any]:
    return {
        "partition": run.number,
        "state": run.state,
        "position": run.figures.position,
        "records": run.figures.records,
        "queued_bytes": run.figures.queued_bytes,
        "checkpointed_at": run.figures.checkpointed_at,
        "store_retries": run.figures.store_retries,
        "recovery_s": round(run.figures.recovery_s, 3),
        "problem": run.figures.problem,
    }


def note_of(worker: str, run: PartitionRun) -> str:
    """What goes with a committed offset: who holds the partition and how it does."""
    return json.dumps({"worker": worker, "state": run.state, "problem": run.figures.problem[:300]})


def alert_body(worker: str, run: PartitionRun) -> bytes:
    """An alert about a partition that needs somebody."""
    body = {"alert": "partition", "worker": worker, **summary(run)}
    return json.dumps(body, sort_keys=True).encode()


def credentials(connection: KafkaConnection) -> CredentialsT | None:
    """The connection's TLS and SASL, as Faust's own clients take them."""
    context = connection.ssl_context()
    if connection.uses_sasl:
        return SASLCredentials(
            username=connection.username,
            password=connection.password,
            ssl_context=context,
            mechanism=connection.mechanism,
        )
    return SSLCredentials(context) if context is not None else None
