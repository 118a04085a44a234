"""A real Apache Kafka for tests: one KRaft node in its own folder, started, stopped, killed, restarted."""

from __future__ import annotations

import base64
import socket
import struct
import subprocess
import time
import uuid
from pathlib import Path

from tests.infra.kafka_jars import class_path, java
from tests.infra.processes import Child, free_port

# A single node; and short sessions, or a restart after kill -9 takes 13 s.
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=300
log.cleaner.dedupe.buffer.size=16777216
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=300
num.network.threads=2
num.io.threads=4
"""
LOGGING = """status=error
appender.f.type=File
appender.f.name=F
appender.f.fileName=${sys:kafka.logfile}
appender.f.layout.type=PatternLayout
appender.f.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=info
rootLogger.appenderRef.f.ref=F
"""
JVM = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"]


class Broker:
    """One broker. `bootstrap` stays the same over restarts."""

    def __init__(self, folder: Path, extra_properties: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._properties = folder / "server.properties"
        self._properties.write_text(
            PROPERTIES.format(port=self.port, controller=free_port(), data=folder / "data") + extra_properties
        )
        (folder / "log4j2.properties").write_text(LOGGING)
        self._child = Child(self._java("kafka.Kafka", str(self._properties)), folder / "server.out")
        self._format()

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._child.pid

    def start(self, timeout_s: float = 60) -> None:
        self._child.start()
        end = time.monotonic() + timeout_s
        while not answers(self.port):
            if not self._child.alive or time.monotonic() > end:
                raise AssertionError(f"kafka did not start: {self._child.tail()}")
            time.sleep(0.05)

    def stop(self) -> None:
        self._child.resume()
        self._child.terminate(60)

    def kill(self) -> None:
        self._child.kill()

    def pause(self) -> None:
        self._child.pause()

    def resume(self) -> None:
        self._child.resume()

    def restart(self) -> None:
        self.kill()
        self.start()

    def _java(self, main: str, *arguments: str) -> list[str]:
        logging = [
            f"-Dlog4j2.configurationFile=file:{self.folder / 'log4j2.properties'}",
            f"-Dkafka.logfile={self.folder / 'server.log'}",
        ]
        return [java(), *JVM, *logging, "-cp", class_path(), main, *arguments]

    def _format(self) -> None:
        # A leading "-" would be read as an option.
        cluster = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        command = self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties))
        with (self.folder / "format.out").open("wb") as output:
            subprocess.run(command, check=True, stdout=output, stderr=subprocess.STDOUT)


def answers(port: int) -> bool:
    """Whether the broker answers an ApiVersions request, which is more than accepting a connection."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(2)
            body = struct.pack(">hhih", 18, 0, 1, 3) + b"dev"
            connection.sendall(struct.pack(">i", len(body)) + body)
            answer = connection.recv(10)
            return len(answer) >= 10 and struct.unpack(">iih", answer[:10])[1:] == (1, 0)
    except OSError:
        return False
