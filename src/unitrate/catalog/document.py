"""One YAML 1.2 file as plain mappings, lists and scalars that remember their source.

Owns reading: every scalar keeps its text and its kind (so `0.90` is never a float and `on` is text), every
node keeps its line and column. Must never know what a catalog is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

from ruamel.yaml import YAML
from ruamel.yaml import events as yaml_events
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

Path = tuple[str | int, ...]
ScalarKind = Literal["text", "int", "decimal", "bool", "null"]

MAX_DEPTH = 40  # a catalog needs a dozen; more is a mistake or an attack on the stack
MAX_NODES = 1_000_000  # after aliases are expanded, so that they cannot multiply without bound

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_INT = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TAGS: dict[str, ScalarKind] = {
    "tag:yaml.org,2002:str": "text",
    "tag:yaml.org,2002:int": "int",
    "tag:yaml.org,2002:float": "decimal",
    "tag:yaml.org,2002:bool": "bool",
    "tag:yaml.org,2002:null": "null",
}
_COLLECTION_TAGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "!"})


class Place(NamedTuple):
    """Where something stands; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place, and the fix; prints as the one line a person gets."""

    place: Place
    path: Path
    message: str

    def __str__(self) -> str:
        path = f"  {path_text(self.path)}" if self.path else ""
        return f"{self.place}{path}   {self.message}"


class Scalar(str):
    """A scalar's source text, and what YAML 1.2's core schema takes it for."""

    __slots__ = ("kind",)
    kind: ScalarKind

    def __new__(cls, text: str, kind: ScalarKind = "text") -> Self:
        self = super().__new__(cls, text)
        self.kind = kind
        return self


class Mapping(dict[str, Any]):
    """A mapping that knows its path in the document."""

    __slots__ = ("path",)
    path: Path

    def __init__(self, path: Path = ()) -> None:
        super().__init__()
        self.path = path


@dataclass(slots=True)
class Document:
    """A file's content: `root` is made of Mapping, list and Scalar; `places` has one entry a path."""

    file: str
    text: str
    root: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def start(self) -> Place:
        return Place(self.file, 1, 1)


def path_text(path: Path) -> str:
    """`plans.growth.charges[0].meter`; keys that would be misread are quoted."""
    out = ""
    for step in path:
        if isinstance(step, int):
            out += f"[{step}]"
        elif re.search(r"[\s.\[\]\"]", step) or not step:
            out += '["' + step.replace('"', '\\"') + '"]'
        else:
            out += f".{step}" if out else step
    return out


def kind_of_plain(text: str) -> ScalarKind:
    """What an unquoted scalar is under YAML 1.2's core schema (octal and hex stay text: no money is hex)."""
    if text in _NULL:
        return "null"
    if text in _BOOL:
        return "bool"
    if _INT.fullmatch(text):
        return "int"
    if _DECIMAL.fullmatch(text):
        return "decimal"
    return "text"


@dataclass(slots=True)
class _Node:
    place: Place
    value: Any  # Scalar | list[_Node] | list[tuple[_Node, _Node]]
    kind: Literal["scalar", "list", "mapping"]
    flow: bool = False


class _UnreadableError(Exception):
    """The document cannot be read further; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read_document(text: str, file: str) -> Document:
    """Reads one YAML document. What is wrong lands in `problems`; `root` is None where nothing was read."""
    document = Document(file, text)
    parser = YAML(typ="safe", pure=True)
    try:
        node = _compose(parser.parse(text), document)
        if node is not None:
            document.root = _Expander(document).expand(node, (), 0)
    except _UnreadableError as stop:
        document.problems.append(stop.problem)
    except MarkedYAMLError as error:
        document.problems.append(_syntax_problem(error, file))
    except ReaderError as error:
        message = f"has the character {chr(error.character)!r}, which YAML forbids; remove it"
        document.problems.append(Problem(_place_of_index(text, error.position, file), (), message))
    except YAMLError as error:
        first_line = str(error).splitlines()[0]
        document.problems.append(Problem(document.start, (), f"is not YAML: {first_line}"))
    return document


def _syntax_problem(error: MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file, 1, 1)
    what = " ".join(str(error.problem or error.context).split())
    if "'\\t'" in what:
        what += "; indent with spaces"
    elif what.startswith("mapping values"):
        what += "; check the indentation, and quote text that holds ': '"
    elif error.context and error.context_mark is not None:
        what += f" ({' '.join(str(error.context).split())} of line {error.context_mark.line + 1})"
    return Problem(place, (), f"is not YAML: {what}")


def _place_of_index(text: str, index: int, file: str) -> Place:
    before = text[:index]
    return Place(file, before.count("\n") + 1, index - before.rfind("\n"))


def _compose(events: Iterator[Any], document: Document) -> _Node | None:
    """Events to nodes. Iterative, so that depth costs no stack before it is checked."""
    anchors: dict[str, _Node] = {}
    root: _Node | None = None
    stack: list[tuple[_Node, list[_Node]]] = []
    documents = 0
    for event in events:
        if isinstance(event, yaml_events.DocumentStartEvent):
            documents += 1
            if documents > 1:
                place = _place(event, document)
                raise _UnreadableError(
                    Problem(place, (), "starts a second document; give it a file of its own")
                )
        if isinstance(event, (yaml_events.MappingEndEvent, yaml_events.SequenceEndEvent)):
            node, children = stack.pop()
            pairs = zip(children[::2], children[1::2], strict=True)
            node.value = list(pairs) if node.kind == "mapping" else children
            continue
        made = _node(event, anchors, document)
        if made is None:
            continue
        if stack:
            stack[-1][1].append(made)
        else:
            root = made
        if isinstance(event, (yaml_events.MappingStartEvent, yaml_events.SequenceStartEvent)):
            stack.append((made, []))
    return root


def _place(event: Any, document: Document) -> Place:
    return Place(document.file, event.start_mark.line + 1, event.start_mark.column + 1)


def _node(event: Any, anchors: dict[str, _Node], document: Document) -> _Node | None:
    place = _place(event, document)
    if isinstance(event, yaml_events.AliasEvent):
        if event.anchor not in anchors:
            raise _UnreadableError(
                Problem(place, (), f"*{event.anchor} names no anchor above it; define &{event.anchor}")
            )
        return anchors[event.anchor]
    if isinstance(event, yaml_events.ScalarEvent):
        node = _Node(place, _scalar(event, place, document), "scalar")
    elif isinstance(event, (yaml_events.MappingStartEvent, yaml_events.SequenceStartEvent)):
        tag = None if event.tag is None else str(event.tag)
        if tag is not None and tag not in _COLLECTION_TAGS:
            document.problems.append(Problem(place, (), f"has the tag {tag}; remove it"))
        is_mapping = isinstance(event, yaml_events.MappingStartEvent)
        node = _Node(place, [], "mapping" if is_mapping else "list", bool(event.flow_style))
    else:
        return None
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


def _scalar(event: Any, place: Place, document: Document) -> Scalar:
    if event.implicit[0]:  # plain and untagged
        return Scalar(event.value, kind_of_plain(event.value))
    tag = None if event.tag is None else str(event.tag)
    if tag is None or tag == "!":
        return Scalar(event.value)
    if tag not in _TAGS:
        document.problems.append(Problem(place, (), f"has the tag {tag}; remove it"))
    return Scalar(event.value, _TAGS.get(tag, "text"))


class _Expander:
    """Nodes to values with paths and places; counts nodes and catches duplicate keys and endless aliases."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.nodes = 0

    def expand(self, node: _Node, path: Path, depth: int) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            what = (
                f"nests deeper than {MAX_DEPTH} levels" if depth > MAX_DEPTH else "grows too large by aliases"
            )
            raise _UnreadableError(Problem(node.place, path, f"{what}; a catalog has no need to"))
        self.document.places[path] = self._place_to_show(node, path)
        if node.kind == "scalar":
            return node.value
        if node.kind == "list":
            return [self.expand(child, (*path, i), depth + 1) for i, child in enumerate(node.value)]
        return self._expand_mapping(node, path, depth)

    def _place_to_show(self, node: _Node, path: Path) -> Place:
        # A block mapping starts at its first key and an empty value on the next line: the own key says more.
        own_key = self.document.keys.get(path)
        is_block = node.kind != "scalar" and not node.flow
        if own_key is not None and (is_block or node.value == ""):
            return own_key
        return node.place

    def _expand_mapping(self, node: _Node, path: Path, depth: int) -> Mapping:
        out = Mapping(path)
        for key_node, value_node in node.value:
            key = key_node.value
            if key_node.kind != "scalar" or key.kind == "null":
                self._report(key_node.place, path, "has a key that is no name; write `name: value`")
                continue
            name = str(key)
            inner = (*path, name)
            if name in out:
                first = self.document.keys[inner].line
                self._report(key_node.place, inner, f"stands twice, first in line {first}; keep one")
                continue
            self.document.keys[inner] = key_node.place
            out[name] = self.expand(value_node, inner, depth + 1)
        return out

    def _report(self, place: Place, path: Path, message: str) -> None:
        self.document.problems.append(Problem(place, path, message))
