"""From a pydantic model to a structural OpenAPI v3 schema, as a CustomResourceDefinition wants it.

What our kinds are called and how they are listed does not belong here (`api.schema`).
"""

import inspect
from collections.abc import Mapping
from typing import Any

from modelyard.api.advice import advised
from modelyard.api.base import Schema

__all__ = ["paragraphs", "structural"]

Node = dict[str, Any]

# Everything that our models may say; anything else would be lost or refused by the API server, so
# it stops the generator.
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
    """Return a docstring with each paragraph on one line: where its source wraps is no text."""
    blocks = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)


def structural(model: type[Schema], *, written: bool) -> Node:
    """Return the structural schema of a model: references inlined, null removed.

    Args:
        model: The model; its aliases are the names of the fields.
        written: Whether users write it: then the API server fills in the models' defaults and
            advises beside patterns. A status is what was observed and nothing else, and every rule
            on it costs at each write. Empty defaults are left out: they say what absence says.

    Raises:
        TypeError: The model uses something that a structural schema cannot say.
        KeyError: A pattern of it has no advice (`api.advice`).

    """
    document = model.model_json_schema(by_alias=True)
    return _Walk(document.get("$defs", {}), written=written).node(document, model.__name__)


class _Walk:
    """One document: the definitions that its references mean."""

    def __init__(self, definitions: Mapping[str, Node], *, written: bool) -> None:
        self.definitions = definitions
        self.written = written

    def node(self, raw: Node, where: str) -> Node:
        """Translate one node and all below it."""
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
        """Replace a reference by what it means; what stands beside it wins, rules of both hold."""
        if "$ref" not in raw:
            return raw
        target = self._resolved(self.definitions[raw["$ref"].removeprefix("#/$defs/")])
        return _merged(target, {key: value for key, value in raw.items() if key != "$ref"})

    def _one_of(self, raw: Node, where: str) -> Node:
        """Remove the null of an optional field: its absence says the same, and the API server
        drops nulls by itself.
        """
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
    """Put what a reader looks for first, what is long last."""
    middle = sorted(set(node) - {*_ORDER, *_LAST})
    return {key: node[key] for key in (*_ORDER, *middle, *_LAST) if key in node}
