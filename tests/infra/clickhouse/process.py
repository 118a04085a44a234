"""The test's side of the ClickHouse process: start, kill, restart, and ask for faults."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.infra.processes import Child, free_port


class ClickHouse:
    """One engine in a folder of its own. `spec(database)` is what `--store` takes."""

    def __init__(self, folder: Path, user: str = "unitrate", password: str = "test-only") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.user, self.password = user, password
        command = [sys.executable, "-m", "tests.infra.clickhouse.server", "--path", str(folder / "engine")]
        command += ["--port", str(self.port), "--user", user, "--password", password]
        root = str(Path(__file__).parents[3])
        python_path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        self._child = Child(command, folder / "clickhouse.log", {"PYTHONPATH": python_path})

    def spec(self, database: str) -> str:
        return f"clickhouse://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self, timeout_s: float = 60) -> None:
        self._child.start()
        end = time.monotonic() + timeout_s
        while not self._answers():
            if not self._child.alive or time.monotonic() > end:
                raise AssertionError(f"clickhouse did not start: {self._child.tail()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """The end; an engine that leaves in order may take a minute over its merges."""
        self._child.resume()
        self._child.kill()

    def kill(self) -> None:
        self._child.kill()

    def restart(self) -> None:
        self.kill()
        self.start()

    def pause(self) -> None:
        self._child.pause()

    def resume(self) -> None:
        self._child.resume()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.alive

    def fault(self, match: str, action: str, **details: Any) -> None:
        """Add a rule; see `faults` for the words."""
        self._request("POST", "/_fault", json.dumps({"match": match, "action": action, **details}).encode())

    def clear_faults(self) -> None:
        self._request("DELETE", "/_fault")

    def fired(self) -> list[str]:
        """Actions that were carried out since the process started."""
        return list(json.loads(self._request("GET", "/_fault"))["fired"])

    def _answers(self) -> bool:
        try:
            return self._request("GET", "/ping") == b"Ok.\n"
        except OSError:
            return False

    def _request(self, method: str, path: str, body: bytes = b"") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read()
        finally:
            connection.close()
