"""Load with random trouble: workers, store and broker are killed, stalled and broken while events flow.

`python -m tests.kafka.chaos --minutes 10` is the soak: a line a second, a verdict at the end. The test suite
runs half a minute of the same. A seed chooses the trouble; the machine's timing does the rest.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.infra.cluster import Broker, ClickHouse, Installation
from tests.infra.processes import Child
from tests.kafka.oracle import assert_exact, read_log
from tests.kafka.traffic import Traffic, write_catalog

SESSION_S = 3
RATED_RECORDS = 6_000  # the reference rater is slow and plain: it takes minutes for more
FAULTS: tuple[tuple[str, dict[str, object]], ...] = (
    ("error", {"code": 252}),  # TOO_MANY_PARTS
    ("error_after", {"code": 319}),  # applied, but the answer says unknown
    ("reset", {}),
    ("reset_after", {}),
    ("close_after", {}),
    ("truncate", {}),
    ("delay_after", {"seconds": 1.5}),
    ("hang_after", {"seconds": 4}),
)


class Chaos:
    """One installation under load. `step` does one second of it."""

    def __init__(
        self, installation: Installation, broker: Broker, clickhouse: ClickHouse, seed: int, workers: int = 2
    ) -> None:
        self.installation, self.broker, self.clickhouse = installation, broker, clickhouse
        self.random = random.Random(seed)
        self.traffic = Traffic(seed)
        self.workers: list[Child] = [self._started() for _ in range(workers)]
        self.paused: list[tuple[Child, float]] = []
        self.done: Counter[str] = Counter()
        self.sent = 0

    def step(self, trouble: bool = True) -> str:
        """Send some events, and maybe break something; what was broken."""
        count = self.random.randrange(50, 400)
        self.installation.ok("send", "-", stdin=self.traffic.lines(count))
        self.sent += count
        self._revive()
        if not trouble or self.random.random() < 0.3:
            return ""
        act = self.random.choice(
            [
                self.kill_worker,
                self.kill_worker,
                self.stop_worker,
                self.pause_worker,
                self.break_store,
                self.break_store,
                self.break_store,
                self.kill_store,
                self.restart_broker,
            ]
        )
        act()
        self.done[act.__name__] += 1
        return act.__name__

    def calm(self) -> None:
        """No more trouble: everything runs until nothing lags."""
        self.clickhouse.clear_faults()
        for worker, _ in self.paused:
            worker.resume()
        self.paused.clear()
        self._revive()
        self.installation.wait_for_no_lag(90)
        for worker in self.workers:
            assert worker.terminate() == 0, worker.tail()
        # A worker that stopped may have been the one that wrote the last tick.
        last = self._started()
        self.installation.wait_for_no_lag(60)
        last.terminate()

    # ------------------------------------------------------------ trouble

    def kill_worker(self) -> None:
        self.random.choice(self.workers).kill()

    def stop_worker(self) -> None:
        worker = self.random.choice(self.workers)
        ready = worker.alive and "assigned" in worker.tail()  # before that, SIGTERM finds Python starting
        if ready and worker not in [paused for paused, _ in self.paused]:
            assert worker.terminate(60) == 0, worker.tail()

    def pause_worker(self) -> None:
        """SIGSTOP for longer than the session: somebody else takes over, then a living zombie goes on."""
        worker = self.random.choice(self.workers)
        if worker.alive and worker not in [paused for paused, _ in self.paused]:
            worker.pause()
            self.paused.append((worker, time.monotonic() + SESSION_S + self.random.uniform(0.5, 4)))

    def break_store(self) -> None:
        action, details = self.random.choice(FAULTS)
        match = self.random.choice(["insert", "insert", "any", "re:INSERT INTO .*(state|checkpoints|lines)"])
        times = self.random.randrange(1, 6)
        self.clickhouse.fault(match, action, times=times, skip=self.random.randrange(4), **details)

    def kill_store(self) -> None:
        self.clickhouse.kill()
        time.sleep(self.random.uniform(0, 2))
        self.clickhouse.start()

    def restart_broker(self) -> None:
        self.broker.restart()

    # ------------------------------------------------------------ workers

    def _revive(self) -> None:
        now = time.monotonic()
        for worker, until in list(self.paused):
            if now >= until:
                worker.resume()
                self.paused.remove((worker, until))
        self.workers = [worker if worker.alive else self._started() for worker in self.workers]

    def _started(self) -> Child:
        worker = self.installation.worker("--session-timeout", str(SESSION_S))
        worker.start()
        return worker


def run(chaos: Chaos, seconds: float, say: Callable[[str], None] = lambda _: None) -> int:
    """Trouble for some seconds, then calm, then the verdict; how many records were compared."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        act = chaos.step()
        say(f"{max(0, end - time.monotonic()):6.0f} s left   sent {chaos.sent:>9,}   {act}")
    chaos.calm()
    log = read_log(chaos.installation.bootstrap)
    few = sum(len(records) for records in log.values()) < RATED_RECORDS
    return assert_exact(chaos.installation.bootstrap, chaos.installation.store, reference=few, log=log)


def main() -> int:
    parser = argparse.ArgumentParser(description="Soak: load with random kills, then a verdict.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--partitions", type=int, default=4)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="unitrate-soak-"))
    print(f"seed {arguments.seed}, logs in {folder}", flush=True)
    broker, clickhouse = Broker(folder / "kafka"), ClickHouse(folder / "clickhouse")
    broker.start()
    clickhouse.start()
    installation = Installation(folder / "installation", broker.bootstrap, clickhouse.spec("soak"))
    try:
        installation.ok("init", "--partitions", str(arguments.partitions))
        installation.publish(write_catalog(folder))
        chaos = Chaos(installation, broker, clickhouse, arguments.seed)
        compared = run(chaos, arguments.minutes * 60, lambda line: print(line, flush=True))
    except AssertionError:
        print(f"FAILED with seed {arguments.seed}: {traceback.format_exc()[-6000:]}")
        return 1
    finally:
        installation.stop_workers()
        clickhouse.stop()
        broker.stop()
    print(f"{compared:,} records, {dict(chaos.done)}: every row is exact")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
