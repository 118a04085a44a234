"""YAML 1.2 is read with every scalar's text, kind and place; what is wrong with it is told in one line."""

from __future__ import annotations

import pytest

from unitrate.catalog.document import Document, Place, Scalar, path_text, read_document

HINT = "check the indentation, and quote text that holds ': '"


def read(text: str) -> Document:
    return read_document(text, "c.yaml")


def wrong(text: str) -> list[str]:
    return [str(problem) for problem in read(text).problems]


@pytest.mark.parametrize(
    "word", ["on", "off", "yes", "no", "1:30", "0x1F", "0o17", "1_000", ".inf", "2026-10-01", "<<"]
)
def test_what_yaml_1_1_took_for_something_else_is_text(word: str) -> None:
    """`on`, `no` and `1:30` are strings in YAML 1.2, and so is what no amount should be written as."""
    value = read(f"a: {word}").root["a"]
    assert (str(value), value.kind) == (word, "text")


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("0.90", "decimal"),
        ("1e3", "decimal"),
        (".5", "decimal"),
        ("5.", "decimal"),
        ("007", "int"),
        ("-5", "int"),
        ("true", "bool"),
        ("False", "bool"),
        ("~", "null"),
        ("null", "null"),
        ('"0.90"', "text"),
        ("!!str 5", "text"),
    ],
)
def test_a_scalar_keeps_its_text_and_kind(written: str, kind: str) -> None:
    """The text is what was written, whatever it is taken for."""
    value = read(f"a: {written}").root["a"]
    assert isinstance(value, Scalar)
    assert (str(value), value.kind) == (written.removeprefix("!!str ").strip('"'), kind)


def test_every_node_knows_its_line_and_column() -> None:
    """Values in flow style stand where they begin, block mappings at their key."""
    document = read("a:\n  b: [1, {c: 2}]\n  d:\n    e: 3\n")
    places = {path_text(path): (place.line, place.column) for path, place in document.places.items()}
    assert places == {
        "": (1, 1),
        "a": (1, 1),
        "a.b": (2, 6),
        "a.b[0]": (2, 7),
        "a.b[1]": (2, 10),
        "a.b[1].c": (2, 14),
        "a.d": (3, 3),
        "a.d.e": (4, 8),
    }


def test_an_empty_value_stands_at_its_key() -> None:
    """YAML puts it on the next line, where nobody would look."""
    assert read("a:\nb: 1\n").places["a",] == Place("c.yaml", 1, 1)


def test_an_anchor_is_read_where_its_alias_stands() -> None:
    """Both uses have the value and their own path; the place is where the text stands."""
    document = read("a: &x {k: 1}\nb: *x\n")
    assert document.root["b"] == {"k": "1"}
    assert document.root["b"].path == ("b",)
    assert document.places["b", "k"] == Place("c.yaml", 1, 11)


def test_paths_quote_names_that_would_be_misread() -> None:
    """A dot inside a name is no step."""
    assert path_text(("accounts", "a.b", "credits", 0, "name")) == 'accounts["a.b"].credits[0].name'
    assert path_text(("accounts", "django/django")) == "accounts.django/django"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2\n", "2:1  a   stands twice, first in line 1; keep one"),
        ("m: {x: 1, y: 2, x: 3}\n", "1:17  m.x   stands twice, first in line 1; keep one"),
        ("? [a]\n: 1\n", "1:3   has a key that is no name; write `name: value`"),
        (": 1\n", "1:1   has a key that is no name; write `name: value`"),
        ("a: !money 5\n", "1:4   has the tag !money; remove it"),
        ("a: !set {}\n", "1:4   has the tag !set; remove it"),
        ("a: *x\n", "1:4   *x names no anchor above it; define &x"),
        ("a: 1\n---\nb: 2\n", "2:1   starts a second document; give it a file of its own"),
        (
            "a: &x [*x]\n",
            f"1:4  a{'[0]' * 40}   nests deeper than 40 levels; a catalog has no need to",
        ),
        (
            "a: [1\nb: 2\n",
            "2:2   is not YAML: expected ',' or ']', but got ':' (while parsing a flow sequence of line 1)",
        ),
        (
            "a: b: c\n",
            f"1:5   is not YAML: mapping values are not allowed here; {HINT}",
        ),
        (
            "a:\n\tb: 1\n",
            "2:1   is not YAML: found character '\\t' that cannot start any token; indent with spaces",
        ),
        (
            "a: 'x\n",
            "2:1   is not YAML: found unexpected end of stream (while scanning a quoted scalar of line 1)",
        ),
        ("a: 1\nb: \x07\n", "2:4   has the character '\\x07', which YAML forbids; remove it"),
    ],
)
def test_what_is_no_catalog_yaml_is_told_in_a_line(text: str, line: str) -> None:
    """One line each, with the place and the fix, whatever is wrong."""
    assert wrong(text) == [f"c.yaml:{line}"]


def test_aliases_cannot_multiply_without_bound() -> None:
    """A few lines that would expand to billions of nodes stop at a limit."""
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 8)
    )
    assert [line.split("   ")[1] for line in wrong(bomb)] == [
        "grows too large by aliases; a catalog has no need to"
    ]


def test_an_empty_file_is_no_catalog() -> None:
    """Nothing is read, and nothing breaks."""
    assert read("").root is None
    assert read("# only a remark\n").root is None
