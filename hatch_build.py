"""Builds the native half of the per-event path, where there is a C compiler; else unitrate is pure Python.

Owns how `unitrate._prepare` comes from src/unitrate/native into a wheel or beside an editable install's
sources. Must never make an installation fail: nothing but speed is lost.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLAIN = "UNITRATE_PLAIN"  # set: build (and later use) the plain version alone


def commands(sources: list[Path], target: Path) -> list[str] | None:
    """The compiler's command line, as this Python was built; None where there is none."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "")
    linker = shlex.split(sysconfig.get_config_var("LDSHARED") or "")
    if not compiler or not linker or shutil.which(compiler[0]) is None:
        return None
    options = shlex.split(sysconfig.get_config_var("CCSHARED") or "")
    include = sysconfig.get_path("include")
    shared = linker[len(shlex.split(sysconfig.get_config_var("CC") or "")) :]  # `gcc -shared …` without `gcc`
    flags = ["-std=c11", "-O3", "-DNDEBUG", "-fvisibility=hidden", *options, f"-I{include}"]
    return [*compiler, *flags, *map(str, sources), *shared, "-o", str(target)]


def build(root: Path) -> Path | None:
    """Compile the extension beside the package's modules; its path, or None where that is not possible."""
    sources = sorted((root / "src/unitrate/native").glob("*.c"))
    target = root / "src/unitrate" / f"_prepare{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = None if os.environ.get(PLAIN) else commands(sources, target)
    if not sources or command is None:
        return None
    made = target.with_suffix(".made.tmp")  # renamed at the end: a running process keeps the one it loaded
    command[-1] = str(made)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    except OSError as error:
        print(f"unitrate: no native version: {error}", file=sys.stderr)
        return None
    if done.returncode != 0:
        print(f"unitrate: no native version, the plain one works the same:\n{done.stderr}", file=sys.stderr)
        made.unlink(missing_ok=True)
        return None
    made.replace(target)
    return target


class NativeHook(BuildHookInterface[Any]):
    """Hatchling's hook: wheels and editable installs get the extension if it can be built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build before files are gathered; `version` is "standard" or "editable"."""
        target = build(Path(self.root))
        if target is None:
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        if version == "standard":
            build_data["force_include"][str(target)] = f"unitrate/{target.name}"
