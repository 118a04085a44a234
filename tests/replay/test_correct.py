"""`unitrate correct`: an operator waives a unit, or takes the waiver back; the log says who and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.builders import CATALOG, START, an_event, versions, write
from tests.replay.builders import a_store, opened
from unitrate.cli import main
from unitrate.errors import InputError
from unitrate.replay.correct import RESTORE, WAIVE, Decision, Effect, correct
from unitrate.replay.verify import verify
from unitrate.runtime import embedded, month_end
from unitrate.store import Store

HOUR = 60
MONTH = 30 * 24 * HOUR
PRICED = CATALOG.replace("included: 2", "included: 1")


def minutes_us(minutes: int) -> int:
    return int((START + timedelta(minutes=minutes)).timestamp()) * 1_000_000


def documents(count: int = 3) -> list[bytes]:
    """Documents d0, d1, …, completed one after the other: the first is included, each other bills 1.00."""
    lines = []
    for n in range(count):
        own: dict[str, Any] = {"run_id": f"r{n}", "attributes": {"document_id": f"d{n}"}}
        lines += [an_event(f"q{n}", 2 * n, **own), an_event(f"w{n}", 2 * n + 1, type="work.completed", **own)]
    return lines


@dataclass
class Books:
    """A store that a test works on."""

    path: Path
    store: Store

    def run(self, lines: list[bytes]) -> None:
        embedded.run(self.store, [], [write(self.path.with_suffix(".more.jsonl"), lines)])

    def tick(self, minutes: int) -> None:
        embedded.tick(self.store, minutes_us(minutes))

    def close(self, period: int) -> None:
        month_end.close(self.store, month_end.Order(period))

    def correct(self, unit: str, action: str, *, dry_run: bool = False) -> Effect:
        return correct(self.store, unit, Decision(action, "mia", f"{action} it"), dry_run=dry_run)

    def fate(self, key: str) -> tuple[str, str, str]:
        """Disposition, reason, revenue."""
        sql = "SELECT disposition, reason, toString(revenue) FROM units FINAL WHERE key = {key:String}"
        return self.store.query(sql, {"key": key}).rows[0]

    def billed(self, month: int) -> Decimal:
        sql = "SELECT sum(amount) FROM lines FINAL WHERE bill_month = {month:UInt32}"
        return self.store.query(sql, {"month": month}).rows[0][0]

    def differing(self) -> dict[str, int]:
        return verify(self.store).differing


Maker = Callable[..., Books]


@pytest.fixture
def some_books(tmp_path: Path) -> Iterator[Maker]:
    """Makes a store of lines; it is closed after the test."""
    with ExitStack() as stack:

        def make(lines: list[bytes], catalog: str = PRICED) -> Books:
            path = a_store(tmp_path / "store", *lines, catalog=catalog)
            return Books(path, stack.enter_context(opened(path)))

        yield make


def test_a_sealed_unit_that_is_waived_bills_nothing(some_books: Maker) -> None:
    """Its line is taken back, its cost stays, and the replay knows of it."""
    books = some_books(documents())
    assert books.billed(202511) == 2
    effect = books.correct("d2", WAIVE)
    assert (effect.before, effect.after) == (("billable", "ok"), ("not_billed", "waived"))
    assert [(line.bill_month, line.amount_pico) for line in effect.lines] == [(202511, -(10**12))]
    assert books.fate("d2") == ("not_billed", "waived", "0")
    assert books.billed(202511) == 1
    assert books.differing() == {}


def test_a_waiver_that_is_taken_back_leaves_the_bill_as_it_was(some_books: Maker) -> None:
    books = some_books(documents())
    books.correct("d2", WAIVE)
    books.correct("d2", RESTORE)
    assert books.fate("d2") == ("billable", "ok", "1")
    assert books.billed(202511) == 2
    assert books.differing() == {}


def test_an_open_unit_that_is_waived_bills_nothing_when_it_ends(some_books: Maker) -> None:
    books = some_books(documents()[:-1])
    assert books.correct("d2", WAIVE).lines == ()
    books.run([documents()[-1]])
    assert books.fate("d2") == ("not_billed", "waived", "0")
    assert books.differing() == {}


def test_a_final_unit_is_waived_and_restored_from_what_the_store_knows_of_it(some_books: Maker) -> None:
    """The fold has let it go; the row stays what it was but for its fate."""
    books = some_books(documents())
    books.tick(24 * HOUR)
    before = books.store.query("SELECT * EXCEPT (version, revision) FROM units FINAL WHERE key = 'd2'").rows
    assert books.correct("d2", WAIVE).after == ("not_billed", "waived")
    assert books.billed(202511) == 1
    effect = books.correct("d2", RESTORE)
    assert [line.amount_pico for line in effect.lines] == [10**12]
    assert books.fate("d2") == ("billable", "restored", "1")
    after = books.store.query("SELECT * EXCEPT (version, revision) FROM units FINAL WHERE key = 'd2'").rows
    assert [a for a, b in zip(before[0], after[0], strict=True) if a != b] == ["ok"]
    assert books.differing() == {}


def test_a_correction_of_a_closed_month_is_an_adjustment_in_the_next(some_books: Maker) -> None:
    """What was invoiced stays; the next invoice carries the difference, rated against its own month."""
    books = some_books(documents())
    books.tick(MONTH)
    books.close(202511)
    effect = books.correct("d2", WAIVE)
    assert [(line.bill_month, line.usage_month, line.amount_pico) for line in effect.lines] == [
        (202512, 202511, -(10**12))
    ]
    assert books.billed(202511) == 2
    assert books.billed(202512) == -1
    books.correct("d2", RESTORE)
    assert books.billed(202512) == 0
    assert books.differing() == {}


def test_a_live_unit_of_a_closed_month_is_adjusted_too(some_books: Maker) -> None:
    """Closing does not end what may still change."""
    books = some_books(documents(), PRICED.replace("settle: 1h}", "settle: 60d}"))
    books.tick(MONTH)
    books.close(202511)
    assert books.correct("d2", WAIVE).lines[0].bill_month == 202512
    assert books.differing() == {}


def test_a_held_unit_that_is_waived_stays_waived_when_a_catalog_decides_it(some_books: Maker) -> None:
    """And restored it bills what the catalog says."""
    model = {"model": "nobody", "provider": "q"}
    own: dict[str, Any] = {"run_id": "h", "attributes": {"document_id": "h"}}
    held = [an_event("h1", 9, **model, **own), an_event("h2", 10, type="work.completed", **own)]
    books = some_books([*documents(), *held])
    assert books.fate("h") == ("held", "unpriced", "0")
    books.correct("h", WAIVE)
    later = PRICED.replace("catalog: 2025-11", "catalog: later").replace("2025-11-01T", "2025-12-01T", 1)
    later = later.replace("models: [", 'models: [{provider: q, model: "*", input: 1, output: 1}, ')
    embedded.publish(books.store, versions(later))
    assert books.fate("h") == ("not_billed", "waived", "0")
    books.correct("h", RESTORE)
    assert books.fate("h") == ("billable", "ok", "1")
    assert books.differing() == {}


def test_a_final_unit_that_is_held_again_waits_for_its_catalog_again(some_books: Maker) -> None:
    """Waived it was let go; restored it is held as before, and the next catalog decides it."""
    own: dict[str, Any] = {"run_id": "h", "attributes": {"document_id": "h"}}
    bill = {"amount": "0.80", "currency": "EUR"}
    held = [an_event("h1", 9, cost=bill, **own), an_event("h2", 10, type="work.completed", **own)]
    books = some_books([*documents(), *held])
    books.tick(24 * HOUR)
    assert books.correct("h", WAIVE).after == ("not_billed", "waived")
    assert books.correct("h", RESTORE).after == ("held", "unpriced")
    assert books.fate("h") == ("held", "unpriced", "0")
    later = PRICED.replace("catalog: 2025-11", "catalog: later").replace("2025-11-01T", "2025-12-01T", 1)
    embedded.publish(books.store, versions(later.replace("costs:", "costs:\n  fx: {EUR: 1.25}")))
    assert books.fate("h") == ("billable", "ok", "1")
    assert books.store.query("SELECT toString(cost) FROM units FINAL WHERE key = 'h'").rows == [("1",)]
    assert books.differing() == {}


def test_a_unit_that_was_waived_before_it_ever_billed_is_decided_when_it_is_restored(
    some_books: Maker,
) -> None:
    """Long after it became final: by its meter, its plan and its month."""
    books = some_books(documents()[:-1])
    books.correct("d2", WAIVE)
    books.run([documents()[-1]])
    books.tick(24 * HOUR)
    assert books.fate("d2") == ("not_billed", "waived", "0")
    assert [line.amount_pico for line in books.correct("d2", RESTORE).lines] == [10**12]
    assert books.fate("d2") == ("billable", "ok", "1")
    assert books.differing() == {}


def test_a_unit_of_one_event_with_a_price_by_its_cost_can_be_corrected(some_books: Maker) -> None:
    """Its cost base leaves the counter with it, and comes back."""
    books = some_books([an_event("t1", workflow="tool"), an_event("t2", workflow="tool")])
    before = books.billed(202511)
    books.correct("t2", WAIVE)
    assert books.billed(202511) == before / 2
    books.correct("t2", RESTORE)
    assert books.billed(202511) == before
    assert books.differing() == {}


def test_an_accepted_outcome_keeps_its_verdict(some_books: Maker) -> None:
    own = {"workflow": "lead", "run_id": "l1"}
    kinds = ("ai.request", "work.completed", "work.accepted")
    books = some_books([an_event(f"l{n}", n, type=kind, **own) for n, kind in enumerate(kinds)])
    books.tick(24 * HOUR)
    books.correct("l1", WAIVE)
    books.correct("l1", RESTORE)
    row = books.store.query("SELECT verdict, toString(revenue) FROM units FINAL").rows[0]
    assert row == ("accepted", "9.9")


def test_a_dry_run_shows_the_effect_and_writes_nothing(some_books: Maker) -> None:
    books = some_books(documents())
    assert [line.amount_pico for line in books.correct("d2", WAIVE, dry_run=True).lines] == [-(10**12)]
    assert books.fate("d2") == ("billable", "ok", "1")
    assert books.store.query("SELECT count() FROM corrections").rows == [(0,)]


# ---------------------------------------------------------------- what is refused


def test_what_changes_nothing_is_refused(some_books: Maker) -> None:
    """Twice the same, a restore of what is not waived, a waiver of what never billed."""
    failed = an_event("w9", 9, type="work.failed", run_id="f", attributes={"document_id": "f"})
    asked = an_event("q9", 8, run_id="f", attributes={"document_id": "f"})
    books = some_books([*documents(1), asked, failed])
    books.tick(24 * HOUR)
    with pytest.raises(InputError, match="is not waived"):
        books.correct("d0", RESTORE)
    with pytest.raises(InputError, match=r"does not bill \(failed\)"):
        books.correct("f", WAIVE)
    books.correct("d0", WAIVE)
    with pytest.raises(InputError, match="waived already, by mia: waive it"):
        books.correct("d0", WAIVE)


@pytest.mark.parametrize(("who", "why"), [("", "reason"), ("mia", " "), ("mia", "x" * 1025)])
def test_nobody_and_no_reason_are_refused(who: str, why: str, some_books: Maker) -> None:
    books = some_books(documents(1))
    with pytest.raises(InputError, match="--wh"):
        correct(books.store, "d0", Decision(WAIVE, who, why))


# ---------------------------------------------------------------- the command


def test_the_command_shows_what_changes_and_explain_says_who_and_why(
    some_books: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    books = some_books(documents())
    store = ["--store", str(books.path)]
    books.store.close()
    capsys.readouterr()
    assert main(["correct", "d2", "--waive", "--who", "mia", "--why", "outage", *store]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "a0 · review · d2   waived by mia: outage"
    assert out[1] == "billed (ok) → not billed (waived)"
    assert out[2] == "  -1.00 USD  Reviews, invoice of November 2025"
    assert main(["explain", "d2", *store]) == 0
    explained = capsys.readouterr().out
    assert "not billed: an operator waived it" in explained
    assert "waived by mia, 2025-11-03 08:05" in explained
    assert main(["explain", "d2", *store, "--format", "json"]) == 0
    made = json.loads(capsys.readouterr().out)["corrections"]
    assert [(one["action"], one["who"], one["why"]) for one in made] == [("waive", "mia", "outage")]


def test_the_command_needs_a_decision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["correct", "d2", "--who", "mia", "--why", "x", "--store", str(tmp_path)]) == 2
    assert "one of the arguments --waive --restore is required" in capsys.readouterr().err
