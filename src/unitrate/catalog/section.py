"""The base of every part of the catalog's model: strict, frozen, and aware of where it was written.

Owns the common settings. The attribute names of all parts are the YAML keys, `from` and `as` being
`from_` and `as_`; an attribute's docstring is its description in the JSON Schema.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from unitrate.catalog.document import Mapping as DocumentMapping
from unitrate.catalog.document import Path


class Section(BaseModel):
    """A mapping of the catalog. Unknown keys are errors; values keep what their source says, exactly."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True
    )
    _path: Path = PrivateAttr(default=())

    @model_validator(mode="wrap")
    @classmethod
    def _remember_path(cls, data: Any, handler: ModelWrapValidatorHandler[Any], info: ValidationInfo) -> Any:
        if not isinstance(data, DocumentMapping):
            return handler(data)
        if isinstance(info.context, dict):  # tells `problems` which keys the mapping at this path may have
            info.context[data.path] = cls
        section = handler(data)
        section._path = data.path
        return section

    @property
    def path(self) -> Path:
        """Where it stands in its document, `("meters", "support")`; empty if it was not read from one."""
        return self._path

    @classmethod
    def keys(cls) -> list[str]:
        """The YAML keys it may have, in the order of the model."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    def was_given(self, name: str) -> bool:
        """Whether the operator wrote this key; otherwise its value is the default."""
        return name in self.model_fields_set


def _listed(value: Any) -> Any:
    """One value stands for a list of one; a list becomes the tuple that a frozen model keeps."""
    if isinstance(value, list):
        return tuple(value)
    return value if isinstance(value, tuple) else (value,)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class _OneOrList:
    """Tells the JSON Schema that one item may stand for a list of one."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        return {"anyOf": [schema["items"], schema]}


Item = TypeVar("Item")
Items = Annotated[tuple[Item, ...], BeforeValidator(_as_tuple)]
OneOrMore = Annotated[tuple[Item, ...], BeforeValidator(_listed), _OneOrList()]
