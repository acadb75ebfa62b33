"""docs/reference/<kind>.md: every field of a kind, from its CustomResourceDefinition.

Pages written by hand explain the fields by task.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from modelyard.api.base import GROUP, VERSION
from modelyard.api.kinds import Kind
from modelyard.api.schema import crd

__all__ = ["Field", "Object", "name", "objects", "page"]

Node = dict[str, Any]

_GENERATED = "Generated from the kinds in `operator/modelyard/api` by `make crds`. Never edit it."


@dataclass(frozen=True)
class Field:
    """One field of an object.

    Attributes:
        name: Its name.
        type: Its type, or the allowed values.
        required: Whether it is required in its object.
        default: Its default as JSON; empty if there is none.
        what: Its description.
        refused: Messages of its rules: what the API server answers to an invalid value.

    """

    name: str
    type: str
    required: bool
    default: str
    what: str
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Object:
    """An object with fields.

    Its path looks like `spec.stages.<name>`, with `[]` for the items of a list.
    """

    path: str
    what: str
    fields: tuple[Field, ...]
    refused: tuple[str, ...] = ()


def name(kind: Kind) -> str:
    """Return the page's name: `training-run` for TrainingRun."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.resource.KIND).lower()


def page(kind: Kind) -> str:
    """Return the whole page."""
    definition = crd(kind)
    (version,) = definition["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    names = definition["spec"]["names"]
    head = [
        f"# {kind.resource.KIND}",
        _GENERATED,
        schema["description"],
        _intro(kind.resource.KIND, names["plural"], names["shortNames"][0]),
        _cell(f"{kind.advice[0].upper()}{kind.advice[1:]}."),
    ]
    columns = [
        f"| {each['name']} | `{each['jsonPath']}` | {each['description']} |"
        for each in version["additionalPrinterColumns"]
    ]
    return (
        "\n\n".join(
            [
                *head,
                "## Spec",
                *map(_section, objects(schema["properties"]["spec"], "spec")),
                "## Status",
                *map(_section, objects(schema["properties"]["status"], "status")),
                "## Columns",
                "Columns of `kubectl get`; `-o wide` shows all of them.",
                "\n".join(["| column | from | what |", "|---|---|---|", *columns]),
            ]
        )
        + "\n"
    )


def _intro(kind: str, plural: str, short: str) -> str:
    return (
        f"`apiVersion: {GROUP}/{VERSION}`, `kind: {kind}`; in kubectl `{plural}`, `{short}`, and"
        f" in the category `modelyard`. In the cluster: `kubectl explain {short}.spec`."
    )


def objects(schema: Node, path: str) -> Iterator[Object]:
    """Return a node and the objects below it, parents first."""
    required = set(schema.get("required", ()))
    named = schema.get("properties", {})
    if named:
        yield Object(
            path,
            schema.get("description", ""),
            tuple(_field(key, node, key in required) for key, node in named.items()),
            _refused(schema),
        )
    for key, node in named.items():
        yield from objects(node, f"{path}.{key}")
    if isinstance(below := schema.get("additionalProperties"), dict):
        yield from objects(below, f"{path}.<name>")
    if "items" in schema:
        yield from objects(schema["items"], f"{path}[]")


def _field(key: str, node: Node, required: bool) -> Field:
    inner = [
        each
        for each in (node.get("additionalProperties"), node.get("items"))
        if isinstance(each, dict) and "properties" not in each
    ]
    refused = _refused(node) if "properties" not in node else ()
    default = json.dumps(node["default"]) if "default" in node else ""
    return Field(
        key,
        _type(node),
        required,
        default,
        node.get("description", ""),
        refused + tuple(word for each in inner for word in _refused(each)),
    )


def _refused(node: Node) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(each["message"] for each in node.get("x-kubernetes-validations", ()))
    )


def _type(node: Node) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if node.get("x-kubernetes-int-or-string"):
        return "quantity"
    if node.get("format") == "date-time":
        return "time"
    if isinstance(below := node.get("additionalProperties"), dict):
        return f"map of {_type(below)}"
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}"
    if node.get("type") == "integer" and "minimum" in node and "maximum" in node:
        return f"integer, {node['minimum']} to {node['maximum']}"
    return str(node.get("type", "any"))


def _section(thing: Object) -> str:
    lines = ["| field | type | default | what |", "|---|---|---|---|"]
    for field in thing.fields:
        default = (
            "required"
            if field.required
            else f"`{field.default}`"
            if field.default not in ("", "{}", "[]")
            else ""
        )
        lines.append(f"| `{field.name}` | {field.type} | {default} | {_cell(field.what)} |")
    rules = [f"- {_cell(message)}" for message in thing.refused]
    rules += [
        f"- `{field.name}`: {_cell(message)}" for field in thing.fields for message in field.refused
    ]
    refused = ["The API server refuses other values with:", "\n".join(rules)] if rules else []
    return "\n\n".join([f"### `{thing.path}`", _cell(thing.what), "\n".join(lines), *refused])


def _cell(text: str) -> str:
    """Escape `<` and `|` for a cell of a Markdown table."""
    return text.replace("<", "\\<").replace("|", "\\|")
