"""A linter for the API: rules for every field of every kind, from Kubernetes' conventions and the
project's.

A rule is a function from a field to a complaint. Exceptions are in `EXCUSED`, with the reason.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["RULES", "Field", "complaints", "fields", "lint"]

Node = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One node of a schema, with its path."""

    path: str
    name: str
    node: Node
    parent: Node

    @property
    def written(self) -> bool:
        """Return whether users write it (spec), as opposed to read it (status)."""
        return self.path.startswith("spec")


def fields(schema: Node, path: str = "") -> Iterator[Field]:
    """Yield all nodes below a schema, by path: `spec.stages.*.version`,
    `status.conditions[].type`.
    """
    for name, child in schema.get("properties", {}).items():
        yield from _here(child, f"{path}.{name}".lstrip("."), name, schema)
    if isinstance(child := schema.get("additionalProperties"), dict):
        yield from _here(child, f"{path}.*", "*", schema)
    if "items" in schema:
        yield from _here(schema["items"], f"{path}[]", "[]", schema)


def _here(child: Node, path: str, name: str, parent: Node) -> Iterator[Field]:
    yield Field(path, name, child, parent)
    yield from fields(child, path)


# --- rules ----------------------------------------------------------------------------------------
def described(field: Field) -> str | None:
    """Every named field has a description that is a sentence."""
    text = field.node.get("description", "")
    if field.name in ("*", "[]", "metadata"):
        return None
    if len(text) < 5:
        return "has no description"
    return None if text.endswith(".") else "its description is no sentence"


def bounded_text(field: Field) -> str | None:
    """A string has a maximum length, a list of values or a format that bounds it."""
    node = field.node
    if node.get("type") != "string" or field.path in ("apiVersion", "kind"):
        return None
    bounded = "maxLength" in node or "enum" in node or node.get("format") == "date-time"
    return None if bounded else "is a string without maxLength"


def bounded_count(field: Field) -> str | None:
    """Lists and maps have a maximum count, which also bounds CEL's cost."""
    node = field.node
    if node.get("type") == "array" and "maxItems" not in node:
        return "is a list without maxItems"
    if "additionalProperties" in node and "maxProperties" not in node:
        return "is a map without maxProperties"
    return None


def bounded_number(field: Field) -> str | None:
    """A number in a spec has a range; one in a status has a format."""
    node = field.node
    if node.get("type") != "integer":
        return None
    if "format" not in node:
        return "is an integer without format"
    if field.written and not {"minimum", "maximum"} <= set(node):
        return "is an integer without minimum and maximum"
    return None


def no_float(field: Field) -> str | None:
    """Floats differ between clients; a string with a pattern does not."""
    return "is a float" if field.node.get("type") == "number" else None


def typed_list(field: Field) -> str | None:
    """Each list has a type for server-side apply; the keys of a list-map are required."""
    node = field.node
    if node.get("type") != "array":
        return None
    kind = node.get("x-kubernetes-list-type")
    if kind not in ("atomic", "set", "map"):
        return "is a list without x-kubernetes-list-type"
    if kind == "map":
        keys = set(node.get("x-kubernetes-list-map-keys", ()))
        if not keys or not keys <= set(node["items"].get("required", ())):
            return "is a list-map whose keys are not required"
    return None


def camel_case(field: Field) -> str | None:
    """Fields are lowerCamelCase."""
    return (
        None
        if field.name in ("*", "[]") or re.fullmatch(r"[a-z][a-zA-Z0-9]*", field.name)
        else "is not camelCase"
    )


def enumerated(field: Field) -> str | None:
    """Values of an enumeration are CamelCase, and the description mentions each."""
    values = field.node.get("enum", ())
    # XGBoost's usual terms, and one that replaces a stage's name
    allowed = {"classification", "regression", "newest"}
    if wrong := [
        value
        for value in values
        if value not in allowed and not re.fullmatch(r"[A-Z][A-Za-z]*", value)
    ]:
        return f"has values that are not CamelCase: {', '.join(wrong)}"
    if silent := [
        value for value in values if value.lower() not in field.node.get("description", "").lower()
    ]:
        return f"its description does not mention {', '.join(silent)}"
    return None


def conditions(field: Field) -> str | None:
    """Conditions are a list-map by type, as kstatus and server-side apply expect."""
    if field.name != "conditions":
        return None
    return (
        None
        if field.node.get("x-kubernetes-list-map-keys") == ["type"]
        else "is not a list-map by type"
    )


def own_namespace(field: Field) -> str | None:
    """A reference is a name in the object's own namespace: no field names another."""
    return "names a namespace" if field.written and "namespace" in field.name.lower() else None


def no_phase(field: Field) -> str | None:
    """There is no phase, which could not be extended. A step of a promotion has a state, because
    the list of steps can grow.
    """
    if field.path == "status.stages.*.steps[].state":
        return None
    return "is a phase" if field.name in ("phase", "state") else None


def closed(field: Field) -> str | None:
    """Unknown fields are pruned."""
    node = field.node
    open_ = (
        node.get("x-kubernetes-preserve-unknown-fields") or node.get("additionalProperties") is True
    )
    bare = (
        node.get("type") == "object"
        and not {"properties", "additionalProperties"} & set(node)
        and field.name != "metadata"
    )
    return "keeps unknown fields" if open_ or bare else None


def absent(field: Field) -> str | None:
    """Required fields and fields of a status have no default."""
    if "default" not in field.node:
        return None
    if not field.written:
        return "is status and has a default"
    return (
        "is required and has a default" if field.name in field.parent.get("required", ()) else None
    )


def unruled(field: Field) -> str | None:
    """A status has no rules, which cost time at each write and check nothing that users write."""
    return (
        "is status and has a rule"
        if field.path.startswith("status") and "x-kubernetes-validations" in field.node
        else None
    )


def advised(field: Field) -> str | None:
    """A rule's message says what to write instead, without a full stop, because the API server
    continues after it.
    """
    for rule in field.node.get("x-kubernetes-validations", ()):
        message = rule.get("message", "")
        if len(message.split()) < 4 or message.endswith("."):
            return f"its rule {rule['rule']!r} has no message to act on"
    return None


RULES: tuple[Callable[[Field], str | None], ...] = (
    described,
    bounded_text,
    bounded_count,
    bounded_number,
    no_float,
    typed_list,
    camel_case,
    enumerated,
    conditions,
    own_namespace,
    no_phase,
    closed,
    absent,
    unruled,
    advised,
)

EXCUSED = {
    (
        "RegisteredModel",
        "status.stages.*.steps[].state",
        "no_phase",
    ): "of one step in a list that can grow, not of the object",
    (
        "TrainingRun",
        "spec.workers",
        "bounded_number",
    ): "a rule with its own message limits it to 1; a maximum would hide the message",
}


def complaints(schema: Node, kind: str = "") -> Iterator[tuple[str, str, str]]:
    """Apply the rules to a schema: yield the field's path, the rule's name and the complaint."""
    for field in fields(schema):
        for rule in RULES:
            if (text := rule(field)) and (kind, field.path, rule.__name__) not in EXCUSED:
                yield field.path, rule.__name__, text


def lint(crd: Node) -> list[str]:
    """Apply the rules to a CustomResourceDefinition: return one line per complaint."""
    kind = crd["spec"]["names"]["kind"]
    found = []
    for version in crd["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        found += [f"{kind} {path} {text} ({rule})" for path, rule, text in complaints(schema, kind)]
        if "status" not in version.get("subresources", {}):
            found.append(f"{kind} has no status subresource")
        columns = {column["name"] for column in version.get("additionalPrinterColumns", ())}
        found += [
            f"{kind} has no column {name}"
            for name in ("Ready", "Reason", "Age")
            if name not in columns
        ]
        found += [
            f"{kind} column {column['name']} has no description"
            for column in version["additionalPrinterColumns"]
            if not column.get("description")
        ]
    return found
