"""Files and folders become versions; everything that is wrong is told at once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.catalog.builders import GOOD, good, problems
from unitrate.catalog.source import Version, check_paths, from_data, load, load_text
from unitrate.errors import CatalogError, InputError

SMALL = """\
catalog: {name}
effective: {effective}
currency: USD
"""


def small(name: str, effective: str = "2026-10-01T00:00:00Z", rest: str = "") -> str:
    return SMALL.format(name=name, effective=effective) + rest


def folder_of(path: Path, **files: str) -> Path:
    for name, text in files.items():
        (path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return path


def lines_of(path: Path) -> list[str]:
    """Problems with the folder's own name cut off."""
    return [line.replace(f"{path}/", "") for line in check_paths([path])]


def test_amounts_are_the_decimals_that_were_written() -> None:
    """0.1 and 0.90 come from their text, not by way of a float."""
    rest = "costs: {models: [{provider: p, model: m, input: 0.1, output: 0.90, page: 1e-3}]}\n"
    entry = load_text(small("a", rest=rest))[0].model.costs.models[0]
    assert (entry.input, entry.output, entry.page) == (Decimal("0.1"), Decimal("0.90"), Decimal("0.001"))
    assert str(entry.output) == "0.90"


def test_times_spans_and_days_are_values() -> None:
    """Instants in UTC, spans as timedeltas, days as dates."""
    version = load_text(
        small(
            "a",
            "2026-10-01T02:00:00.1234567+02:00",
            "dedupe: 5w\naccounts: {x: {credits: [{name: c, amount: 1, from: 2026-10-01}]}}\n",
        )
    )[0]
    assert version.model.effective == datetime(2026, 10, 1, 0, 0, 0, 123456, tzinfo=UTC)
    assert version.effective_us == 1_790_812_800_123_456
    assert version.model.dedupe == timedelta(days=35)
    assert version.model.accounts["x"].credits[0].from_ == date(2026, 10, 1)


def test_names_may_look_like_numbers_and_words() -> None:
    """`2026`, `on` and `true` are names where a name is asked for."""
    model = load_text(small("2026", rest="meters: {on: {unit: run, workflow: [true, 1.50, no]}}\n"))[0].model
    assert model.catalog == "2026"
    assert model.meters["on"].workflow == ("true", "1.50", "no")


def test_a_match_on_a_boolean_is_compared_as_events_write_it() -> None:
    """`True` in YAML is `true` in an event; a quoted text stays."""
    rest = 'meters: {m: {unit: run, workflow: w, match: {a: True, b: "True", c: 1.50}}}\n'
    assert load_text(small("a", rest=rest))[0].model.meters["m"].match == {
        "a": "true",
        "b": "True",
        "c": "1.50",
    }


def test_one_value_stands_for_a_list_of_one() -> None:
    """`by: size` and `by: [size]` are the same."""
    assert good().model.plans["growth"].charges[0].by == ("size",)
    billing = good().model.accounts["beta"].billing
    assert billing is not None
    assert billing.address == ("Way 2",)


def test_each_file_with_a_name_is_a_version_and_the_others_are_shared(tmp_path: Path) -> None:
    """Ruling 38, in the order of their effective instants."""
    shared = "plans: {basic: {version: 1}}\nmeters: {m: {unit: run, workflow: w}}\n"
    own = "meters: {first: {unit: run, workflow: v}}\n"
    folder = folder_of(
        tmp_path,
        b=small("2026-10", rest=own),
        a=small("2026-11", "2026-11-01T00:00:00Z"),
        z=shared,
        notes="# nothing",
    )
    (folder / "readme.txt").write_text("no YAML: [", encoding="utf-8")
    versions = load([folder])
    assert [version.id for version in versions] == ["2026-10", "2026-11"]
    assert list(versions[0].model.meters) == ["first", "m"]
    assert [list(version.model.plans) for version in versions] == [["basic"], ["basic"]]


def test_a_shared_section_is_in_the_text_of_each_version(tmp_path: Path) -> None:
    """What is kept as a version's source is all that it was made of."""
    folder = folder_of(tmp_path, a=small("2026-10"), shared="plans: {basic: {version: 1}}\n")
    text = load([folder])[0].text
    assert "catalog: 2026-10" in text
    assert "plans: {basic: {version: 1}}" in text


def test_files_given_one_by_one_are_taken_like_a_folder(tmp_path: Path) -> None:
    """A version and its sections may be named on the command line, in any order, one of them twice."""
    folder = folder_of(tmp_path, a=small("2026-10"), shared="plans: {basic: {version: 1}}\n")
    paths: list[str | Path] = [folder / "shared.yaml", folder / "a.yaml", str(folder / "a.yaml")]
    assert [version.id for version in load(paths)] == ["2026-10"]


def test_a_name_that_two_files_have_is_told_with_both_places(tmp_path: Path) -> None:
    """Sections are joined by name; neither file wins."""
    folder = folder_of(
        tmp_path,
        a=small("2026-10", rest="plans: {basic: {version: 1}}\n"),
        shared="plans: {basic: {version: 2}}\ncurrency: EUR\n",
    )
    assert lines_of(folder) == [
        "shared.yaml:1:9  plans.basic   stands in a.yaml:4:9 as well; keep one",
        "shared.yaml:2:1  currency   stands in a.yaml:3:1 as well; keep one",
    ]


def test_a_mistake_in_a_shared_section_is_told_once_and_in_its_own_file(tmp_path: Path) -> None:
    """However many versions share it."""
    folder = folder_of(
        tmp_path,
        a=small("2026-10"),
        b=small("2026-11", "2026-11-01T00:00:00Z"),
        shared="plans: {p: {version: 1, charges: [{name: c, meter: m, price: {model: unit, rate: 1}}]}}\n",
    )
    assert lines_of(folder) == [
        'shared.yaml:1:52  plans.p.charges[0].meter   "m" is no meter; the catalog has no meters'
    ]


def test_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    """A file that is no YAML hides nothing of the others."""
    folder = folder_of(tmp_path, a="a: [", b=small("x", "soon"), c="- 1\n")
    (folder / "d.yaml").write_bytes(b"ok: 1\nname: \xff\n")
    missing = "expected the node content, but found '<stream end>' (while parsing a flow node of line 1)"
    assert lines_of(folder) == [
        "d.yaml:2:7   is not UTF-8; save the file as UTF-8",
        f"a.yaml:1:5   is not YAML: {missing}",
        'b.yaml:2:12  effective   "soon" is no instant with a time zone; write 2026-10-01T00:00:00Z',
        "c.yaml:1:1   must be a mapping that begins with catalog: NAME",
    ]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("none.yaml", "there is no such file or folder"),
        ("empty", "holds no .yaml file; name the folder that has the catalog"),
    ],
)
def test_paths_that_hold_no_catalog_are_told(tmp_path: Path, name: str, line: str) -> None:
    """A missing file and an empty folder."""
    (tmp_path / "empty").mkdir()
    assert check_paths([tmp_path / name]) == [f"{tmp_path / name}: {line}"]


def test_sections_alone_are_no_catalog(tmp_path: Path) -> None:
    """Some file must name a version."""
    folder = folder_of(tmp_path, a="plans: {}\n")
    assert lines_of(folder) == [
        "a.yaml:1:1  catalog   no file has `catalog:`, the version's name; write catalog: 2026-10"
    ]


def test_an_error_of_shape_hides_no_error_of_sense() -> None:
    """A word where a number belongs, and an unknown meter elsewhere in the same plan."""
    text = GOOD.replace("rate: 0.40", "rate: forty").replace("meter: tool", "meter: toll")
    assert problems(text) == [
        'catalog.yaml:53:38  plans.growth.charges[0].prices.light.rate   must be a number, not "forty"',
        'catalog.yaml:60:30  plans.growth.charges[1].meter   "toll" is no meter; did you mean "tool"?',
    ]


def test_a_broken_meter_is_no_unknown_meter() -> None:
    """One mistake, one line: charges and terms of a meter that cannot be read are left alone."""
    text = GOOD.replace("unit: document", "unit: file").replace("unit: outcome", "unit: result")
    assert [line.split("  ")[1] for line in problems(text)] == ["meters.review.unit", "meters.lead.unit"]


def test_without_its_currency_the_rest_of_a_catalog_is_checked_all_the_same() -> None:
    """Missing keys of the top level hide nothing either."""
    text = (
        GOOD.replace("currency: USD\n", "")
        .replace("effective", "efective")
        .replace("meter: tool", "meter: toll")
    )
    assert [line.split("  ")[1] for line in problems(text)] == [
        "currency",
        "effective",
        "efective",
        "plans.growth.charges[1].meter",
    ]


def test_the_error_has_all_problems_and_is_one_line() -> None:
    """What a command prints that cannot list them."""
    with pytest.raises(CatalogError) as caught:
        load_text(small("a", "soon", "x: 1\n"))
    assert isinstance(caught.value, InputError)
    assert len(caught.value.problems) == 2
    assert "\n" not in str(caught.value)


def test_a_catalog_can_be_given_as_values() -> None:
    """Texts, ints, Decimals and lists; floats are refused, as they have lost what was written."""
    data = {
        "catalog": "a",
        "effective": "2026-10-01T00:00:00Z",
        "currency": "USD",
        "costs": {"fx": {"EUR": Decimal("1.1")}},
    }
    version = from_data(data)
    assert isinstance(version, Version)
    assert version.model.costs.fx["EUR"] == Decimal("1.1")
    with pytest.raises(CatalogError, match=r"costs\.fx\.EUR   must be a decimal number, not the float 1\.1"):
        from_data({**data, "costs": {"fx": {"EUR": 1.1}}})
