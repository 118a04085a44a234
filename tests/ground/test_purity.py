"""The core is pure: what the import contracts cannot see is looked for in its syntax trees."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# `hash` of a string differs from process to process, `id` from run to run.
FORBIDDEN_CALLS = frozenset(
    {"breakpoint", "eval", "exec", "float", "hash", "id", "input", "open", "print", "__import__"}
)
FORBIDDEN_METHODS = frozenset({"now", "today", "utcnow", "fromtimestamp", "astimezone"})


def core_modules() -> list[str]:
    """The modules that the import contract calls the core."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {c["id"]: c for c in settings["tool"]["importlinter"]["contracts"]}
    return list(contracts["pure-core"]["source_modules"])


def impurities(source: str) -> Iterator[str]:
    """Calls in a source text that the core must not make, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in FORBIDDEN_CALLS:
                yield f"{node.lineno}: {called.id}()"
            if isinstance(called, ast.Attribute) and called.attr in FORBIDDEN_METHODS:
                yield f"{node.lineno}: .{called.attr}()"
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"{node.lineno}: the float {node.value}"


@pytest.mark.parametrize("module", core_modules())
def test_a_core_module_calls_nothing_impure_and_has_no_float(module: str) -> None:
    """No file, no clock, no process-dependent value; no float, for money and quantity are exact."""
    path = ROOT / "src" / Path(*module.split(".")).with_suffix(".py")
    assert list(impurities(path.read_text(encoding="utf-8"))) == []


def test_the_search_finds_what_it_looks_for() -> None:
    """A planted clock, file, hash and float are found."""
    found = list(impurities("a = datetime.now()\nopen('x')\nhash('y')\nrate = 0.5\n"))
    assert found == ["1: .now()", "2: open()", "3: hash()", "4: the float 0.5"]


def test_every_room_between_events_and_engine_is_in_the_contract() -> None:
    """A new module beside the engine is either pure, or named here as one of the edge."""
    edge = {"__init__", "demo", "listing", "published", "reports", "simulate"}
    modules = {path.stem for path in (ROOT / "src" / "unitrate").glob("*.py")} - edge
    assert modules - {module.removeprefix("unitrate.") for module in core_modules()} == set()
