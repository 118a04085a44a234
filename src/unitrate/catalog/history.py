"""May this version follow those before it?

Owns what must never change from one published version to the next (ruling 32), on resolved catalogs, and
the question that `publish` and `run` ask of a log's publications.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from unitrate.catalog.document import Path, path_text
from unitrate.catalog.repricing import Resolved, corrected_catalogs, stages
from unitrate.catalog.resolve import resolve
from unitrate.catalog.scalars import shown

if TYPE_CHECKING:
    from unitrate.catalog.source import Version


def is_published(version: Version, published: Sequence[bytes], rerates: Sequence[bytes] = ()) -> bool:
    """Whether the log has this version already, with this content or with the prices before a re-rate.

    The price book of then is part of it.
    """
    resolved = resolve(version.model)
    return any(resolved in catalogs for catalogs in stages(published, rerates))


def follow_problems(
    version: Version, published: Sequence[bytes], clock_us: int | None, rerates: Sequence[bytes] = ()
) -> list[str]:
    """Why this version must not be published after those that the log has; empty if it may.

    `published` are the log's publications in their order, `clock_us` its time (None: no event yet), `rerates`
    what corrected their prices. Lines are `file:line:col  path   message`. A version that is there already
    with the same content has no problem.
    """
    if is_published(version, published, rerates):
        return []
    resolved = resolve(version.model)
    earlier = corrected_catalogs(published, rerates)
    problems = [
        version.places.problem(path, f"{message} (catalog {version.id})")
        for path, message in changes(earlier, resolved)
    ]
    effective = version.effective_us
    is_told = any(problem.path == ("effective",) for problem in problems)
    if earlier and clock_us is not None and effective < clock_us and not is_told:
        message = f"lies before the log's time, {_instant(clock_us)}; choose a later instant"
        problems.append(version.places.problem(("effective",), message))
    return [str(problem) for problem in problems]


def changes(earlier: Sequence[Resolved], later: Resolved) -> Iterator[tuple[Path, str]]:
    """What `later` changes against the versions before it that must not change: path and message."""
    same_name = next((old for old in earlier if old["id"] == later["id"]), None)
    if same_name is not None:
        where = first_difference(same_name, later)
        what = f" ({path_text(where)} differs)" if where else ""
        message = f"{shown(later['id'])} is the name of an earlier version{what}; give this one a new name"
        yield ("catalog",), message
        return
    if not earlier:
        return
    last = max(earlier, key=lambda old: old["effective_us"])
    if later["effective_us"] <= last["effective_us"]:
        then = _instant(last["effective_us"])
        yield ("effective",), f"must be later than {then}, when {shown(last['id'])} begins"
    for key in ("currency", "timezone"):
        if later[key] != last[key]:
            message = (
                f"must stay {last[key]}, as in {shown(last['id'])}: bills of running months depend on it"
            )
            yield (key,), message
    yield from _zone_changes(earlier, later)
    yield from _plan_changes(earlier, later)


def _zone_changes(earlier: Sequence[Resolved], later: Resolved) -> Iterator[tuple[Path, str]]:
    for name, account in later["accounts"].items():
        for old in reversed(earlier):
            if name not in old["accounts"]:
                continue
            before = old["accounts"][name].get("timezone", old["timezone"])
            now = account.get("timezone", later["timezone"])
            has_own = "timezone" in account or "timezone" in old["accounts"][name]
            if before != now and has_own:
                message = f"must stay {before}, as in {shown(old['id'])}: the account's months begin by it"
                yield ("accounts", name, "timezone"), message
            break


def _plan_changes(earlier: Sequence[Resolved], later: Resolved) -> Iterator[tuple[Path, str]]:
    for name, plan in later["plans"].items():
        for old in reversed(earlier):
            before = old["plans"].get(name)
            if before is None or before["version"] != plan["version"]:
                continue
            where = first_difference(before, plan)
            if where is not None:
                version = max(o["plans"][name]["version"] for o in earlier if name in o["plans"]) + 1
                message = (
                    f"{plan['version']} has other content in {shown(old['id'])} "
                    f"({path_text(where)} differs); write version: {version}"
                )
                yield ("plans", name, "version"), message
            break


def first_difference(before: Any, after: Any, path: Path = ()) -> Path | None:
    """Path of the first value that differs between two JSON values; None if they are equal."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*after, *(k for k in before if k not in after)]:
            if key not in before or key not in after:
                return (*path, key)
            found = first_difference(before[key], after[key], (*path, key))
            if found is not None:
                return found
        return None
    if isinstance(before, list) and isinstance(after, list):
        for i in range(max(len(before), len(after))):
            if i >= len(before) or i >= len(after):
                return (*path, i)
            found = first_difference(before[i], after[i], (*path, i))
            if found is not None:
                return found
        return None
    return None if before == after else path


def _instant(instant_us: int) -> str:
    return (
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant_us))
        .isoformat()
        .replace("+00:00", "Z")
    )
