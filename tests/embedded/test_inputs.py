"""Which lines a run reads: growth, change, renaming, rotation, compression, pipes."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest

from tests.embedded.builders import an_event, append, ids, run, write
from unitrate.errors import InputError
from unitrate.runtime import embedded_log
from unitrate.store import open_store


def events(*names: str) -> list[bytes]:
    return [an_event(name, minute) for minute, name in enumerate(names)]


def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    name = write(tmp_path / "runs.jsonl", events("a", "b"))
    assert run(tmp_path / "store", name).accepted == 2
    again = run(tmp_path / "store", name)
    assert (again.events, again.duplicates) == (0, 0)


def test_a_file_that_grew_goes_on_where_it_stopped(tmp_path: Path) -> None:
    name = write(tmp_path / "runs.jsonl", events("a"))
    run(tmp_path / "store", name)
    append(tmp_path / "runs.jsonl", [an_event("b", 1)])
    assert run(tmp_path / "store", name).accepted == 1
    assert ids(tmp_path / "store") == ["a", "b"]


def test_a_file_that_changed_is_refused_with_the_line(tmp_path: Path) -> None:
    """What was read before must still stand there."""
    name = write(tmp_path / "runs.jsonl", events("a", "b", "c"))
    run(tmp_path / "store", name)
    write(tmp_path / "runs.jsonl", events("a", "B", "c"))
    with pytest.raises(InputError) as raised:
        run(tmp_path / "store", name)
    assert str(raised.value) == (
        f"{name} changed before line 3, which was already read; append to files, or give a new name."
    )


@pytest.mark.parametrize("now", [["x", "b"], ["a"]], ids=["other first line", "shorter"])
def test_other_contents_under_a_known_name_are_refused(tmp_path: Path, now: list[str]) -> None:
    name = write(tmp_path / "runs.jsonl", events("a", "b"))
    run(tmp_path / "store", name)
    write(tmp_path / "runs.jsonl", events(*now))
    with pytest.raises(InputError, match="changed before line 2"):
        run(tmp_path / "store", name)


def test_changed_contents_under_a_new_name_are_read(tmp_path: Path) -> None:
    """Its known events are duplicates."""
    run(tmp_path / "store", write(tmp_path / "runs.jsonl", events("a", "b")))
    second = run(tmp_path / "store", write(tmp_path / "other.jsonl", events("a", "c")))
    assert (second.accepted, second.duplicates) == (1, 1)


def test_a_renamed_file_is_known(tmp_path: Path) -> None:
    write(tmp_path / "runs.jsonl", events("a"))
    run(tmp_path / "store", str(tmp_path / "runs.jsonl"))
    (tmp_path / "runs.jsonl").rename(tmp_path / "november.jsonl")
    append(tmp_path / "november.jsonl", [an_event("b", 1)])
    summary = run(tmp_path / "store", str(tmp_path / "november.jsonl"))
    assert (summary.accepted, summary.duplicates) == (1, 0)


def test_a_rotated_file_is_no_change(tmp_path: Path) -> None:
    """The old contents moved to a neighbour: the name may hold something new."""
    name = write(tmp_path / "runs.jsonl", events("a"))
    run(tmp_path / "store", name)
    (tmp_path / "runs.jsonl").rename(tmp_path / "runs.jsonl.1")
    write(tmp_path / "runs.jsonl", [an_event("b", 1)])
    assert run(tmp_path / "store", name).accepted == 1


def test_a_file_compressed_after_it_was_read_is_known(tmp_path: Path) -> None:
    write(tmp_path / "runs.jsonl", events("a", "b"))
    run(tmp_path / "store", str(tmp_path / "runs.jsonl"))
    (tmp_path / "runs.jsonl.gz").write_bytes(gzip.compress((tmp_path / "runs.jsonl").read_bytes()))
    assert run(tmp_path / "store", str(tmp_path / "runs.jsonl.gz")).events == 0


def test_an_unfinished_last_line_waits_for_its_end(tmp_path: Path) -> None:
    """It is told, and read once when it is whole."""
    path, last = tmp_path / "runs.jsonl", an_event("b", 1)
    name = write(path, events("a"))
    with path.open("ab") as file:
        file.write(last[:40])
    first = run(tmp_path / "store", name)
    assert (first.accepted, first.rejected, first.waiting) == (1, 0, (f"{name}:2",))
    with path.open("ab") as file:
        file.write(last[40:] + b"\n")
    second = run(tmp_path / "store", name)
    assert (second.accepted, second.waiting) == (1, ())


def test_a_whole_last_line_needs_no_line_end(tmp_path: Path) -> None:
    """A JSON object cannot be the beginning of another one."""
    path = tmp_path / "runs.jsonl"
    path.write_bytes(b"\n".join(events("a", "b")))
    assert run(tmp_path / "store", str(path)).accepted == 2
    with path.open("ab") as file:
        file.write(b"\nbroken\n")
    assert run(tmp_path / "store", str(path)).rejected == 1
    with open_store(str(tmp_path / "store")) as store:
        assert store.query("SELECT place FROM rejected_events").rows == [(f"{path}:3",)]


def test_blank_lines_are_no_events_and_places_count_them(tmp_path: Path) -> None:
    name = write(tmp_path / "runs.jsonl", [b"", *events("a"), b"  \r", b"broken", b"\t", b"also broken"])
    summary = run(tmp_path / "store", name)
    assert (summary.events, summary.accepted, summary.rejected) == (3, 1, 2)
    with open_store(str(tmp_path / "store")) as store:
        places = store.query("SELECT place FROM rejected_events ORDER BY offset").rows
    assert places == [(f"{name}:4",), (f"{name}:6",)]


def test_a_file_of_blank_lines_is_read_once(tmp_path: Path) -> None:
    name = write(tmp_path / "runs.jsonl", [b"", b""])
    assert run(tmp_path / "store", name).events == 0
    append(tmp_path / "runs.jsonl", events("a"))
    assert run(tmp_path / "store", name).accepted == 1


def test_lines_longer_than_an_event_may_be_are_rejected_whole(tmp_path: Path) -> None:
    name = write(tmp_path / "runs.jsonl", [b'{"x": "' + b"y" * (3 << 20) + b'"}', *events("a")])
    summary = run(tmp_path / "store", name)
    assert (summary.accepted, summary.rejected) == (1, 1)


def test_compressed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(events("a", "b"))))
    assert run(tmp_path / "store", str(path)).accepted == 2
    assert run(tmp_path / "store", str(path)).events == 0


def test_a_compressed_file_that_breaks_off_is_an_error_that_keeps_what_came(tmp_path: Path) -> None:
    """Given whole later, it goes on."""
    path, whole = tmp_path / "runs.jsonl.gz", gzip.compress(b"\n".join(events("a", "b", "c")) + b"\n")
    path.write_bytes(whole[:-20])
    with pytest.raises(
        InputError, match=r"runs.jsonl.gz ends in the middle of its compressed data; .* whole file"
    ):
        run(tmp_path / "store", str(path))
    path.write_bytes(whole)
    run(tmp_path / "store", str(path))
    assert ids(tmp_path / "store") == ["a", "b", "c"]


def test_a_folder_means_its_event_files(tmp_path: Path) -> None:
    (tmp_path / "events" / "deep").mkdir(parents=True)
    write(tmp_path / "events" / "1.jsonl", events("a"))
    write(tmp_path / "events" / "deep" / "2.jsonl", [an_event("b", 1)])
    write(tmp_path / "events" / "notes.txt", [b"no event"])
    summary = run(tmp_path / "store", str(tmp_path / "events"))
    assert (summary.accepted, summary.rejected) == (2, 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [("nowhere.jsonl", "there is no such file or folder"), ("empty", "holds no .jsonl or .jsonl.gz file")],
)
def test_what_is_not_there_is_named(tmp_path: Path, given: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        run(tmp_path / "store", str(tmp_path / given))


def test_a_file_given_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "runs.jsonl", events("a"))
    summary = run(tmp_path / "store", "runs.jsonl", "./runs.jsonl", str(tmp_path))
    assert (summary.accepted, summary.duplicates) == (1, 0)


class Pipe:
    """Standard input with the given bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def holds(self, data: bytes) -> None:
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    return Pipe(monkeypatch)


def test_standard_input_is_read_to_its_end(tmp_path: Path, pipe: Pipe) -> None:
    """Its last line needs no end: nobody appends to a pipe that is closed."""
    pipe.holds(b"\n".join(events("a", "b")) + b"\nbroken")
    summary = run(tmp_path / "store", "-")
    assert (summary.accepted, summary.rejected) == (2, 1)


def test_the_same_pipe_again_changes_nothing_and_a_longer_one_goes_on(tmp_path: Path, pipe: Pipe) -> None:
    pipe.holds(b"\n".join(events("a", "b")))
    run(tmp_path / "store", "-")
    pipe.holds(b"\n".join(events("a", "b")))
    assert run(tmp_path / "store", "-").events == 0
    pipe.holds(b"\n".join(events("a", "b", "c")))
    third = run(tmp_path / "store", "-")
    assert (third.accepted, third.duplicates) == (1, 0)


def test_another_pipe_is_read_whole(tmp_path: Path, pipe: Pipe) -> None:
    """A pipe has no name that could promise anything; events that came before are duplicates."""
    pipe.holds(b"\n".join(events("a", "b")))
    run(tmp_path / "store", "-")
    pipe.holds(b"\n".join(events("a", "c", "d")))
    other = run(tmp_path / "store", "-")
    assert (other.accepted, other.duplicates) == (2, 1)


def test_what_was_piped_in_does_not_stay_in_the_store(tmp_path: Path, pipe: Pipe) -> None:
    """Raw events may hold what must not be kept: they go when they are processed."""
    pipe.holds(b"\n".join(events("a", "b")))
    run(tmp_path / "store", "-")
    with open_store(str(tmp_path / "store")) as store:
        assert store.query("SELECT count() FROM spool").rows == [(0,)]


def test_what_was_piped_in_goes_even_if_the_process_died_before_it_did(
    tmp_path: Path, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the marker and before the raw bytes were dropped: the next session drops them."""
    pipe.holds(b"\n".join(events("a", "b")))
    with monkeypatch.context() as patch:
        patch.setattr(embedded_log, "drop_spool", lambda *_: None)
        run(tmp_path / "store", "-")
    with open_store(str(tmp_path / "store")) as store:
        assert store.query("SELECT count() FROM spool").rows == [(1,)]
    run(tmp_path / "store")
    with open_store(str(tmp_path / "store")) as store:
        assert store.query("SELECT count() FROM spool").rows == [(0,)]
