"""The API lint holds for every kind, and each of its rules can fail."""

import pytest

from modelyard.api.kinds import KINDS, Kind
from modelyard.api.schema import crd
from tests.house.api_lint import RULES, complaints, lint

OBJECT = {"type": "object", "description": "An object."}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource.KIND)
def test_every_kind_passes_the_lint(kind: Kind):
    assert lint(crd(kind)) == []


WRONG = {
    "described": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 1},
    "bounded_text": {"type": "string", "description": "A name."},
    "bounded_count": {
        "type": "array",
        "x-kubernetes-list-type": "atomic",
        "description": "Names.",
        "items": {"type": "boolean"},
    },
    "bounded_number": {
        "type": "integer",
        "format": "int32",
        "minimum": 0,
        "description": "A number.",
    },
    "no_float": {"type": "number", "description": "A number."},
    "typed_list": {
        "type": "array",
        "maxItems": 3,
        "description": "Names.",
        "items": {"type": "boolean"},
    },
    "camel_case": {"type": "boolean", "description": "Whether."},
    "enumerated": {"type": "string", "enum": ["Yes", "No"], "description": "Yes: it is."},
    "conditions": {
        "type": "array",
        "maxItems": 3,
        "x-kubernetes-list-type": "atomic",
        "description": "Conditions.",
        "items": {"type": "boolean"},
    },
    "own_namespace": {"type": "string", "maxLength": 63, "description": "A namespace."},
    "no_phase": {"type": "string", "maxLength": 63, "description": "A phase."},
    "closed": {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "description": "Anything.",
    },
    "absent": {"type": "boolean", "default": True, "description": "Whether."},
    "unruled": {
        "type": "boolean",
        "description": "Whether.",
        "x-kubernetes-validations": [{"rule": "self", "message": "write true here, or nothing"}],
    },
    "advised": {
        "type": "boolean",
        "description": "Whether.",
        "x-kubernetes-validations": [{"rule": "self", "message": "invalid"}],
    },
}
NAMES = {
    "camel_case": "snake_case",
    "conditions": "conditions",
    "own_namespace": "secretNamespace",
    "no_phase": "phase",
}


@pytest.mark.parametrize("rule", [rule.__name__ for rule in RULES])
def test_every_rule_can_fail(rule: str):
    name = NAMES.get(rule, "field")
    part = "status" if rule == "unruled" else "spec"
    schema = {
        "type": "object",
        "properties": {part: {**OBJECT, "properties": {name: WRONG[rule]}, "required": [name]}},
    }
    assert [(path, broken) for path, broken, _ in complaints(schema)] == [(f"{part}.{name}", rule)]
