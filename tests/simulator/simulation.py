"""The production engine, checkpoint and recovery code under an adversary, one step at a time, from one seed.

Every worker is a thread, but only one thread ever runs: at each call to the store it hands the baton back to
the scheduler, which may crash it there, leave it as a zombie beside its successor, or let the network do
something. So a seed gives the same run every time. The oracle is one undisturbed fold of the same log, whose
figures the reference rater confirms.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

from tests.kafka.oracle import rater_differences, replay
from tests.simulator.fake_log import DOCUMENTS, PARTITIONS, FakeLog
from tests.simulator.fake_store import LEDGERS, Block, Flight, Questions, Tables
from tests.simulator.over_fakes import production_code_over_fakes
from tests.simulator.releases import NEW, OLD, run_as
from tests.simulator.weaknesses import NONE, Weakness
from unitrate.errors import LogError, StoreError, StoreUnavailable
from unitrate.runtime.group_commit import GroupCommit
from unitrate.runtime.partition import Partition, Pending, recover, write
from unitrate.store import checkpoint as checkpoint_module
from unitrate.store.client import Result

GENERATION_RECORDS = 6  # so that a log of a hundred records has many generations


class Crash(BaseException):
    """The process dies here."""


class Worker:
    """One incarnation of a partition's owner."""

    def __init__(self, simulation: Simulation, number: int, release: int) -> None:
        self.simulation, self.number, self.release = simulation, number, release
        self.idle = self.done = self.crashing = False
        self.recovering = True
        self.asleep_until = 0
        self.problem: BaseException | None = None
        self.go = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._main, daemon=True)
        self.thread.start()

    def _main(self) -> None:
        self.go.acquire()
        try:
            if not self.crashing:
                self.simulation.work(self)
        except (Crash, StoreError):
            pass  # an incarnation that gives up is as good as dead
        except LogError as error:
            # The old release halts at the next rules, and at state that was folded by them.
            self.problem = None if self.release == OLD and "update unitrate" in str(error) else error
        except BaseException as error:  # noqa: BLE001 - reported by the scheduler
            self.problem = error
        finally:
            self.done = True
            self.simulation.back.release()

    def pause(self) -> None:
        """Hand the baton back; dies here where the adversary wants it."""
        self.simulation.back.release()
        self.go.acquire()
        if self.crashing:
            raise Crash

    def resume(self) -> None:
        """Run until the next pause; called by the scheduler."""
        run_as(self.release)
        self.go.release()
        self.simulation.back.acquire()
        run_as(NEW)
        if self.problem is not None:
            raise self.problem

    def crash(self) -> None:
        if not self.done:
            self.crashing = True
            self.resume()


class SimulatedStore:
    """What production code calls a store; belongs to one worker."""

    replicated = False
    label = "simulated"
    database = "simulated"

    def __init__(self, simulation: Simulation, worker: Worker | None) -> None:
        self._simulation, self._worker = simulation, worker
        opened: Any = lambda: self  # noqa: E731
        self.group = GroupCommit(opened)

    def close(self) -> None:
        pass

    def sync_replicas(self) -> None:
        self._pause()

    def insert(self, table: str, data: Any) -> None:
        self._fly(Flight(self._simulation.tables.pieces_of(table, data)))

    def command(self, statement: str) -> None:
        partition, generation = statement.rpartition("(")[2].rstrip(")").split(", ")
        drop = self._simulation.tables.drop_state
        self._fly(Flight([lambda: drop(int(partition), int(generation))]))

    def query(self, sql: str, parameters: Any = None) -> Result:
        self._pause()
        return Result([], self._simulation.questions.query(sql, dict(parameters or {})))

    def query_arrow(self, sql: str, parameters: Any = None) -> Any:
        self._pause()
        return self._simulation.questions.query_arrow(sql, dict(parameters or {}))

    def write_checkpoint(self, checkpoint: Any) -> None:
        steps: dict[str, Callable[[Any, Any], None]] = {
            "r": checkpoint_module.write_rows,
            "s": checkpoint_module.write_state,
            "m": checkpoint_module.write_marker,
        }
        for step in self._simulation.weakness.order:
            steps[step](self, checkpoint)
        checkpoint_module.collect(self, checkpoint)  # type: ignore[arg-type]

    def _fly(self, flight: Flight) -> None:
        if self._worker is None:
            for piece in flight.pieces:
                piece()
            return
        self._simulation.network.append(flight)
        while not flight.acknowledged:
            self._pause()
            if flight.failed:
                if self._simulation.weakness.unknown_is_done:
                    return
                raise StoreUnavailable("simulated: no answer")

    def _pause(self) -> None:
        if self._worker is not None:
            self._worker.pause()


class Simulation:
    def __init__(self, seed: int, weakness: Weakness = NONE, rated: bool = False) -> None:
        self.rated = rated  # ask the reference rater too, which takes longer than all the rest
        self.random = random.Random(seed)
        self.weakness = weakness
        self.log = FakeLog(seed)
        self.tables = Tables(self.random, weakness.state_key)
        self.questions = Questions(
            self.tables, past_marker=weakness.identities_past_marker, newest=weakness.newest_state
        )
        self.network: list[Flight] = []
        self.workers: list[Worker] = []
        self.back = threading.Semaphore(0)
        self.running: Worker | None = None
        self.read_to = dict.fromkeys(range(PARTITIONS), 0)
        self.committed = dict.fromkeys(range(PARTITIONS), 0)
        self.calm = False

    # ------------------------------------------------------------ a worker's life, on its own thread

    def work(self, worker: Worker) -> None:
        store: Any = SimulatedStore(self, worker)
        partition, position = self._recovered(worker, store)
        worker.recovering = False
        partition.engine.generation_records = GENERATION_RECORDS
        while True:
            limit = self.random.randrange(1, 12)
            records = self.log.fetch(worker.number, position, limit)
            if not records and not partition.since_checkpoint:
                worker.idle = True
                worker.pause()
                continue
            if records:
                for pending in partition.fold(records):
                    self._write(store, worker.number, pending)
                position = records[-1].offset + 1
                self.read_to[worker.number] = max(self.read_to[worker.number], position)
            if partition.since_checkpoint and (not records or self.random.random() < 0.4):
                if self.weakness.generation_by_worker and self.random.random() < 0.5:
                    partition.engine.generation, partition.engine.due_generation = position - 1, True
                self._write(store, worker.number, partition.checkpoint())

    def _recovered(self, worker: Worker, store: Any) -> tuple[Partition, int]:
        while True:
            try:
                found = recover(worker.number, store, self.log)
            except StoreUnavailable:
                continue
            position = found.next_offset + (self.weakness.skip_after_marker if found.next_offset else 0)
            if self.weakness.seek_ignored:
                position = max(position, self.read_to[worker.number])
            if self.weakness.commit_first:
                position = max(position, self.committed[worker.number])
            if self.weakness.version_of_code:
                found.partition.engine.engine_version = worker.release
            return found.partition, position

    def _write(self, store: Any, number: int, pending: Pending) -> None:
        self.committed[number] = max(self.committed[number], pending.checkpoint.last_offset + 1)
        while True:
            try:
                if self.weakness.catalogs_last:
                    store.write_checkpoint(pending.checkpoint)
                if self.weakness.order == "rsm" and not self.weakness.catalogs_last:
                    store.group.write(number, pending)
                else:
                    write(store, number, pending)
                return
            except StoreUnavailable:
                continue

    # ------------------------------------------------------------ the scheduler

    def run(self) -> None:
        """All of a seed; AssertionError where the protocol failed."""
        self._undisturbed()
        try:
            self._trouble()
            self._rest()
        finally:
            for worker in self.workers:
                worker.crash()

    def _trouble(self) -> None:
        for number in range(PARTITIONS):
            self._spawn(number)
        for turn in range(self.random.randrange(200, 600)):
            chance = self.random.random()
            alive = [worker for worker in self.workers if not worker.done]
            awake = [worker for worker in alive if worker.asleep_until <= turn]
            if chance < 0.6 and awake:
                worker = self.random.choice(awake)
                self._resume(worker)
                if self.random.random() < 0.05:  # long enough for others to begin two generations
                    worker.asleep_until = turn + self.random.randrange(20, 300)
            elif chance < 0.86:
                self._move_network()
            elif chance < 0.92:
                self.tables.merge()
            elif chance < 0.95 and alive:
                self.random.choice(alive).crash()
            elif chance < 0.98:
                self._spawn(self.random.randrange(PARTITIONS))  # the one before is a zombie now
            for number in range(PARTITIONS):
                if not any(w.number == number and not w.done for w in self.workers):
                    self._spawn(number)

    def _rest(self) -> None:
        """One correct owner a partition gets to the end, zombies beside it; then the dead speak."""
        for worker in self.workers:
            if self.random.random() < 0.6:
                worker.crash()
        stopped = [self._stopped_while_starting(number) for number in range(PARTITIONS)]
        owners = [self._spawn(number, NEW) for number in range(PARTITIONS)]
        late = [flight for flight in self.network if self.random.random() < 0.5]
        self.network = [flight for flight in self.network if flight not in late]
        for flight in late:
            flight.failed = True  # its sender hears nothing, and tries again
        self.calm = True
        self._until_idle(owners, [worker for worker in self.workers if worker not in stopped])
        self._until_idle(stopped, stopped)
        self._verify("at the end")
        for flight in late + self.network:
            for piece in flight.pieces:
                if self.random.random() < 0.7:
                    piece()
        self.tables.merge()
        self._verify("after the last words of the dead")

    def _stopped_while_starting(self, number: int) -> Worker:
        """A process that stands still somewhere in its recovery; it wakes when all is done.

        What it was reading has been collected by then, most often.
        """
        worker = self._spawn(number)
        for _ in range(self.random.randrange(1, 8)):
            if not worker.done:
                self._resume(worker)
        return worker

    def _until_idle(self, owners: list[Worker], workers: list[Worker]) -> None:
        """All the workers run until the owners have nothing to do; an owner that dies has a successor."""
        for turn in range(8_000):
            if all(owner.idle for owner in owners):
                return
            self._resume(self.random.choice([worker for worker in workers if not worker.done]))
            for owner in [owner for owner in owners if owner.done]:
                owners[owners.index(owner)] = self._spawn(owner.number, NEW)
                workers.append(self.workers[-1])
            for _ in range(3):
                self._move_network()
            if turn % 8 == 0:
                self.tables.merge()
        raise AssertionError("no progress")

    def _spawn(self, number: int, release: int = 0) -> Worker:
        self.workers.append(Worker(self, number, release or self.random.choice((OLD, NEW))))
        return self.workers[-1]

    def _resume(self, worker: Worker) -> None:
        self.running = worker
        worker.resume()

    def _move_network(self) -> None:
        """One flight gets on: a piece lands, an answer comes or is lost, the client sends it all again."""
        if not self.network:
            return
        flight = self.random.choice(self.network)
        if flight.left and (self.calm or self.random.random() < 0.75):
            at = self.random.choice(sorted(flight.left))
            flight.left.discard(at)
            flight.pieces[at]()
        if not flight.left and (self.calm or self.random.random() < 0.8):
            flight.acknowledged = True
        if not self.calm:
            flight.failed = flight.failed or (not flight.acknowledged and self.random.random() < 0.08)
            if self.random.random() < 0.05:
                flight.left = set(range(len(flight.pieces)))
            if flight.failed and self.random.random() < 0.3:
                flight.left.clear()  # what has not landed never will
        if (flight.acknowledged or flight.failed) and not flight.left:
            self.network.remove(flight)

    # ------------------------------------------------------------ the oracle

    def _verify(self, when: str) -> None:
        beside: Any = SimulatedStore(self, None)
        for number, last in self._last.items():
            recovered = recover(number, beside, self.log)
            assert recovered.next_offset == last.last_offset + 1, f"{when}: {number} goes on elsewhere"
            assert recovered.partition.engine.digests() == last.digests, f"{when}: state of {number} differs"
            meta = recovered.partition.checkpoint().checkpoint.meta
            assert meta["counts"] == last.meta["counts"], f"{when}: counts of {number} differ"
        for table in LEDGERS:
            want, got = self._expected.final(table), self.tables.final(table)
            for key in want.keys() | got.keys():
                assert want.get(key) == got.get(key), f"{when}: {table} {key}"

    def _undisturbed(self) -> None:
        """What must come out."""
        self._expected, self._last = Tables(random.Random(0)), {}
        for number, records in enumerate(self.log.records):
            view, pendings = replay(number, records, GENERATION_RECORDS)
            for pending in pendings:
                self._apply(self._expected, number, pending)
            self._last[number] = pendings[-1].checkpoint
            if self.rated:
                assert rater_differences(records, view, DOCUMENTS) == []

    def _apply(self, tables: Tables, number: int, pending: Pending) -> None:
        class Direct(SimulatedStore):
            def insert(self, table: str, data: Block) -> None:
                if table in LEDGERS:
                    tables.apply(table, data.rows)

            def command(self, statement: str) -> None:
                pass

            def query(self, sql: str, parameters: Any = None) -> Result:
                return Result([], [])

        checkpoint_module.write_rows(Direct(self, None), pending.checkpoint)  # type: ignore[arg-type]


def simulate(seed: int, weakness: Weakness = NONE, rated: bool = False) -> None:
    """One seed, from beginning to end."""
    current: list[Simulation] = []

    def sleep(_: float) -> None:
        """Hand over the baton."""
        running = current[-1].running
        if running is not None and threading.current_thread() is running.thread:
            running.pause()

    with production_code_over_fakes(sleep, checks_digest=not weakness.digest_unchecked):
        current.append(Simulation(seed, weakness, rated))
        current[-1].run()
