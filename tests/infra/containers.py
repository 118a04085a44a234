"""The same broker and engine as containers: `UNITRATE_TEST_CONTAINERS=1`, where Docker is present.

Same names and methods as `Broker` and `ClickHouse`, so there is no second set of tests. Containers cannot be
told to fail: that part of the trouble is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.infra.processes import free_port, wait_until

KAFKA_IMAGE = "apache/kafka:4.1.0"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:25.8"


class _Contained:
    """One container with a fixed host port, killed and started again as a process would be."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def stop(self) -> None:
        self._container.stop()

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def pause(self) -> None:
        self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        self._container.get_wrapped_container().unpause()

    def start(self) -> None:
        """The first time, and after `kill`."""
        wrapped = self._container.get_wrapped_container()
        if wrapped is None:
            self._container.start()
        else:
            wrapped.start()
        wait_until(f"{type(self).__name__} answers", self._answers, 120)

    def restart(self) -> None:
        self.kill()
        self.start()

    def _answers(self) -> bool:
        raise NotImplementedError


class ContainerBroker(_Contained):
    """Apache Kafka's own image, one KRaft node."""

    def __init__(self, folder: Path) -> None:
        from testcontainers.core.container import DockerContainer

        self.folder, self.port = folder, free_port()
        settings = {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_LISTENERS": f"PLAINTEXT://:{self.port},CONTROLLER://:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{self.port}",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        }
        container = DockerContainer(KAFKA_IMAGE).with_bind_ports(self.port, self.port)
        for name, value in settings.items():
            container = container.with_env(name, value)
        super().__init__(container)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        from tests.infra.kafka_broker import answers

        return answers(self.port)


class ContainerClickHouse(_Contained):
    """ClickHouse's own image."""

    def __init__(self, folder: Path, user: str = "unitrate", password: str = "test-only") -> None:
        from testcontainers.core.container import DockerContainer

        self.folder, self.port, self.user, self.password = folder, free_port(), user, password
        super().__init__(
            DockerContainer(CLICKHOUSE_IMAGE)
            .with_bind_ports(8123, self.port)
            .with_env("CLICKHOUSE_USER", user)
            .with_env("CLICKHOUSE_PASSWORD", password)
            .with_env("CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT", "1")
        )

    def spec(self, database: str) -> str:
        return f"clickhouse://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def fault(self, match: str, action: str, **details: Any) -> None:
        """It does not."""

    def clear_faults(self) -> None:
        """There are none."""

    def _answers(self) -> bool:
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().read() == b"Ok.\n"
        except OSError:
            return False
        finally:
            connection.close()
