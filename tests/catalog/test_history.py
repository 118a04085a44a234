"""What may follow a published version, and what must never change (ruling 32)."""

from __future__ import annotations

from pathlib import Path

import pytest

from unitrate.catalog.history import follow_problems, is_published
from unitrate.catalog.publication import publication
from unitrate.catalog.source import Version, check_paths, load_text

OCTOBER_US = 1_790_812_800_000_000
DAY_US = 86_400_000_000
BEFORE_THE_LOG = "lies before the log's time, 2026-10-02T00:00:00Z; choose a later instant"
FIRST = """\
catalog: 2026-10
effective: 2026-10-01T00:00:00Z
currency: USD
timezone: UTC
meters: {m: {unit: run, workflow: w}}
plans:
  p: {version: 1, minimum: 5, charges: [{name: c, meter: m, included: 500, price: {model: unit, rate: 0.40}}]}
accounts:
  a: {plan: p, from: 2026-10-01, timezone: Europe/Berlin}
  b: {plan: p, from: 2026-10-01}
"""
SECOND = FIRST.replace("2026-10\n", "2026-11\n").replace("effective: 2026-10-01", "effective: 2026-11-01")


def version(text: str) -> Version:
    return load_text(text)[0]


def follow(text: str, clock_us: int | None = None) -> list[str]:
    """Problems of a text that is to follow FIRST."""
    return follow_problems(version(text), [publication(version(FIRST))], clock_us)


def test_the_first_catalog_may_begin_at_any_time() -> None:
    """It also covers earlier times, so the log's time does not matter."""
    assert follow_problems(version(FIRST), [], OCTOBER_US + 400 * DAY_US) == []


def test_the_same_version_again_is_no_change() -> None:
    """Whatever the log's time is by now, and however it is written."""
    again = "# a remark\n" + FIRST.replace("0.40", "0.4")
    assert is_published(version(again), [publication(version(FIRST))])
    assert follow(again, OCTOBER_US + DAY_US) == []


def test_a_version_with_another_price_book_is_the_same_version() -> None:
    """The book of its publication stays; an upgrade of the package publishes nothing."""
    old_book = publication(version(FIRST)).replace(b'"name":"genai-prices"', b'"name":"another-book"')
    assert is_published(version(FIRST), [old_book])


def test_a_later_version_may_follow() -> None:
    """Later effective, plans alike or with a new version."""
    assert follow(SECOND, OCTOBER_US + DAY_US) == []
    assert follow(SECOND.replace("version: 1", "version: 2").replace("0.40", "0.45")) == []


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        (
            "effective: 2026-11-01T00:00:00Z",
            "effective: 2026-10-01T00:00:00Z",
            "2:12  effective",
            'must be later than 2026-10-01T00:00:00Z, when "2026-10" begins',
        ),
        (
            "currency: USD",
            "currency: EUR",
            "3:11  currency",
            'must stay USD, as in "2026-10": bills of running months depend on it',
        ),
        (
            "timezone: UTC",
            "timezone: Asia/Tokyo",
            "4:11  timezone",
            'must stay UTC, as in "2026-10": bills of running months depend on it',
        ),
        (
            "timezone: Europe/Berlin",
            "timezone: Europe/Paris",
            "9:44  accounts.a.timezone",
            'must stay Europe/Berlin, as in "2026-10": the account\'s months begin by it',
        ),
        (
            "b: {plan: p, from: 2026-10-01",
            "b: {plan: p, from: 2026-10-01, timezone: Asia/Tokyo",
            "10:44  accounts.b.timezone",
            'must stay UTC, as in "2026-10": the account\'s months begin by it',
        ),
        (
            ", timezone: Europe/Berlin",
            "",
            "9:6  accounts.a.timezone",
            'must stay Europe/Berlin, as in "2026-10": the account\'s months begin by it',
        ),
        (
            "included: 500",
            "included: 600",
            "7:16  plans.p.version",
            '1 has other content in "2026-10" (charges[0].included differs); write version: 2',
        ),
        (
            "rate: 0.40}",
            "rate: 0.40}, policy: [{when: partial, charge: full}]",
            "7:16  plans.p.version",
            '1 has other content in "2026-10" (charges[0].policy[0] differs); write version: 2',
        ),
    ],
)
def test_a_change_that_must_not_be_is_told_with_its_place(
    old: str, new: str, where: str, message: str
) -> None:
    """Against what the log has; the line names the version too, as sections may be shared."""
    assert SECOND.count(old) == 1
    lines = follow(SECOND.replace(old, new), OCTOBER_US + DAY_US)
    assert lines == [f"catalog.yaml:{where}   {message} (catalog 2026-11)"]


def test_a_version_must_not_begin_before_the_time_of_the_log() -> None:
    """What was rated already would have had other prices."""
    text = SECOND.replace("effective: 2026-11-01T00", "effective: 2026-10-01T12")
    assert follow(text, OCTOBER_US + DAY_US) == [f"catalog.yaml:2:12  effective   {BEFORE_THE_LOG}"]
    assert follow(text, OCTOBER_US) == []


def test_a_changed_version_that_was_used_is_refused() -> None:
    """The line says where it differs."""
    where = "plans.p.charges[0].prices[0][1].rate"
    message = f'"2026-10" is the name of an earlier version ({where} differs); give this one a new name'
    lines = follow(FIRST.replace("0.40", "0.45"), OCTOBER_US + DAY_US)
    assert lines == [
        f"catalog.yaml:1:10  catalog   {message} (catalog 2026-10)",
        f"catalog.yaml:2:12  effective   {BEFORE_THE_LOG}",
    ]


def test_a_plan_is_compared_with_its_last_use_of_that_version() -> None:
    """Going back to an older version is no change as long as it is the older content."""
    second = SECOND.replace("version: 1", "version: 2").replace("0.40", "0.45")
    published = [publication(version(FIRST)), publication(version(second))]
    third = FIRST.replace("2026-10\n", "2026-12\n").replace("effective: 2026-10", "effective: 2026-12")
    assert follow_problems(version(third), published, None) == []
    lines = follow_problems(version(third.replace("0.40", "0.50")), published, None)
    message = '1 has other content in "2026-10" (charges[0].prices[0][1].rate differs); write version: 3'
    assert lines == [f"catalog.yaml:7:16  plans.p.version   {message} (catalog 2026-12)"]


def test_versions_of_one_folder_are_held_against_each_other(tmp_path: Path) -> None:
    """`check` finds without a log what `publish` would refuse."""
    (tmp_path / "one.yaml").write_text(FIRST, encoding="utf-8")
    (tmp_path / "two.yaml").write_text(SECOND.replace("currency: USD", "currency: EUR"), encoding="utf-8")
    (tmp_path / "three.yaml").write_text(FIRST.replace("2026-10\n", "x\n"), encoding="utf-8")
    assert sorted(line.replace(f"{tmp_path}/", "") for line in check_paths([tmp_path])) == [
        'three.yaml:2:12  effective   must be later than 2026-10-01T00:00:00Z, when "2026-10" begins',
        'two.yaml:3:11  currency   must stay USD, as in "2026-10": bills of running months depend on it',
    ]
