"""`unitrate demo`: the story of the packaged runs, its figures asked of the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from unitrate.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture
def screen(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of the demo; run again, it goes on with the same folder."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("UNITRATE_STORE", raising=False)
    assert main(["demo"]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_story_fits_a_page(screen: list[str]) -> None:
    """What happened beside what it earned, at most 100 columns wide."""
    assert max(map(len, screen)) <= 100
    page = "\n".join(screen)
    assert "What happened                       What it earned, November 2025" in page
    assert "  model calls             12,504      customer " in page
    assert "      rejected by tests       86 " in page
    assert "total                           225  512.12  144.95   71.7 %" in page


def test_the_story_ends_with_what_to_try(screen: list[str]) -> None:
    """Three commands that can be typed as they are."""
    commands = [
        line.removeprefix("Next:").strip()
        for line in screen
        if " unitrate " in line or line.startswith("Next")
    ]
    assert commands == [
        "unitrate explain --store demo-store sympy__sympy-13091",
        "unitrate invoice --store demo-store --period 2025-11 --account django/django",
        "unitrate report margin --store demo-store --period 2025-11 --by account,reason",
    ]
    for command in commands:
        assert main(command.split()[1:]) == 0


def test_the_demo_again_tells_the_same_story(screen: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is read twice; all figures stay."""
    assert main(["demo"]) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[0] == "  demo-store has these events already; nothing was read twice"
    assert again[1:] == screen[1:]
