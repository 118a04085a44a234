"""`unitrate check`: all errors at once, each with place, path and fix; exit 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.builders import CATALOG
from unitrate.cli import main


def test_a_catalog_that_holds_is_summed_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 0 and one line a version."""
    monkeypatch.chdir(tmp_path)
    Path("catalog.yaml").write_text(CATALOG, encoding="utf-8")
    assert main(["check", "catalog.yaml"]) == 0
    assert capsys.readouterr().out == (
        "catalog 2025-11 holds: 1 meter, 1 plan, 2 accounts; effective 2025-11-01T00:00:00Z\n"
    )


def test_every_error_is_named_and_the_exit_code_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt meter and a plan that is not there: two lines and a count, on stdout."""
    monkeypatch.chdir(tmp_path)
    broken = CATALOG.replace("meter: review", "meter: reveiw").replace(
        "plan: growth, from", "plan: grown, from", 1
    )
    Path("catalog.yaml").write_text(broken, encoding="utf-8")
    assert main(["check", "catalog.yaml"]) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("catalog.yaml:19:")
    assert "plans.growth.charges[0].meter" in lines[0]
    assert 'did you mean "review"?' in lines[0]
    assert lines[1].startswith("catalog.yaml:21:")
    assert lines[2] == "2 errors"
    assert captured.err == ""


def test_a_file_that_is_not_there_is_an_error_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` answers the question whether this is a catalog: no."""
    monkeypatch.chdir(tmp_path)
    assert main(["check", "missing.yaml"]) == 1
    assert capsys.readouterr().out == "missing.yaml: there is no such file or folder\n1 error\n"


def test_other_commands_name_the_first_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` with a broken catalog: exit 2, and where the others are listed."""
    monkeypatch.chdir(tmp_path)
    broken = CATALOG.replace("meter: review", "meter: reveiw").replace(
        "plan: growth, from", "plan: grown, from", 1
    )
    Path("catalog.yaml").write_text(broken, encoding="utf-8")
    assert main(["run", "--catalog", "catalog.yaml", "--store", "books"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("unitrate: catalog.yaml:19:")
    assert error.endswith("(and 1 more: unitrate check lists them)\n")
    assert error.count("\n") == 1
    assert not Path("books").exists()
