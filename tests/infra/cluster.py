"""One broker and one ClickHouse engine, and the program's commands against them, as processes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.infra.clickhouse.process import ClickHouse
from tests.infra.kafka_broker import Broker
from tests.infra.processes import Child, free_port
from unitrate.runtime.kafka_connection import connection
from unitrate.runtime.status import status as read_status
from unitrate.store import open_store

ROOT = Path(__file__).parents[2]


class Installation:
    """A log and a database of their own, on a broker and an engine that others may share."""

    def __init__(self, folder: Path, bootstrap: str, store: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.bootstrap, self.store = folder, bootstrap, store
        self._workers: list[Child] = []
        python_path = os.pathsep.join((str(ROOT / "src"), os.environ.get("PYTHONPATH", "")))
        self.environment = {
            "UNITRATE_BROKERS": bootstrap,
            "UNITRATE_STORE": store,
            "PYTHONPATH": python_path,
        }

    def run(self, *arguments: str, stdin: bytes = b"", timeout_s: float = 120) -> tuple[int, str, str]:
        """A command to its end: exit code, standard output, standard error."""
        done = subprocess.run(
            [sys.executable, "-m", "unitrate.cli", *arguments],
            input=stdin,
            capture_output=True,
            env={**os.environ, **self.environment},
            timeout=timeout_s,
            check=False,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def ok(self, *arguments: str, stdin: bytes = b"") -> str:
        """A command that has to succeed; its standard output."""
        code, output, errors = self.run(*arguments, stdin=stdin)
        assert code == 0, f"unitrate {' '.join(arguments)}: exit {code}\n{output}{errors}"
        return output

    def publish(self, catalog: Path) -> None:
        self.ok("publish", str(catalog))

    def status(self) -> dict[str, Any]:
        """`unitrate status`, in this process: tests ask often."""
        with open_store(self.store) as store:
            return asyncio.run(read_status(connection(self.bootstrap, {}), store)).document()

    def worker(self, *options: str) -> Child:
        """A worker, not started yet."""
        command = [sys.executable, "-m", "unitrate.cli", "worker", "--web-port", str(free_port()), *options]
        log = self.folder / f"worker-{len(self._workers)}.log"
        self._workers.append(Child(command, log, self.environment))
        return self._workers[-1]

    def stop_workers(self) -> None:
        """Whatever a test left running ends here."""
        for worker in self._workers:
            worker.resume()
            worker.kill()

    def wait_for_no_lag(self, timeout_s: float = 60) -> dict[str, Any]:
        end = time.monotonic() + timeout_s
        while True:
            found = self.status()
            if found["lag"] == 0:
                return found
            if time.monotonic() > end:
                logs = "\n".join(path.read_text()[-3000:] for path in self.folder.glob("worker-*.log"))
                raise AssertionError(f"lag {found['lag']} after {timeout_s} s: {found}\n{logs}")
            time.sleep(0.2)


def lines(events: Sequence[dict[str, Any]]) -> bytes:
    """Events as JSON lines."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


__all__ = ["Broker", "ClickHouse", "Installation", "lines"]
