"""init, publish, send, status and rejected retry against the real broker and engine."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.infra.cluster import Installation, lines
from tests.infra.processes import wait_until
from tests.kafka.oracle import assert_exact, read_log
from tests.kafka.traffic import Traffic, write_catalog
from tests.reference.builders import an_event

pytestmark = pytest.mark.kafka


def make_topic(bootstrap: str, name: str, partitions: int, **settings: str) -> None:
    async def make() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            configs = {key.replace("_", "."): value for key, value in settings.items()}
            await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
        finally:
            await admin.close()

    asyncio.run(make())


def test_init_names_a_wrong_setting_and_fixes_it(installation: Installation) -> None:
    """CreateTime is an error that names it; --fix sets it and keeps the rest; again changes nothing."""
    make_topic(installation.bootstrap, "unitrate.log", 2, retention_ms="777000000")
    code, _, errors = installation.run("init")
    assert code == 2
    assert "message.timestamp.type=CreateTime; unitrate needs LogAppendTime" in errors
    assert len(errors.splitlines()) == 1
    assert "fixed" in installation.ok("init", "--fix")
    again = installation.ok("init", "--fix")
    assert "fixed" not in again
    assert "unchanged" in again
    code, _, errors = installation.run("init", "--partitions", "3")
    assert (code, "has 2 partitions, not 3" in errors) == (2, True)
    code, _, errors = installation.run("init", "--retention", "30")
    assert (code, "retention.ms=777000000" in errors) == (2, True)


def test_the_whole_way_of_an_event(installation: Installation, tmp_path: Path) -> None:
    """Lines that cannot be sent are listed; rejected ones are retried; status is the contract's JSON."""
    installation.ok("init", "--partitions", "3")
    early = lines([an_event(account="account-1", id="early", workflow="lead")])
    assert installation.ok("send", "-", stdin=early) == "sent 1 events\n"
    installation.publish(write_catalog(tmp_path))
    assert "is published already" in installation.ok("publish", str(tmp_path / "first.yaml"))
    bad = b'{"id": "no subject"}\n\n{"subject": "account-1", broken\n' + b'{"subject":"a","x":"%s"}\n' % (
        b"y" * (2 << 20)
    )
    code, output, errors = installation.run("send", "-", stdin=bad)
    assert (code, output) == (1, "sent 1 events\n")
    assert "left out -:1: no readable subject" in errors
    assert "left out -:4: 2,097" in errors
    worker = installation.worker()
    worker.start()
    installation.wait_for_no_lag()
    status = json.loads(installation.ok("status", "--format", "json"))
    assert set(status) == {"partitions", "lag", "open_units", "held", "rejected"}
    assert {"partition", "checkpoint", "end", "lag", "checkpointed_at", "worker"} <= set(
        status["partitions"][0]
    )
    assert status["rejected"] == 2
    assert all(partition["worker"] for partition in status["partitions"])
    assert installation.ok("rejected", "retry", "--reason", "no_catalog") == "1 event sent again\n"
    assert installation.ok("rejected", "retry", "--reason", "no_catalog") == "0 events sent again\n"
    assert installation.wait_for_no_lag()["open_units"] == 1
    assert worker.terminate() == 0
    assert assert_exact(installation.bootstrap, installation.store) >= 9


def test_wrong_use_is_one_line(installation: Installation) -> None:
    """No topic, no broker, a folder for a store, a taken port: exit 2 and a reason, no traceback."""
    code, _, errors = installation.run("send", "-", stdin=b"{}")
    assert (code, "unitrate init makes it" in errors) == (2, True)
    code, _, errors = installation.run("status", "--store", "./folder")
    assert (code, "names a folder" in errors) == (2, True)
    code, _, errors = installation.run("send", "-", "--brokers", "127.0.0.1:1")
    assert (code, "127.0.0.1:1 does not answer" in errors) == (2, True)
    installation.ok("init", "--partitions", "1")
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        code, _, errors = installation.run("worker", "--web-port", str(taken.getsockname()[1]))
    assert (code, "--web-port" in errors) == (2, True)
    assert all("Traceback" not in line for line in errors.splitlines())


def test_a_line_of_a_quiet_pipe_is_sent_at_once(installation: Installation) -> None:
    """`producer | unitrate send -` holds nothing back while the producer has no more to say."""
    installation.ok("init", "--partitions", "1")
    environment = {**os.environ, **installation.environment}
    command = [sys.executable, "-m", "unitrate.cli", "send", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as sender:
        assert sender.stdin is not None
        sender.stdin.write(lines([an_event()]))
        sender.stdin.flush()
        wait_until("it is in the log", lambda: len(read_log(installation.bootstrap)[0]) == 2, 20)
        sender.stdin.close()
        assert sender.wait(20) == 0


def test_keyless_events_are_rekeyed(installation: Installation, tmp_path: Path) -> None:
    """A topic without keys is forwarded, every event once in its account's partition, nothing lost."""
    from aiokafka import AIOKafkaProducer

    installation.ok("init", "--partitions", "3")
    installation.publish(write_catalog(tmp_path))
    make_topic(installation.bootstrap, "unitrate.test.raw", 2)
    sent = Traffic(5).lines(300).splitlines()

    async def produce() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=installation.bootstrap)
        await producer.start()
        for number, line in enumerate(sent):
            await producer.send("unitrate.test.raw", value=line, partition=number % 2)
        await producer.stop()

    asyncio.run(produce())
    worker = installation.worker("--rekey", "unitrate.test.raw")
    worker.start()

    def forwarded() -> int:
        log = read_log(installation.bootstrap)
        return sum(record.value in set(sent) for records in log.values() for record in records)

    wait_until("everything is forwarded", lambda: forwarded() == len(sent), 40)
    installation.wait_for_no_lag()
    assert worker.terminate() == 0
    accounts = {json.loads(line)["subject"] for line in sent if b"broken" not in line}
    homes = {
        account: {
            partition
            for partition, records in read_log(installation.bootstrap).items()
            if any(record.key == account.encode() for record in records)
        }
        for account in accounts
    }
    assert all(len(home) == 1 for home in homes.values())
    assert_exact(installation.bootstrap, installation.store)


def test_another_log_under_the_same_store_is_refused(installation: Installation, tmp_path: Path) -> None:
    """A log that was made anew stops every partition, and init names it."""
    from tests.kafka.conftest import delete_topics

    installation.ok("init", "--partitions", "1")
    installation.publish(write_catalog(tmp_path))
    worker = installation.worker()
    worker.start()
    installation.wait_for_no_lag()
    assert worker.terminate() == 0
    asyncio.run(delete_topics(installation.bootstrap))
    code, _, errors = installation.run("init", "--partitions", "1")
    assert code == 2
    assert "the store was filled from log" in errors
