"""Catalog files on disk → checked versions.

Owns which files make which version (ruling 38: each file with `catalog:` is a version, files without it are
sections that all versions share) and that every problem is reported at once. Reads files; the rest of the
package does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from unitrate.catalog.check import check_version, check_versions
from unitrate.catalog.document import Document, Path, Place, Problem, Scalar, read_document
from unitrate.catalog.document import Mapping as DocumentMapping
from unitrate.catalog.findings import Known
from unitrate.catalog.model import CatalogModel
from unitrate.catalog.problems import Places, ShapeError, shape_errors
from unitrate.catalog.section import Section
from unitrate.errors import CatalogError

MAX_FILE_BYTES = 16 * 1024 * 1024
_SUFFIXES = (".yaml", ".yml")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Stand-ins for what a version cannot do without, so that the rest of it can be checked all the same.
_PLACEHOLDERS = {"catalog": "?", "effective": "1970-01-01T00:00:00Z", "currency": "USD", "timezone": "UTC"}
_CUT_LISTS = {("plans", "charges"), ("plans", "fees"), ("plans", "alerts"), ("plans", "top_ups")}


@dataclass(frozen=True, slots=True)
class Version:
    """One checked version of the catalog, as its operator wrote it."""

    id: str
    model: CatalogModel
    text: str  # source of its files, the version's own first
    places: Places = field(repr=False, compare=False)

    @property
    def effective_us(self) -> int:
        return (self.model.effective - _EPOCH) // timedelta(microseconds=1)


def load(paths: Sequence[str | FilePath]) -> list[Version]:
    """Reads files and folders of YAML; versions come by their effective instants.

    Raises CatalogError with every problem as `file:line:col  path   message`.
    """
    documents, problems = _read_all(paths)
    return _versions(documents, problems)


def load_text(text: str, file: str = "catalog.yaml") -> list[Version]:
    """The same for one file's text."""
    return _versions([read_document(text, file)], [])


def from_data(data: Mapping[str, Any], file: str = "catalog") -> Version:
    """The same for a catalog given as plain values: texts, ints, Decimals, bools, lists and mappings."""
    document = Document(file, "")
    document.root = _as_document(data, ())
    document.places[()] = Place(file, 1, 1)
    return _versions([document], [])[0]


def check_paths(paths: Sequence[str | FilePath]) -> list[str]:
    """What `unitrate check` prints: one line a problem, none if the catalog holds."""
    try:
        load(paths)
    except CatalogError as error:
        return list(error.problems)
    return []


def _as_document(value: Any, path: Path) -> Any:
    if isinstance(value, Mapping):
        out = DocumentMapping(path)
        for key, item in value.items():
            out[str(key)] = _as_document(item, (*path, str(key)))
        return out
    if isinstance(value, (list, tuple)):
        return [_as_document(item, (*path, i)) for i, item in enumerate(value)]
    return value


def _read_all(paths: Sequence[str | FilePath]) -> tuple[list[Document], list[str]]:
    documents: list[Document] = []
    problems: list[str] = []
    for path in dict.fromkeys(FilePath(p) for p in paths):
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES and p.is_file())
            if not inside:
                problems.append(f"{path}: holds no .yaml file; name the folder that has the catalog")
            files = inside
        else:
            files = [path]
        for file in files:
            text = _read_text(file, problems)
            if text is not None:
                documents.append(read_document(text, str(file)))
    return documents, problems


def _read_text(file: FilePath, problems: list[str]) -> str | None:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        problems.append(f"{file}: there is no such file or folder")
        return None
    except OSError as error:
        problems.append(f"{file}: cannot be read: {error.strerror}")
        return None
    if len(data) > MAX_FILE_BYTES:
        problems.append(f"{file}: is larger than {MAX_FILE_BYTES // 2**20} MiB; split it")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        problems.append(f"{file}:{line}:{column}   is not UTF-8; save the file as UTF-8")
        return None


def _versions(documents: list[Document], file_problems: list[str]) -> list[Version]:
    problems: set[Problem] = set()
    for document in documents:
        problems.update(document.problems)
        if document.root is None or isinstance(document.root, DocumentMapping):
            continue
        problems.add(Problem(document.places[()], (), "must be a mapping that begins with catalog: NAME"))
    readable = [d for d in documents if isinstance(d.root, DocumentMapping)]
    own = [d for d in readable if "catalog" in d.root]
    shared = [d for d in readable if "catalog" not in d.root]
    if not own and documents and not problems and not file_problems:
        message = "no file has `catalog:`, the version's name; write catalog: 2026-10"
        problems.add(Problem(documents[0].start, ("catalog",), message))
    versions = []
    for document in own:
        version, found = _version(document, shared)
        problems.update(found)
        if version is not None:
            versions.append(version)
    versions.sort(key=lambda v: v.effective_us)
    if not problems and not file_problems:
        problems.update(check_versions([(v.model, v.places) for v in versions]))
    if problems or file_problems:
        ordered = sorted(problems, key=lambda p: (p.place, [str(step) for step in p.path], p.message))
        raise CatalogError([*file_problems, *map(str, ordered)])
    return versions


def _version(own: Document, shared: list[Document]) -> tuple[Version | None, list[Problem]]:
    documents = [own, *shared]
    root, problems = _merged(documents)
    places = Places(documents)
    model, errors = _validated(root)
    problems += [error.problem(places) for error in errors]
    if model is None:
        model = _salvaged(root, errors)
    if model is not None:
        broken = {str(e.path[1]) for e in errors if len(e.path) > 1 and e.path[0] == "plans"}
        known = Known(_names(root, "meters"), _names(root, "plans"), frozenset(broken))
        found = check_version(model, places, known)
        wrong = {problem.path for problem in problems}
        problems += [problem for problem in found if problem.path not in wrong]
    if problems or model is None:
        return None, problems
    text = own.text if not shared else "\n".join(f"# {d.file}\n{d.text}" for d in documents)
    return Version(str(model.catalog), model, text, places), []


def _names(root: Any, section: str) -> frozenset[str]:
    value = root.get(section)
    return frozenset(value) if isinstance(value, dict) else frozenset()


def _merged(documents: list[Document]) -> tuple[DocumentMapping, list[Problem]]:
    """One mapping of all documents: sections are joined by name, and no name may stand in two files."""
    root = DocumentMapping()
    problems: list[Problem] = []
    origin: dict[Path, Document] = {}
    for document in documents:
        for key, value in document.root.items():
            here = root.get(key)
            if key not in root:
                root[key] = _copied(value)
                origin[(key,)] = document
            elif isinstance(here, DocumentMapping) and isinstance(value, DocumentMapping):
                for name, item in value.items():
                    if name not in here:
                        here[name] = item
                        continue
                    problems.append(_twice(document, documents, (key, name)))
            else:
                problems.append(_twice(document, documents, (key,)))
    return root, problems


def _copied(value: Any) -> Any:
    """A mapping whose keys can be added to without changing the document."""
    if not isinstance(value, DocumentMapping):
        return value
    copy = DocumentMapping(value.path)
    copy.update(value)
    return copy


def _twice(document: Document, documents: list[Document], path: Path) -> Problem:
    first = next(d for d in documents if path in d.keys or path in d.places)
    place = document.keys.get(path, document.start)
    return Problem(place, path, f"stands in {first.keys.get(path, first.start)} as well; keep one")


def _validated(root: DocumentMapping) -> tuple[CatalogModel | None, list[ShapeError]]:
    classes: dict[Path, type[Section]] = {}
    try:
        return CatalogModel.model_validate(root, context=classes), []
    except ValidationError as error:
        return None, shape_errors(error, root, classes)


def _salvaged(root: DocumentMapping, errors: list[ShapeError]) -> CatalogModel | None:
    """The model of what is left when the broken parts are cut out; so one typing error hides no other."""
    rest: Any = root
    for error in sorted(errors, key=lambda e: [str(step) for step in e.path]):
        cut = error.path if error.is_unknown_key else _cut_point(error.path)
        rest = _without(rest, cut)
    for key, value in _PLACEHOLDERS.items():
        if key not in rest and key != "timezone":
            rest = _copied(rest)
            rest[key] = Scalar(value)
    return _validated(rest)[0]


def _cut_point(path: Path) -> Path:
    """The smallest part around an error that the rest of the catalog holds without."""
    if not path:
        return path
    if path[0] in ("meters", "plans", "accounts") and len(path) > 1:
        is_item = len(path) > 3 and (path[0], path[2]) in _CUT_LISTS
        return path[:4] if is_item else path[:2]
    if path[0] == "costs" and len(path) > 2:
        return path[:3]
    return path[:1]


def _without(node: Any, path: Path) -> Any:
    """The same tree without the node at `path`; what is not touched is shared. Items keep their own paths."""
    if not path:
        return node
    if isinstance(node, DocumentMapping):
        copy = _copied(node)
        if len(path) == 1:
            copy.pop(path[0], None)
        elif path[0] in copy:
            copy[path[0]] = _without(copy[path[0]], path[1:])
        return copy
    if isinstance(node, list):
        at = path[0]
        out = []
        for i, item in enumerate(node):
            own = item.path[-1] if isinstance(item, DocumentMapping) and item.path else i
            if own != at:
                out.append(item)
            elif len(path) > 1:
                out.append(_without(item, path[1:]))
        return out
    return node


__all__ = ["Version", "check_paths", "from_data", "load", "load_text"]
