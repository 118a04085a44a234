"""Opening a store: what is made, what is refused, and what an error must never say."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.clickhouse.process import ClickHouse
from tests.store.builders import PICO, a_checkpoint, a_line, an_event, events
from unitrate import rows
from unitrate.errors import InputError, StoreBusy, StoreError, StoreUnavailable
from unitrate.store import checkpoint, migrations, open_store
from unitrate.store.address import FolderAddress, ServerAddress, parse_address
from unitrate.store.lock import LOCK_NAME
from unitrate.store.schema import create_table


def test_a_server_address_is_taken_apart(tmp_path: Path) -> None:
    """Percent signs let a password hold anything."""
    found = parse_address("clickhouses://joe:p%40ss%2F@db.example:9443/billing")
    assert found == ServerAddress(
        "db.example", 9443, "joe", "billing", True, "clickhouses://joe@db.example:9443/billing", "p@ss/"
    )
    plain = parse_address("clickhouse://db")
    assert isinstance(plain, ServerAddress)
    assert (plain.port, plain.user, plain.database) == (8123, "default", "unitrate")
    assert parse_address(str(tmp_path)) == FolderAddress(tmp_path, str(tmp_path))


@pytest.mark.parametrize(
    "spec",
    [
        "postgres://u:secret@h/d",
        "clickhouse://u:secret@h:port/d",
        "clickhouse://u:sec:ret@h:1:2/d",
        "clickhouse:///d",
        "clickhouse://u:secret@h/d?password=secret",
    ],
)
def test_a_wrong_address_is_refused_without_its_password(spec: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_address(spec)
    assert "secret" not in str(raised.value)
    assert "sec:ret" not in str(raised.value)


def test_a_store_that_is_not_there_is_not_made_by_a_question(tmp_path: Path) -> None:
    path = tmp_path / "nowhere"
    with pytest.raises(StoreError, match=f"there is no store at {path}: `unitrate run --catalog CATALOG"):
        open_store(str(path))
    assert not path.exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("x")
    with pytest.raises(StoreError, match="holds other files; --store takes a new or empty folder"):
        open_store(str(tmp_path), create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file; --store takes a folder"):
        open_store(str(tmp_path / "file"), create=True)


def test_a_second_opening_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with open_store(str(path), create=True, command="unitrate run"), pytest.raises(StoreBusy) as raised:
        open_store(str(path))
    expected = (
        rf"the store {re.escape(str(path))} is in use by process {os.getpid()} "
        r"\(unitrate run, since \d\d:\d\d\)\. Wait for it, or use another --store\."
    )
    assert re.fullmatch(expected, str(raised.value))
    open_store(str(path)).close()  # and free again


def test_a_lock_note_without_a_lock_holds_nobody_up(tmp_path: Path) -> None:
    """A process that was killed leaves its note; only the kernel's lock counts."""
    path = tmp_path / "store"
    open_store(str(path), create=True).close()
    note = {"pid": 1, "command": "unitrate run", "since": "2020-01-01T00:00:00+00:00"}
    (path / LOCK_NAME).write_text(json.dumps(note))
    open_store(str(path)).close()


def test_a_store_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "store")
    with open_store(path, create=True) as store:
        store.command("INSERT INTO schema_migrations (number, name, program) VALUES (999, 'next', '9.9')")
    for create in (True, False):
        with pytest.raises(StoreError, match=r"has schema 999, this unitrate .* knows .*: upgrade unitrate"):
            open_store(path, create=create)


def test_steps_that_were_cut_off_are_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between two statements of a step leaves a store that the next opening completes."""

    class Crash(BaseException):
        pass

    def crash(*_: object) -> str:
        raise Crash

    path = str(tmp_path / "store")
    with monkeypatch.context() as patch:
        patch.setattr(migrations.m0001_tables, "create_table", lambda table, database: (
            crash() if table.name == "state" else create_table(table, database)
        ))  # fmt: skip
        with pytest.raises(Crash):
            open_store(path, create=True)
    with open_store(path, create=True) as store:
        done = [
            number for (number,) in store.query("SELECT number FROM schema_migrations ORDER BY number").rows
        ]
        assert done == [step.number for step in migrations.MIGRATIONS]
        assert store.query("SELECT count() FROM state").rows == [(0,)]


def test_what_a_checkpoint_writes_is_synced(tmp_path: Path) -> None:
    """No marker may outlive the rows that it vouches for."""
    with open_store(str(tmp_path / "store"), create=True) as store:
        found = store.query(
            "SELECT name, create_table_query FROM system.tables "
            "WHERE database = 'unitrate' AND engine = 'ReplacingMergeTree'"
        ).rows
    tables = {name for name, _ in found}
    assert {"events", "units", "lines", "cost_lines", "state", "checkpoints", "manifest"} <= tables
    for name, statement in found:
        for setting in (
            "fsync_after_insert = 1",
            "fsync_part_directory = 1",
            "min_rows_to_fsync_after_merge = 1",
        ):
            assert setting in statement, name


def test_rejected_events_are_kept_ninety_days_from_when_they_were_written(tmp_path: Path) -> None:
    """The store's clock counts, not the event's: a replayed history of last year does not vanish at once."""
    with open_store(str(tmp_path / "store"), create=True) as store:
        ((statement,),) = store.query(
            "SELECT create_table_query FROM system.tables "
            "WHERE database = 'unitrate' AND name = 'rejected_events'"
        ).rows
    assert "TTL kept_at + toIntervalDay(90)" in statement
    assert "`kept_at` DateTime('UTC') DEFAULT now()" in statement


def test_errors_are_one_line(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "store"), create=True) as store, pytest.raises(StoreError) as raised:
        store.query("SELECT nothing FROM nowhere")
    assert "\n" not in str(raised.value)
    assert "UNKNOWN_TABLE" in str(raised.value)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable) as raised:
        open_store("clickhouse://u:secret@127.0.0.1:1/d")
    assert str(raised.value).startswith("the store clickhouse://u@127.0.0.1:1/d does not answer")
    assert "secret" not in str(raised.value)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """The real engine behind ClickHouse's HTTP protocol, in a process of its own."""
    made = ClickHouse(tmp_path_factory.mktemp("clickhouse"))
    made.start()
    yield made
    made.kill()


def test_a_server_has_the_same_tables_and_rows(server: ClickHouse) -> None:
    """Made by `create`, found again without it, refused before."""
    spec = server.spec("same")
    with pytest.raises(StoreError, match=r"no tables in clickhouse://.*: `unitrate init` makes them"):
        open_store(spec)
    output = rows.Output(events(an_event()), lines=[a_line(amount=PICO)])
    with open_store(spec, create=True) as store:
        store.write_checkpoint(a_checkpoint(output=output))
    with open_store(spec) as store:
        assert store.query("SELECT id FROM events FINAL").rows == [("e1",)]
        assert store.query("SELECT amount = 1 FROM lines FINAL").rows == [(True,)]
        marker = checkpoint.read_marker(store, 0)
        assert marker is not None
        assert marker.last_offset == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "error", "code": 252, "status": 500, "message": "too many parts"},
        {"action": "error_after", "code": 159, "status": 408, "message": "timeout"},
        {"action": "reset"},
        {"action": "reset_after"},
        {"action": "truncate"},
    ],
    ids=lambda fault: fault["action"],
)
def test_an_insert_without_an_answer_is_done_again(server: ClickHouse, fault: dict[str, Any]) -> None:
    """Whether it was done or not, every row is there once."""
    with open_store(server.spec(f"fault_{fault['action']}"), create=True) as store:
        server.fault(match="insert", times=2, **fault)
        output = rows.Output(events(an_event("a", 1), an_event("b", 2)), lines=[a_line(amount=PICO)])
        store.write_checkpoint(a_checkpoint(output=output))
        server.clear_faults()
        assert store.query("SELECT id FROM events FINAL ORDER BY id").rows == [("a",), ("b",)]
        assert store.query("SELECT sum(amount) = 1 FROM lines FINAL").rows == [(True,)]
