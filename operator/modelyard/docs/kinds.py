"""docs/reference/<kind>.md: every field of a kind, from the CustomResourceDefinition that the API server has.

What a field is for, seen from a task, is told by the pages that are written by hand.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from modelyard.api.base import GROUP, VERSION
from modelyard.api.schema import Kind, crd

__all__ = ["Field", "fields", "name", "page"]

Node = dict[str, Any]

_GENERATED = "Generated from the kinds in `operator/modelyard/api` by `make crds`. Never edit it."


@dataclass(frozen=True)
class Field:
    """One field as a reader meets it.

    Attributes:
        path: Its place, such as `spec.stages.<name>.version`; `[]` stands for the items of a list.
        type: What may be written: a type, or the values themselves.
        required: Whether it must be written where the object that has it is.
        default: What holds if it is not, as JSON; empty if nothing does.
        what: Its description.
        refused: What the API server says of a value that breaks a rule.

    """

    path: str
    type: str
    required: bool
    default: str
    what: str
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
    columns = [f"| {each['name']} | `{each['jsonPath']}` | {each['description']} |" for each in version["additionalPrinterColumns"]]
    return (
        "\n\n".join(
            [
                *head,
                "## Spec",
                _table(schema["properties"]["spec"], "spec"),
                "## What is refused",
                "The API server says so before anything is written.",
                _rules(schema["properties"]["spec"]),
                "## Status",
                _table(schema["properties"]["status"], "status"),
                "## Columns",
                "What `kubectl get` shows; with `-o wide` all of them.",
                "\n".join(["| column | from | what |", "|---|---|---|", *columns]),
            ]
        )
        + "\n"
    )


def _intro(kind: str, plural: str, short: str) -> str:
    return (
        f"`apiVersion: {GROUP}/{VERSION}`, `kind: {kind}`; in kubectl `{plural}`, `{short}`, and with the others `modelyard`."
        f" The cluster says the same: `kubectl explain {short}.spec`."
    )


def fields(schema: Node, path: str) -> Iterator[Field]:
    """Return the fields below a node, each object before its own fields."""
    required = set(schema.get("required", ()))
    for key, node in schema.get("properties", {}).items():
        yield from _field(f"{path}.{key}", node, required=key in required)


def _field(path: str, node: Node, *, required: bool) -> Iterator[Field]:
    default = json.dumps(node["default"]) if "default" in node else ""
    refused = tuple(dict.fromkeys(each["message"] for each in node.get("x-kubernetes-validations", ())))
    yield Field(path, _type(node), required, default, node.get("description", ""), refused)
    yield from fields(node, path)
    if isinstance(below := node.get("additionalProperties"), dict):
        yield from fields(below, f"{path}.<name>")
    if "items" in node:
        yield from fields(node["items"], f"{path}[]")


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


def _table(schema: Node, path: str) -> str:
    lines = ["| field | type | default | what |", "|---|---|---|---|"]
    for field in fields(schema, path):
        default = "required" if field.required else f"`{field.default}`" if field.default and field.default not in ("{}", "[]") else ""
        lines.append(f"| `{field.path}` | {field.type} | {default} | {_cell(field.what)} |")
    return "\n".join(lines)


def _rules(schema: Node) -> str:
    whole = [("spec", each["message"]) for each in schema.get("x-kubernetes-validations", ())]
    below = [(field.path, message) for field in fields(schema, "spec") for message in field.refused]
    lines = ["| where | what to write |", "|---|---|"]
    lines += [f"| `{path}` | {_cell(message)} |" for path, message in dict.fromkeys([*whole, *below, *_inner(schema, "spec")])]
    return "\n".join(lines)


def _inner(node: Node, path: str) -> Iterator[tuple[str, str]]:
    """Rules of what has no field of its own: the values of a map, the items of a list."""
    for key, child in node.get("properties", {}).items():
        yield from _inner(child, f"{path}.{key}")
    for suffix, below in ((".<name>", node.get("additionalProperties")), ("[]", node.get("items"))):
        if isinstance(below, dict):
            yield from ((path + suffix, each["message"]) for each in below.get("x-kubernetes-validations", ()))
            yield from _inner(below, path + suffix)


def _cell(text: str) -> str:
    """Return a text as it may stand in Markdown: `<name>` is no tag there, and `|` no end of a cell."""
    return text.replace("<", "\\<").replace("|", "\\|")
