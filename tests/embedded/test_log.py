"""Publications, ticks, retries and runs as records of one log."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.embedded.builders import (
    CATALOG,
    START,
    an_event,
    contents,
    held_by,
    ids,
    run,
    traffic,
    versions,
    write,
)
from unitrate.errors import CatalogError, InputError, LogError, StoreBusy
from unitrate.replay.verify import verify
from unitrate.runtime import embedded, embedded_log
from unitrate.store import open_store, publications
from unitrate.store.queries import report_rows

LATER = CATALOG.replace("catalog: 2025-11", "catalog: 2025-12").replace(
    "effective: 2025-11-01", "effective: 2025-12-01"
)


def test_a_run_tells_what_it_did_and_what_the_store_holds(tmp_path: Path) -> None:
    lines = [an_event("a"), an_event("a"), b"broken", an_event("t", 1, workflow="tool", run_id="x")]
    summary = run(tmp_path / "store", write(tmp_path / "runs.jsonl", lines))
    assert (summary.events, summary.accepted, summary.duplicates, summary.rejected) == (4, 2, 1, 1)
    assert summary.published == ("2025-11",)
    assert summary.totals.units == {"billable": 1, "held": 1}
    assert summary.totals.cost == Decimal("0.00204")
    assert summary.totals.revenue == Decimal("0.00102") * Decimal("1.4") + Decimal("0.01")


def test_events_without_any_catalog_are_refused(tmp_path: Path) -> None:
    name = write(tmp_path / "runs.jsonl", [an_event("a")])
    with pytest.raises(InputError, match="no catalog yet: give one with --catalog"):
        run(tmp_path / "store", name, catalog=None)
    assert run(tmp_path / "store", name).accepted == 1


def test_a_catalog_is_published_once(tmp_path: Path) -> None:
    assert run(tmp_path / "store").published == ("2025-11",)
    with open_store(str(tmp_path / "store")) as store:
        assert embedded.publish(store, versions()) == []
        assert embedded.publish(store, versions(LATER), dry_run=True) == ["2025-12"]
        assert embedded.publish(store, versions(LATER)) == ["2025-12"]
        found = store.query(
            "SELECT id, published_offset, currency FROM catalogs FINAL ORDER BY effective"
        ).rows
        assert found == [("2025-11", 0, "USD"), ("2025-12", 1, "USD")]
        assert store.query("SELECT text FROM catalog_texts WHERE id = '2025-12'").rows == [(LATER,)]


def test_a_published_version_that_changed_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "store")
    with pytest.raises(CatalogError, match="give this one a new name"):
        run(tmp_path / "store", catalog=CATALOG.replace("rate: 9.90", "rate: 8.90"))


def test_a_tick_fires_timers_without_events(tmp_path: Path) -> None:
    """The document idles out half an hour after its request; a tick to the same time changes nothing."""
    run(tmp_path / "store", write(tmp_path / "runs.jsonl", [an_event("a")]))
    until_us = int((START + timedelta(hours=1)).timestamp() * 1_000_000)
    with open_store(str(tmp_path / "store")) as store:
        assert embedded.tick(store, until_us) is True
        assert embedded.tick(store, until_us) is False
        assert store.query("SELECT state, ended_by FROM units FINAL").rows == [("sealed", "idle")]


def test_rejected_events_are_taken_again_once(tmp_path: Path) -> None:
    """A verdict that came before the work it judges: retried, it finds its unit and leaves the list."""
    verdict = an_event("v", 3, type="work.accepted", workflow="lead", run_id="r1")
    work = an_event("w", 2, type="work.started", workflow="lead", run_id="r1")
    run(tmp_path / "store", write(tmp_path / "runs.jsonl", [verdict, work, b"broken"]))
    with open_store(str(tmp_path / "store")) as store:
        assert embedded.retry(store, "no_unit", dry_run=True) == 1
        assert embedded.retry(store, "no_unit") == 1
        assert embedded.retry(store, "no_unit") == 0
        assert store.query("SELECT verdict FROM units FINAL").rows == [("accepted",)]
        assert store.query("SELECT count() FROM spool").rows == [(0,)]
        assert embedded.retry(store) == 1  # the broken one
        places = store.query("SELECT place FROM rejected_events FINAL WHERE reason = 'not_json'").rows
        assert len(places) == 2
        assert places[0] == places[1]


def test_late_events_are_not_retried(tmp_path: Path) -> None:
    lines = [an_event("a"), an_event("z", 600, account="a1"), an_event("late", 1)]
    assert run(tmp_path / "store", write(tmp_path / "runs.jsonl", lines)).late == 1
    with open_store(str(tmp_path / "store")) as store:
        assert embedded.retry(store) == 0


def test_several_sessions_give_what_one_gives(tmp_path: Path) -> None:
    """Recovery in between changes no row."""
    lines = traffic(7, 600)
    run(tmp_path / "whole", write(tmp_path / "runs.jsonl", lines))
    path = tmp_path / "parts" / "runs.jsonl"
    path.parent.mkdir()
    for end in (1, 90, 250, 251, 600):
        write(path, lines[:end])
        run(tmp_path / "store", str(path))
    one, other = held_by(tmp_path / "whole"), held_by(tmp_path / "store")
    for table in ("events", "units", "lines", "cost_lines", "duplicates", "marker"):
        assert one[table] == other[table], table


def test_a_newer_release_switches_the_rules_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the first record that is new, so that a replay switches there; older code then stays away."""
    where = tmp_path / "store"
    run(where, write(tmp_path / "one.jsonl", [an_event("a")]))
    with monkeypatch.context() as newer:
        for name in ("engine", "runtime.session", "store.recovery"):
            newer.setattr(f"unitrate.{name}.ENGINE_VERSION", 2)
        run(where, write(tmp_path / "one.jsonl", [an_event("a")]))  # nothing new
        with open_store(str(where)) as store:
            assert [entry.kind for entry in embedded_log.read_entries(store)] == ["publication", "files"]
        run(where, write(tmp_path / "two.jsonl", [an_event("b")]))
        with open_store(str(where)) as store:
            entries = embedded_log.read_entries(store)
            assert [(one.kind, one.body.control_id) for one in entries[2:]] == [
                ("control", "engine:2"),
                ("files", ""),
            ]
            verified = verify(store)
            assert (verified.records, verified.holds) == (4, True)
    with pytest.raises(LogError, match="folded by engine version 2, this code has 1: update unitrate"):
        run(where, write(tmp_path / "three.jsonl", [an_event("c")]))


def test_reports_and_ledgers_add_up(tmp_path: Path) -> None:
    """Cost of the reports = cost of the accepted requests; by any column the rows add up to the total."""
    run(tmp_path / "store", write(tmp_path / "runs.jsonl", traffic(11, 800)))
    with open_store(str(tmp_path / "store")) as store:
        (total,) = report_rows(store, 202511)
        ((requests, cost),) = store.query(
            "SELECT count(), sum(toDecimal256(cost, 12)) FROM events FINAL WHERE type = 'ai.request'"
        ).rows
        ((revenue,),) = store.query("SELECT sum(toDecimal256(amount, 12)) FROM lines FINAL").rows
        assert (total["requests"], total["cost"], total["revenue"]) == (requests, cost, revenue)
        assert total["units"] == store.query("SELECT count() FROM units FINAL").rows[0][0]
        for by in (
            ["account", "meter"],
            ["model", "disposition", "reason"],
            ["day"],
            ["tag:team", "provider"],
        ):
            rows = report_rows(store, 202511, by=by)
            for figure in ("requests", "cost", "revenue"):
                assert sum(row[figure] for row in rows) == total[figure], (by, figure)


def test_the_log_takes_the_machines_clock_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event from the future is rejected, and is so again when the range is read again after a crash."""
    future = START + timedelta(days=2)
    name = write(tmp_path / "runs.jsonl", [an_event("a"), an_event("ahead", 2 * 24 * 60)])
    monkeypatch.setattr(time, "time_ns", lambda: int(START.timestamp()) * 10**9)
    monkeypatch.setattr(publications, "write", _crash)  # after the log rows, before the checkpoint
    with pytest.raises(_Crash):
        run(tmp_path / "store", name)
    monkeypatch.undo()
    monkeypatch.setattr(time, "time_ns", lambda: int(future.timestamp()) * 10**9)
    assert run(tmp_path / "store", name).rejected == 1
    assert ids(tmp_path / "store") == ["a"]


class _Crash(BaseException):
    pass


def _crash(*_: object) -> None:
    raise _Crash


def test_a_file_that_went_away_in_the_middle_is_missed_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.jsonl"
    write(path, [an_event("a")])
    monkeypatch.setattr(publications, "write", _crash)
    with pytest.raises(_Crash):
        run(tmp_path / "store", str(path))
    monkeypatch.undo()
    path.rename(tmp_path / "moved.jsonl")
    with pytest.raises(InputError, match=r"stopped inside .*runs\.jsonl, which is not at"):
        run(tmp_path / "store")
    assert run(tmp_path / "store", str(tmp_path / "moved.jsonl")).accepted == 1


def test_a_second_process_is_told_who_holds_the_store(tmp_path: Path) -> None:
    store = tmp_path / "store"
    run(store)
    holder = (
        "import sys; from unitrate.store import open_store; "
        f"open_store({str(store)!r}, command='unitrate run'); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(StoreBusy) as raised:
            open_store(str(store))
        process.kill()
    words = str(raised.value)
    assert words.startswith(f"the store {store} is in use by process {process.pid} (unitrate run, since ")
    assert words.endswith("). Wait for it, or use another --store.")
    with open_store(str(store)) as opened:  # a killed process leaves no lock
        assert contents(opened)["marker"]
