"""Convert a pydantic model to a structural OpenAPI v3 schema for a CustomResourceDefinition.

Names and columns of the kinds are in `api.kinds`.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from modelyard.api.advice import advised
from modelyard.api.base import Schema

__all__ = ["paragraphs", "structural"]

Node = dict[str, Any]

# All keywords that the models may use. The generator fails on any other, which the API server would
# drop or refuse.
_KEPT = (
    "type",
    "format",
    "description",
    "enum",
    "nullable",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
)
_HANDLED = (
    "$ref",
    "$defs",
    "title",
    "default",
    "const",
    "anyOf",
    "allOf",
    "properties",
    "additionalProperties",
    "items",
)
_INT32 = 2**31 - 1


def paragraphs(text: str) -> str:
    """Return a docstring with each paragraph on one line."""
    blocks = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)


def structural(model: type[Schema], *, written: bool) -> Node:
    """Return the structural schema of a model, with references inlined and null removed.

    Args:
        model: The model, whose aliases are the fields' names.
        written: Whether users write it. Then the schema has the models' defaults, and rules that
            accompany patterns. A status has neither: it holds only what was observed, and a rule
            costs time at each write. Empty defaults are left out, because they mean the same as
            absence.

    Raises:
        TypeError: The model uses something that a structural schema does not support.
        KeyError: A pattern has no message (`api.advice`).

    """
    document = model.model_json_schema(by_alias=True)
    return _Walk(document.get("$defs", {}), written=written).node(document, model.__name__)


class _Walk:
    """The conversion of one document with its definitions."""

    def __init__(self, definitions: Mapping[str, Node], *, written: bool) -> None:
        self.definitions = definitions
        self.written = written

    def node(self, raw: Node, where: str) -> Node:
        """Convert one node and all nodes below it."""
        raw = self._one_of(self._resolved(raw), where)
        if unknown := sorted(set(raw) - {*_KEPT, *_HANDLED}):
            raise TypeError(f"{where}: a CRD cannot say {', '.join(unknown)}")
        out: Node = {key: raw[key] for key in _KEPT if key in raw}
        if "description" in out:
            out["description"] = paragraphs(out["description"])
        if "const" in raw:
            out["enum"] = [raw["const"]]
        if raw.get("x-kubernetes-int-or-string"):
            out["anyOf"] = [{"type": "integer"}, {"type": "string"}]
        elif "type" not in out:
            raise TypeError(f"{where}: has no type")
        if out.get("type") == "number":
            raise TypeError(
                f"{where}: is a float; use a string with a pattern, which every client reads alike"
            )
        if self.written and "pattern" in out:
            rules = advised(out["pattern"], mixed="x-kubernetes-int-or-string" in out)
            out["x-kubernetes-validations"] = [*out.get("x-kubernetes-validations", ()), *rules]
        if out.get("type") == "integer":
            out.setdefault(
                "format", "int32" if raw.get("maximum", _INT32 + 1) <= _INT32 else "int64"
            )
        if self.written and raw.get("default") not in (None, "", [], {}):
            out["default"] = raw["default"]
        self._below(raw, out, where)
        return _ordered(out)

    def _below(self, raw: Node, out: Node, where: str) -> None:
        if "properties" in raw:
            out["properties"] = {
                name: self.node(child, f"{where}.{name}")
                for name, child in raw["properties"].items()
            }
        if isinstance(raw.get("additionalProperties"), dict):
            out["additionalProperties"] = self.node(raw["additionalProperties"], f"{where}.*")
        if "items" in raw:
            out["items"] = self.node(raw["items"], f"{where}[]")

    def _resolved(self, raw: Node) -> Node:
        """Replace a reference by its definition.

        Keywords beside it take precedence; rules are combined.
        """
        if "$ref" not in raw:
            return raw
        target = self._resolved(self.definitions[raw["$ref"].removeprefix("#/$defs/")])
        return _merged(target, {key: value for key, value in raw.items() if key != "$ref"})

    def _one_of(self, raw: Node, where: str) -> Node:
        """Remove the null of an optional field, because the API server drops nulls anyway."""
        if "anyOf" not in raw or raw.get("x-kubernetes-int-or-string"):
            return raw
        choices = [choice for choice in raw["anyOf"] if choice != {"type": "null"}]
        if len(choices) != 1:
            raise TypeError(f"{where}: is one of {len(choices)} types; a field has one")
        inner = self._one_of(self._resolved(choices[0]), where)
        return _merged(inner, {key: value for key, value in raw.items() if key != "anyOf"})


def _merged(target: Node, beside: Node) -> Node:
    out = {**target, **beside}
    if "x-kubernetes-validations" in target and "x-kubernetes-validations" in beside:
        out["x-kubernetes-validations"] = [
            *target["x-kubernetes-validations"],
            *beside["x-kubernetes-validations"],
        ]
    return out


_ORDER = ("description", "type", "format", "nullable", "enum", "default")
_LAST = ("required", "properties", "additionalProperties", "items", "x-kubernetes-validations")


def _ordered(node: Node) -> Node:
    """Order the keywords for readers: the important ones first, the long ones last."""
    middle = sorted(set(node) - {*_ORDER, *_LAST})
    return {key: node[key] for key in (*_ORDER, *middle, *_LAST) if key in node}
